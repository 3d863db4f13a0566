"""Samples on disk: reproducible, whole or absent, resumed where they stopped."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.samples import GenerationError, Recipe, generate, is_complete, read_summary, sample_files

PROJECT = Path(__file__).resolve().parents[3]
RECIPE = Recipe(process="wprime_xy", events=25, events_per_file=10, seed=11)


def contents(directory: Path) -> dict[str, bytes]:
    """Return the visible files of a folder; the summary and the files are what a sample is."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.name[0] != "."}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("sample")
    seen: list[tuple[int, int]] = []
    files = generate(RECIPE, directory, name="s", progress=lambda done, total: seen.append((done, total)))
    assert files == sample_files(RECIPE, directory, "s")
    assert seen[-1] == (25, 25)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    return directory


def test_summary_tells_what_was_made(made):
    summary = read_summary(RECIPE, made, "s")
    assert summary == json.loads((made / "s.json").read_text())
    assert sorted(contents(made)) == ["s-000.root", "s-001.root", "s-002.root", "s.json"]
    assert (summary["kept"], summary["seed"], summary["key"]) == (25, 11, RECIPE.key())
    assert summary["tried"] >= summary["passed"] >= 25
    assert 1e-4 < summary["cross_section"] < 1e-2
    assert 0 < summary["cross_section_error"] < summary["cross_section"]
    assert "pythia8mc" in summary["versions"]


def test_workers_do_not_change_the_result(made, tmp_path):
    generate(RECIPE, tmp_path, name="s", workers=3)
    assert contents(tmp_path) == contents(made)


def test_other_seeds_give_other_events(made, tmp_path):
    recipe = RECIPE.model_copy(update={"events": 10, "seed": 12})
    (path,) = generate(recipe, tmp_path, name="s")
    assert path.read_bytes() != (made / "s-000.root").read_bytes()
    assert (made / "s-000.root").read_bytes() != (made / "s-001.root").read_bytes()


def test_whole_files_stay_and_others_are_made_again(made, tmp_path):
    for name, content in contents(made).items():
        (tmp_path / name).write_bytes(content)
    assert is_complete(RECIPE, tmp_path, "s")
    (tmp_path / "s-001.root").write_bytes((made / "s-001.root").read_bytes()[:5000])
    (tmp_path / ".s-002.root.partial").write_bytes(b"interrupted")
    assert not is_complete(RECIPE, tmp_path, "s")
    whole = (tmp_path / "s-000.root").stat().st_mtime_ns
    generate(RECIPE, tmp_path, name="s")
    assert (tmp_path / "s-000.root").stat().st_mtime_ns == whole
    assert contents(tmp_path) == contents(made)
    assert not list(tmp_path.glob(".*.partial"))


def test_files_of_another_recipe_are_not_taken(made, tmp_path):
    for name, content in contents(made).items():
        (tmp_path / name).write_bytes(content)
    smaller = RECIPE.model_copy(update={"events": 10})
    other = smaller.model_copy(update={"seed": 12})
    assert not is_complete(other, tmp_path, "s")
    assert is_complete(smaller, tmp_path, "s")
    generate(smaller, tmp_path, name="s")  # the first file serves, the others stay for the longer sample
    assert sorted(contents(tmp_path)) == sorted(contents(made))
    assert is_complete(smaller, tmp_path, "s")
    assert is_complete(RECIPE, tmp_path, "s")
    assert (tmp_path / "s-000.root").read_bytes() == (made / "s-000.root").read_bytes()
    generate(other, tmp_path, name="s")
    assert is_complete(other, tmp_path, "s")
    assert (tmp_path / "s-000.root").read_bytes() != (made / "s-000.root").read_bytes()
    assert read_summary(other, tmp_path, "s") == json.loads((tmp_path / "s.json").read_text())


def test_two_sizes_share_one_folder(made, tmp_path):
    """A smaller sample is the beginning of a larger one: neither is in the other's way, whichever comes first."""
    smaller = RECIPE.model_copy(update={"events": 10})
    generate(smaller, tmp_path, name="s")
    alone = read_summary(smaller, tmp_path, "s")
    assert alone["kept"] == 10
    generate(RECIPE, tmp_path, name="s")
    assert contents(tmp_path) == contents(made)
    generate(smaller, tmp_path, name="s")  # the summary stays that of the larger one
    assert contents(tmp_path) == contents(made)
    assert is_complete(smaller, tmp_path, "s")
    assert is_complete(RECIPE, tmp_path, "s")
    assert read_summary(smaller, tmp_path, "s") == alone
    (tmp_path / "s-000.root").unlink()
    generate(smaller, tmp_path, name="s")
    assert contents(tmp_path) == contents(made)


