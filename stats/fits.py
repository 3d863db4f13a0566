"""Fits of many spectra in one call: background alone, and background with a signal of free yield."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaln, xlogy

from stats import newton, symmetric
from stats.errors import StatisticsError
from stats.functions import BinnedFamily, LogLinear
from stats.spectrum import Spectrum

SIGNIFICANT_PART = 1e-3  # of a template's highest bin: bins below do not limit a negative yield
DEEPEST = 0.9  # share of the background that a negative signal may take in any such bin
CELLS = 75_000  # spectra × bins per block: what stays in a core's cache


@dataclass(frozen=True)
class Frame:
    """A log-linear model in coordinates u in which the fit is well conditioned: θ = rotation · u."""

    linear: LogLinear
    basis: np.ndarray
    rotation: np.ndarray

    @classmethod
    def around(cls, linear: LogLinear, events: np.ndarray) -> Frame:
        """Coordinates whose basis is orthonormal under ``events`` per bin, shape (n_bins,)."""
        weight = (events + 1e-3 * events.mean()) / events.sum()
        _, triangle = np.linalg.qr(np.sqrt(weight)[:, None] * linear.design)
        rotation = np.linalg.inv(triangle)
        return cls(linear, linear.design @ rotation, rotation)


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
    frame: Frame
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
        """Of θ, from the observed information, shape (N, n_parameters, n_parameters)."""
        inner = symmetric.inverse(self.minimum.factor, self.model.n_parameters)
        return np.einsum("ij,njk,lk->nil", self.frame.rotation, inner, self.frame.rotation)

    @property
    def expected_errors(self) -> np.ndarray:
        """Uncertainty of ``expected`` from that of θ, shape (N, n_bins)."""
        design = self.frame.linear.design
        variance = np.einsum("bi,nij,bj->nb", design, self.covariance, design, optimize=True)
        return self.expected * np.sqrt(np.maximum(variance, 0.0))

    @property
    def log_derivatives(self) -> np.ndarray:
        """∂ log E_i/∂θ_k at the fitted point, shape (N, n_bins, n_parameters)."""
        design = self.frame.linear.design
        return np.broadcast_to(design, (self.counts.shape[0], *design.shape))

    @property
    def seen(self) -> np.ndarray:
        """Expected events where the spectrum was looked at, shape (N, n_bins)."""
        return self.expected if self.exposure is None else self.expected * self.exposure

    @property
    def deviance(self) -> np.ndarray:
        """2 log of the likelihood ratio to the saturated model, shape (N,)."""
        seen = np.where(self.seen > 0, self.seen, 1.0)
        terms = self.seen - self.counts + xlogy(self.counts, self.counts / seen)
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
        converged: shape (R,).
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
    """Counts (1, n_bins) and exposure as the fits take them: effective events; ``mask`` True keeps a bin."""
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

    All N share the point about which the bin integrals are expanded (``BinnedFamily``): the fit to their sum, exact
    when N is 1, or that of ``reference``, as toys need.

    Args:
        model: family on the spectra's bins.
        counts: shape (N, n_bins) or (n_bins,); need not be whole.
        exposure: factor on the expectation, 0 to leave a bin out; shape (n_bins,) or (N, n_bins).
        reference: fit whose expansion to share.

    Raises:
        StatisticsError: for counts that are no counts, or a sum of spectra that cannot be fitted.
    """
    counts, exposure = _checked(model, counts, exposure)
    frame = reference.frame if reference is not None else _expand(model, counts, exposure)
    problem = newton.Problem(frame.basis, frame.linear.offset, counts, exposure)
    minimum = _in_blocks(problem, None)
    parameters = minimum.state.T @ frame.rotation.T
    with np.errstate(over="ignore"):
        expected = np.exp(frame.linear.offset + minimum.state.T @ frame.basis.T)
    return BackgroundFits(
        model=model,
        frame=frame,
        counts=counts,
        exposure=exposure,
        parameters=parameters,
        expected=expected,
        nll=minimum.value + gammaln(counts + 1.0).sum(axis=1),
        converged=minimum.converged,
        determined=minimum.determined & (counts.sum(axis=1) > 0),
        minimum=minimum,
    )


