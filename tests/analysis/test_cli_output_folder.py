"""What the command line says about folders that it may not write to."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.conftest import CommandLine

HERE = ("--executor", "iterative")
OPTIONS = pytest.mark.parametrize("option", ["--out", "--data"])


def forbid_writing(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Let folders and files below `folder` no longer be made, as if the file system answered with error `number`."""
    make, open_file = Path.mkdir, Path.open

    def refuse(path: Path) -> None:
        if folder in path.absolute().parents:
            raise OSError(number, os.strerror(number), str(path))

    def mkdir(self: Path, *arguments: Any, **options: Any) -> None:
        if not self.is_dir():
            refuse(self)
        make(self, *arguments, **options)

    def open_(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            refuse(self)
        return open_file(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "open", open_)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
@OPTIONS
def test_a_folder_without_the_right_to_write(darkhorse: CommandLine, events_folder: Path, option: str) -> None:
    folder = darkhorse.folder / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        message = darkhorse.refused("process", "--files", events_folder / "dijet-000.root", *HERE, option, folder)
    finally:
        folder.chmod(0o755)
    assert f"Permission denied: {folder}" in message
    assert "Make the folder writable, or choose another one with --out or --data" in message
    assert not list(folder.iterdir())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS], ids=["not allowed", "read-only file system"])
@OPTIONS
def test_a_folder_that_cannot_be_written(
    darkhorse: CommandLine, events_folder: Path, monkeypatch: pytest.MonkeyPatch, option: str, number: int
) -> None:
    folder = darkhorse.folder / "locked"
    folder.mkdir()
    forbid_writing(monkeypatch, folder, number)
    message = darkhorse.refused("process", "--files", events_folder / "dijet-000.root", *HERE, option, folder)
    assert f"{os.strerror(number)}: {folder}" in message
    assert "Make the folder writable, or choose another one with --out or --data" in message
    assert not list(folder.iterdir())


@pytest.mark.parametrize("below", ["", "new/folder"])
@OPTIONS
def test_a_file_where_a_folder_is_needed(
    darkhorse: CommandLine, events_folder: Path, option: str, below: str
) -> None:
    file = darkhorse.folder / "notes.txt"
    file.write_text("mine")
    message = darkhorse.refused("process", "--files", events_folder / "dijet-000.root", *HERE, option, file / below)
    assert f"{file} is a file, not a folder" in message
    assert "writable" not in message
    assert file.read_text() == "mine"


@pytest.mark.usefixtures("without_figures")
def test_a_folder_that_became_read_only(
    darkhorse: CommandLine, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished stays; the same command ends the search once the folder can be written."""
    shutil.copytree(finished, darkhorse.folder, dirs_exist_ok=True)
    results = darkhorse.folder / "out" / "results.json"
    content = results.read_bytes()
    results.unlink()
    arguments = ("run", "tiny.yaml", "--out", "out", *HERE)

    def mkstemp(*_: Any, dir: Path, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    with monkeypatch.context() as context:
        context.setattr("analysis.files.tempfile.mkstemp", mkstemp)
        message = darkhorse.refused(*arguments)
    assert "Read-only file system: out" in message
    assert "choose another one with --out or --data" in message
    assert not results.exists()
    assert darkhorse(*arguments).status == 0
    assert results.read_bytes() == content
