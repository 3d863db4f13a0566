"""A run that was finished, changed or killed goes on from what there is, and ends with the same results."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.cli import parser
from analysis.commands import build_run
from analysis.context import SearchRun
from analysis.stages import figures
from analysis.stages.process import processed
from analysis.stages.searched import searched
from tests.analysis.conftest import CommandLine, results_in, without_seconds

RUN = ("run", "tiny.yaml", "--out", "out", "--executor", "iterative")
# Every moment gets a child of one program, as starting Python costs more than the run.
KILL = """
import importlib, itertools, json, os, signal, sys
import matplotlib.backends.backend_agg, mplhep, pyhf, sklearn.ensemble
import analysis.pipeline, analysis.stages.figures
from analysis.cli import main

def fatal(module, name, count, calls=[]):
    original = getattr(module, name)

    def call(*arguments, **options):
        calls.append(1)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(module, name, call)

figures = analysis.stages.figures._all
analysis.stages.figures._all = lambda *arguments: itertools.islice(figures(*arguments), 2)
for module, name, count in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        fatal(importlib.import_module(module), name, count)
        os._exit(main(sys.argv[2:]))
    status = os.waitpid(child, 0)[1]
    done = os.path.exists("out/results.json")
    print(json.dumps([os.WIFSIGNALED(status) and os.WTERMSIG(status), done]))
"""
# what dies at which call
MOMENTS = [
    ("os", "fsync", 3),  # a part of the columns is on disk under its temporary name
    ("ml.jobs", "_fit", 2),
    ("analysis.stages.hunt", "bump_hunt", 2),
    ("analysis.stages.limit", "upper_limit", 1),
    ("analysis.plots.saving", "_write", 3),
    ("analysis.exports", "write_atomically", 1),
    ("analysis.stages.report", "render_report", 1),
]


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes of a file when it is written again; the log, which every run writes, left out."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.name != "log.txt"
    }


@pytest.fixture
def copy(darkhorse: CommandLine, finished: Path) -> Path:
    """The working folder with a finished search in it."""
    shutil.copytree(finished, darkhorse.folder, dirs_exist_ok=True)
    return darkhorse.folder


def test_a_second_run_does_nothing(darkhorse: CommandLine, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("this was done before")

    for name in ("process.run_files", "train.CrossFit", "hunt.bump_hunt", "limit.upper_limit", "figures.save"):
        monkeypatch.setattr(f"analysis.stages.{name}", forbidden)
    monkeypatch.setattr("analysis.stages.report.render_report", forbidden)
    before = stamps(copy)
    said = darkhorse(*RUN)
    assert (said.status, said.err) == (0, "")
    assert "trained before, in" in said.out
    assert stamps(copy) == before


def test_a_report_of_other_settings_is_pointed_out(darkhorse: CommandLine, copy: Path) -> None:
    assert (copy / "out" / "report" / "index.html").is_file()
    command = ["process", *RUN[1:]]
    assert "other settings" not in darkhorse(*command).out
    assert "out are of other settings than these" in darkhorse(*command, "--set", "seed=7").out


def stage_of(marker: str) -> str:
    """Return the stage that wrote an artefact's marker."""
    return "train" if marker.startswith("out/models/") else marker.split("/")[2]


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("setting", "redone"),
    [
        ("bump_hunt.toys=40", {"hunt", "combined", "limit"}),
        ("limits.masses=[3600]", {"limit"}),
        ("detectors.cwola.settings.bdt.iterations=11", {"train", "hunt", "combined", "limit", "sculpting"}),
        ("title=Another", set()),
    ],
)
def test_a_changed_setting_redoes_what_depends_on_it(
    darkhorse: CommandLine, copy: Path, finished: Path, setting: str, redone: set[str]
) -> None:
    before = stamps(copy)
    assert darkhorse(*RUN, "--set", setting).status == 0
    after = stamps(copy)
    marks = {name for name in after if name.endswith(".complete.json")}
    changed = {name for name in marks if after[name] != before.get(name)}
    untouched = {"out/stages/hunt/dijets-inclusive/.complete.json"} if "hunt" not in redone else set()
    assert {stage_of(name) for name in changed} == redone
    assert not untouched & changed
    assert {name for name in after if name.startswith("data")} == {name for name in before if name.startswith("data")}
    assert all(after[name] == before[name] for name in after if name.startswith("data"))
    assert darkhorse.results("out")["config_key"] != results_in(finished)["config_key"]


def test_other_weights_train_again_but_process_nothing(darkhorse: CommandLine, copy: Path) -> None:
    def run_of(luminosity: float) -> SearchRun:
        scale = ["datasets.dijets.cross_section=1", f"datasets.dijets.luminosity={luminosity}"]
        options = [*RUN, *(part for setting in scale for part in ("--set", setting))]
        return build_run(parser().parse_args([str(option) for option in options]))

    one, two = run_of(1.0), run_of(2.0)
    assert processed(one, "dijets").directory == processed(two, "dijets").directory
    weights = [searched(run, "dijets").events["weight"].sum() for run in (one, two)]
    assert weights[1] == pytest.approx(2 * weights[0])
    assert searched(one, "dijets").key != searched(two, "dijets").key
    assert searched(one, "dijets").key == searched(run_of(1.0), "dijets").key
    assert processed(one, "dijets").key != processed(two, "dijets").key  # of simulation, of signals in limits


@pytest.mark.usefixtures("without_figures")
def test_changing_a_setting_back_gives_the_first_results(darkhorse: CommandLine, copy: Path, finished: Path) -> None:
    assert darkhorse(*RUN, "--set", "bump_hunt.toys=40").status == 0
    assert darkhorse.results("out") != results_in(finished)
    assert darkhorse(*RUN).status == 0
    assert darkhorse.results("out") == results_in(finished)


def test_killed_again_and_again(
    darkhorse: CommandLine,
    finished: Path,
    program: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copy(finished / "tiny.yaml", darkhorse.folder)
    killed = program(KILL, json.dumps(MOMENTS), *RUN)
    said = [json.loads(line) for line in killed.stdout.splitlines() if line.startswith("[")]
    last = len(MOMENTS) - 1
    assert said == [[signal.SIGKILL, index == last] for index in range(len(MOMENTS))], killed
    every = figures._all
    monkeypatch.setattr(figures, "_all", lambda run, label: itertools.islice(every(run, label), 2))
    ended = darkhorse(*RUN)
    assert (ended.status, ended.err) == (0, "")
    assert without_seconds(results_in(darkhorse.folder)) == without_seconds(results_in(finished))
    assert not [path for path in darkhorse.folder.rglob("*") if path.name.endswith((".partial", ".part", ".tmp"))]
    for kind in ("*.parquet", "*.npz", "histograms.json", "*.png"):
        mine = {path.name: path.read_bytes() for path in darkhorse.folder.rglob(kind)}
        whole = {path.name: path.read_bytes() for path in finished.rglob(kind)}
        assert mine
        assert mine == {name: whole[name] for name in mine}
        assert len(mine) == (2 if kind == "*.png" else len(whole))
