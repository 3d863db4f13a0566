"""Fits of many spectra in one call: background alone, and background with a signal of free yield."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from stats import newton
from stats.errors import StatisticsError
from stats.functions import BinnedFamily, LinearFamily, LogLinearFamily
from stats.inputs import check_spectrum
from stats.linear import LinearSolver
from stats.loglinear import LogLinearSolver
from stats.nonlinear import NonLinearSolver
from stats.solvers import Signal, Solver
from stats.spectrum import Spectrum
from stats.values import as_floats

__all__ = ["BackgroundFits", "SignalFits", "effective", "fit_background", "fit_signal"]

SIGNIFICANT_PART = 1e-3  # of a template's highest bin: bins below do not limit a negative yield

LEAST_SEEN = 1e-6  # share of a template in the bins looked at, below which they say nothing of its yield


@dataclass(frozen=True)
class BackgroundFits:
    """Background-only fits of N spectra.

    Attributes:
        model: what was fitted.
        counts: (effective) events, shape (N, n_bins); 0 where left out.
        exposure: factor on the expectation, shape (n_bins,) or (N, n_bins), 0 for bins left out; None means 1.
        parameters: the family's θ, shape (N, n_parameters).
        expected: events per unit exposure, bins left out included, shape (N, n_bins).
        nll: −log of the Poisson probability, shape (N,).
        converged: whether −log L reached its lowest value, shape (N,).
        determined: whether the spectrum determines the parameters, shape (N,): some sparse ones drive them to infinity,
            where −log L still has a limit.
    """

    model: BinnedFamily
    solver: Solver
    counts: np.ndarray
    exposure: np.ndarray | None
    parameters: np.ndarray
    expected: np.ndarray
    nll: np.ndarray
    converged: np.ndarray
    determined: np.ndarray
    minimum: newton.Minimum

    @property
    def covariance(self) -> np.ndarray:
        """Of θ, shape (N, n_parameters, n_parameters): from the observed information, for families that are neither
        linear nor log-linear the expected one; parameters that a positive expectation holds are held."""
        return self.solver.covariance(self.minimum)

    @property
    def log_derivatives(self) -> np.ndarray:
        """∂ log E_i/∂θ_k at the fitted point, shape (N, n_bins, n_parameters)."""
        return self.solver.log_derivatives(self.minimum.state)

    @property
    def expected_errors(self) -> np.ndarray:
        """Uncertainty of ``expected`` from that of θ, shape (N, n_bins)."""
        slopes = self.log_derivatives
        variance = np.einsum("nbi,nij,nbj->nb", slopes, self.covariance, slopes, optimize=True)
        return self.expected * np.sqrt(np.maximum(variance, 0.0))

    @property
    def seen(self) -> np.ndarray:
        """Expected events where the spectrum was looked at, shape (N, n_bins)."""
        return self.expected if self.exposure is None else self.expected * self.exposure

    @property
    def deviance(self) -> np.ndarray:
        """2 log of the likelihood ratio to the saturated model, shape (N,).

        Per bin n (r − log(1 + r)) with r = E/n − 1, which does not cancel where E is all but n.
        """
        filled = self.counts > 0
        ratio = np.where(filled, (self.seen - self.counts) / np.where(filled, self.counts, 1.0), 0.0)
        with np.errstate(divide="ignore"):
            terms = np.where(filled, self.counts * (ratio - np.log1p(ratio)), self.seen)
        return 2.0 * terms.sum(axis=1)

    @property
    def ndof(self) -> np.ndarray:
        """Bins looked at less parameters, shape (N,)."""
        bins = (self.seen > 0).sum(axis=1)
        return bins - self.model.n_parameters


@dataclass(frozen=True)
class SignalFits:
    """Signal + background fits, one per row.

    Attributes:
        yields: fitted signal events inside the spectrum, shape (R,); NaN where not converged.
        errors: their uncertainty from the curvature, shape (R,); where ``bounded``, the curvature is not one and it
            is NaN.
        nll: −log of the Poisson probability, shape (R,).
        significance: sign(yield) · √(2 (nll of background alone − nll)), shape (R,).
        bounded: whether the yield rests on its lower bound.
        converged: shape (R,); False, too, where a template lies wholly in bins left out.
    """

    yields: np.ndarray
    errors: np.ndarray
    nll: np.ndarray
    significance: np.ndarray
    bounded: np.ndarray
    converged: np.ndarray
    parameters: np.ndarray
    minimum: newton.Minimum


def effective(spectrum: Spectrum, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Counts (1, n_bins) and exposure as the fits take them: effective events; ``mask`` True keeps a bin.

    Yields and errors of weighted spectra are in weights again. That holds where weights vary little (a factor of some):
    where one bin in many holds an event of twenty times the others' weight, errors are a fifth too small.
    """
    check_spectrum(spectrum)
    scale = spectrum.scale
    counts = spectrum.counts * scale
    if mask is None:
        return counts[None], None if spectrum.is_counts else scale
    mask = np.asarray(mask, dtype=bool)
    if mask.shape != spectrum.counts.shape:
        raise StatisticsError(f"A mask of shape {mask.shape} for {spectrum.n_bins} bins: one flag per bin is needed.")
    return np.where(mask, counts, 0.0)[None], np.where(mask, scale, 0.0)


