"""Spurious signal: what a fit with signal finds in a spectrum that has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background, fit_signal
from stats.functions import BinnedFamily, Family
from stats.signals import SignalShape
from stats.spectrum import Spectrum
from stats.validation.inputs import checked_masses, or_none, peaks
from stats.values import positive

LIMIT = 0.2  # of the statistical error: the criterion of ATL-PHYS-PUB-2020-028 for searches


@dataclass(frozen=True)
class SpuriousSignal:
    """Signal fitted to a signal-free template, per mass.

    Attributes:
        family: of the fit; truth: family of the template, None for a spectrum as it was given.
        masses: GeV, shape (n_masses,).
        yields: spurious signal in events, shape (n_masses,); NaN where the fit failed.
        errors: statistical error σ_S of the yield in data of the template's size, shape (n_masses,).
        template_errors: error of ``yields`` from the limited statistics of the template, shape (n_masses,).
        limit: largest |S|/σ_S that is accepted.
        tolerance: template errors by which S may exceed it.
        failed: masses without a fit.
    """

    family: str
    truth: str | None
    masses: np.ndarray
    yields: np.ndarray
    errors: np.ndarray
    template_errors: np.ndarray
    limit: float
    tolerance: float
    failed: int

    @property
    def ratio(self) -> np.ndarray:
        """S/σ_S, shape (n_masses,)."""
        return self.yields / self.errors

    @property
    def relaxed(self) -> np.ndarray:
        """S/σ_S brought nearer to 0 by ``tolerance`` template errors, 0 if that reaches it; shape (n_masses,)."""
        allowed = self.tolerance * self.template_errors
        return np.sign(self.yields) * np.maximum(np.abs(self.yields) - allowed, 0.0) / self.errors

    @property
    def accepted(self) -> np.ndarray:
        """|S| < limit·σ_S or compatible with that within the template's statistics; shape (n_masses,)."""
        return np.abs(self.relaxed) < self.limit

    @property
    def resolved(self) -> np.ndarray:
        """Whether the template has the statistics to tell: its error is below ``limit``·σ_S; shape (n_masses,)."""
        return self.template_errors < self.limit * self.errors

    @property
    def systematic(self) -> float:
        """Largest |S| in events, to be taken as uncertainty on the yield (ATLAS); NaN if every fit failed."""
        known = np.abs(self.yields[np.isfinite(self.yields)])
        return float(known.max()) if known.size else float("nan")

    @property
    def verdict(self) -> Literal["accepted", "rejected", "undecided"]:
        """Rejected if one mass is; undecided where a fit failed or the template has not the statistics to tell."""
        known = np.isfinite(self.ratio)
        if not self.accepted[known].all():
            return "rejected"
        return "accepted" if known.all() and self.resolved.all() else "undecided"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        columns = ("masses", "yields", "errors", "template_errors", "ratio", "relaxed")
        return {
            "family": self.family,
            "truth": self.truth,
            "limit": self.limit,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
            "systematic": or_none(self.systematic),
            "failed": self.failed,
            "accepted": self.accepted.tolist(),
            "resolved": self.resolved.tolist(),
            **{name: [or_none(value) for value in getattr(self, name)] for name in columns},
        }


