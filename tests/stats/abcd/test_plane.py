"""Strips and planes: fractions are kept in every fold, ties stay together, nonsense is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats import StatisticsError
from stats.abcd import Plane, count_plane, strips


@given(seed=st.integers(0, 1000), n=st.integers(50, 400), tail=st.floats(0.02, 0.5))
def test_tail_holds_its_fraction_to_half_an_event(seed: int, n: int, tail: float) -> None:
    score = np.random.default_rng(seed).normal(size=n)
    kept = (strips(score, (tail,)) == 1).sum()
    assert abs(kept - tail * n) <= 0.5 + 1e-6


def test_strips_do_not_depend_on_a_monotonic_change_of_score() -> None:
    score = np.random.default_rng(1).normal(size=500)
    np.testing.assert_array_equal(strips(score, (0.6, 0.1)), strips(np.exp(3 * score), (0.6, 0.1)))


def test_every_fold_has_thresholds_of_its_own() -> None:
    rng = np.random.default_rng(2)
    fold = rng.integers(0, 3, 3000)
    score = rng.normal(size=3000) + 100.0 * fold
    found = strips(score, (0.6, 0.1), fold=fold)
    for one in range(3):
        np.testing.assert_allclose(np.bincount(found[fold == one]) / (fold == one).sum(), (0.4, 0.5, 0.1), atol=2e-3)
    # one threshold for all would select events of the last fold alone
    assert set(fold[strips(score, (0.1,)) == 1]) == {2}


def test_equal_scores_stay_together_and_weights_set_the_fraction() -> None:
    assert strips(np.array([0.0, 1, 1, 1, 2]), (0.5,)).tolist() in ([0, 1, 1, 1, 1], [0, 0, 0, 0, 1])
    weight = np.array([1.0, 1, 1, 1, 6])
    assert strips(np.arange(5.0), (0.6,), weight=weight).tolist() == [0, 0, 0, 0, 1]


def test_plane_counts_every_event_once() -> None:
    rng = np.random.default_rng(3)
    first, second, weight = rng.normal(size=1000), rng.normal(size=1000), rng.uniform(0.5, 2, 1000)
    plane = count_plane(first, second, first_tails=(0.6, 0.3, 0.1), second_tails=(0.2,), weight=weight)
    assert plane.counts.shape == (4, 2)
    assert plane.total == pytest.approx(weight.sum())
    assert plane.variances.sum() == pytest.approx((weight**2).sum())
    assert not plane.is_counts
    assert plane.merged([0, 3], [0, 1]).observed == plane.observed
    assert count_plane(first, second, first_tails=(0.1,)).is_counts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"first": np.array([])}, "needs events"),
        ({"first": np.array([1.0, np.nan, 2.0, 3.0])}, "1 of 4 scores are not finite"),
        ({"weight": np.array([1.0, -1, 1, 1])}, "not negative"),
        ({"weight": np.zeros(4)}, "positive sum"),
        ({"first_tails": (0.1, 0.5)}, "fall from strip to strip"),
        ({"first_tails": (1.0,)}, "between 0 and 1"),
        ({"second": np.arange(5.0)}, "different events"),
        ({"fold": np.zeros(3)}, "a weight and a fold"),
    ],
)
def test_nonsense_is_refused(change: dict[str, object], message: str) -> None:
    given_: dict[str, object] = {"first": np.arange(4.0), "second": np.arange(4.0), "first_tails": (0.5,), **change}
    with pytest.raises(StatisticsError, match=message):
        count_plane(**given_)  # type: ignore[arg-type]


@pytest.mark.parametrize("counts", [[[1.0, 2.0]], [[1.0, np.nan], [2.0, 3.0]], [[1.0, -1.0], [2.0, 3.0]]])
def test_plane_refuses_what_is_no_count(counts: list[list[float]]) -> None:
    with pytest.raises(StatisticsError, match="plane"):
        Plane(np.array(counts))
