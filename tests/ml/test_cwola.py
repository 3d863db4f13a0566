"""CWoLa hunting and its labelled reference, end to end on a small search."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CrossFit, Detector, Sample, TrainingError, Window, detector_class, detector_from_settings
from ml.metrics import auc, sic_at
from ml.selection import select
from tests.ml.conftest import FEATURES, TINY, toy_search

SEEDS = np.random.SeedSequence(11)
TINY_BDT = TINY | {"classifier": "bdt", "bdt": {"iterations": 5}}


def train(sample: Sample, window: Window | None, settings: dict[str, Any] = TINY, *, type_: str = "cwola") -> Detector:
    detector = detector_from_settings(type_, settings)
    detector.fit({"data": sample}, window=window, seeds=SEEDS)
    return detector


@pytest.fixture(scope="module")
def trained(tiny: tuple[Sample, np.ndarray], window: Window) -> Detector:
    return train(tiny[0], window)


def test_the_same_seed_gives_the_same_scores(
    tiny: tuple[Sample, np.ndarray], window: Window, trained: Detector
) -> None:
    assert np.array_equal(train(tiny[0], window).score(tiny[0]).event, trained.score(tiny[0]).event)


def test_labels_are_never_used(tiny: tuple[Sample, np.ndarray], window: Window, trained: Detector) -> None:
    sample, truth = tiny
    random = np.random.default_rng(0)
    labelled = dataclasses.replace(sample, category=random.permutation(truth))
    assert not trained.uses_labels
    assert np.array_equal(train(labelled, window).score(labelled).event, trained.score(sample).event)


def test_the_mass_places_events_but_is_no_input(
    tiny: tuple[Sample, np.ndarray], window: Window, trained: Detector
) -> None:
    sample = tiny[0]
    elsewhere = dataclasses.replace(sample, mass=sample.mass * 2)
    assert np.array_equal(trained.score(elsewhere).event, trained.score(sample).event)
    in_tev = (sample.mass / 1000).astype(np.float32)
    smeared = sample.mass + np.random.default_rng(0).normal(size=len(sample))
    for disguise in (sample.mass, in_tev, np.log(sample.mass), -1 / in_tev, in_tev.astype(np.float16), smeared):
        disguised = dataclasses.replace(sample, columns={**sample.columns, "j1_m": disguise})
        with pytest.raises(TrainingError, match="feature 'j1_m' is the resonance mass"):
            train(disguised, window)


def test_only_window_and_sidebands_train(tiny: tuple[Sample, np.ndarray], window: Window, trained: Detector) -> None:
    sample = tiny[0]
    outside = (sample.mass < 2900) | (sample.mass >= 4300)
    columns = {n: np.where(outside, np.random.default_rng(0).random(len(sample)), c) for n, c in sample.columns.items()}
    changed = train(dataclasses.replace(sample, columns=columns), window)
    assert np.array_equal(changed.score(sample).event, trained.score(sample).event)


def test_own_features_never_decide_the_own_model(tiny: tuple[Sample, np.ndarray], window: Window) -> None:
    """Change the events of fold 0 beyond recognition: its own model stays what it was, the others do not."""
    sample = tiny[0]
    own = sample.fold % 2 == 0
    columns = {name: np.where(own, column[::-1] * 1.3 + 0.1, column) for name, column in sample.columns.items()}
    corrupted = dataclasses.replace(sample, columns=columns, mass=np.where(own, sample.mass[::-1], sample.mass))
    probe = sample.select(np.arange(200))
    fits = []
    for data in (sample, corrupted):
        folds = CrossFit(lambda: detector_from_settings("cwola", TINY), 2)
        folds.fit({"data": data}, window=window, seeds=SEEDS)
        fits.append(folds.detectors)
    assert np.array_equal(fits[0][0].score(probe).event, fits[1][0].score(probe).event)
    assert not np.array_equal(fits[0][1].score(probe).event, fits[1][1].score(probe).event)


@pytest.mark.parametrize("type_", ["cwola", "supervised"])
@pytest.mark.parametrize(
    "settings", [TINY, TINY_BDT, TINY | {"decorrelation": "slices"}], ids=["mlp", "bdt", "decorrelated"]
)
def test_saved_detectors_score_the_same(
    tiny: tuple[Sample, np.ndarray], window: Window, tmp_path: Path, settings: dict[str, Any], type_: str
) -> None:
    sample = dataclasses.replace(tiny[0], category=tiny[1])
    detector = train(sample, window, settings, type_=type_)
    detector.save(tmp_path)
    loaded = detector_class(type_)[0].load(tmp_path)
    before, after = detector.score(sample), loaded.score(sample)
    assert np.array_equal(before.event, after.event)
    assert np.array_equal(before.spread, after.spread)
    assert loaded.settings == detector.settings
    assert not [p for p in tmp_path.rglob("*") if p.suffix not in {".keras", ".npz", ".json"}]


def test_trees_as_arrays_are_those_of_scikit_learn() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from ml.trees import Forest

    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 3))
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(
        x, x[:, 0] * x[:, 1] + random.normal(size=2000) > 0
    )
    assert np.array_equal(Forest.from_sklearn(model).predict(x), model.decision_function(x))


@pytest.mark.parametrize("classifier", ["mlp", "bdt"])
def test_a_small_signal_is_found_without_labels(window: Window, classifier: str) -> None:
    sample, truth = toy_search(12000, 200, seed=2)
    settings = {
        "features": list(FEATURES),
        "members": 2,
        "classifier": classifier,
        "mlp": {"epochs": 12, "hidden": [32, 32]},
    }
    folds = CrossFit(lambda: detector_from_settings("cwola", settings), 2)
    folds.fit({"data": sample}, window=window, seeds=SEEDS)
    scores = folds.score(sample)
    inside = window.in_signal(sample.mass)
    assert auc(scores.event, truth).value > 0.8
    assert sic_at(scores.event[inside], truth[inside]).value > 3
    selected = select(scores.event, folds.index(sample), 0.02)
    assert truth[selected & inside].mean() > 5 * truth[inside].mean()


def test_without_a_signal_the_window_is_selected_no_more_than_the_rest(window: Window) -> None:
    sample, _ = toy_search(12000, 0, seed=3)
    folds = CrossFit(lambda: detector_from_settings("cwola", TINY), 2)
    folds.fit({"data": sample}, window=window, seeds=SEEDS)
    selected = select(folds.score(sample).event, folds.index(sample), 0.05)
    inside = window.in_signal(sample.mass)
    expected = 0.05 * inside.sum()
    assert abs(selected[inside].sum() - expected) < 4 * np.sqrt(expected)