def test_summary_of_a_sample_that_is_no_longer_whole_is_replaced(made, tmp_path):
    for name in ("s-000.root", "s.json"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    smaller = RECIPE.model_copy(update={"events": 10})
    generate(smaller, tmp_path, name="s")
    assert json.loads((tmp_path / "s.json").read_text())["kept"] == 10


SCRIPT = """
import json, sys
from analysis.samples import Recipe, generate

if __name__ == "__main__":
    recipe = Recipe(**json.loads(sys.argv[1]))
    generate(recipe, sys.argv[2], name="s", workers=2)
"""


def test_killed_generation_leaves_nothing_that_looks_whole(made, tmp_path):
    script = tmp_path / "make.py"
    script.write_text(SCRIPT)
    directory = tmp_path / "sample"
    recipe = RECIPE.model_copy(update={"events": 3000, "events_per_file": 1000})
    command = [sys.executable, str(script), recipe.model_dump_json(exclude_defaults=True), str(directory)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    wait_until(lambda: len(spawned_workers(process.pid)) == 2)
    time.sleep(1)
    process.kill()
    process.wait()
    assert sorted(contents(directory)) == []
    wait_until(lambda: processes_of(process.pid) == 0)  # the workers notice
    assert not is_complete(recipe, directory, "s")
    generate(RECIPE, directory, name="s")
    assert contents(directory) == contents(made)


def test_interrupted_writing_leaves_no_file(monkeypatch, tmp_path):
    def interrupted(path, *args, **options):
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr("analysis.samples.job.write_events", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(RECIPE, tmp_path, name="s")
    assert [path.name for path in tmp_path.iterdir()] == [".s.lock"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError("Unable to close file (errno = 28, error message = 'No space left on device')"),
    ],
)
def test_full_disk_is_told_and_leaves_no_file(monkeypatch, tmp_path, error):
    def full(path, *args, **options):
        path.write_bytes(b"half a file")
        raise error

    monkeypatch.setattr("analysis.samples.job.write_events", full)
    with pytest.raises(GenerationError, match=r"s-000\.root cannot be written: the disk is full"):
        generate(RECIPE, tmp_path, name="s")
    assert [path.name for path in tmp_path.iterdir()] == [".s.lock"]


@pytest.mark.parametrize("workers", [1, 2])
def test_unknown_setting_is_named(tmp_path, workers):
    recipe = RECIPE.model_copy(update={"settings": ("TimeShowr:pTmin = 1",)})
    with pytest.raises(GenerationError, match="TimeShowr:pTmin"):
        generate(recipe, tmp_path, name="s", workers=workers)
    assert contents(tmp_path) == {}


def test_workers_must_be_positive(tmp_path):
    with pytest.raises(GenerationError, match="workers = 0"):
        generate(RECIPE, tmp_path, name="s", workers=0)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_unreadable_summary_is_written_again(made, tmp_path, content):
    for name, whole in contents(made).items():
        (tmp_path / name).write_bytes(whole)
    (tmp_path / "s.json").write_text(content)
    assert is_complete(RECIPE, tmp_path, "s")
    generate(RECIPE, tmp_path, name="s")
    assert contents(tmp_path) == contents(made)


def test_missing_files_are_told(tmp_path):
    with pytest.raises(GenerationError, match=r"files of s cannot be read .*s-000\.root"):
        read_summary(RECIPE, tmp_path, "s")


def test_samples_need_no_tensorflow():
    code = "import sys, analysis.samples.job; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": str(PROJECT)})


def processes_of(session: int) -> int:
    """Return how many processes of a session are alive."""
    listed = subprocess.run(["ps", "-o", "stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    return sum(not line.strip().startswith("Z") for line in listed.stdout.splitlines())


def wait_until(condition, *, seconds: float = 90.0) -> None:
    """Poll until `condition()` or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_worker_killed_by_the_system_is_told(tmp_path):
    script = tmp_path / "make.py"
    script.write_text(SCRIPT)
    recipe = RECIPE.model_copy(update={"events": 3000, "events_per_file": 1000})
    command = [sys.executable, str(script), recipe.model_dump_json(exclude_defaults=True), str(tmp_path / "sample")]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: spawned_workers(process.pid))
    os.kill(spawned_workers(process.pid)[0], signal.SIGKILL)
    _, message = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "ended unexpectedly (killed by SIGKILL)" in message


def spawned_workers(parent: int) -> list[int]:
    """Return the process ids of the parent's workers."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(parent)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]
