"""Error bars of counts."""

from __future__ import annotations

import numpy as np
from scipy import special


def garwood_errors(counts: np.ndarray, *, level: float = 0.682689492137086) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of the error bars of Poisson counts: the central interval of F. Garwood, Biometrika 28 (1936) 437.

    Args:
        counts: (n,) numbers of events, not negative; fractions are allowed.
        level: coverage of the interval.

    Returns:
        Two (n,) arrays: how far the bar reaches below and above the count. For no events the interval is
        [0, −ln((1 − level)/2)], e.g. 0 (−0, +1.84).

    Raises:
        ValueError: a count is negative or not finite.
    """
    counts = np.asarray(counts, dtype=float)
    if not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise ValueError("Garwood intervals need counts that are finite and not negative")
    tail = (1 - level) / 2
    low = np.where(counts > 0, special.gammaincinv(np.where(counts > 0, counts, 1.0), tail), 0.0)
    high = special.gammaincinv(counts + 1, 1 - tail)
    return counts - low, high - counts


def garwood_pulls(counts: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """(data − fit)/σ with σ the side of the data's Garwood error bar that faces the fit.

    Bins without a fit (NaN) have no pull (NaN).
    """
    low, high = garwood_errors(counts)
    difference = np.asarray(counts, dtype=float) - fit
    error = np.where(difference > 0, low, high)
    return difference / error
