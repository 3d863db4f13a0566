"""SALAD end to end on samples whose ratio of densities is known."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CrossFit, Detector, History, Sample, TrainingError, detector_class, detector_from_settings
from ml.metrics import auc
from ml.salad import SALAD, SALADSettings, other_weight_columns, weight_columns
from tests.ml.reweighting_toys import FEATURES, WINDOW, toy

SEEDS = np.random.SeedSequence(3)
NETWORK = {"hidden": [32, 32], "epochs": 15, "batch_size": 500, "patience": 4, "learning_rate": 3e-3}
SETTINGS: dict[str, Any] = {
    "features": list(FEATURES),
    "classifier": "bdt",
    "members": 3,
    "truncation": 0.34,
    "bdt": {"iterations": 30},
    "reweighting": {"members": 4, "truncation": 0.25, "mlp": NETWORK},
}
SIMULATION = toy(20000, seed=2, simulation=True)


def train(data: Sample, **changes: Any) -> tuple[SALAD, History]:
    detector = detector_from_settings("salad", SETTINGS | changes)
    assert isinstance(detector, SALAD)
    return detector, detector.fit({"data": data, "simulation": SIMULATION}, window=WINDOW, seeds=SEEDS)


@pytest.fixture(scope="module")
def with_signal() -> tuple[SALAD, History]:
    return train(toy(30000, seed=1, signal=200))


@pytest.fixture(scope="module")
def progress() -> list[float]:
    """What the training of `without_signal` told of its progress."""
    return []


@pytest.fixture(scope="module")
def without_signal(progress: list[float]) -> SALAD:
    detector = detector_from_settings("salad", SETTINGS)
    assert isinstance(detector, SALAD)
    samples = {"data": toy(30000, seed=1), "simulation": SIMULATION}
    detector.fit(samples, window=WINDOW, seeds=SEEDS, progress=lambda fraction, _: progress.append(fraction))
    return detector


@pytest.fixture(scope="module")
def plain() -> SALAD:
    """The same data beside simulation as it is."""
    return train(toy(30000, seed=1), reweight=False)[0]


@pytest.fixture(scope="module")
def fresh() -> tuple[Sample, np.ndarray]:
    """Events in the window that nothing was trained on, and their truth."""
    sample = toy(20000, seed=11, signal=2000)
    truth = np.repeat([0, 1], [20000, 2000])
    rows = WINDOW.in_signal(sample.mass)
    return sample.select(rows), truth[rows]


def test_a_signal_is_found_that_unweighted_simulation_hides(
    with_signal: tuple[SALAD, History], fresh: tuple[Sample, np.ndarray]
) -> None:
    sample, truth = fresh
    unweighted, history = train(toy(30000, seed=1, signal=200), reweight=False)
    assert set(history.parts) == {"classifier"}
    found = auc(with_signal[0].score(sample).event, truth)
    hidden = auc(unweighted.score(sample).event, truth)
    assert found.value > 0.85
    assert found.value > hidden.value + 3 * np.hypot(found.uncertainty, hidden.uncertainty)


def test_without_a_signal_data_are_not_told_from_reweighted_simulation(without_signal: SALAD, plain: SALAD) -> None:
    data, simulation = toy(30000, seed=12), toy(30000, seed=13, simulation=True)
    inside = [s.select(WINDOW.in_signal(s.mass)) for s in (data, simulation)]
    labels = np.repeat([1, 0], [len(s) for s in inside])
    areas = {}
    for reweight, detector in ((True, without_signal), (False, plain)):
        scores = np.concatenate([detector.score(s).event for s in inside])
        weights = np.concatenate([inside[0].weight, detector.weights(inside[1]).value])
        areas[reweight] = auc(scores, labels, weight=weights).value
    assert areas[True] == pytest.approx(0.5, abs=0.025)
    assert areas[False] > 0.58


def test_the_mass_moves_the_weights_and_never_the_score(with_signal: tuple[SALAD, History]) -> None:
    detector = with_signal[0]
    elsewhere = dataclasses.replace(SIMULATION, mass=SIMULATION.mass + 300)
    assert np.array_equal(detector.score(elsewhere).event, detector.score(SIMULATION).event)
    assert not np.array_equal(detector.weights(elsewhere).value, detector.weights(SIMULATION).value)
    disguised = [
        dataclasses.replace(s, columns={**s.columns, "x": s.mass / 1000}) for s in (toy(3000, seed=1), SIMULATION)
    ]
    with pytest.raises(TrainingError, match="'x' is the resonance mass"):
        detector_from_settings("salad", SETTINGS | {"reweight": False}).fit(
            dict(zip(("data", "simulation"), disguised, strict=True)), window=WINDOW, seeds=SEEDS
        )


def test_labels_are_never_used() -> None:
    data = toy(30000, seed=1, signal=200)
    labelled = dataclasses.replace(data, category=np.repeat([0, 1], [30000, 200]))
    short = {"reweighting": SETTINGS["reweighting"] | {"mlp": NETWORK | {"epochs": 1}}}
    (one, _), (other, _) = (train(sample, **short) for sample in (data, labelled))
    assert not SALAD.uses_labels
    assert np.array_equal(one.score(SIMULATION).event, other.score(SIMULATION).event)
    assert np.array_equal(one.weights(SIMULATION).value, other.weights(SIMULATION).value)


def test_scores_are_truncated_means(with_signal: tuple[SALAD, History]) -> None:
    scores = with_signal[0].score(SIMULATION)
    assert scores.members is not None
    assert np.array_equal(scores.event, np.median(scores.members, axis=1))


def test_history_has_both_trainings_and_survives_json(with_signal: tuple[SALAD, History]) -> None:
    history = History.from_dict(json.loads(json.dumps(with_signal[1].to_dict(), allow_nan=False)))
    assert set(history.parts) == {"reweighting", "classifier"}
    assert history.parts["reweighting"].losses["validation_loss"].shape[1] == 4
    assert history.parts["classifier"].losses["validation_loss"].shape[1] == 3


@pytest.mark.parametrize("reweight", [True, False])
def test_saved_detectors_score_and_weight_the_same(
    with_signal: tuple[SALAD, History], plain: SALAD, tmp_path: Path, reweight: bool
) -> None:
    detector = with_signal[0] if reweight else plain
    detector.save(tmp_path)
    loaded = SALAD.load(tmp_path)
    assert loaded.settings == detector.settings
    assert np.array_equal(loaded.score(SIMULATION).event, detector.score(SIMULATION).event)
    before, after = weight_columns(detector, SIMULATION), weight_columns(loaded, SIMULATION)
    assert set(before) == {"value", "members", "output", "clipped", "constant"}
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix not in {".keras", ".npz", ".json"}]


def test_without_reweighting_weights_are_the_constant_of_the_sidebands(plain: SALAD) -> None:
    data = toy(30000, seed=1)
    weights = plain.weights(SIMULATION)
    counts = [(WINDOW.sideband_index(s.mass) >= 0).sum() for s in (data, SIMULATION)]
    assert weights.value == pytest.approx(np.full(len(SIMULATION), counts[0] / counts[1]))
    assert weights.constant == pytest.approx(counts[0] / counts[1])
    assert not weights.clipped.any()


def constant(value: float) -> SALAD:
    detector = SALAD(SALADSettings(features=FEATURES, reweight=False))
    detector._constant = value
    return detector


def test_the_simulation_of_a_fold_can_be_weighted_by_all_folds_but_its_own() -> None:
    """No f that trained a window classifier weights the simulation that this classifier selects."""
    folds = CrossFit(lambda: SALAD(), 3)
    folds.detectors = [constant(value) for value in (1.0, 10.0, 100.0)]
    found = folds.map(SIMULATION, other_weight_columns(folds.detectors))
    own = folds.map(SIMULATION, weight_columns)
    expected = np.array([(10 + 100) / 2, (1 + 100) / 2, (1 + 10) / 2])
    assert np.array_equal(found["value"], expected[folds.index(SIMULATION)])
    assert np.array_equal(found["members"][:, 0], found["value"])
    assert set(found) == set(own)
    assert not found["clipped"].any()


@pytest.mark.usefixtures("without_signal")
def test_progress_runs_from_nothing_to_one(progress: list[float]) -> None:
    assert progress == sorted(progress)
    assert progress[-1] == pytest.approx(1)


def test_columns_are_those_of_both_classifiers() -> None:
    settings = SALADSettings(features=("a", "b"))
    assert settings.columns == settings.reweighting_features == ("a", "b")
    wider = detector_from_settings("salad", {"features": ["b"], "reweighting": {"features": ["a", "b", "c"]}}).settings
    assert wider.columns == ("b", "a", "c")
    assert all(detector_class(t)[1]().columns == detector_class(t)[1]().features for t in ("cwola", "supervised"))


def test_only_salad_has_weights() -> None:
    detector: Detector = detector_from_settings("cwola")
    with pytest.raises(TrainingError, match="CWoLa has no weights"):
        weight_columns(detector, SIMULATION)
    with pytest.raises(TrainingError, match="not trained"):
        weight_columns(detector_from_settings("salad", SETTINGS | {"reweight": False}), SIMULATION)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reweighting": {"features": ["j1_m"]}}, r"lacks \['j1_tau21', 'j2_m', 'j2_tau21'\]"),
        ({"reweighting": {"clipp": 3}}, "reweighting has no key 'clipp': did you mean 'clip'"),
        ({"reweighting": {"classifier": "bdt"}}, "reweighting has no key 'classifier'"),
        ({"decorrelation": "slices"}, "cannot take decorrelation 'slices'"),
        ({"truncation": 0.5}, "truncation must be from 0 to below 0.5"),
        ({"bdt": {"validation_fraction": 1.0}}, "validation_fraction between 0 and 1"),
        ({"mlp": {"epochs": 0}}, "must be at least 1"),
        ({"features": ["j1_m", "mjj"]}, "'mjj' cannot be a feature"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("salad", settings)
