"""The range in which a signal strength is fitted, whatever bounds a workspace gives it.

q̃ and q₀ are defined for strengths of at least 0 (arXiv:1007.1727, equations 12 and 16), and a best fit must not rest on
an upper bound that was only meant to be out of the way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from stats.errors import StatisticsError

MAX_EXTENSIONS = 30
AT_BOUND = 1e-6  # relative: a fit as close to the upper bound rests on it

Fit = tuple[np.ndarray, float]


def largest_yield(*counts: ArrayLike) -> float:
    """Events beyond any yield that observed counts could hold, for the upper bound of a strength; arrays by channel."""
    arrays = [np.asarray(one, dtype=float) for one in counts]
    return max(10.0, 2.0 * sum(float(np.sum(one + 5.0 * np.sqrt(one + 1.0))) for one in arrays))


def start_at_zero(bounds: np.ndarray, poi: int) -> None:
    """Let the strength begin at 0: where the workspace lets it be negative, a deficit would become a signal.

    Args:
        bounds: of all parameters, shape (n_parameters, 2); changed in place.
        poi: index of the strength.

    Raises:
        StatisticsError: where the bounds leave out 0, or everything above it.
    """
    lower, upper = bounds[poi]
    if lower > 0:
        raise StatisticsError(
            f"The parameter of interest is bounded from below at {lower:g}: without 0 there is no background-only "
            "hypothesis."
        )
    if not upper > 0:
        raise StatisticsError(f"The parameter of interest is bounded from above at {upper:g}: no signal is possible.")
    bounds[poi, 0] = 0.0


def free_fit(fit: Callable[[], Fit | None], bounds: np.ndarray, poi: int) -> Fit | None:
    """The best fit, the upper bound of the strength moved up for as long as the fit rests on it.

    Args:
        fit: gives point and −2 log L of a fit within ``bounds``, or None where it failed.
        bounds: of all parameters, shape (n_parameters, 2); the strength's upper one is changed in place.
        poi: index of the strength.

    Returns:
        None where the fit failed, or follows the bound without end.
    """
    for _ in range(MAX_EXTENSIONS):
        found = fit()
        if found is None or found[0][poi] < (1.0 - AT_BOUND) * bounds[poi, 1]:
            return found
        bounds[poi, 1] *= 4.0
    return None
