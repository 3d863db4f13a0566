"""Test statistics of toys against Poisson probabilities and the asymptotic formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats import statistic_toys
from stats.asymptotics import log_cls
from stats.teststatistics import StatisticToys
from tests.stats.test_toys import counting


def test_p_values_of_toys_are_those_of_poisson() -> None:
    """No event on 1, strength 3: exp(−4) with the signal, exp(−1) without, within 4 binomial errors."""
    found = statistic_toys(counting(0, 1.0), 3.0, toys=4000, rng=np.random.default_rng(14))
    exact = np.exp([-4.0, -1.0])
    assert np.all(np.abs(found.p_values - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000))
    assert found.failed == 0


@given(st.floats(1e-3, 30.0), st.floats(1.0, 30.0))
def test_asymptotic_tails_give_the_asymptotic_cls(statistic: float, asimov: float) -> None:
    toys = StatisticToys(1.0, statistic, np.zeros(1), np.zeros(1), asimov)
    signal, background = toys.asymptotic_tails(np.array([statistic]))
    assert np.log(signal[0] / background[0]) == pytest.approx(log_cls(statistic, asimov)[0], abs=1e-6)
