"""Errors of other libraries become one paragraph; errors of a program are told from bad files."""

from __future__ import annotations

from pathlib import Path

import pytest
from coffea.processor import Runner

from processors import DijetProcessor, OutputError, describe_failure, schema_for
from processors.errors import InputError
from processors.failures import is_bad_input


def test_what_coffea_wraps_is_found_again(tmp_path: Path, particles, generated_file, iterative) -> None:
    path = str(generated_file(tmp_path / "a.root", particles(3)))
    runner = Runner(iterative.copy(retries=0), schema=schema_for("darkhorse"))
    with pytest.raises(Exception, match="Failed processing file") as caught:
        runner({"d": [path]}, DijetProcessor(jets="FatJet"), treename="Events")
    failure = describe_failure(caught.value, path)
    assert isinstance(failure, InputError)
    assert str(failure).startswith(f"{path} has no FatJet")


def test_a_message_without_the_file_gets_it() -> None:
    assert str(describe_failure(InputError("its layout is odd."), "a.h5")) == "a.h5: its layout is odd."


def test_an_unknown_error_keeps_its_words(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    path.write_bytes(b"root")
    message = str(describe_failure(RuntimeError("first line\n\nsecond line"), str(path)))
    assert message.startswith(f"{path} cannot be read to the end (RuntimeError: first line second line)")


def test_permission(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    path.write_bytes(b"root")
    assert "may not be read" in str(describe_failure(PermissionError(13, "Permission denied"), str(path)))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("x"), True),
        (OSError("truncated"), True),
        (ValueError("bad basket"), True),
        (OutputError("disk full"), False),
        (TypeError("a mistake"), False),
        (MemoryError(), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_whose_fault_it_is(error: BaseException, *, expected: bool) -> None:
    assert is_bad_input(error) is expected
