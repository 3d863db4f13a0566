"""Constituents that detectors are handed are those of the same events' jets, from files to `Sample.batch`."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from analysis import constituents
from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError, StageError
from analysis.events import Events, joined
from analysis.pipeline import check_detectors, run_until
from analysis.stages.inputs import constituents_wanted, detector_sample
from analysis.stages.process import processed
from analysis.stages.searched import as_sample, searched
from analysis.stages.simulated import simulation_sample
from analysis.stages.train import trained
from ml import Sample, Scores
from ml.constituent_batches import WantedConstituents
from ml.image_batches import WantedImages
from ml.registry import DETECTORS
from processors import JetConstituents
from tests.analysis.statistics_search import run_of
from tests.analysis.training_toys import Seen

COUNT = 12
FIELDS = ("pt", "eta", "phi", "mass")
WANTED = WantedConstituents(("j1",), COUNT)


@dataclasses.dataclass(frozen=True)
class LearnerSettings:
    features: tuple[str, ...] = ("j1_m",)
    jets: tuple[str, ...] = ("j1",)
    constituents: int = COUNT

    @property
    def columns(self) -> tuple[str, ...]:
        return self.features


class Learner(Seen):
    """Asks for constituents, and scores by the energy of the second hardest."""

    needs = frozenset({"data"})
    windowed = False

    def __init__(self, settings: LearnerSettings | None = None) -> None:
        super().__init__()
        self.settings: Any = settings or LearnerSettings()
        self.needs_constituents = WantedConstituents(tuple(self.settings.jets), self.settings.constituents)

    def score(self, sample: Sample) -> Scores:
        assert sample.batch is not None
        return Scores.from_members(sample.batch(np.arange(len(sample)))[:, 0, 1, 0][None])


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "learner", (__name__, "Learner", "LearnerSettings"))


def jet_search(events_folder: Path, signals: Path, **changes: Any) -> dict[str, Any]:
    """A search among single jets: generated and simulated events, mixed."""
    files = [str(events_folder / f"dijet-00{i}.root") for i in (0, 1)]
    return {
        "name": "jets",
        "datasets": {
            "background": {"files": files},
            "resonance": {"files": [str(signals / "resonance.root")], "role": "signal"},
        },
        "processing": {"processor": "jet", "jet": {"max_jet_pt": 1700}, "constituents": COUNT, "chunksize": 400},
        "mixtures": {"hidden": {"background": "background", "signal": "resonance", "fraction": 0.05}},
        "data": "hidden",
        "detectors": {"vae": {"type": "learner", "folds": 2}},
        **changes,
    }


@pytest.fixture(scope="module")
def run(events_folder: Path, signals_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "learner", (__name__, "Learner", "LearnerSettings"))
        return run_of(tmp_path_factory.mktemp("jets"), jet_search(events_folder, signals_folder))


def by_hand(run: SearchRun, events: Events, jet: str = "j1", count: int = COUNT) -> np.ndarray:
    """Constituents (n, count, 4) from the Parquet files of all data sets, found by file and entry one by one."""
    folders = [processed(run, name).directory / "columns" for name in ("background", "resonance")]
    stored = ak.concatenate([ak.from_parquet(file) for folder in folders for file in sorted(folder.rglob("*.parquet"))])
    place = {key: i for i, key in enumerate(zip(stored.file_id.tolist(), stored.entry.tolist(), strict=True))}
    rows = [place[key] for key in zip(events["file_id"].tolist(), events["entry"].tolist(), strict=True)]
    columns = [stored[f"{jet}_constituents_{name}"][rows] for name in FIELDS]
    return JetConstituents.from_ragged(*columns, count=count)(np.arange(len(rows)))


def batch_of(events: Events, wanted: WantedConstituents = WANTED) -> np.ndarray:
    batch = as_sample(events, (), batch=wanted).batch
    assert batch is not None
    return batch(np.arange(len(events)))


def test_events_of_single_jets_have_the_jets_mass(run: SearchRun) -> None:
    events = processed(run, "background").events(["j1_pt"])
    assert events.mass == "j1_m"
    np.testing.assert_array_equal(events.masses, events["j1_m"])
    assert (events["j1_pt"] >= 450).all()
    assert (events["j1_pt"] < 1700).all()
    assert list(processed(run, "background").cutflow()["nominal"]) == ["all", "jet", "max_jet_pt", "eta"]
    np.testing.assert_array_equal(as_sample(events, ()).mass, events["j1_m"])
    np.testing.assert_array_equal(as_sample(events, (), mass="j1_pt").mass, events["j1_pt"])
    middle = float(np.median(events.masses))
    assert events.inside((0, middle)).sum() == len(events) // 2
    assert joined(events.take(np.arange(3)), events).mass == "j1_m"


def test_batches_are_the_prepared_constituents_of_the_same_jets(run: SearchRun) -> None:
    events = processed(run, "background").events(["j1_pt", "j1_nconst"])
    assert len(processed(run, "background").summary["parts"]["nominal"]) > 2
    found, expected = batch_of(events), by_hand(run, events)
    assert found.shape == (len(events), 1, COUNT, 4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], expected)
    # all of a jet is kept where it has no more particles: then its pT is that of the jet
    whole = events["j1_nconst"] <= COUNT
    assert whole.any()
    total = found[:, 0].sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose(total[whole, 1], events["j1_pt"][whole], rtol=1e-5)
    assert (total[~whole, 1] < events["j1_pt"][~whole]).all()
    order = np.random.default_rng(1).permutation(len(events))[:50]
    np.testing.assert_array_equal(batch_of(events.take(order))[:, 0], expected[order])
    fewer = batch_of(events, WantedConstituents(("j1",), 3))
    assert fewer.shape == (len(events), 1, 3, 4)
    assert batch_of(events.take(order[:0])).shape == (0, 1, COUNT, 4)


def test_batches_follow_mixtures_and_joined_events(run: SearchRun) -> None:
    sample = searched(run, "hidden")
    assert sample.spare is not None
    both = joined(sample.events, sample.spare)
    assert 0 < (both["truth"] == 1).sum() < len(both)
    expected = by_hand(run, both)
    np.testing.assert_array_equal(batch_of(both)[:, 0], expected)
    rows = np.flatnonzero(both.masses > np.median(both.masses))[::-1]
    np.testing.assert_array_equal(batch_of(both.take(rows))[:, 0], expected[rows])
    doubled = joined(both, sample.events)
    assert doubled.constituents is not None
    assert len(doubled.constituents.stores) == 2
    np.testing.assert_array_equal(batch_of(doubled)[len(both) :, 0], expected[: len(sample.events)])


def test_folds_train_and_score_on_the_constituents_of_their_own_events(run: SearchRun) -> None:
    Seen.fitted.clear()
    found, sample = trained(run, "hidden", "vae"), searched(run, "hidden")
    assert sample.spare is not None
    everything = by_hand(run, joined(sample.events, sample.spare))
    assert len(Seen.fitted) == 2
    place = {key: i for i, key in enumerate(sample.events.event_id.tolist())}
    sizes = []
    for roles, _ in Seen.fitted:
        data = roles["data"]
        assert data.batch is not None
        rows = [place[key] for key in data.event_id.tolist()]
        np.testing.assert_array_equal(data.batch(np.arange(len(data)))[:, 0], everything[rows])
        sizes.append(len(rows))
    assert sum(sizes) == len(sample.events)
    assert found.spare_score is not None
    scores = np.concatenate([found.score, found.spare_score])
    np.testing.assert_array_equal(scores, everything[:, 1, 0])
    assert found.summary["measured"]["auc"]["n"] > 0


def test_what_decides_constituents_is_part_of_the_key_of_a_training(run: SearchRun) -> None:
    events = searched(run, "hidden").events

    def digest(own: Events, wanted: WantedConstituents | WantedImages) -> str:
        return as_sample(own, (), batch=wanted).digest(labels=False)

    usual = digest(events, WANTED)
    assert usual == digest(events, WANTED)
    others = (WantedConstituents(("j1",), 3), WantedImages(("j1",)))
    assert len({digest(events, other) for other in others} | {usual}) == 3
    assert events.constituents is not None
    mixed_up = dataclasses.replace(events, constituents=events.constituents.take(np.arange(len(events))[::-1]))
    assert digest(mixed_up, WANTED) != usual


def test_a_job_carries_rows_and_the_place_of_files(run: SearchRun) -> None:
    events = searched(run, "hidden").events
    sample = detector_sample(events, run.search.detectors["vae"])
    assert sample.batch is not None
    expected = sample.batch(np.arange(30))
    travelling = pickle.dumps(sample.select(np.arange(30)))
    assert len(travelling) < 30_000 + 17 * len(events)
    constituents._momenta.cache_clear()
    constituents._flat.cache_clear()
    arrived = pickle.loads(travelling)  # noqa: S301 (our own, just made)
    np.testing.assert_array_equal(arrived.batch(np.arange(30)), expected)


def test_both_jets_of_dijets(run: SearchRun, events_folder: Path, signals_folder: Path, tmp_path: Path) -> None:
    detectors = {"vae": {"type": "learner", "settings": {"jets": ["j2", "j1"]}}}
    changed = jet_search(events_folder, signals_folder, processing={"constituents": COUNT}, detectors=detectors)
    other = run_of(tmp_path, changed)
    check_detectors(other.search)
    events = searched(other, "hidden").events
    assert events.mass == "mjj"
    sample = detector_sample(events, other.search.detectors["vae"])
    assert sample.batch is not None
    found = sample.batch(np.arange(len(events)))
    assert found.shape == (len(events), 2, COUNT, 4)
    for index, jet in enumerate(("j2", "j1")):
        np.testing.assert_array_equal(found[:, index], by_hand(other, events, jet))


def test_simulation_comes_with_the_constituents_of_each_detector(
    events_folder: Path, signals_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Learner, "needs", frozenset({"data", "simulation"}))
    detectors = {
        name: {"type": "learner", "settings": {"constituents": count}} for name, count in (("all", COUNT), ("few", 3))
    }
    datasets = jet_search(events_folder, signals_folder)["datasets"]
    datasets["other"] = {"files": [str(signals_folder / "other.root")], "role": "simulation"}
    changed = jet_search(events_folder, signals_folder, datasets=datasets, detectors=detectors, simulation="other")
    made = run_of(tmp_path, changed)
    shapes = []
    for name in detectors:
        simulation = simulation_sample(made, name)
        assert simulation is not None
        assert simulation.batch is not None
        shapes.append(simulation.batch(np.arange(5)).shape)
    assert shapes == [(5, 1, COUNT, 4), (5, 1, 3, 4)]


def test_events_without_constituents_are_refused(
    run: SearchRun, events_folder: Path, signals_folder: Path, tmp_path: Path
) -> None:
    events = searched(run, "hidden").events
    with pytest.raises(StageError, match="not stored"):
        as_sample(dataclasses.replace(events, constituents=None), (), batch=WANTED)
    bare = {"processor": "jet", "jet": {"min_jet_pt": 1500}}
    changed = jet_search(events_folder, signals_folder, processing=bare, data="background", mixtures={}, detectors={})
    events = processed(run_of(tmp_path, changed), "background").events([])
    with pytest.raises(StageError, match=r"no column 'j1_constituents_pt'"):
        batch_of(events)


@pytest.mark.parametrize(
    ("settings", "processing", "message"),
    [
        ({"constituents": 20}, {}, r"20 hardest constituents of jets, and the search keeps 12: .*{constituents: 20}"),
        ({}, {"constituents": 0}, "keeps none"),
        ({}, {"jets": "FatJet", "constituents": 0}, "with `jets: PFCands`"),
        ({"jets": ["j1", "j2"]}, {}, "`processing.processor: jet` has j1 alone"),
        ({"features": ["j2_m"]}, {}, "asks for the feature 'j2_m'"),
        ({"features": ["deta"]}, {}, "asks for the feature 'deta'"),
    ],
)
def test_check_asks_for_what_is_there(
    events_folder: Path, signals_folder: Path, settings: dict[str, Any], processing: dict[str, Any], message: str
) -> None:
    content = jet_search(events_folder, signals_folder)
    content["processing"] = content["processing"] | processing
    content["detectors"] = {"vae": {"type": "learner", "settings": settings}}
    with pytest.raises(ConfigurationError, match=message):
        check_detectors(Search.model_validate(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processing": {"processor": "jet", "min_jet_pt": 450}}, "`processing.min_jet_pt` cuts on dijets"),
        ({"processing": {"processor": "jet", "max_abs_eta": 2.5}}, "give them under `processing.jet`"),
        ({"spectrum": {"start": 50, "stop": 300, "width": 10, "parameters": 3}}, "`spectrum` does not go with"),
    ],
)
def test_what_only_dijets_have_is_refused(
    events_folder: Path, signals_folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Search.model_validate(jet_search(events_folder, signals_folder) | changes)


def test_single_jets_are_trained_on_and_no_more(run: SearchRun) -> None:
    said = list(run_until(run, "train"))
    assert any("vae on hidden: trained" in line for line in said)
    with pytest.raises(ConfigurationError, match="darkhorse train"):
        next(run_until(run, "report"))


def test_detectors_that_ask_for_nothing_get_nothing(run: SearchRun) -> None:
    assert constituents_wanted(run.search.detectors["vae"]) == WANTED
    seen = run.search.detectors["vae"].model_copy(update={"type": "cwola", "settings": {"features": ["j1_tau21"]}})
    assert constituents_wanted(seen) is None
    assert detector_sample(searched(run, "hidden").events, seen).batch is None
