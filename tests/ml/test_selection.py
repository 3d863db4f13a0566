"""Working points keep what was asked for, in each fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import TrainingError
from ml.metrics import auc
from ml.selection import fold_quantiles, passing, select, thresholds


def test_each_fold_gets_its_own_efficiency_though_scores_differ() -> None:
    random = np.random.default_rng(0)
    fold = random.integers(0, 3, 6000)
    scores = random.random(6000) + 10 * fold
    selected = select(scores, fold, 0.01)
    for i in range(3):
        assert abs(selected[fold == i].sum() - 0.01 * (fold == i).sum()) <= 0.5


def test_weighted_efficiency_is_met_to_one_event() -> None:
    random = np.random.default_rng(1)
    scores, weight, fold = random.random(5000), random.exponential(size=5000), random.integers(0, 2, 5000)
    selected = select(scores, fold, 0.1, weight=weight)
    for i in range(2):
        kept = weight[selected & (fold == i)].sum()
        assert abs(kept - 0.1 * weight[fold == i].sum()) <= weight.max() / 2


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_ties_stand_or_fall_together_and_nothing_comes_closer(values: list[int], efficiency: float) -> None:
    scores, fold = np.array(values, dtype=float), np.zeros(len(values), dtype=int)
    selected = select(scores, fold, efficiency)
    assert len(set(scores[selected]) & set(scores[~selected])) == 0
    target = efficiency * len(values)
    possible = [0] + [int((scores >= cut).sum()) for cut in set(values)]
    assert abs(selected.sum() - target) <= min(abs(n - target) for n in possible) + 1e-8


def test_scores_all_equal_are_never_half_selected() -> None:
    assert not select(np.ones(100), np.zeros(100, int), 0.01).any()
    assert select(np.ones(100), np.zeros(100, int), 0.9).all()


def test_thresholds_of_one_sample_serve_another() -> None:
    cuts = thresholds(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0, 0, 1, 1]), 0.5)
    assert cuts == {0: 2.0, 1: 4.0}
    assert passing(np.array([3.0, 3.0]), np.array([0, 1]), cuts).tolist() == [True, False]
    with pytest.raises(TrainingError, match=r"no threshold for folds \[2\]"):
        passing(np.array([3.0]), np.array([2]), cuts)


@pytest.mark.parametrize("efficiency", [0.0, 1.1, -0.5])
def test_impossible_efficiencies_are_refused(efficiency: float) -> None:
    with pytest.raises(TrainingError, match="above 0 and at most 1"):
        thresholds(np.ones(3), np.zeros(3, int), efficiency)


def test_scores_must_be_finite_and_weights_positive() -> None:
    with pytest.raises(TrainingError, match="1 of 2 scores are not finite"):
        thresholds(np.array([1.0, np.nan]), np.zeros(2, int), 0.5)
    with pytest.raises(TrainingError, match="fold 0 sum to 0"):
        thresholds(np.array([1.0, 2.0]), np.zeros(2, int), 0.5, weight=np.zeros(2))


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_quantiles_of_folds_keep_the_order_and_the_working_points(seed: int, folds: int) -> None:
    """A cut on quantiles at 1 − ε keeps what the thresholds of the folds keep at efficiency ε."""
    random = np.random.default_rng(seed)
    fold = random.integers(0, folds, 400)
    scores = random.normal(0, 1, 400) * (1 + fold) + 10 * fold
    found = fold_quantiles(scores, fold, reference=scores, reference_fold=fold)
    assert ((found > 0) & (found < 1)).all()
    for one in range(folds):
        own = fold == one
        assert np.array_equal(np.argsort(scores[own]), np.argsort(found[own]))
        assert found[own].mean() == pytest.approx(0.5)
    kept = select(scores, fold, 0.2)
    assert (kept != (found > 0.8)).sum() <= folds  # to half an event in each fold


def test_equally_good_folds_are_as_good_together() -> None:
    """Scores that differ between folds by scale and offset alone: pooled they lose, by quantiles they do not."""
    random = np.random.default_rng(1)
    truth, fold = random.integers(0, 2, 4000), random.integers(0, 2, 4000)
    score = random.normal(truth, 1.0)
    moved = score * (1 + 3 * fold) + 5 * fold
    quantiles = fold_quantiles(moved, fold, reference=moved, reference_fold=fold)
    assert auc(quantiles, truth).value == pytest.approx(auc(score, truth).value, abs=0.01)
    assert auc(moved, truth).value < auc(score, truth).value - 0.03


def test_quantiles_are_those_of_the_reference_of_the_same_fold() -> None:
    reference, own = np.array([1.0, 2.0, 2.0, 3.0, 10.0, 20.0]), np.array([0, 0, 0, 0, 1, 1])
    scores, fold = np.array([2.0, 2.5, 9.0, 9.0, 15.0]), np.array([0, 0, 0, 1, 1])
    found = fold_quantiles(scores, fold, reference=reference, reference_fold=own)
    assert found.tolist() == [0.5, 0.75, 1.0, 0.0, 0.5]
    members = fold_quantiles(
        np.stack([scores, -scores], axis=1), fold, reference=np.stack([reference, -reference], 1), reference_fold=own
    )
    assert members[:, 0].tolist() == found.tolist()
    assert members[:, 1].tolist() == [0.5, 0.25, 0.0, 1.0, 0.5]
    weighted = fold_quantiles(
        scores, fold, reference=reference, reference_fold=own, weight=np.array([3, 1, 1, 1, 1, 1])
    )
    assert weighted.tolist() == pytest.approx([4 / 6, 5 / 6, 1.0, 0.0, 0.5])
    with pytest.raises(TrainingError, match="fold 2"):
        fold_quantiles(scores, fold + 1, reference=reference, reference_fold=own)
    with pytest.raises(TrainingError, match="not finite"):
        fold_quantiles(np.append(scores, np.nan), np.append(fold, 0), reference=reference, reference_fold=own)
