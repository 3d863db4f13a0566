"""Artefacts are whole or absent, and keyed by what made them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import StageError
from analysis.files import write_atomically, write_json
from analysis.store import Store, code_key, content_key, exclusive


def fill(text: str, calls: list[str]):
    def write(folder: Path) -> None:
        calls.append(text)
        (folder / "value").write_text(text)

    return write


def test_an_artefact_is_made_once(tmp_path: Path) -> None:
    calls: list[str] = []
    store = Store(tmp_path)
    for _ in range(2):
        assert (store.make("a", "k1", fill("one", calls)) / "value").read_text() == "one"
    assert calls == ["one"]


def test_another_key_makes_it_again(tmp_path: Path) -> None:
    calls: list[str] = []
    store = Store(tmp_path)
    store.make("a", "k1", fill("one", calls))
    store.make("a", "k2", fill("two", calls))
    assert store.find("a", "k1") is None
    assert (store.find("a", "k2") / "value").read_text() == "two"


def test_a_failure_leaves_the_old_artefact_and_nothing_half_made(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.make("a", "k1", fill("one", []))

    def fail(folder: Path) -> None:
        (folder / "value").write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        store.make("a", "k2", fail)
    assert store.find("a", "k2") is None
    assert (store.find("a", "k1") / "value").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_resumable_artefact_keeps_what_a_killed_run_finished(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from analysis.store import Store

        def fill(folder):
            (folder / "first").write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)

        Store(Path(sys.argv[1])).make("a", "k1", fill, resumable=True)
        """
    )
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    store = Store(tmp_path)
    assert store.find("a", "k1") is None
    seen = []

    def go_on(folder: Path) -> None:
        seen.extend(path.name for path in folder.iterdir())
        (folder / "second").write_text("2")

    folder = store.make("a", "k1", go_on, resumable=True)
    assert seen == ["first"]
    assert {path.name for path in folder.iterdir()} == {"first", "second", ".complete.json"}


def test_a_damaged_marker_counts_as_unfinished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.make("a", "k1", fill("one", []))
    (folder / ".complete.json").write_text('{"ke')
    assert store.find("a", "k1") is None


def test_keys_depend_on_content_not_on_order() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})
    assert code_key("stats") != code_key("processors")


def test_atomic_writes_replace_whole_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_json(tmp_path / "x.json", {"a": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "other")
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_two_runs_do_not_share_an_output_folder(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(StageError, match="Another run"), exclusive(tmp_path):
        pass


def test_two_runs_share_the_making_of_one_artefact(tmp_path: Path) -> None:
    """The second waits for the first and takes what it made."""
    program = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from analysis.store import Store

        def fill(folder):
            (folder / "value").write_text("theirs")
            print("begun", flush=True)
            time.sleep(0.5)

        Store(Path(sys.argv[1])).make("a.b", "k1", fill)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        calls: list[str] = []
        folder = Store(tmp_path).make("a.b", "k1", fill("mine", calls))
    assert other.returncode == 0
    assert calls == []
    assert (folder / "value").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["a.b"]


def test_what_another_run_finishes_needs_no_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run renames the folder while this one waits for its lock."""
    store, waiting = Store(tmp_path), iter([True, False])
    with store.unfinished("a", "k1") as partial:
        assert partial == tmp_path / ".a.k1.partial"
    lock = fcntl.flock

    def wait(*arguments: Any) -> None:
        if next(waiting, False):
            store.make("a", "k1", fill("theirs", []))
        lock(*arguments)

    monkeypatch.setattr("analysis.store.fcntl.flock", wait)
    with store.unfinished("a", "k1") as partial:
        assert partial is None
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_leftovers_of_other_keys_go(tmp_path: Path) -> None:
    (tmp_path / ".a.k0.partial").mkdir()
    (tmp_path / ".a.k0.partial" / "value").write_text("old")
    (tmp_path / ".a.k1.partial").mkdir()
    (tmp_path / ".a.k1.partial" / "stray").write_text("old")
    folder = Store(tmp_path).make("a", "k1", fill("one", []))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert {path.name for path in folder.iterdir()} == {"value", ".complete.json"}
