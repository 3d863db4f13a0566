"""Discovery p-values of pyhf workspaces from toys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from stats.lookelsewhere import binomial_interval
from stats.modelfits import ModelFits, process_pool
from stats.teststatistics import FittedToys, Hypotheses, check_toys, draw_toys, known, tied, warn_of_failures


@dataclass(frozen=True, repr=False)
class ToyDiscovery:
    """The p-value of a workspace's data without a signal, from toys.

    Attributes:
        p0: (S + 1)/(N + 1), S of N background-only toys having q₀ of at least the data's; 1 for a deficit. With
            S = 0 only a bound: see ``is_bound``.
        low, high: central 68.3% binomial (Clopper–Pearson) interval for S of N.
        q0: of the data.
        statistics: q₀ of the toys, shape (N,); +∞ where a fit failed: such a toy never helps a discovery.
        best_fit: strength that fits the data best, at least 0.
        exceeding, toys, failed: S, N, and the toys without a fit.
        asymptotic_p0: Φ(−√q₀).
    """

    p0: float
    low: float
    high: float
    q0: float
    statistics: np.ndarray
    best_fit: float
    exceeding: int
    toys: int
    failed: int
    asymptotic_p0: float

    def __repr__(self) -> str:
        """The p-value and what it rests on, in one line."""
        sign, least = ("≤", "≥") if self.is_bound else ("=", "=")
        return (
            f"ToyDiscovery: p0 {sign} {self.p0:.3g}, z {least} {self.z:.2f} ({self.exceeding} of {self.toys} toys "
            f"reach q0 = {self.q0:.4g}, {self.failed} without a fit; asymptotic p0 = {self.asymptotic_p0:.3g})"
        )

    @property
    def is_bound(self) -> bool:
        """Whether no toy reached the data."""
        return self.exceeding == 0

    @property
    def z(self) -> float:
        """Significance of ``p0``; a lower bound where that is a bound."""
        return float(-ndtri(self.p0))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the toys' statistics."""
        return {
            "p0": self.p0,
            "low": self.low,
            "high": self.high,
            "z": known(self.z),
            "is_bound": self.is_bound,
            "q0": self.q0,
            "best_fit": self.best_fit,
            "exceeding": self.exceeding,
            "toys": self.toys,
            "failed": self.failed,
            "asymptotic_p0": self.asymptotic_p0,
        }


def toy_discovery(
    workspace: Mapping[str, Any], *, toys: int, rng: np.random.Generator, workers: int = 1
) -> ToyDiscovery:
    """p0 of q₀ (arXiv:1007.1727, equation 12) from background-only toys, nuisances at their fit without a signal.

    Args:
        rng: the same state gives the same result, whatever ``workers`` (processes).

    Raises:
        StatisticsError: when the model cannot be fitted to the data.
    """
    check_toys(toys, rng)
    with process_pool(workspace, workers) as pool:
        fits = ModelFits(workspace)
        hypotheses = Hypotheses(fits)
        fits.bounds[fits.poi, 1] = max(fits.bounds[fits.poi, 1], 10.0 * hypotheses.strength)
        none = hypotheses.none[0]
        fitted = FittedToys(fits, draw_toys(fits, none, toys, rng), start=none, pool=pool)
        statistics = fitted.q_zero()
    failed = int(np.isnan(statistics).sum())
    warn_of_failures(failed, toys)
    statistics = np.nan_to_num(statistics, nan=np.inf)
    observed = hypotheses.q_zero
    exceeding = int((statistics >= tied(observed)).sum())
    low, high = binomial_interval(exceeding, toys)
    p0 = (exceeding + 1) / (toys + 1)
    return ToyDiscovery(
        p0=p0,
        low=low,
        high=max(high, p0),
        q0=observed,
        statistics=statistics,
        best_fit=hypotheses.strength,
        exceeding=exceeding,
        toys=toys,
        failed=failed,
        asymptotic_p0=float(ndtr(-np.sqrt(observed))),
    )