def spurious_signal(
    spectrum: Spectrum,
    family: Family,
    *,
    masses: Sequence[float] | np.ndarray,
    width: float = 0.03,
    relative: bool = True,
    shape: SignalShape | None = None,
    truth: Family | None = None,
    scale: float = 1.0,
    limit: float = LIMIT,
    tolerance: float = 1.0,
    mask: np.ndarray | None = None,
) -> SpuriousSignal:
    """Fit background + signed signal to a template without signal (ATL-PHYS-PUB-2020-028).

    The template stands for the expectation of the data: it is fitted with the weights that data would have, and σ_S
    is the error that data would have. The template's own variances (sums of squared weights) are propagated through
    that fit: δS = Σ_i (∂S/∂n_i) δn_i.

    Args:
        spectrum: simulation normalised to the data's luminosity, or data to which ``truth`` is fitted.
        family: background function under test.
        masses: GeV, rising, inside the spectrum.
        width: standard deviation of the Gaussian peak, a fraction of its mass (``relative``) or in GeV.
        shape: another signal shape, in place of the Gaussian.
        truth: take this family, fitted to the spectrum, as the template: without statistical error.
        scale: expected events of the data over those of the template.
        limit: largest |S|/σ_S accepted, to be fixed before looking.
        tolerance: template errors that are granted on top; 0 for the strict criterion.
        mask: bins that ``truth`` is fitted to, True keeps, to leave a signal out; shape (n_bins,). A template as it
            was given has none.

    Raises:
        StatisticsError: for an empty spectrum or one that does not determine the families, masses outside it, a
            ``mask`` without ``truth``, or a ``scale``, ``limit`` or ``tolerance`` that is none.
    """
    _check_criterion(scale, limit, tolerance)
    grid = checked_masses(masses)
    templates = peaks(spectrum.edges, grid, width=width, relative=relative, shape=shape)
    events, variances = _template(spectrum, truth, scale, mask)
    background = fit_background(BinnedFamily(family, spectrum.edges), events)
    if not background.converged[0]:
        raise StatisticsError(f"The fit of {family.name} to the template did not converge: it cannot be tested.")
    fits = fit_signal(background, templates)
    errors, template_errors = _errors(background, templates, variances)
    # at its lower bound the yield is not the answer of the fit but of the bound
    fine = fits.converged & ~fits.bounded
    return SpuriousSignal(
        family=family.name,
        truth=None if truth is None else truth.name,
        masses=grid,
        yields=np.where(fine, fits.yields, np.nan),
        errors=errors,
        template_errors=template_errors,
        limit=float(limit),
        tolerance=float(tolerance),
        failed=int((~fine).sum()),
    )


def _check_criterion(scale: float, limit: float, tolerance: float) -> None:
    positive(scale, "The scale of a spurious-signal test must be finite and positive")
    positive(limit, "The limit of a spurious-signal test must be finite and positive")
    if tolerance != 0:
        positive(tolerance, "The tolerance of a spurious-signal test must be finite and not negative")


def _template(
    spectrum: Spectrum, truth: Family | None, scale: float, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Events that data would have per bin, and the template's variances; shapes (n_bins,)."""
    if truth is None:
        if mask is not None:
            raise StatisticsError(
                "A mask leaves bins out of the fit of `truth`, and there is none: the test fits the whole template. "
                "Give the family that makes the template, or no mask."
            )
        return scale * spectrum.counts, scale**2 * spectrum.variances
    counts, exposure = effective(spectrum, mask)
    fit = fit_background(BinnedFamily(truth, spectrum.edges), counts, exposure=exposure)
    if not fit.converged[0]:
        raise StatisticsError(f"The fit of {truth.name} to the spectrum did not converge: it makes no template.")
    return scale * fit.expected[0], np.zeros(spectrum.n_bins)


def _errors(background: BackgroundFits, templates: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ_S and the error of S from the template's variances, shapes (n_masses,), by the expected information.

    In units of √E_i per bin let r be the part of the signal that is orthogonal to all ∂E/∂θ. The expected information
    on S with θ free is |r|², and ∂S/∂n_i = r_i / (|r|² √E_i).
    """
    root = np.sqrt(np.maximum(background.seen[0], 1e-300))
    slopes = root[:, None] * background.model.log_derivatives(background.parameters[0])
    basis, _ = np.linalg.qr(slopes)
    signal = templates / root
    rest = signal - (signal @ basis) @ basis.T
    information = (rest**2).sum(axis=1)
    response = rest / information[:, None] / root
    return 1.0 / np.sqrt(information), np.sqrt(response**2 @ variances)
