"""What detectors of a search train on, and one plan for all of them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

from analysis import commands
from analysis.context import RunOptions, SearchRun
from analysis.stages import train as stage
from analysis.stages.signals import with_injected
from analysis.stages.train import Trained, crossfit_of, train, trained
from ml import History, Sample, TrainingError, Window, child_seed
from ml.registry import DETECTORS
from tests.analysis.conftest import CommandLine
from tests.analysis.training_toys import WINDOW, Seen, run_with


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    Seen.fitted, Seen.loaded = [], 0
    monkeypatch.setitem(DETECTORS, "seen", (Seen.__module__, "Seen", "SeenSettings"))


def test_simulation_comes_without_signal_and_without_truth(tmp_path: Path) -> None:
    found = trained(run_with(tmp_path), "data", "seen")
    assert len(Seen.fitted) == 3
    for samples, window in Seen.fitted:
        assert window == Window((3300, 3700), ((2900, 3300), (3700, 4100)))
        assert sorted(samples) == ["data", "simulation"]
        assert all(sample.category is None and set(sample.columns) == {"j1_m"} for sample in samples.values())
        assert np.all(samples["simulation"].weight == 0.5)
    held_out = [len(samples["simulation"]) for samples, _ in Seen.fitted]
    assert sum(held_out) == 2 * 2000  # every background event trains two of three folds, no signal any
    assert sum(len(samples["data"]) for samples, _ in Seen.fitted) == 2 * 3060  # what was not injected is not searched
    assert found.summary["roles"] == {"data": "data", "simulation": "simulated"}
    assert found.summary["seconds"] == 6
    assert found.repeat_scores is None


def test_one_plan_trains_every_sample_and_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(jobs: Any, **options: Any) -> Any:
        sizes.append(len(jobs))
        return run_jobs(jobs, **options)

    run_jobs = stage.run_jobs
    monkeypatch.setattr(stage, "run_jobs", counted)
    detectors = {"seen": {"type": "seen", "folds": 3}, "again": {"type": "seen", "folds": 2, "repeats": 2}}
    options: dict[str, Any] = {"data": ["first", "second"], "detectors": detectors}
    found = train(run_with(tmp_path, **options))
    assert sizes[0] == 2 * (3 + 2 * 2)
    assert len(Seen.fitted) == sizes[0]
    assert {key: (one.sample, one.name) for key, one in found.items()} == {
        pair: pair for pair in [("first", "seen"), ("first", "again"), ("second", "seen"), ("second", "again")]
    }
    # each has seeds of its own, and a search of one of them finds the same scores
    assert not np.array_equal(found["first", "seen"].score, found["first", "again"].score)
    alone = trained(run_with(tmp_path / "alone", **options), "second", "again")
    assert np.array_equal(alone.score, found["second", "again"].score)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_failed_training_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, broken = Seen.fit, child_seed(np.random.SeedSequence([1, 0]), 1)

    def failing(self: Seen, samples: Mapping[str, Sample], **options: Any) -> History:
        if options["seeds"].spawn_key == broken.spawn_key:
            raise TrainingError("the loss is not finite")
        return fit(self, samples, **options)

    monkeypatch.setattr(Seen, "fit", failing)
    with pytest.raises(TrainingError) as error:
        train(run_with(tmp_path))
    assert "training seen on data, fold 1: the loss is not finite" in str(error.value)
    assert "1 of 3 trainings failed; 2 finished and kept, among them seen on data, fold 0" in str(error.value)
    monkeypatch.setattr(Seen, "fit", fit)
    Seen.fitted = []
    train(run_with(tmp_path))
    assert len(Seen.fitted) == 1


def test_a_finished_search_loads_nothing(tmp_path: Path) -> None:
    first = train(run_with(tmp_path))["data", "seen"]
    Seen.fitted, Seen.loaded = [], 0
    run = run_with(tmp_path)
    second = train(run)["data", "seen"]
    assert (Seen.fitted, Seen.loaded) == ([], 0)
    assert np.array_equal(second.score, first.score)
    assert crossfit_of(run, "data", "seen") is crossfit_of(run, "data", "seen")
    assert Seen.loaded == 3


def test_the_folds_of_a_training_are_not_loaded_again(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    trained(run, "data", "seen")
    loaded = Seen.loaded
    crossfit_of(run, "data", "seen")
    assert Seen.loaded == loaded


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({}, False),
        ({"detector": {"search": False}}, False),
        ({"detector": {"figures": ["other"]}}, False),
        ({"key": "2"}, True),
        ({"detector": {"repeats": 2}}, True),
        ({"detector": {"window": {**WINDOW, "signal": [3400, 3600]}}}, True),
        ({"detector": {"window": WINDOW}, "window": {"signal": [3000, 3100]}}, False),
        ({"seed": 2}, True),
    ],
)
def test_what_decides_the_scores_trains_them_again(tmp_path: Path, changes: dict[str, Any], again: bool) -> None:
    def key(**options: Any) -> str:
        found: Trained = trained(run_with(tmp_path, **options), "data", "seen")
        return found.key

    assert (key(**changes) != key()) == again


def test_retraining_with_injected_signal_is_not_repeated(tmp_path: Path) -> None:
    other, _ = with_injected(run_with(tmp_path, detector={"repeats": 5}), "data", "signal", 0.01)
    assert other.search.detectors["seen"].repeats == 1


def test_training_options_without_effect_are_refused(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["none.root"])
    for executor in ("iterative", "futures"):
        said = darkhorse.refused("train", search, "--training", "dask", "--executor", executor)
        assert "--training dask uses the client that processes events" in said
    assert darkhorse("process", search, "--training", "processes").status == 2


def test_every_training_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    digest = Sample.digest
    monkeypatch.setattr(Sample, "digest", lambda self, **options: hashed.append("once") or digest(self, **options))
    train(run_with(tmp_path))
    assert len(hashed) == 3 * 2  # folds and roles


def test_what_another_run_removed_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = stage._train_together

    def removed(run: SearchRun, pairs: Any) -> None:
        together(run, pairs)
        for folder in tmp_path.rglob("fold-1"):
            shutil.rmtree(folder)

    monkeypatch.setattr(stage, "_train_together", removed)
    found = train(run_with(tmp_path))
    assert len(Seen.fitted) == 3 + 1
    assert found["data", "seen"].folder is not None


def test_the_bar_says_what_is_trained_and_how_long_it_takes(tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []

    @contextmanager
    def bar(label: str) -> Iterator[Callable[..., None]]:
        yield lambda done, total, text="": said.append((done, total, f"{label}: {text}"))

    run = run_with(tmp_path)
    train(SearchRun(run.search, run.catalogue, RunOptions(tmp_path, progress=bar), run.memory))
    assert said[-1] == (1000, 1000, "train: 3 of 3 done")


def test_a_text_takes_the_place_of_the_bar_s_own_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    drawn = {"disable": False, "delay": 0, "mininterval": 0, "miniters": 1, "ncols": 80, "file": shown}
    monkeypatch.setattr(commands, "tqdm", lambda **options: tqdm(**options | drawn))
    with commands.progress_bar("train") as update:
        update(250, 1000, "1 of 4: epoch 3, 5 min left")
        update(500, 1000, "2 of 4: epoch 1, 4 min left")
    last = shown.getvalue().split("\r")[-3]
    assert "train:  50%" in last
    assert last.endswith("00:00, 2 of 4: epoch 1, 4 min left")
