"""What detectors of a search train on, their independent trainings, and one plan for all of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from analysis.config import Search
from analysis.context import RunOptions, SearchRun, datasets_of
from analysis.errors import ConfigurationError, DarkhorseError
from analysis.events import Events
from analysis.pipeline import check_detectors
from analysis.stages import train as stage
from analysis.stages.measures import REGULATOR, measure
from analysis.stages.searched import Searched
from analysis.stages.signals import with_injected
from analysis.stages.simulated import simulation_name
from analysis.stages.train import Trained, crossfit_of, train, trained
from ml import Detector, History, Progress, Sample, Scores, TrainingError, Window, child_seed
from ml.metrics import auc, background_rejection, max_sic
from ml.registry import DETECTORS
from tests.analysis.conftest import CommandLine

WINDOW = {"signal": [3300, 3700], "sidebands": [[2900, 3300], [3700, 4100]]}


@dataclasses.dataclass(frozen=True)
class SeenSettings:
    features: tuple[str, ...] = ("j1_m",)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.features


class Seen(Detector):
    """Trains on data and simulation: keeps what it got, and scores by a feature and a draw of its seed."""

    needs = frozenset({"data", "simulation"})
    fitted: ClassVar[list[tuple[Mapping[str, Sample], Window | None]]] = []
    loaded = 0

    def __init__(self, settings: SeenSettings | None = None) -> None:
        self.settings = settings or SeenSettings()
        self.draw = 0.0

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        Seen.fitted.append((samples, window))
        self.draw = float(np.random.default_rng(seeds).random())
        return History(seconds=2.0)

    def score(self, sample: Sample) -> Scores:
        noise = np.random.default_rng(int(1e9 * self.draw)).normal(0, 200 * self.draw, len(sample))
        return Scores.from_members((sample.columns["j1_m"] + noise)[None])

    def save(self, directory: Path) -> None:
        (directory / "draw.json").write_text(json.dumps(self.draw))

    @classmethod
    def load(cls, directory: Path) -> Seen:
        Seen.loaded += 1
        loaded = cls()
        loaded.draw = json.loads((directory / "draw.json").read_text())
        return loaded


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    Seen.fitted, Seen.loaded = [], 0
    monkeypatch.setitem(DETECTORS, "seen", (__name__, "Seen", "SeenSettings"))


def toys(n_background: int, n_signal: int, *, seed: int, weight: float = 1.0) -> Events:
    """Processed events: signal has heavier jets and lies at 3.5 TeV."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [n_background, n_signal])
    n_events = len(truth)
    return Events(
        {
            "j1_m": np.where(truth == 1, rng.normal(500, 30, n_events), rng.exponential(200, n_events)),
            "mjj": np.where(truth == 1, rng.normal(3500, 80, n_events), 2800 + rng.exponential(600, n_events)),
            "weight": np.full(n_events, weight),
            "truth": truth,
            "file_id": np.full(n_events, seed, np.uint32),
            "entry": np.arange(n_events, dtype=np.uint32),
            "fold": rng.integers(0, 2**32, n_events, dtype=np.uint32),
        }
    )


def search_with(**changes: Any) -> Search:
    """Return a search with one detector that trains on data and simulation, its keys changed."""
    content = {"name": "toys", "data": "data", "simulation": "simulated", "window": WINDOW}
    detector = {"type": "seen", "folds": 3, **changes.pop("detector", {})}
    return Search.model_validate({**content, "detectors": {"seen": detector}, **changes})


def run_with(out: Path, *, simulated: Events | None = None, key: str = "1", **changes: Any) -> SearchRun:
    """Return a run whose events are there already: nothing is processed."""
    run = SearchRun(search_with(**changes), cast(Any, None), RunOptions(out))
    for name in run.search.data:
        run.memory[f"searched {name}"] = Searched(name, toys(3000, 60, seed=1), toys(0, 300, seed=2), None, "data")
    run.memory["processed simulated"] = SimpleNamespace(key=key)
    run.memory["events of simulated"] = simulated or toys(2000, 40, seed=3, weight=0.5)
    return run


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


