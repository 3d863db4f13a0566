"""The Jensen–Shannon divergence is a divergence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.divergence import jensen_shannon, spectrum_divergence
from ml.errors import TrainingError

HISTOGRAM = st.lists(st.integers(0, 1000), min_size=6, max_size=6).filter(any)


@given(first=HISTOGRAM, second=HISTOGRAM)
def test_it_is_symmetric_bounded_and_zero_for_equal_shapes(first: list[int], second: list[int]) -> None:
    divergence = jensen_shannon(np.array(first), np.array(second))
    assert 0 <= divergence <= np.log(2) + 1e-12
    assert divergence == pytest.approx(jensen_shannon(np.array(second), np.array(first)), abs=1e-12)
    assert jensen_shannon(np.array(first), 7 * np.array(first)) == pytest.approx(0, abs=1e-12)


def test_it_is_ln_2_for_histograms_that_do_not_overlap() -> None:
    assert jensen_shannon(np.array([5, 0]), np.array([0, 3])) == pytest.approx(np.log(2))


def test_a_random_subset_has_the_divergence_of_its_fluctuations() -> None:
    rng = np.random.default_rng(1)
    inclusive = 1e6 * np.exp(-np.arange(20) / 5)
    values = [
        spectrum_divergence(rng.poisson(inclusive * 1e-3), inclusive, rng=rng, resamplings=20)[0] for _ in range(50)
    ]
    events = 1e-3 * inclusive.sum()
    assert np.mean(values) == pytest.approx(19 / (8 * events), rel=0.15)


def test_an_empty_histogram_is_an_error() -> None:
    with pytest.raises(TrainingError, match="empty"):
        jensen_shannon(np.zeros(3), np.ones(3))
