"""CLs curves of toys: crossings, ties and outcomes that no toy has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.toycurves import RankedToys, crossing


@given(st.floats(0.05, 5.0), st.floats(0.01, 0.5))
def test_crossings_of_exponentials_are_exact(slope: float, level: float) -> None:
    strengths = np.linspace(0.1, 8.0 / slope, 7)
    assert crossing(strengths, np.exp(-slope * strengths), level) == pytest.approx(-np.log(level) / slope)


def test_the_last_crossing_is_taken_and_none_is_told() -> None:
    values = np.array([0.5, 0.04, 0.06, 0.01])
    assert 3.0 < crossing(np.array([1.0, 2.0, 3.0, 4.0]), values, 0.05) < 4.0
    assert np.isnan(crossing(np.array([1.0, 2.0]), np.array([0.5, 0.2]), 0.05))


def test_cls_counts_ties_and_excludes_nothing_without_toys() -> None:
    toys = np.array([0.0, 1.0, 2.0, 2.0])
    assert RankedToys(1.0, 2.0 + 1e-9, toys, toys).curve()[0] == 1.0
    assert RankedToys(1.0, 5.0, toys, toys).curve()[0] == 1.0
    assert RankedToys(1.0, 2.0, np.array([0.0, 0.0, 0.0, 2.0]), toys).curve()[0] == pytest.approx(0.5)
