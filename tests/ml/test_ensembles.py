"""Truncated means: what is left out, and what stays the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import trim_mean

from ml import Scores, TrainingError
from ml.ensembles import truncated_mean

MEMBERS = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(0, 1))


@given(MEMBERS, st.floats(0, 0.49))
def test_it_is_the_mean_of_the_middle(members: np.ndarray, truncation: float) -> None:
    result = truncated_mean(members, truncation)
    assert result == pytest.approx(trim_mean(members, truncation + 1e-10, axis=0))
    assert (result >= members.min(axis=0) - 1e-12).all()
    assert (result <= members.max(axis=0) + 1e-12).all()


@given(MEMBERS)
def test_nothing_left_out_is_the_mean_and_order_does_not_matter(members: np.ndarray) -> None:
    assert truncated_mean(members, 0.0) == pytest.approx(members.mean(axis=0))
    assert truncated_mean(members[::-1], 0.3) == pytest.approx(truncated_mean(members, 0.3))


def test_a_tenth_of_ten_members_is_one_at_either_end_even_with_rounding() -> None:
    members = np.array([[0.0, 100.0], *[[5.0, 5.0]] * 8, [100.0, -50.0]])
    assert truncated_mean(members, 0.1).tolist() == [5.0, 5.0]
    assert truncated_mean(np.arange(10.0)[:, None] ** 2, 0.3).item() == pytest.approx(np.mean([9, 16, 25, 36]))


def test_scores_take_the_truncated_mean_and_the_spread_of_all() -> None:
    members = np.array([[0.0], [0.4], [0.5], [0.9]])
    scores = Scores.from_members(members, truncation=0.25)
    assert scores.event == pytest.approx([0.45])
    assert scores.spread == pytest.approx([np.std(members, ddof=1)])


@pytest.mark.parametrize("truncation", [-0.1, 0.5, float("nan")])
def test_an_impossible_share_is_refused(truncation: float) -> None:
    with pytest.raises(TrainingError, match="truncation must be from 0 to below"):
        truncated_mean(np.ones((3, 2)), truncation)
