"""From the largest local significance of a scan to a global p-value."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from stats.errors import StatisticsError
from stats.fits import CELLS, BackgroundFits, fit_background
from stats.scan import scan

SIGMA = 0.6826894921370859  # probability of one standard deviation
LEVELS = (0.0, 1.0)  # significances at which the Euler characteristic is counted


@dataclass(frozen=True)
class GlobalP:
    """A global p-value.

    Attributes:
        value: for toys (S + 1)/(N + 1). With S = 0 that is an upper bound on what the toys can say: see ``is_bound``.
        low, high: central 68.3% interval: binomial (Clopper–Pearson) for S of N toys, or the spread of the
            upcrossings.
        method: "toys" or "gross-vitells".
        toys: N.
        exceeding: S, toys at least as significant as the data; toys with a failed fit are among them. None for
            Gross–Vitells.
        failed: toys with a failed fit.
    """

    value: float
    low: float
    high: float
    method: str
    toys: int
    exceeding: int | None = None
    failed: int = 0

    @property
    def is_bound(self) -> bool:
        """Whether no toy reached the data, so that ``value`` only bounds the p-value."""
        return self.exceeding == 0

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
        largest: largest local significance per toy, shape (n_toys,); +∞ for a toy with a failed fit, so that it never
            helps a discovery.
        euler: Euler characteristic of the regions above each of ``LEVELS``, shape (n_toys, n_levels).
        failed: toys with a failed fit.
    """

    largest: np.ndarray
    euler: np.ndarray
    failed: int


def toy_scans(
    background: BackgroundFits, templates: np.ndarray, *, toys: int, rng: np.random.Generator, workers: int = 1
) -> ToyScans:
    """Draw toys from a background-only fit and repeat the whole procedure on each: background fit, then every mass
    and width.

    Args:
        background: the fit of one spectrum.
        templates: shape (n_widths, n_masses, n_bins).
        toys: how many.
        rng: spawns one generator per block of toys: the result does not depend on ``workers``.
        workers: threads.
    """
    if background.counts.shape[0] != 1:
        raise StatisticsError(f"Toys are drawn from the fit of one spectrum, not of {background.counts.shape[0]}.")
    if toys < 1:
        raise StatisticsError(f"The number of toys must be positive, got {toys}.")
    size = max(CELLS // background.counts.shape[1], 1)
    sizes = [min(size, toys - first) for first in range(0, toys, size)]

    def block(job: tuple[int, np.random.Generator]) -> tuple[np.ndarray, np.ndarray]:
        number, generator = job
        counts = generator.poisson(background.seen[0], size=(number, background.counts.shape[1])).astype(float)
        fits = fit_background(background.model, counts, exposure=background.exposure, reference=background)
        scans = scan(fits, templates)
        largest = np.where(fits.converged & (scans.failed == 0), scans.largest, np.inf)
        return largest, euler_characteristic(scans.significance)

    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        parts = list(pool.map(block, zip(sizes, rng.spawn(len(sizes)), strict=True)))
    largest = np.concatenate([part[0] for part in parts])
    return ToyScans(
        largest=largest,
        euler=np.concatenate([part[1] for part in parts]),
        failed=int(np.isposinf(largest).sum()),
    )


def toy_p(observed: float, toys: ToyScans) -> GlobalP:
    """p = (S + 1)/(N + 1), S toys of N having a largest local significance of at least ``observed``."""
    number = toys.largest.size
    exceeding = int((toys.largest >= observed).sum())
    low, high = binomial_interval(exceeding, number)
    value = (exceeding + 1) / (number + 1)
    return GlobalP(value, low, max(high, value), "toys", number, exceeding, toys.failed)


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
    fine = np.isfinite(toys.largest)
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


def euler_characteristic(significance: np.ndarray) -> np.ndarray:
    """Points less edges plus faces of the grid above each of ``LEVELS``; (N, n_widths, n_masses) to (N, n_levels)."""
    result = np.empty((significance.shape[0], len(LEVELS)))
    for column, level in enumerate(LEVELS):
        above = significance > level
        along_mass = above[:, :, 1:] & above[:, :, :-1]
        along_width = above[:, 1:] & above[:, :-1]
        faces = along_mass[:, 1:] & along_mass[:, :-1]
        parts = (above, along_mass, along_width, faces)
        points, mass_edges, width_edges, squares = (part.sum(axis=(1, 2)) for part in parts)
        result[:, column] = points - mass_edges - width_edges + squares
    return result
