"""From the largest local significance of a scan to a global p-value."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from stats.errors import StatisticsError
from stats.inputs import check_generator, check_number
from stats.procedures import Outcome, Procedure
from stats.scan import LEVELS
from stats.solvers import CELLS

LARGEST_FAILURE = 0.1  # share of toys with a failed fit, above which a p-value would be that of the failures
WORRYING_FAILURE = 1e-3  # share above which a p-value is given with a warning
SIGMA = 0.6826894921370859  # probability of one standard deviation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GlobalP:
    """A global p-value.

    Attributes:
        value: for toys (S + 1)/(N + 1). With S = 0 that is an upper bound on what the toys can say: see ``is_bound``.
        low, high: central 68.3% interval: binomial (Clopper–Pearson) for S of N toys, ``low`` without the failed ones
            among S; or the spread of the upcrossings.
        method: "toys" or "gross-vitells".
        toys: N.
        exceeding: S, toys at least as significant as the data; toys with a failed fit are among them. None for
            Gross–Vitells.
        failed: toys with a failed fit.
        saturated: whether the toys end before the data although some are counted as exceeding (ties of ranks).
    """

    value: float
    low: float
    high: float
    method: str
    toys: int
    exceeding: int | None = None
    failed: int = 0
    saturated: bool = False

    @property
    def is_bound(self) -> bool:
        """Whether no toy reached the data, failed ones apart, so that ``value`` only bounds the p-value."""
        return self.saturated or (self.exceeding is not None and self.exceeding <= self.failed)

    @property
    def failure_rate(self) -> float:
        """Share of the toys with a failed fit."""
        return self.failed / self.toys if self.toys else 0.0

    @property
    def z(self) -> float:
        """The significance of ``value``; a lower bound where that is a bound."""
        return float(-ndtri(self.value))

    def to_dict(self) -> dict[str, Any]:
        """As in ``results.json``."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "method": self.method,
            "toys": self.toys,
            "exceeding": self.exceeding,
            "is_bound": self.is_bound,
            "failed": self.failed,
        }


@dataclass(frozen=True)
class ToyScans:
    """What toys say about a scan.

    Attributes:
        largest: test statistic per toy, for a likelihood scan the largest local significance, shape (n_toys,); +∞ for
            a toy with a failed fit, so that it never helps a discovery.
        euler: Euler characteristic of the regions above each of ``LEVELS``, shape (n_toys, n_levels).
        failed: toys with a failed fit.
    """

    largest: np.ndarray
    euler: np.ndarray
    failed: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> ToyScans:
        """Blocks of toys, one after the other."""
        largest = np.concatenate([outcome.largest for outcome in outcomes])
        euler = np.concatenate([outcome.euler for outcome in outcomes])
        return cls(largest, euler, int(np.isposinf(largest).sum()))


def run_toys(procedure: Procedure, *, toys: int, rng: np.random.Generator, workers: int = 1) -> ToyScans:
    """Draw toys from the background fit of a procedure and put each through the whole of it.

    Args:
        toys: how many.
        rng: spawns one generator per block of toys: the result does not depend on ``workers``.
        workers: threads.
    """
    expected = procedure.background.seen
    if expected.shape[0] != 1:
        raise StatisticsError(f"Toys are drawn from the fit of one spectrum, not of {expected.shape[0]}.")

    def block(number: int, generator: np.random.Generator) -> Outcome:
        return procedure(generator.poisson(expected[0], size=(number, expected.shape[1])).astype(float))

    return ToyScans.of(in_blocks(block, toys=toys, n_bins=expected.shape[1], rng=rng, workers=workers))


T = TypeVar("T")


def in_blocks(
    block: Callable[[int, np.random.Generator], T], *, toys: int, n_bins: int, rng: np.random.Generator, workers: int
) -> list[T]:
    """Call ``block`` with numbers of toys that add up to ``toys`` and a generator of its own each, in threads."""
    check_number(toys, "toys", least=1)
    check_number(workers, "workers", least=1)
    check_generator(rng)
    size = max(CELLS // n_bins, 1)
    sizes = [min(size, toys - first) for first in range(0, toys, size)]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(block, sizes, rng.spawn(len(sizes))))


def toy_p(observed: float, toys: ToyScans) -> GlobalP:
    """p = (S + 1)/(N + 1), S toys of N having a largest local significance of at least ``observed``.

    Failed toys are among S. Above 0.1% of the toys they are logged as a warning.

    Raises:
        StatisticsError: for NaN, and where more than 10% of the toys failed.
    """
    if np.isnan(observed):
        raise StatisticsError("The data have no test statistic (NaN), so that there is no global p-value.")
    number = toys.largest.size
    _check_failures(toys.failed, number)
    exceeding = int((toys.largest >= observed).sum())
    low = binomial_interval(max(exceeding - toys.failed, 0), number)[0]
    high = binomial_interval(exceeding, number)[1]
    value = (exceeding + 1) / (number + 1)
    return GlobalP(value, low, max(high, value), "toys", number, exceeding, toys.failed)


def _check_failures(failed: int, number: int) -> None:
    if failed > LARGEST_FAILURE * number:
        raise StatisticsError(
            f"{failed} of {number} toys have a failed fit, more than {LARGEST_FAILURE:.0%}: a global p-value would be "
            "that of the failures. Take a background function with fewer parameters, or a looser selection."
        )
    if failed > WORRYING_FAILURE * number:
        logger.warning("%d of %d toys have a failed fit and count as exceeding the data", failed, number)


def binomial_interval(successes: int, trials: int, *, probability: float = SIGMA) -> tuple[float, float]:
    """Central Clopper–Pearson interval for a fraction."""
    tail = 0.5 * (1.0 - probability)
    low = float(beta.ppf(tail, successes, trials - successes + 1)) if successes > 0 else 0.0
    high = float(beta.ppf(1.0 - tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return low, high


def gross_vitells_p(observed: float, toys: ToyScans, *, two_dimensional: bool) -> GlobalP:
    """Global p extrapolated from the toys' regions above low thresholds.

    For a significance u the expected Euler characteristic of the region above it, Φ(−u) + exp(−u²/2) (N₁ + u N₂),
    tends to the global p (Gross and Vitells arXiv:1005.1891 for a scan over mass, where N₂ = 0 and it counts
    upcrossings; Vitells and Gross arXiv:1105.4355 with widths, too). N₁ and N₂ are measured at low u. For
    ``observed`` below about 2 it is no p-value any more and is cut at 1.
    """
    fine = np.isfinite(toys.largest) & np.isfinite(toys.euler).all(axis=1)
    if fine.sum() < 2:
        raise StatisticsError("Gross–Vitells needs at least two toys with a fit.")
    levels = np.array(LEVELS)
    excess = (toys.euler[fine] - ndtr(-levels)) * np.exp(0.5 * levels**2)
    powers = np.stack([np.ones(levels.size), levels], axis=1) if two_dimensional else np.array([[0.0], [1.0]])
    coefficients = excess @ np.linalg.pinv(powers).T
    at_observed = coefficients @ np.array([1.0, observed] if two_dimensional else [1.0]) * np.exp(-0.5 * observed**2)
    mean, spread = float(at_observed.mean()), float(at_observed.std(ddof=1) / np.sqrt(fine.sum()))
    value, low, high = (float(np.clip(ndtr(-observed) + mean + s * spread, 0.0, 1.0)) for s in (0.0, -1.0, 1.0))
    return GlobalP(max(value, float(ndtr(-observed))), low, high, "gross-vitells", int(fine.sum()), None, toys.failed)
