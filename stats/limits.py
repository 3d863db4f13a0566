"""95% CLs upper limits, observed and expected, and discovery p-values of pyhf workspaces."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError
from stats.functions import Family
from stats.models import resonance_workspace
from stats.spectrum import Spectrum

logger = logging.getLogger(__name__)

CLS_TOLERANCE = 2e-4
MAX_DOUBLINGS = 40
MAX_POINTS = 200


@dataclass(frozen=True)
class UpperLimit:
    """An upper limit on the signal strength.

    Attributes:
        observed: in ``unit``.
        expected: at −2, −1, 0, 1, 2 standard deviations of the background-only outcome.
        scan: every tested strength with its CLs: (mu, observed, five expected), rising in mu.
        level: CLs at the limit.
        best_fit: strength that fits best, at least 0.
        local_p0: discovery p-value from q₀, capped: 0.5 for every deficit.
        failed_fits: fits that failed on the way; the limit rests on those that did not.
        unit: of mu.
        mass: of the resonance in GeV, or None.
    """

    observed: float
    expected: tuple[float, float, float, float, float]
    scan: tuple[tuple[float, float, tuple[float, ...]], ...]
    level: float
    best_fit: float
    local_p0: float
    failed_fits: int
    unit: str = "selected events"
    mass: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As in ``results.json``; the caller adds ``selection`` and ``signal``."""
        return {
            "mass": self.mass,
            "unit": self.unit,
            "observed": self.observed,
            "expected": list(self.expected),
            "scan": [[mu, cls] for mu, cls, _ in self.scan],
            "scan_expected": [[mu, list(expected)] for mu, _, expected in self.scan],
            "level": self.level,
            "best_fit": self.best_fit,
            "local_p0": self.local_p0,
            "failed_fits": self.failed_fits,
        }


def upper_limit(workspace: Mapping[str, Any], *, level: float = 0.05) -> UpperLimit:
    """Observed and expected CLs limits (asymptotic q̃) on the parameter of interest of a pyhf workspace.

    The search starts near the best fit, doubles until every CLs is below ``level``, extending the bound of the
    parameter of interest where it must, and closes in on each of the six crossings until CLs is within 2·10⁻⁴ of
    ``level``.

    Raises:
        StatisticsError: when the model cannot be fitted or a crossing is not found.
    """
    from stats.asymptotics import AsymptoticTest, open_workspace
    from stats.minimiser import pyhf_session

    if not 0 < level < 1:
        raise StatisticsError(f"CLs at the limit lies between 0 and 1, got {level}.")
    with pyhf_session():
        test = AsymptoticTest(*open_workspace(workspace))
        _bracket(test, level)
        limits = [_crossing(test, curve, level) for curve in range(6)]
        scan = tuple(
            (mu, float(np.exp(values[0])), tuple(np.exp(values[1:]).tolist()))
            for mu, values in sorted(test.evaluated.items())
        )
        expected = (limits[1], limits[2], limits[3], limits[4], limits[5])
        return UpperLimit(
            observed=limits[0],
            expected=expected,
            scan=scan,
            level=level,
            best_fit=test.best,
            local_p0=float(ndtr(-np.sqrt(test.discovery_q0))),
            failed_fits=test.failed_fits,
        )


def resonance_limits(
    spectrum: Spectrum, family: Family, *, masses: Sequence[float], width: float, level: float = 0.05
) -> list[UpperLimit]:
    """One limit per mass (GeV) for a Gaussian resonance of relative ``width``, in selected events."""
    limits = []
    for mass in masses:
        try:
            limit = upper_limit(resonance_workspace(spectrum, family, mass=mass, width=width), level=level)
        except StatisticsError as error:
            raise StatisticsError(f"No limit at {mass:g} GeV. {error}") from error
        limits.append(replace(limit, mass=float(mass)))
    return limits


def _bracket(test: Any, level: float) -> None:
    """Double the strength until all six CLs lie below ``level``."""
    mu = max(1.5 * test.best, 1.0)
    for _ in range(MAX_DOUBLINGS):
        values = test.log_cls(mu)
        if values is not None and np.all(values < np.log(level)):
            return
        mu *= 2.0
    raise StatisticsError(
        f"CLs stays above {level} up to a signal strength of {mu:g} ({test.failed_fits} fits failed): "
        "the data do not limit this signal."
    )


def _crossing(test: Any, curve: int, level: float) -> float:
    """The strength at which one of the six CLs curves passes ``level``: interpolated in log CLs, at times bisected."""
    target = np.log(level)
    for attempt in range(MAX_POINTS):
        points = sorted((mu, values[curve]) for mu, values in test.evaluated.items())
        above = [(0.0, 0.0)] + [point for point in points if point[1] >= target]
        low, low_value = above[-1]
        high, high_value = next(point for point in points if point[0] > low)
        nearest, value = min(points, key=lambda point: abs(point[1] - target))
        if abs(np.exp(value) - level) < CLS_TOLERANCE:
            return float(nearest)
        share = (low_value - target) / (low_value - high_value)
        share = 0.5 if attempt % 4 == 3 else float(np.clip(share, 0.02, 0.98))
        mu = low + share * (high - low)
        if test.log_cls(mu) is None and test.log_cls(low + 0.5 * share * (high - low)) is None:
            raise StatisticsError(
                f"The fits around a signal strength of {mu:g} fail: no limit ({test.failed_fits} failures)."
            )
    raise StatisticsError(f"The limit was not found within {MAX_POINTS} signal strengths.")
