"""Figures of merit: identities, known answers, and uncertainties that describe the scatter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import TrainingError
from ml.metrics import auc, background_rejection, max_sic, roc, sic_at, significance_improvement


def gaussian(random: np.random.Generator, signal: int, background: int) -> tuple[np.ndarray, np.ndarray]:
    scores = np.concatenate([random.normal(1, 1, signal), random.normal(0, 1, background)])
    return scores, np.repeat([1, 0], [signal, background])


def test_perfect_random_and_inverted_scores() -> None:
    truth = np.repeat([1, 0], 50)
    assert auc(truth.astype(float), truth).value == 1
    assert auc(np.zeros(100), truth).value == 0.5
    assert auc(-truth.astype(float), truth).value == 0


def test_random_scores_are_compatible_with_one_half() -> None:
    random = np.random.default_rng(2)
    measured = auc(random.random(20000), random.integers(0, 2, 20000))
    assert abs(measured.value - 0.5) < 4 * measured.uncertainty < 0.02


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_share_of_ordered_pairs_and_the_area_of_the_curve(events: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([e[0] for e in events], float), np.array([e[1] for e in events], int)
    if truth.min() == truth.max():
        with pytest.raises(TrainingError, match="needs both classes"):
            auc(scores, truth)
        return
    pairs = np.subtract.outer(scores[truth == 1], scores[truth == 0])
    value = auc(scores, truth).value
    assert value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    curve = roc(scores, truth)
    assert value == pytest.approx(np.trapezoid(curve.signal, curve.background))
    assert curve.signal[-1] == curve.background[-1] == pytest.approx(1)


def test_weights_are_as_good_as_copies() -> None:
    random = np.random.default_rng(3)
    scores, truth = gaussian(random, 50, 80)
    copies = random.integers(1, 4, 130)
    repeated = np.repeat(scores, copies), np.repeat(truth, copies)
    weighted = {"weight": copies.astype(float)}
    assert auc(scores, truth, **weighted).value == pytest.approx(auc(*repeated).value)
    assert sic_at(scores, truth, 0.3, **weighted).value == pytest.approx(sic_at(*repeated, 0.3).value)


def test_auc_uncertainty_is_the_scatter_of_repeats() -> None:
    random = np.random.default_rng(4)
    measured = [auc(*gaussian(random, 60, 120)) for _ in range(400)]
    scatter = np.std([m.value for m in measured])
    assert np.mean([m.uncertainty for m in measured]) == pytest.approx(scatter, rel=0.12)


def test_sic_uncertainty_is_the_scatter_of_repeats() -> None:
    random = np.random.default_rng(5)
    measured = [sic_at(*gaussian(random, 400, 2000)) for _ in range(300)]
    # the threshold follows the signal, so ε_S does not scatter: the quoted error, at fixed threshold, is conservative
    assert np.std([m.value for m in measured]) < 1.3 * np.mean([m.uncertainty for m in measured])


def test_sic_and_rejection_by_hand() -> None:
    truth = np.repeat([1, 0], [4, 100])
    scores = np.concatenate([[9, 8, 1, 0], np.full(4, 8.5), np.zeros(96) + 0.5])
    measured = sic_at(scores, truth, 0.5)
    assert measured.value == pytest.approx(0.5 / np.sqrt(0.04))
    assert (measured.n_signal, measured.n_background) == (2, 4)
    assert background_rejection(scores, truth, 0.5).value == pytest.approx(25)
    assert max_sic(scores, truth, min_background=4).value == pytest.approx(0.75 / 0.2)
    assert max_sic(scores, truth, min_background=5).value == pytest.approx(1)
    regulated = sic_at(scores, truth, 0.5, regulator=1e-4)
    assert regulated.value == pytest.approx(0.5 / np.sqrt(0.04 + 1e-4))


def test_without_passing_background_the_value_is_a_stated_bound() -> None:
    truth = np.repeat([1, 0], [2, 10])
    measured = sic_at(truth.astype(float), truth)
    assert measured.n_background == 0
    assert measured.value == pytest.approx(1 / np.sqrt(1 / 10))
    assert np.isnan(significance_improvement(roc(truth.astype(float), truth))[:2]).all()
    assert background_rejection(truth.astype(float), truth).value == 10


def test_spread_is_that_of_the_members() -> None:
    random = np.random.default_rng(6)
    scores, truth = gaussian(random, 300, 600)
    members = scores[:, None] + random.normal(size=(900, 3))
    expected = np.std([auc(column, truth).value for column in members.T], ddof=1)
    assert auc(scores, truth, members=members).spread == pytest.approx(expected)
    assert auc(scores, truth).spread is None
    assert auc(scores, truth, members=members).to_dict()["n"] == 900


def test_events_of_unknown_truth_do_not_count() -> None:
    scores, truth = gaussian(np.random.default_rng(7), 30, 60)
    both = np.concatenate([scores, np.full(9, np.nan)]), np.concatenate([truth, np.full(9, -1)])
    assert auc(*both) == auc(scores, truth)


def test_too_little_background_for_the_maximum_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no threshold keeps 20 background events: there are 10"):
        max_sic(np.arange(12.0), np.repeat([1, 0], [2, 10]))
