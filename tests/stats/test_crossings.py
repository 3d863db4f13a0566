"""The search for the crossings of CLs, on curves that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from stats import StatisticsError
from stats.asymptotics import log_cls
from stats.crossings import crossings


class KnownTest:
    """A Gaussian measurement of the strength: best ± true_sigma."""

    def __init__(self, best: float, true_sigma: float, *, guess: float = 1.0, fails: tuple[int, ...] = ()) -> None:
        self.measured, self.best, self.true_sigma = best, max(best, 0.0), true_sigma
        self.sigma = guess * true_sigma
        self.fails, self.calls, self.failed_fits = fails, 0, 0
        self.evaluated: dict[float, np.ndarray] = {}

    def log_cls(self, mu: float) -> np.ndarray | None:
        if mu not in self.evaluated:
            self.calls += 1
            if self.calls in self.fails:
                self.failed_fits += 1
                return None
            root = (mu - self.measured) ** 2 - min(self.measured, 0.0) ** 2 if mu > self.best else 0.0
            self.evaluated[mu] = log_cls(root / self.true_sigma**2, (mu / self.true_sigma) ** 2)
        return self.evaluated[mu]

    def asimov_root(self, mu: float) -> float | None:
        return mu / self.true_sigma if mu in self.evaluated else None


@given(
    pull=st.floats(-3.0, 6.0),
    scale=st.floats(-6.0, 6.0),
    guess=st.floats(0.05, 20.0),
    level=st.sampled_from([0.5, 0.1, 0.05, 0.01, 1e-4, 1e-7]),
)
@settings(max_examples=80, deadline=None)
def test_known_crossings_are_found(pull: float, scale: float, guess: float, level: float) -> None:
    """Expected limits are σ (N − Φ⁻¹(level Φ(N))), all six have CLs = level; from any guess."""
    sigma = 10.0**scale
    test = KnownTest(pull * sigma, sigma, guess=guess)
    found = crossings(test, level)
    bands = np.arange(-2.0, 3.0)
    np.testing.assert_allclose(found[1:], sigma * (bands - ndtri(level * ndtr(bands))), rtol=0.01)
    for curve, mu in enumerate(found):
        assert np.exp(test.evaluated[mu][curve]) == pytest.approx(level, abs=min(2e-4, 4e-3 * level))
    assert test.calls <= 45


@pytest.mark.parametrize("fails", [(1,), (2,), (4,), (5, 7, 9)])
def test_fits_that_fail_are_gone_around_and_counted(fails: tuple[int, ...]) -> None:
    clean, rough = KnownTest(1.0, 2.0), KnownTest(1.0, 2.0, fails=fails)
    np.testing.assert_allclose(crossings(rough, 0.05), crossings(clean, 0.05), rtol=0.01)
    assert rough.failed_fits == len(fails)


def test_giving_up_is_said() -> None:
    with pytest.raises(StatisticsError, match=r"do not limit this signal|fits failed"):
        crossings(KnownTest(1.0, 2.0, fails=tuple(range(1, 1000))), 0.05)
    with pytest.raises(StatisticsError, match="no limit"):
        crossings(KnownTest(1.0, 2.0, fails=tuple(range(3, 1000))), 0.05)
