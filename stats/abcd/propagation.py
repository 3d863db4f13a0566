"""Products of powers of counts, their statistical error, and their profile-likelihood interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq

from stats.errors import StatisticsError


def power_product(
    sums: Sequence[tuple[np.ndarray, float]], counts: np.ndarray, variances: np.ndarray
) -> tuple[float, float]:
    """∏ (Σ cells)^power over sums of independent cells, and its standard deviation.

    Cells that enter several sums correlate them; with d = ∂ log(product)/∂ cell the relative variance is
    Σ variance · d², exact to first order.

    Args:
        sums: (mask like ``counts``, power) of each factor.

    Raises:
        StatisticsError: where a factor is 0, for then neither the product nor this error means anything.
    """
    log_value, gradient = 0.0, np.zeros_like(counts)
    for mask, power in sums:
        total = float(counts[mask].sum())
        if total <= 0:
            raise StatisticsError(
                "One of the control regions of an ABCD estimate is empty, which leaves the prediction undetermined. "
                "Take a looser selection or more events."
            )
        log_value += power * np.log(total)
        gradient += power * mask / total
    value = float(np.exp(log_value))
    return value, value * float(np.sqrt((variances * gradient**2).sum()))


def likelihood_interval(counts: np.ndarray, powers: np.ndarray, *, n_sigma: float = 1.0) -> tuple[float, float]:
    """Interval of a = ∏ mean_i^power_i from independent Poisson counts, where −2 Δlog L = ``n_sigma``².

    For a given a the likelihood is largest at mean_i = n_i + power_i · λ (Lagrange multiplier λ), so that the interval
    is two roots in one variable. It holds for counts of zero under positive powers, whose lower end is 0.

    Args:
        counts, powers: (n_regions,).

    Raises:
        StatisticsError: a count of 0 under a negative power, for which nothing bounds the product from above.
    """
    counts, powers = np.asarray(counts, dtype=float), np.asarray(powers, dtype=float)
    up, down = powers > 0, powers < 0
    if np.any(counts[down] <= 0):
        raise StatisticsError(
            "A region that the ABCD estimate divides by is empty: the prediction has no upper bound. Take a looser "
            "selection or more events."
        )
    lowest, highest = -float((counts[up] / powers[up]).min()), float((counts[down] / -powers[down]).min())

    def beyond(multiplier: float) -> float:
        return _deviance(counts, powers, multiplier) - n_sigma**2

    low = 0.0 if lowest == 0 else _product(counts, powers, float(brentq(beyond, lowest * (1 - 1e-12), 0.0)))
    high = _product(counts, powers, float(brentq(beyond, 0.0, highest * (1 - 1e-12))))
    return low, high


def _product(counts: np.ndarray, powers: np.ndarray, multiplier: float) -> float:
    return float(np.prod((counts + powers * multiplier) ** powers))


def _deviance(counts: np.ndarray, powers: np.ndarray, multiplier: float) -> float:
    """−2 log of the likelihood ratio between the means at ``multiplier`` and the counts themselves."""
    means = np.maximum(counts + powers * multiplier, 1e-300)
    logs = np.where(counts > 0, counts * np.log(np.where(counts > 0, counts, 1.0) / means), 0.0)
    return float(2.0 * (means - counts + logs).sum())
