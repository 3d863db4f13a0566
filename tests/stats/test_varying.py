"""Limits on signals that change with their strength agree with those of signals that do not, where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stats import StatisticsError, upper_limit
from stats.simple import counting_workspace
from stats.varying import varying_limit

STRENGTHS = np.linspace(5.0, 80.0, 6)


def counting(strength: float, *, efficiency: float = 1.0, observed: float = 57.0) -> dict[str, Any]:
    return counting_workspace(50.0, observed=observed, signal=strength * efficiency, background_uncertainty=0.1)


def test_a_signal_that_only_grows_has_the_ordinary_limit() -> None:
    plain = upper_limit(counting(1.0), unit="fb")
    found = varying_limit(counting, STRENGTHS)
    assert found.observed == pytest.approx(plain.observed, rel=0.01)
    np.testing.assert_allclose(found.expected, plain.expected, rtol=0.01)
    assert found.best_fit == pytest.approx(plain.best_fit, rel=0.01)
    assert (found.unit, found.scan_unit, found.notes, found.failed_fits) == ("fb", "fb", (), 0)
    at_the_limit = min(found.scan, key=lambda point: abs(point[0] - found.observed))
    assert at_the_limit[1] == pytest.approx(0.05, abs=1e-3)


def test_an_efficiency_that_grows_with_the_signal_makes_the_limit_weaker() -> None:
    """S(s) = s ε(s), so the limit is where s ε(s) is the limit in events."""

    def growing(strength: float) -> dict[str, Any]:
        return counting(strength, efficiency=strength / 80.0)

    events = upper_limit(counting(1.0), unit="fb").observed
    assert varying_limit(growing, STRENGTHS).observed == pytest.approx(np.sqrt(80.0 * events), rel=0.01)


def test_nothing_is_extrapolated() -> None:
    found = varying_limit(counting, [1.0, 2.0, 20.0])
    assert np.isnan(found.observed)
    assert np.isfinite(found.expected[0])
    (note,) = found.notes
    assert "observed" in note
    assert "1 to 20 fb" in note
    assert found.to_dict()["observed"] is None


@pytest.mark.parametrize("strengths", [[1.0], [2.0, 1.0], [0.0, 1.0], [1.0, np.nan]])
def test_strengths_that_are_none(strengths: list[float]) -> None:
    with pytest.raises(StatisticsError, match="positive, rising strengths"):
        varying_limit(counting, strengths)


def test_a_signal_that_is_not_seen_is_not_excluded() -> None:
    found = varying_limit(lambda strength: counting(strength) if strength < 50 else None, STRENGTHS)
    assert np.isnan(found.observed)
    assert found.scan[-1][1] == 1.0
    assert "lie outside" in found.notes[0]
