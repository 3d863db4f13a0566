"""A fresh classifier sees a known difference, and none where the weights are exact."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError
from ml.closure import Closure, closure
from ml.metrics import auc
from tests.ml.reweighting_toys import FEATURES, toy, true_ratio

DATA, SIMULATION = toy(6000, seed=21), toy(5000, seed=22, simulation=True)


def judged(data: Sample = DATA, simulation: Sample = SIMULATION, **arguments: Any) -> Closure:
    arguments = {"features": FEATURES, "seeds": np.random.SeedSequence(4), "folds": 3} | arguments
    return closure(data, simulation, **arguments)


def best_possible(data: Sample, simulation: Sample) -> float:
    """AUC of the known ratio of densities, which no classifier beats."""
    scores = np.concatenate([true_ratio(data), true_ratio(simulation)])
    return auc(scores, np.repeat([1, 0], [len(data), len(simulation)])).value


def test_a_known_difference_is_seen_and_exact_weights_take_it_away() -> None:
    before, after = judged(), judged(weights=true_ratio(SIMULATION))
    limit = best_possible(DATA, SIMULATION)
    assert limit > 0.63
    assert 0.60 <= before.auc.value <= limit + 0.01
    assert abs(after.auc.value - 0.5) < 3 * after.auc.uncertainty < 0.04
    assert before.effective_events == pytest.approx(len(SIMULATION))
    assert after.effective_events < 0.9 * len(SIMULATION)


def test_the_stated_uncertainty_covers_equal_samples() -> None:
    """Over samples of one distribution the AUC is 0.5, and its pull no wider than it should be."""
    pulls = []
    for seed in range(10):
        first, second = toy(2000, seed=100 + seed), toy(2000, seed=200 + seed)
        area = judged(first, second, folds=2, seeds=np.random.SeedSequence(seed)).auc
        pulls.append((area.value - 0.5) / area.uncertainty)
    assert abs(np.mean(pulls)) < 1
    assert np.sqrt(np.mean(np.square(pulls))) < 1.6


def test_outputs_are_out_of_fold_and_in_the_order_of_the_samples() -> None:
    result = judged()
    assert result.data_output.shape == (len(DATA),)
    assert result.simulation_output.shape == (len(SIMULATION),)
    own = DATA.fold % 3 == 2
    moved = {name: np.where(own, column + 5, column) for name, column in DATA.columns.items()}
    changed = judged(dataclasses.replace(DATA, columns=moved))
    same = SIMULATION.fold % 3 == 2
    assert np.array_equal(changed.simulation_output[same], result.simulation_output[same])
    assert not np.array_equal(changed.simulation_output[~same], result.simulation_output[~same])


def test_the_same_seed_gives_the_same_result_and_weights_scale_freely() -> None:
    weights = true_ratio(SIMULATION)
    first, again, scaled = (judged(weights=w) for w in (weights, weights, 7.0 * weights))
    assert np.array_equal(first.data_output, again.data_output)
    assert scaled.auc.value == pytest.approx(first.auc.value, abs=2e-3)
    assert json.loads(json.dumps(first.to_dict(), allow_nan=False))["auc"]["n_signal"] == len(DATA)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.full(5000, np.nan)}, "5000 not finite"),
        ({"weights": np.ones(5)}, r"one finite number for each of 5000 simulated events: got shape \(5,\)"),
        ({"weights": np.zeros(5000)}, "weights of the simulation sum to 0 in fold 0 of 3"),
        ({"data": DATA.select(np.arange(2))}, "weights of the data sum to 0 in fold"),
        ({"features": ["x", "z"]}, "role 'data': the sample has no feature 'z'"),
        ({"folds": 1}, "at least 2 folds"),
    ],
)
def test_what_cannot_be_tested_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        judged(**arguments)
