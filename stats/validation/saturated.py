"""Goodness of fit against the saturated model, with toys in place of asymptotic distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background
from stats.functions import BinnedFamily, Family
from stats.goodness import Goodness, bin_groups, chi2_test
from stats.lookelsewhere import binomial_interval, in_blocks
from stats.spectrum import Spectrum
from stats.validation.inputs import check_toys, or_none

HISTOGRAM_BINS = 50  # of the toys' deviance, for figures


@dataclass(frozen=True)
class ToyP:
    """A p-value counted in toys.

    Attributes:
        value: (S + 1)/(N + 1).
        low, high: central 68.3% Clopper–Pearson interval of S in N.
        exceeding: S, toys that fit at most as well as the data.
        toys: N; those with a failed fit are among them and never among S, so that they do not help the model.
    """

    value: float
    low: float
    high: float
    exceeding: int
    toys: int

    @classmethod
    def count(cls, observed: float, toys: np.ndarray) -> ToyP:
        """From the statistic of the data and of the toys, shape (N,), NaN where a fit failed."""
        exceeding = int((toys >= observed).sum())
        low, high = binomial_interval(exceeding, toys.size)
        value = (exceeding + 1) / (toys.size + 1)
        return cls(value, low, max(high, value), exceeding, toys.size)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "exceeding": self.exceeding,
            "toys": self.toys,
        }


@dataclass(frozen=True, repr=False)
class SaturatedTest:
    """How well a family describes a spectrum.

    Attributes:
        family: its name.
        deviance: −2 log of the likelihood ratio of the fit to the saturated model, which expects what was seen.
        ndof: bins looked at less parameters.
        p: of the deviance, from toys that repeat the fit.
        asymptotic_p: of the deviance, from a χ² distribution; wrong where bins expect fewer than about five events.
        goodness: Pearson's χ² over groups of bins that expect five events, with its asymptotic p.
        chi2_p: of that χ², from the same toys.
        toy_deviance, toy_chi2: shape (toys,); NaN where a fit failed.
        failed: toys with a failed fit.
    """

    family: str
    deviance: float
    ndof: int
    p: ToyP
    asymptotic_p: float
    goodness: Goodness
    chi2_p: ToyP
    toy_deviance: np.ndarray
    toy_chi2: np.ndarray
    failed: int

    def __repr__(self) -> str:
        """Both statistics with their p-values, in one line."""
        return (
            f"SaturatedTest of {self.family}: deviance/ndof {self.deviance:.1f}/{self.ndof}, p = {self.p.value:.3g}; "
            f"χ²/ndof {self.goodness.chi2:.1f}/{self.goodness.ndof}, p = {self.chi2_p.value:.3g} ({self.p.toys} toys, "
            f"{self.failed} without a fit)"
        )

    @property
    def failure_rate(self) -> float:
        """Share of toys with a failed fit."""
        return self.failed / self.p.toys

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with a histogram of the toys' deviance in place of the toys."""
        counts, edges = np.histogram(self.toy_deviance[np.isfinite(self.toy_deviance)], bins=HISTOGRAM_BINS)
        return {
            "family": self.family,
            "deviance": self.deviance,
            "ndof": self.ndof,
            "p": self.p.to_dict(),
            "asymptotic_p": or_none(self.asymptotic_p),
            "chi2": self.goodness.chi2,
            "chi2_ndof": self.goodness.ndof,
            "chi2_p": self.chi2_p.to_dict(),
            "chi2_asymptotic_p": or_none(self.goodness.p),
            "failed": self.failed,
            "failure_rate": self.failure_rate,
            "toy_deviance": {"edges": edges.tolist(), "counts": counts.tolist()},
        }


def saturated_test(
    spectrum: Spectrum,
    family: Family,
    *,
    toys: int,
    rng: np.random.Generator,
    mask: np.ndarray | None = None,
    workers: int = 1,
) -> SaturatedTest:
    """Test a family by its likelihood ratio to the saturated model (Baker and Cousins, NIM 221 (1984) 437).

    Toys are drawn from the fit and fitted again, so that parameters, empty bins and weights need no correction.
    Where most bins expect less than one event the deviance has little power, whatever its p-value: there χ² over groups
    of bins is the better of the two.
    Pearson's χ² runs over the groups of bins of the fit to the data, for the toys as well.

    Args:
        spectrum: events per bin; weighted ones are tested as effective events.
        family: background function.
        toys: how many, one at least.
        rng: spawns one generator per block of toys: the result does not depend on ``workers``.
        mask: bins to test, True keeps, shape (n_bins,); all by default.
        workers: threads.

    Raises:
        StatisticsError: for a spectrum that does not determine the family, a fit that fails, or no toys.
    """
    check_toys(toys, rng, workers, least=1)
    counts, exposure = effective(spectrum, mask)
    fit = fit_background(BinnedFamily(family, spectrum.edges), counts, exposure=exposure)
    if not fit.converged[0]:
        raise StatisticsError(f"The fit of {family.name} to the spectrum did not converge: it cannot be tested.")
    goodness = chi2_test(counts[0], fit.seen[0], n_parameters=family.n_parameters)
    starts = bin_groups(fit.seen[0])

    def block(number: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return _toy_statistics(fit, starts, number, generator)

    parts = in_blocks(block, toys=toys, n_bins=spectrum.n_bins, rng=rng, workers=workers)
    deviance, chi2 = np.concatenate(parts, axis=1)
    observed, ndof = float(fit.deviance[0]), int(fit.ndof[0])
    return SaturatedTest(
        family=family.name,
        deviance=observed,
        ndof=ndof,
        p=ToyP.count(observed, deviance),
        asymptotic_p=float(chdtrc(ndof, observed)) if ndof > 0 else float("nan"),
        goodness=goodness,
        chi2_p=ToyP.count(goodness.chi2, chi2),
        toy_deviance=deviance,
        toy_chi2=chi2,
        failed=int(np.isnan(deviance).sum()),
    )


def _toy_statistics(
    fit: BackgroundFits, starts: np.ndarray, number: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Deviance and χ² of toys drawn from ``fit`` and fitted again, shape (number,); NaN where a fit failed."""
    counts = generator.poisson(fit.seen[0], size=(number, fit.counts.shape[1])).astype(float)
    toys = fit_background(fit.model, counts, exposure=fit.exposure, reference=fit)
    seen, expected = (np.add.reduceat(values, starts, axis=1) for values in (counts, toys.seen))
    with np.errstate(all="ignore"):
        chi2 = ((seen - expected) ** 2 / expected).sum(axis=1)
    fine = toys.converged & np.isfinite(chi2)
    return np.where(fine, toys.deviance, np.nan), np.where(fine, chi2, np.nan)
