"""The direct prediction: exact weights give the truth within the stated statistics."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, Window
from ml.background import DirectBackground, ScoredEvents, direct_background
from ml.selection import thresholds
from tests.ml.reweighting_toys import WINDOW, toy, true_ratio

EFFICIENCIES = (0.5, 0.1, 0.03)


def scored(sample: Sample, *, folds: int = 3, weight: np.ndarray | None = None) -> ScoredEvents:
    """A score that both features decide, and a different function in each fold."""
    fold = (sample.fold % folds).astype(int)
    score = (1 + fold) * (sample.columns["x"] - sample.columns["y"])
    return ScoredEvents(sample.mass, sample.weight if weight is None else weight, score, fold)


def predict(data: Sample, simulation: Sample, **arguments: Any) -> list[DirectBackground]:
    arguments = {"weights": true_ratio(simulation), "window": WINDOW, "efficiencies": EFFICIENCIES} | arguments
    return direct_background(scored(data), scored(simulation), **arguments)


@pytest.fixture(scope="module")
def toys() -> list[list[DirectBackground]]:
    return [predict(toy(6000, seed=i), toy(4000, seed=1000 + i, simulation=True)) for i in range(150)]


@pytest.mark.parametrize("i", range(len(EFFICIENCIES)))
def test_exact_weights_predict_the_truth_with_the_stated_statistics(toys: list[list[DirectBackground]], i: int) -> None:
    pulls = np.array(
        [(r[i].predicted - r[i].observed) / np.hypot(r[i].statistical, r[i].observed ** 0.5) for r in toys]
    )
    assert abs(pulls.mean()) < 3 / np.sqrt(len(pulls)) + 0.1
    assert pulls.std() == pytest.approx(1, abs=0.2)
    assert 0.6 < np.mean(abs(pulls) < 1) < 0.8


def test_without_weights_the_prediction_is_wrong_by_more_than_its_uncertainty(
    toys: list[list[DirectBackground]],
) -> None:
    ratios = np.array([[r.unweighted / r.observed for r in toy_] for toy_ in toys]).mean(axis=0)
    assert (ratios < [0.9, 0.6, 0.5]).all()
    assert np.mean([toy_[1].predicted / toy_[1].observed for toy_ in toys]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("i", [0, 1])
def test_exact_weights_cost_a_closure_error_in_a_third_of_the_toys(toys: list[list[DirectBackground]], i: int) -> None:
    """One deviation of two bands together, beyond its own statistics: 68% of the toys are within, whatever is kept."""
    assert np.mean([r[i].closure == 0 for r in toys]) == pytest.approx(0.68, abs=0.12)
    for result in (r[i] for r in toys[:20]):
        assert result.validation_observed is not None
        assert result.validation_predicted is not None
        assert result.closure is not None
        off = abs(result.validation_observed / result.validation_predicted - 1)
        assert result.closure <= off * result.predicted


def test_deviations_of_opposite_sign_in_the_bands_are_no_systematic() -> None:
    """What two bands say is one number: a fluctuation up in one and down in the other leaves nothing."""
    data, simulation = toy(40000, seed=1), toy(40000, seed=2, simulation=True)
    sides = np.where(simulation.mass < 3500, 1.3, 0.7)
    tilted = true_ratio(simulation) * np.where(WINDOW.in_validation(simulation.mass), sides, 1.0)
    raised = true_ratio(simulation) * np.where(WINDOW.in_validation(simulation.mass), 1.3, 1.0)
    one, other = (predict(data, simulation, weights=weights)[0] for weights in (tilted, raised))
    assert one.closure is not None
    assert other.closure is not None
    assert one.closure < 0.3 * other.closure
    assert all(v.beyond_statistics is not None and v.beyond_statistics > 0.1 for v in one.validation)


def test_known_numbers() -> None:
    """Five data events per band; simulation of weight 2 that is twice as frequent, half of it above the threshold."""
    window = Window(signal=(2.0, 3.0), sidebands=((1.0, 2.0), (3.0, 4.0)))
    mass = np.repeat([1.5, 2.5, 3.5], 20)
    score = np.tile(np.arange(20.0), 3)
    data = ScoredEvents(mass, np.ones(60), score, np.zeros(60, dtype=int))
    simulation = ScoredEvents(np.tile(mass, 2), np.full(120, 2.0), np.tile(score, 2), np.zeros(120, dtype=int))
    members = np.tile([0.25, 0.5], (120, 1))
    members[simulation.mass == 2.5, 1] = 1.0
    (result,) = direct_background(
        data, simulation, weights=np.full(120, 0.25), window=window, efficiencies=[0.25], members=members
    )
    assert (result.observed, result.predicted, result.unweighted) == (5.0, 5.0, 5.0)
    assert result.effective_events == pytest.approx(10)
    # 10 events of weight 0.5, and a yield set by 40 data and 80 simulated events
    assert result.statistical == pytest.approx(np.sqrt(10 * 0.25 + 25 * (1 / 40 + 1 / 80)))
    assert result.ensemble == pytest.approx(np.std([5, 10], ddof=1))
    assert result.closure is None
    assert result.uncertainty == pytest.approx(np.hypot(result.statistical, result.ensemble))


def test_a_wrong_ratio_in_the_validation_bands_becomes_a_systematic() -> None:
    data, simulation = toy(40000, seed=1), toy(40000, seed=2, simulation=True)
    wrong = true_ratio(simulation) * np.where(WINDOW.in_validation(simulation.mass), 1.3, 1.0)
    right, biased = predict(data, simulation)[0], predict(data, simulation, weights=wrong)[0]
    assert biased.predicted == pytest.approx(right.predicted)
    assert biased.closure is not None
    assert biased.closure / biased.predicted == pytest.approx(1 - 1 / 1.3, abs=0.07)
    assert biased.uncertainty > right.uncertainty
    assert biased.validation_predicted == pytest.approx(1.3 * right.validation_predicted)
    assert biased.validation_observed == right.validation_observed


def test_thresholds_belong_to_folds_and_scales_divide_out() -> None:
    data, simulation = toy(6000, seed=1), toy(4000, seed=2, simulation=True)
    result = predict(data, simulation)[1]
    events = scored(data)
    inside = WINDOW.in_signal(events.mass)
    cuts = thresholds(events.score[inside], events.fold[inside], 0.1)
    assert len(set(cuts.values())) == 3
    passed = inside & (events.score >= np.vectorize(cuts.get)(events.fold))
    assert result.observed == passed.sum() == pytest.approx(0.1 * inside.sum(), abs=2)
    scaled = dataclasses.replace(simulation, weight=0.01 * simulation.weight)
    assert predict(data, scaled)[1].predicted == pytest.approx(result.predicted)
    assert predict(data, simulation, weights=9 * true_ratio(simulation))[1].predicted == pytest.approx(result.predicted)


def test_a_threshold_that_keeps_no_simulation_still_has_an_uncertainty() -> None:
    data, simulation = toy(6000, seed=1), toy(4000, seed=2, simulation=True)
    low = dataclasses.replace(scored(simulation), score=np.full(4000, -1e3))
    (result,) = direct_background(scored(data), low, weights=true_ratio(simulation), window=WINDOW, efficiencies=[0.01])
    assert (result.predicted, result.effective_events, result.closure) == (0.0, 0.0, None)
    assert 1 < result.statistical < 3
    assert json.dumps(result.to_dict(), allow_nan=False)


def test_results_are_ready_for_json() -> None:
    content = predict(toy(3000, seed=1), toy(3000, seed=2, simulation=True))[0].to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["validation"][0]["band"] == [3200.0, 3300.0]
    assert {"efficiency", "observed", "predicted", "validation_observed"} <= content.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros(3000)}, "event weights in the signal window .* sum to 0"),
        ({"weights": np.full(3000, np.inf)}, "NaN or infinite"),
        ({"weights": np.ones(4)}, r"got \(4,\) and \(3000, 0\)"),
        ({"members": np.ones((4, 2))}, r"\(4, 2\)"),
        ({"efficiencies": [0.0]}, "efficiency must be above 0"),
        ({"window": Window((90e3, 91e3), ((2700.0, 3200.0),))}, "no events in the signal window"),
        ({"window": Window((3300.0, 3700.0), ((1.0, 2.0),))}, r"no events in the sideband \(1, 2\)"),
    ],
)
def test_what_cannot_be_predicted_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        predict(toy(3000, seed=1), toy(3000, seed=2, simulation=True), **change)
