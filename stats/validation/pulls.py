"""Signals injected into toys and fitted again: pulls in three definitions, and what to think of their mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import gammaln, xlogy

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, SignalFits, fit_background
from stats.validation.inputs import or_none

PullKind = Literal["curvature", "expected", "likelihood"]
Verdict = Literal["unbiased", "biased", "undecided"]

PULLS: tuple[PullKind, ...] = ("curvature", "expected", "likelihood")
MOST_UNDEFINED = 0.01  # share of toys without a pull above which their mean is not judged
HELD_ITERATIONS = 200
HELD_TOLERANCE = 1e-6  # in −log L, per iteration


@dataclass(frozen=True)
class PullPoint:
    """Toys of one mass and injected strength, fitted with one background family and a signed signal.

    Attributes:
        mass: GeV.
        strength: injected, in units of the expected error without signal.
        injected: the same in events inside the spectrum.
        expected_error: of the yield, from the fit of the expectation with the injected signal; NaN where that fit
            ends at the lower bound of the yield.
        fitted, fitted_error: mean of the fitted yields and its error, in events.
        mean, mean_error, width, median: of the pulls; NaN where fewer than two toys have one.
        bias, bias_error: mean of (fitted − injected)/expected_error over all fitted toys: the bias of the yield itself.
        toys: how many.
        failed: toys whose fits did not converge; they are left out.
        bounded: toys whose yield rests on its lower bound.
        undefined: toys without a pull: the failed ones and, in the curvature definition, those at the bound.
    """

    mass: float
    strength: float
    injected: float
    expected_error: float
    fitted: float
    fitted_error: float
    mean: float
    mean_error: float
    width: float
    median: float
    bias: float
    bias_error: float
    toys: int
    failed: int
    bounded: int
    undefined: int

    def verdict(self, threshold: float) -> Verdict:
        """Whether |mean| is below ``threshold``: undecided within its error, or if too many toys have no pull."""
        if self.undefined > MOST_UNDEFINED * self.toys or not np.isfinite(self.mean_error):
            return "undecided"
        if abs(self.mean) + self.mean_error < threshold:
            return "unbiased"
        return "biased" if abs(self.mean) - self.mean_error >= threshold else "undecided"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: or_none(value) if isinstance(value, float) else value for name, value in values.items()}


def joint_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """Biased if any is, unbiased if all are."""
    found = set(verdicts)
    if "biased" in found:
        return "biased"
    return "undecided" if "undecided" in found else "unbiased"


def check_pull(pull: str, threshold: float) -> None:
    """StatisticsError for a definition that does not exist or a threshold that is not positive."""
    if pull not in PULLS:
        raise StatisticsError(f"There is no pull {pull!r}: choose one of {', '.join(PULLS)}.")
    if not (np.isfinite(threshold) and threshold > 0):
        raise StatisticsError(f"The threshold on the mean pull must be positive, got {threshold!r}.")


def pulls(
    kind: PullKind,
    background: BackgroundFits,
    signal: SignalFits,
    template: np.ndarray,
    *,
    injected: float,
    expected_error: float,
) -> np.ndarray:
    """Pulls of N toys, shape (N,); NaN where there is none.

    "curvature": (fitted − injected)/error of the toy, the custom. The error follows the fluctuation, so that below an
    expected error of about 4 events the mean is off by more than 0.1 for an unbiased yield (dijet functions with 3
    parameters), and at the lower bound of the yield there is no error.
    "expected": (fitted − injected)/expected error: its mean is the bias of the yield.
    "likelihood": sign(fitted − injected) √(2 Δ log L) between the fit and one with the yield held at the injected one:
    what p-values and limits are made of, nearest to a normal distribution, defined at the bound. It takes more fits.
    """
    difference = np.where(signal.converged, signal.yields - injected, np.nan)
    if kind == "curvature":
        return difference / signal.errors
    if kind == "expected":
        return difference / expected_error
    if injected == 0:
        return np.where(signal.converged, signal.significance, np.nan)
    gain = 2.0 * (held_nll(background, injected * template) - signal.nll)
    return np.sign(difference) * np.sqrt(np.maximum(gain, 0.0))


def held_nll(background: BackgroundFits, signal: np.ndarray) -> np.ndarray:
    """−log L with the signal held at ``signal`` events per bin and unit exposure, shape (n_bins,); result (N,).

    By expectation maximisation (Dempster, Laird and Rubin 1977): each bin's events are shared out between signal and
    background as both expect, the background is fitted to its share, and again. Any family that ``fit_background`` can
    fit will do, and −log L falls at each step. NaN for those that have not settled after ``HELD_ITERATIONS``.
    """
    exposure = np.ones_like(background.counts) if background.exposure is None else background.exposure
    exposure = np.broadcast_to(exposure, background.counts.shape)
    result = np.full(background.counts.shape[0], np.nan)
    rows = np.flatnonzero(background.converged)
    expected, previous = background.expected[rows], np.full(rows.size, np.inf)
    for _ in range(HELD_ITERATIONS):
        counts, factor = background.counts[rows], exposure[rows]
        total = expected + signal
        nll = _nll(counts, total * factor)
        settled = np.abs(previous - nll) < HELD_TOLERANCE
        result[rows[settled]] = nll[settled]
        keep = ~settled & np.isfinite(nll)
        if not keep.any():
            break
        share = (counts * expected / total)[keep]
        given = None if background.exposure is None else factor[keep]
        fits = fit_background(background.model, share, exposure=given, reference=background)
        good = fits.converged
        rows, previous, expected = rows[keep][good], nll[keep][good], fits.expected[good]
    return result


def _nll(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """−log of the Poisson probability, shape (N,); not finite where the expectation is not."""
    with np.errstate(all="ignore"):
        logs = xlogy(counts, np.where(expected > 0, expected, 1.0))
        return (expected - logs + gammaln(counts + 1.0)).sum(axis=1)


def pull_point(
    values: np.ndarray,
    yields: np.ndarray,
    bounded: np.ndarray,
    *,
    mass: float,
    strength: float,
    injected: float,
    expected_error: float,
) -> PullPoint:
    """Summary of N toys: their pulls, yields (NaN where a fit failed) and whether these rest on the bound."""
    fine = np.isfinite(yields)
    defined = values[np.isfinite(values)]
    mean, mean_error, width = _moments(defined)
    fitted, fitted_error, _ = _moments(yields[fine])
    return PullPoint(
        mass=mass,
        strength=strength,
        injected=injected,
        expected_error=expected_error,
        fitted=fitted,
        fitted_error=fitted_error,
        mean=mean,
        mean_error=mean_error,
        width=width,
        median=float(np.median(defined)) if defined.size else float("nan"),
        bias=(fitted - injected) / expected_error,
        bias_error=fitted_error / expected_error,
        toys=int(values.size),
        failed=int((~fine).sum()),
        bounded=int((bounded & fine).sum()),
        undefined=int(values.size - defined.size),
    )


def _moments(values: np.ndarray) -> tuple[float, float, float]:
    """Mean, its error and the standard deviation; NaN for fewer than two values."""
    if values.size < 2:
        return float("nan"), float("nan"), float("nan")
    width = float(values.std(ddof=1))
    return float(values.mean()), width / float(np.sqrt(values.size)), width
