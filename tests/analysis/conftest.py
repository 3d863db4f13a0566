"""A small sample of dijet events in both file formats, searches that take seconds, and the command line in process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analysis.cli import main
from analysis.context import SearchRun
from analysis.pipeline import run_until
from analysis.samples.events import BHadrons, Events
from analysis.samples.particles import Candidates
from analysis.samples.writers import write_events

N_FILES, EVENTS_PER_FILE = 3, 1000


def dijet_events(n_events: int, *, seed: int, resonance: float | None = None) -> Events:
    """Two back-to-back sprays of 12 to 25 particles and six soft ones per event; m_jj falls from 2.5 TeV.

    With `resonance` it peaks at that mass (GeV, standard deviation 2%), and each jet has two narrow prongs.
    """
    rng = np.random.default_rng(seed)
    mjj, rapidity = 2500 + rng.exponential(550, n_events), rng.uniform(-0.4, 0.4, n_events)
    azimuth, width = rng.uniform(-np.pi, np.pi, n_events), rng.gamma(3, 0.04, (2, n_events))
    if resonance is not None:
        mjj, width = rng.normal(resonance, 0.02 * resonance, n_events), np.full((2, n_events), 0.02)
    parts = []
    for jet, sign in enumerate((1, -1)):
        size = rng.integers(12, 26, n_events)
        event = np.repeat(np.arange(n_events), size)
        share = rng.gamma(0.6, size=len(event)) + 0.01
        pt = (mjj / (2 * np.cosh(rapidity)))[event] * share / np.bincount(event, share)[event]
        eta = sign * rapidity[event] + width[jet][event] * rng.normal(size=len(event))
        phi = azimuth[event] + jet * np.pi + width[jet][event] * rng.normal(size=len(event))
        if resonance is not None:
            eta = eta + rng.choice((-0.25, 0.25), len(event))
        parts.append((event, pt, eta, phi))
    soft = np.repeat(np.arange(n_events), 6)
    flat = rng.uniform(-1, 1, (2, len(soft)))
    parts.append((soft, rng.exponential(2, len(soft)) + 0.1, 2.5 * flat[0], np.pi * flat[1]))
    event, pt, eta, phi = (np.concatenate(column) for column in zip(*parts, strict=True))
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    order = np.lexsort((-pt, event))
    # single precision, as in ROOT files, so that both formats hold the same numbers
    pt, eta, phi = (values[order].astype(np.float32).astype(np.float64) for values in (pt, eta, phi))
    code = np.full(len(order), 22)
    candidates = Candidates(n_events, event[order], pt, eta, phi, code, np.zeros(len(order), np.int8))
    none = np.zeros(0)
    return Events(candidates, BHadrons(none.astype(np.int64), none, none, none, none), np.ones(n_events))


@pytest.fixture(scope="session")
def events_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of dijet-000.root … and dijet-000.h5 …, the same events in both formats."""
    folder = tmp_path_factory.mktemp("sample") / "events"
    folder.mkdir()
    for index in range(N_FILES):
        events = dijet_events(EVENTS_PER_FILE, seed=index)
        for format, suffix in (("root", "root"), ("lhco", "h5")):
            write_events(
                folder / f"dijet-{index:03d}.{suffix}", [events], format=format, truth=0, metadata={"index": index}
            )
    return folder


def search_of(files: Any, *, format: str = "darkhorse") -> dict[str, Any]:
    """Return a whole search that runs in seconds: trees instead of networks, two folds, few toys, one limit."""
    features = ["j1_m", "j1_tau21", "j2_m"]
    trees = {"classifier": "bdt", "members": 1, "bdt": {"iterations": 10}}
    return {
        "name": "tiny",
        "seed": 1,
        "datasets": {"dijets": {"files": [str(file) for file in files], "format": format}},
        "processing": {"chunksize": 500, "histograms": {"mjj": {"bins": 20, "start": 2000, "stop": 6000}}},
        "data": "dijets",
        "window": {"signal": [3300, 3700], "sidebands": [[2900, 3300], [3700, 4100]]},
        "detectors": {"cwola": {"type": "cwola", "folds": 2, "settings": {"features": features, **trees}}},
        "efficiencies": [0.2],
        "spectrum": {"start": 2600, "stop": 5600, "width": 100, "parameters": 3},
        "bump_hunt": {"masses": {"start": 3000, "stop": 4500, "step": 250}, "widths": [0.05], "toys": 50},
        "limits": {"masses": [3500], "width": 0.05, "selections": [0.2]},
    }


def write_search(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a search file."""
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return path


def results_in(folder: Path, out: str = "out") -> dict[str, Any]:
    """Return results.json below a folder."""
    return json.loads((folder / out / "results.json").read_text())


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class CommandLine:
    """The command line in a folder of its own: searches, data and output all lie below it."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Said:
        """Run `darkhorse …` in this process."""
        self.capture.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as left:  # argparse
            status = int(left.code or 0)
        return Said(status, *self.capture.readouterr())

    def search(self, files: Any, *, format: str = "darkhorse", **changes: Any) -> Path:
        """Write the tiny search over some files, its top-level keys changed."""
        return write_search(self.folder / "tiny.yaml", {**search_of(files, format=format), **changes})

    def results(self, out: str = "out/tiny") -> dict[str, Any]:
        """Return results.json."""
        return results_in(self.folder, out)

    def refused(self, *arguments: object) -> str:
        """Run a command that must fail; return its message, one paragraph without a traceback."""
        said = self(*arguments)
        assert said.status == 1, said
        assert said.err.startswith("darkhorse: ")
        assert "Traceback" not in said.err
        assert "fault of the program" not in said.err, said.err
        assert "\n\n" not in said.err
        return " ".join(said.err.split())


@pytest.fixture
def darkhorse(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line, with an empty folder as working folder; events are processed in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DARKHORSE_DATA", "data")
    return CommandLine(tmp_path, capsys)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: figures take most of the time of a small search."""
    monkeypatch.setattr("analysis.stages.figures._all", lambda run, label: iter(()))


def without_seconds(value: Any) -> Any:
    """Return results without the times, which differ from run to run."""
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if key != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def finished(events_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder where the tiny search over the ROOT files ran from beginning to end: tiny.yaml, data/ and out/."""
    folder = tmp_path_factory.mktemp("finished")
    search = write_search(folder / "tiny.yaml", search_of(sorted(events_folder.glob("*.root"))))
    options = ["--out", str(folder / "out"), "--data", str(folder / "data"), "--executor", "iterative"]
    assert main(["run", str(search), *options]) == 0
    return folder


@pytest.fixture(scope="session")
def signals_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a simulated resonance and of other background, see `statistics_search`."""
    from tests.analysis.statistics_search import write_signals

    folder = tmp_path_factory.mktemp("signals")
    write_signals(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of processed events for searches over the same files: what one of them has processed serves the others."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def everything(
    events_folder: Path, signals_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> SearchRun:
    """A finished search with every part of the statistics, without figures."""
    from tests.analysis.statistics_search import run_of, statistics_search

    search = statistics_search(events_folder, signals_folder)
    run = run_of(tmp_path_factory.mktemp("everything"), search, data=data_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.stages.figures._all", lambda run, label: iter(()))
        for _ in run_until(run, "report"):
            pass
    return run


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """program(code, *arguments): run Python code in a process of its own, in an empty folder, with warnings shown."""

    def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "DARKHORSE_DATA": "data", "COLUMNS": "80"}
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    return run
