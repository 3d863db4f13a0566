"""Where the CLs curves of a test pass a level."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from stats.errors import StatisticsError

CURVES = 6  # observed, and expected at −2 to 2 standard deviations
CLS_TOLERANCE = 2e-4
RELATIVE_TOLERANCE = 4e-3  # of the level: at small ones everything is within the other
MAX_DOUBLINGS = 40
MAX_POINTS = 200


def crossings(test: Any, level: float) -> list[float]:
    """Signal strengths at which the observed and the five expected CLs are ``level``.

    They are within 0.4% of it, and within 2·10⁻⁴.

    Args:
        test: with ``log_cls(mu)``, six values or None after a failed fit, the ``evaluated`` ones, the ``best`` fitted
            strength, the ``failed_fits`` and a guess ``sigma`` of the strength's uncertainty, as ``AsymptoticTest``.

    Raises:
        StatisticsError: where CLs does not fall below ``level``, or the fits around a crossing fail.
    """
    _bracket(test, level)
    # the outermost first: its steps help the others
    found = {curve: _crossing(test, curve, level) for curve in reversed(range(CURVES))}
    return [found[curve] for curve in range(CURVES)]


def _bracket(test: Any, level: float) -> None:
    """Raise the strength until all six CLs lie below ``level``.

    √q̃ of the background-only expectation is close to mu over its uncertainty, and the expected CLs are functions of
    it alone: a first point tells where the highest limit will be.
    """
    highest = 2.0 - float(ndtri(level * ndtr(2.0)))  # √q̃ at the limit expected at +2 standard deviations
    mu = float(max(1.5 * test.best, highest * test.sigma))
    for attempt in range(MAX_DOUBLINGS):
        values = test.log_cls(mu)
        if values is not None and np.all(values < np.log(level)):
            return
        root = test.asimov_root(mu)
        if attempt == 0 and root is not None and root > 0.1:
            mu = float(np.clip(1.05 * highest * mu / root, 1.05 * mu, 4.0 * mu))
        else:
            mu *= 2.0
    raise StatisticsError(
        f"CLs stays above {level} up to a signal strength of {mu:g} ({test.failed_fits} fits failed): "
        "the data do not limit this signal."
    )


def _crossing(test: Any, curve: int, level: float) -> float:
    """One crossing: interpolated in √(−log CLs), which is nearly straight in the strength, and at times bisected."""
    target, tolerance = np.sqrt(-np.log(level)), min(CLS_TOLERANCE, RELATIVE_TOLERANCE * level)
    for attempt in range(MAX_POINTS):
        points = sorted((mu, float(np.sqrt(max(-values[curve], 0.0)))) for mu, values in test.evaluated.items())
        nearest, value = min(points, key=lambda point: abs(point[1] - target))
        if abs(np.exp(-(value**2)) - level) < tolerance:
            return float(nearest)
        points = [(0.0, 0.0), *(point for point in points if point[0] > 0)]
        last = max(index for index, point in enumerate(points) if point[1] <= target)
        low, high = points[last][0], points[last + 1][0]
        mu = _interpolated(points, target)
        if attempt % 4 == 3 or not np.isfinite(mu):
            mu = 0.5 * (low + high)
        mu = float(np.clip(mu, low + 0.01 * (high - low), high - 0.01 * (high - low)))
        if test.log_cls(mu) is None and test.log_cls(low + 0.6 * (mu - low)) is None:
            raise StatisticsError(
                f"The fits around a signal strength of {mu:g} fail: no limit ({test.failed_fits} failures)."
            )
    raise StatisticsError(f"The limit was not found within {MAX_POINTS} signal strengths.")


def _interpolated(points: list[tuple[float, float]], target: float) -> float:
    """Strength at ``target`` of the parabola, strength against value, through the three nearest points."""
    near: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: abs(point[1] - target)):
        if all(abs(point[1] - other[1]) > 1e-9 for other in near):
            near.append(point)
    if len(near) < 2:
        return float("nan")
    values = np.array([value for _, value in near[:3]])
    weights = [np.prod([(target - other) / (value - other) for other in values if other != value]) for value in values]
    return float(np.dot(weights, [mu for mu, _ in near[:3]]))