def fit_signal(background: BackgroundFits, template: np.ndarray, *, non_negative: bool = False) -> SignalFits:
    """Fit background + yield × template, starting from background-only fits.

    One of the two may have one row for many of the other: many templates on one spectrum, or one on many spectra.
    A signed yield may go so far below 0 that nine tenths of the background are gone in some bin of the peak.

    Args:
        background: N background-only fits, converged.
        template: signal events per bin for a yield of 1, shape (n_bins,), (N, n_bins), or (R, n_bins) if N is 1.
        non_negative: keep the yield at 0 or above.
    """
    template = np.asarray(template, dtype=float)
    rows = template.shape[0] if template.ndim == 2 and background.counts.shape[0] == 1 else background.counts.shape[0]

    def spread(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, (rows, values.shape[-1])) if values.ndim == 2 else values

    lower = np.zeros(rows) if non_negative else np.broadcast_to(_least_yield(background, template), (rows,)).copy()
    frame = background.frame
    exposure = background.exposure
    exposed = None if exposure is None else spread(exposure)
    problem = newton.Problem(frame.basis, frame.linear.offset, spread(background.counts), exposed, template, lower)
    state = np.where(background.converged, background.minimum.state, 0.0)
    start = np.concatenate([np.broadcast_to(state, (state.shape[0], rows)), np.zeros((1, rows))])
    minimum = _in_blocks(problem, start)
    nll = minimum.value + gammaln(background.counts + 1.0).sum(axis=1)
    yields = minimum.state[-1]
    gain = np.maximum(2.0 * (background.nll - nll), 0.0)
    converged = minimum.converged & background.converged
    return SignalFits(
        yields=np.where(converged, yields, np.nan),
        errors=np.where(converged & ~minimum.bounded, minimum.factor[-1], np.nan),
        nll=nll,
        significance=np.where(converged, np.sign(yields) * np.sqrt(gain), np.nan),
        bounded=minimum.bounded,
        converged=converged,
        parameters=minimum.state[:-1].T @ frame.rotation.T,
        minimum=minimum,
    )


def _least_yield(background: BackgroundFits, template: np.ndarray) -> np.ndarray:
    peak = template > SIGNIFICANT_PART * template.max(axis=-1, keepdims=True)
    share = np.where(peak, template, 0.0) / np.clip(background.expected, 1e-300, 1e300)
    return np.where(background.converged, -DEEPEST / share.max(axis=-1), 0.0)


def _checked(
    model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    counts = np.atleast_2d(np.asarray(counts, dtype=float))
    n_bins = model.edges.size - 1
    if counts.ndim != 2 or counts.shape[1] != n_bins or counts.shape[0] == 0:
        raise StatisticsError(f"Expected spectra of {n_bins} bins, got an array of shape {counts.shape}.")
    if not np.all(np.isfinite(counts)) or (counts < 0).any():
        raise StatisticsError("Counts must be finite and not negative.")
    if exposure is None:
        return counts, None
    exposure = np.asarray(exposure, dtype=float)
    if exposure.shape not in ((n_bins,), counts.shape) or not np.all(np.isfinite(exposure)) or (exposure < 0).any():
        raise StatisticsError(f"Exposure must be finite, not negative, and of shape ({n_bins},) or {counts.shape}.")
    if ((exposure > 0).sum(axis=-1) < model.n_parameters).any():
        raise StatisticsError(f"Fewer bins are left to fit than {model.family.name} has parameters.")
    return np.where(exposure > 0, counts, 0.0), exposure


def _expand(model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None) -> Frame:
    """Fit the sum of all spectra, expanding the bin integrals again about each result until nothing moves."""
    total = counts.sum(axis=0, keepdims=True)
    if total.sum() <= 0:
        raise StatisticsError("There are no events to fit a background to.")
    exposed = None if exposure is None else np.broadcast_to(exposure, counts.shape).sum(axis=0)
    if exposed is None:
        exposed = np.full(total.shape[1], float(counts.shape[0]))
    frame = Frame.around(model.middle(model.family.terms), total[0] + 0.5 * (exposed > 0))
    previous = np.inf
    for _ in range(20):
        problem = newton.Problem(frame.basis, frame.linear.offset, total, exposed)
        minimum = newton.minimise(problem, newton.starting_state(problem))
        if not minimum.determined[0]:
            raise StatisticsError(
                f"{total.sum():g} events in {int((total > 0).sum())} filled bins do not determine the "
                f"{model.n_parameters} parameters of {model.family.name}: take fewer parameters, or a looser selection."
            )
        frame = Frame.around(
            model.linearise(frame.rotation @ minimum.state[:, 0]), problem.background(minimum.state)[0]
        )
        if abs(minimum.value[0] - previous) < 1e-9:
            return frame
        previous = minimum.value[0]
    raise StatisticsError(f"The bin integrals of {model.family.name} do not settle: use narrower bins.")


def _in_blocks(problem: newton.Problem, start: np.ndarray | None) -> newton.Minimum:
    """``newton.minimise`` on blocks of spectra small enough for the cache."""
    n_spectra, n_bins = problem.counts.shape
    parts = []
    for rows in _blocks(n_spectra, max(CELLS // n_bins, 1)):
        part = problem.take(rows)
        parts.append(newton.minimise(part, newton.starting_state(part) if start is None else start[:, rows]))
    if len(parts) == 1:
        return parts[0]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1)
        for name in ("state", "value", "factor", "converged", "determined", "bounded")
    }
    return replace(parts[0], iterations=max(part.iterations for part in parts), **joined)


def _blocks(n_rows: int, size: int) -> Iterator[np.ndarray]:
    for first in range(0, n_rows, size):
        yield np.arange(first, min(first + size, n_rows))