def fit_background(
    model: BinnedFamily,
    counts: np.ndarray,
    *,
    exposure: np.ndarray | None = None,
    reference: BackgroundFits | None = None,
) -> BackgroundFits:
    """Fit the background to N spectra.

    Log-linear families: all N share the point about which the bin integrals are expanded (``BinnedFamily``), the fit to
    their sum, exact when N is 1, or that of ``reference``, as toys need. Linear families keep every bin positive (or
    every parameter, as the family says). Families of neither kind find their starting values themselves.

    Args:
        model: family on the spectra's bins.
        counts: shape (N, n_bins) or (n_bins,); need not be whole.
        exposure: factor on the expectation, 0 to leave a bin out; shape (n_bins,) or (N, n_bins).
        reference: fit whose expansion and coordinates to share.

    Raises:
        StatisticsError: for counts that are no counts, or a sum of spectra that cannot be fitted.
    """
    counts, exposure = _checked(model, counts, exposure)
    solver = _solver(model, counts, exposure) if reference is None else reference.solver
    minimum = solver.fit(counts, exposure)
    return BackgroundFits(
        model=model,
        solver=solver,
        counts=counts,
        exposure=exposure,
        parameters=solver.parameters(minimum.state),
        expected=solver.expected(minimum.state),
        nll=minimum.value + gammaln(counts + 1.0).sum(axis=1),
        converged=minimum.converged,
        determined=minimum.determined & (counts.sum(axis=1) > 0),
        minimum=minimum,
    )


def fit_signal(background: BackgroundFits, template: np.ndarray, *, non_negative: bool = False) -> SignalFits:
    """Fit background + yield × template, starting from background-only fits.

    One of the two may have one row for many of the other: many templates on one spectrum, or one on many spectra.
    A signed yield may go so far below 0 that nine tenths of the background are gone in some bin of the peak: of the
    background-only fit, or for linear families of the same fit. In sparse spectra deficits often end there
    (``bounded``), with the significance of losing that much; excesses never do.

    Args:
        background: N background-only fits, converged.
        template: signal events per bin for a yield of 1, shape (n_bins,), (N, n_bins), or (R, n_bins) if N is 1.
        non_negative: keep the yield at 0 or above.

    Raises:
        StatisticsError: for a template that is none: NaN, negative, empty, or of another shape.
    """
    template = _checked_template(background, template)
    rows = template.shape[0] if template.ndim == 2 and background.counts.shape[0] == 1 else background.counts.shape[0]

    def spread(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, (rows, values.shape[-1])) if values.ndim == 2 else values

    peak = template > SIGNIFICANT_PART * template.max(axis=-1, keepdims=True)
    exposure = None if background.exposure is None else spread(background.exposure)
    minimum = background.solver.fit_signal(
        background.minimum, spread(background.counts), exposure, Signal(template, peak, non_negative)
    )
    nll = minimum.value + gammaln(background.counts + 1.0).sum(axis=1)
    yields = minimum.state[-1]
    gain = np.maximum(2.0 * (background.nll - nll), 0.0)
    seen = template.sum(axis=-1) if exposure is None else (template * (exposure > 0)).sum(axis=-1)
    converged = minimum.converged & background.converged & (seen > LEAST_SEEN * template.sum(axis=-1))
    return SignalFits(
        yields=np.where(converged, yields, np.nan),
        errors=np.where(converged & ~minimum.bounded, minimum.factor[-1], np.nan),
        nll=nll,
        significance=np.where(converged, np.sign(yields) * np.sqrt(gain), np.nan),
        bounded=minimum.bounded,
        converged=converged,
        parameters=background.solver.parameters(minimum.state),
        minimum=minimum,
    )


def _checked_template(background: BackgroundFits, template: np.ndarray) -> np.ndarray:
    template = as_floats(template, "A signal template")
    n_spectra, n_bins = background.counts.shape
    if (
        template.shape[-1:] != (n_bins,)
        or template.ndim > 2
        or (template.ndim == 2 and 1 != n_spectra != len(template))
    ):
        raise StatisticsError(
            f"A signal template of shape {template.shape} for {n_spectra} spectra of {n_bins} bins: "
            f"expected ({n_bins},) or one row per spectrum."
        )
    if not np.all(np.isfinite(template)) or (template < 0).any():
        raise StatisticsError("A signal template must be finite and not negative.")
    if not template.any(axis=-1).all():
        raise StatisticsError(
            "A signal template is empty: no signal falls into the spectrum, so there is no yield to fit."
        )
    return template


def _solver(model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None) -> Solver:
    if isinstance(model.family, LogLinearFamily):
        return LogLinearSolver(model, counts, exposure)
    if isinstance(model.family, LinearFamily):
        return LinearSolver(model, counts, exposure)
    return NonLinearSolver(model, counts, exposure)


def _checked(
    model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    if not isinstance(model, BinnedFamily):
        raise StatisticsError(f"Expected a BinnedFamily(family, edges) to fit, got a {type(model).__name__}.")
    counts = np.atleast_2d(as_floats(counts, "Counts"))
    n_bins = model.edges.size - 1
    if counts.ndim != 2 or counts.shape[1] != n_bins or counts.shape[0] == 0:
        raise StatisticsError(f"Expected spectra of {n_bins} bins, got an array of shape {counts.shape}.")
    if not np.all(np.isfinite(counts)) or (counts < 0).any():
        raise StatisticsError("Counts must be finite and not negative.")
    if exposure is None:
        return counts, None
    exposure = as_floats(exposure, "Exposure")
    if exposure.shape not in ((n_bins,), counts.shape) or not np.all(np.isfinite(exposure)) or (exposure < 0).any():
        raise StatisticsError(f"Exposure must be finite, not negative, and of shape ({n_bins},) or {counts.shape}.")
    if ((exposure > 0).sum(axis=-1) < model.n_parameters).any():
        raise StatisticsError(f"Fewer bins are left to fit than {model.family.name} has parameters.")
    return np.where(exposure > 0, counts, 0.0), exposure