def test_repeats_measure_the_spread_of_a_training(tmp_path: Path) -> None:
    one = trained(run_with(tmp_path / "one"), "data", "seen")
    run = run_with(tmp_path / "three", detector={"repeats": 3})
    found = trained(run, "data", "seen")
    assert found.repeat_scores is not None
    assert found.spare_repeat_scores is not None
    assert (found.repeat_scores.shape, found.spare_repeat_scores.shape) == ((3060, 3), (300, 3))
    assert found.repeat_scores.dtype == np.float32
    assert np.array_equal(found.repeat_scores[:, 0], one.score)
    assert np.array_equal(found.score, one.score)
    assert len(Seen.fitted) == 3 + 9
    draws = {json.loads(file.read_text()) for file in (tmp_path / "three").rglob("draw.json")}
    assert len(draws) == 9
    everything = np.concatenate([found.repeat_scores, found.spare_repeat_scores])
    sample = run.memory["searched data"]
    mass, truth = (np.concatenate([sample.events[name], sample.spare[name]]) for name in ("mjj", "truth"))
    rows = (mass >= 3300) & (mass < 3700)
    each = [auc(scores[rows], truth[rows]) for scores in everything.T]
    measured = found.summary["measured"]["auc"]
    assert measured["repeats"] == [m.value for m in each]
    assert measured["value"] == pytest.approx(np.mean([m.value for m in each]))
    assert measured["spread"] == pytest.approx(np.std([m.value for m in each], ddof=1))
    assert measured["spread"] > 0
    assert measured["uncertainty"] == pytest.approx(np.mean([m.uncertainty for m in each]))
    assert "repeats" not in one.summary["measured"]["auc"]
    assert len(crossfit_of(run, "data", "seen").detectors) == 3


def test_figures_of_merit_agree_with_one_another() -> None:
    events = toys(4000, 500, seed=4)
    score = events["j1_m"] + np.random.default_rng(5).normal(0, 100, len(events))
    members = np.stack([score, score**2, events["j1_m"]])
    measured: Any = measure(events, [Scores.from_members(members)], None)
    rejection, efficiency = (measured[f"background_{name}_at_0.5"] for name in ("rejection", "efficiency"))
    assert efficiency["value"] == pytest.approx(1 / rejection["value"])
    relative = rejection["uncertainty"] / rejection["value"]
    assert efficiency["uncertainty"] / efficiency["value"] == pytest.approx(relative)
    stored = Scores.from_members(members).members
    assert stored is not None
    each = [1 / background_rejection(member, events["truth"], 0.5).value for member in stored.T]
    assert efficiency["spread"] == pytest.approx(np.std(each, ddof=1))
    mean = Scores.from_members(members).event
    expected = max_sic(mean, events["truth"], min_background=1, regulator=REGULATOR)
    assert measured["max_sic_regulated"]["value"] == pytest.approx(expected.value)
    assert measure(events.take(events["truth"] == 1), [Scores.from_members(members[:, :1])], None) == {}


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simulation": None}, "'seen' of type 'seen' trains on simulation, but the search names none"),
        (
            {"detector": {"simulation": "mixed"}, "mixtures": {"mixed": {"background": "data"}}},
            "`detectors.seen.simulation: mixed` names a mixture",
        ),
        (
            {"detector": {"type": "cwola", "simulation": "simulated", "settings": {"features": ["j1_m"]}}},
            "`detectors.seen.simulation: simulated` has no effect: a detector of type 'cwola' does not train",
        ),
    ],
)
def test_check_says_what_simulation_is_missing(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_detectors(search_with(**changes))


def test_a_role_that_searches_do_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seen, "needs", frozenset({"data", "exposure"}))
    with pytest.raises(ConfigurationError, match="needs a sample of role 'exposure'"):
        check_detectors(search_with())


def test_bad_simulation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DarkhorseError, match="'simulated' has 40 selected events, all of them signal"):
        train(run_with(tmp_path, simulated=toys(0, 40, seed=3)))
    events = toys(100, 0, seed=3)
    events.columns["j1_m"][:7] = np.nan
    with pytest.raises(DarkhorseError, match="'simulated' has no 'j1_m' in 7 of 100 events"):
        train(run_with(tmp_path, simulated=events))


def test_a_detector_may_have_simulation_of_its_own(tmp_path: Path) -> None:
    search = search_with(detector={"simulation": "other"})
    assert datasets_of(search) == ["data", "simulated", "other"]
    assert simulation_name(run_with(tmp_path), "seen") == "simulated"
    assert simulation_name(run_with(tmp_path, detector={"simulation": "other"}), "seen") == "other"
    cwola = {"type": "cwola", "settings": {"features": ["j1_m"]}}
    assert simulation_name(run_with(tmp_path, detector=cwola), "seen") is None


def test_retraining_with_injected_signal_is_not_repeated(tmp_path: Path) -> None:
    other, _ = with_injected(run_with(tmp_path, detector={"repeats": 5}), "data", "signal", 0.01)
    assert other.search.detectors["seen"].repeats == 1


def test_training_options_without_effect_are_refused(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["none.root"])
    for executor in ("iterative", "futures"):
        said = darkhorse.refused("train", search, "--training", "dask", "--executor", executor)
        assert "--training dask uses the client that processes events" in said
    assert darkhorse("process", search, "--training", "processes").status == 2
