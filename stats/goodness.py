"""How well a background describes a spectrum, and how many parameters it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from scipy.special import chdtrc, fdtrc

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background
from stats.functions import BinnedFamily, Family
from stats.spectrum import Spectrum

LEAST_EXPECTED = 5.0  # events per group of bins, so that χ² follows its distribution
ASIMOV = 1e6  # events of the simpler fit that a richer family has to give back
NESTED = 1e-5  # deviance up to which it does: nested families reach 1e-7, neighbours of other kinds 1e-4 at the least


@dataclass(frozen=True)
class Goodness:
    """Pearson's χ² over groups of neighbouring bins that expect at least five events each.

    Attributes:
        chi2: Σ (n − E)²/E.
        ndof: groups less parameters.
        p: probability of a larger χ²; NaN where ``ndof`` is not positive.
    """

    chi2: float
    ndof: int
    p: float


def chi2_test(counts: np.ndarray, expected: np.ndarray, *, n_parameters: int) -> Goodness:
    """χ² of one spectrum; bins expecting nothing (left out of the fit) do not count. Shapes (n_bins,).

    Raises:
        StatisticsError: for numbers that are not finite or negative, events in bins that expect none, or no
            expectation at all.
    """
    counts, expected = np.asarray(counts, dtype=float), np.asarray(expected, dtype=float)
    if counts.shape != expected.shape or counts.ndim != 1:
        raise StatisticsError(f"χ² needs as many bins as expectations, got {counts.shape} and {expected.shape}.")
    if not (np.isfinite(counts).all() and np.isfinite(expected).all()) or (counts < 0).any() or (expected < 0).any():
        raise StatisticsError("χ² needs counts and expectations that are finite and not negative.")
    if not expected.any():
        raise StatisticsError("There is no χ²: no bin expects events.")
    if (counts[expected == 0] > 0).any():
        raise StatisticsError("A bin holds events and expects none: leave the bins out that the fit left out.")
    starts = bin_groups(expected)
    return _pearson(np.add.reduceat(counts, starts), np.add.reduceat(expected, starts), n_parameters)


def _pearson(counts: np.ndarray, expected: np.ndarray, n_parameters: int) -> Goodness:
    chi2 = float(np.sum((counts - expected) ** 2 / expected))
    ndof = counts.size - n_parameters
    return Goodness(chi2, ndof, float(chdtrc(ndof, chi2)) if ndof > 0 else float("nan"))


@dataclass(frozen=True)
class OrderChoice:
    """What an F-test over nested families decided.

    Attributes:
        family: the one chosen.
        tests: for each step from a family to the next: (simpler, richer, F, p).
        goodness: χ² per family tried, by name.
    """

    family: Family
    tests: tuple[tuple[str, str, float, float], ...]
    goodness: dict[str, Goodness]

    def to_dict(self) -> dict[str, Any]:
        """For ``results.json``."""
        return {
            "family": self.family.name,
            "tests": [{"simpler": a, "richer": b, "f": f, "p": p} for a, b, f, p in self.tests],
            "chi2": {name: {"chi2": g.chi2, "ndof": g.ndof, "p": _or_none(g.p)} for name, g in self.goodness.items()},
        }


def choose_order(
    control: Spectrum,
    families: Sequence[Family],
    *,
    mask: np.ndarray | None = None,
    threshold: float = 0.05,
) -> OrderChoice:
    """The simplest of nested families that the next one does not improve significantly (F-test).

    The order must not be tuned on the spectrum that is tested: give a control selection, or a ``mask`` that leaves only
    sidebands. χ² runs over the same groups of bins for all families: those of the richest.

    Args:
        control: spectrum to decide on.
        families: from few to many parameters, each containing the one before.
        mask: bins to keep, True keeps, shape (n_bins,).
        threshold: probability below which the richer family is taken, between 0 and 1.

    Raises:
        StatisticsError: for fewer than two families, families that are not nested, a threshold that is no probability,
            or a control spectrum that does not determine them or leaves too few groups of bins.
    """
    if not (isinstance(threshold, Real) and 0 < threshold < 1):
        raise StatisticsError(f"The threshold of an F-test is a probability between 0 and 1, got {threshold!r}.")
    sizes = [family.n_parameters for family in families]
    if len(sizes) < 2 or any(a >= b for a, b in pairwise(sizes)):
        raise StatisticsError(f"An F-test needs nested families with rising numbers of parameters, got {sizes}.")
    counts, exposure = effective(control, mask)
    fits = [fit_background(BinnedFamily(family, control.edges), counts, exposure=exposure) for family in families]
    require_nested(fits)
    starts = bin_groups(fits[-1].seen[0])
    grouped = np.add.reduceat(counts[0], starts)
    goodness = {
        family.name: _pearson(grouped, np.add.reduceat(fit.seen[0], starts), family.n_parameters)
        for family, fit in zip(families, fits, strict=True)
    }
    tests: list[tuple[str, str, float, float]] = []
    for simpler, richer in pairwise(families):
        tests.append((simpler.name, richer.name, *_f_test(goodness[simpler.name], goodness[richer.name])))
        if not tests[-1][3] < threshold:
            return OrderChoice(simpler, tuple(tests), goodness)
    return OrderChoice(families[-1], tuple(tests), goodness)


def _f_test(simpler: Goodness, richer: Goodness) -> tuple[float, float]:
    extra = simpler.ndof - richer.ndof
    if richer.ndof <= 0:
        raise StatisticsError("Too few filled bins for an F-test: use a control selection with more events.")
    if richer.chi2 <= 0:
        return 0.0, 1.0
    statistic = float(max(simpler.chi2 - richer.chi2, 0.0) / extra / (richer.chi2 / richer.ndof))
    return statistic, float(fdtrc(extra, richer.ndof, statistic))


def require_nested(fits: Sequence[BackgroundFits]) -> None:
    """StatisticsError unless each family contains the one before: its fit to that one's expectation gives it back.

    Args:
        fits: of one and the same spectrum, from few to many parameters.
    """
    for simpler, richer in pairwise(fits):
        seen = simpler.seen[0] * (ASIMOV / simpler.seen[0].sum())
        again = fit_background(richer.model, seen, exposure=richer.exposure)
        if not again.deviance[0] < NESTED:
            names = simpler.model.family.name, richer.model.family.name
            raise StatisticsError(
                f"An F-test compares nested families, and {names[1]} does not contain {names[0]}: give orders of one "
                "family, on the same range and centre-of-mass energy."
            )


def bin_groups(expected: np.ndarray) -> np.ndarray:
    """First bins of groups of neighbours that expect ``LEAST_EXPECTED`` events each, rising; ``expected`` (n_bins,)."""
    starts, total = [0], 0.0
    remaining = expected[::-1].cumsum()[::-1]
    for index, number in enumerate(expected[:-1]):
        total += number
        if total >= LEAST_EXPECTED and remaining[index + 1] >= LEAST_EXPECTED:
            starts.append(index + 1)
            total = 0.0
    return np.array(starts)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
