"""What a bump hunt found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import log_ndtr, ndtr

from stats.bumphunter import Bump
from stats.fits import BackgroundFits
from stats.functions import Family
from stats.goodness import Goodness, OrderChoice
from stats.lookelsewhere import GlobalP, ToyScans
from stats.procedures import Procedure
from stats.signals import SignalShape
from stats.spectrum import Spectrum


@dataclass(frozen=True, repr=False)
class BumpHunt:
    """Result of a bump hunt.

    Attributes:
        spectrum, family: what was searched, with which background.
        background: the background-only fit; ``background.expected[0]`` in effective events per unit exposure.
        goodness: χ² of that fit.
        masses: GeV, shape (n_masses,).
        widths: standard deviation of the peak, shape (n_widths,), in ``width_unit``; for shapes whose width is no fixed
            number, that over the mass, taken in the middle of the masses.
        shapes: the signal shapes, one per width.
        yields, yield_errors: fitted signal events in the spectrum, shape (n_widths, n_masses).
        significance: signed local significance, sign(yield)·√(2 Δ log L), shape (n_widths, n_masses); NaN where a
            fit failed.
        failed_fits: scan points without a fit.
        procedure: what toys go through, as ``combine_hunts`` needs it.
        statistic: "likelihood" or "bumphunter": what the global p-value is of.
        width_unit: "relative" or "GeV".
        order: how the family was chosen on this spectrum; None where it was given.
        bump: the window that the BumpHunter found, None for the likelihood.
        global_p: from toys, or None when none were asked for.
        gross_vitells: extrapolated from the same toys; None for the BumpHunter and for shapes that are no continuous
            scan over the width.
        toys: the toys' test statistics, None when none were asked for.
    """

    spectrum: Spectrum
    family: Family
    background: BackgroundFits
    goodness: Goodness
    masses: np.ndarray
    widths: np.ndarray
    shapes: tuple[SignalShape, ...]
    yields: np.ndarray
    yield_errors: np.ndarray
    significance: np.ndarray
    failed_fits: int
    procedure: Procedure = field(repr=False)
    statistic: str = "likelihood"
    width_unit: str = "relative"
    order: OrderChoice | None = None
    bump: Bump | None = None
    global_p: GlobalP | None = None
    gross_vitells: GlobalP | None = None
    toys: ToyScans | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """Where the largest excess is and what it is worth, in two lines."""
        width, mass = self.best if np.isfinite(self.significance).any() else (0, 0)
        unit = "GeV" if self.width_unit == "GeV" else "of the mass"
        found = f"{self.yields[width, mass]:.4g} ± {self.yield_errors[width, mass]:.2g} events"
        lines = [
            f"BumpHunt over {self.family.name}: largest excess at {self.masses[mass]:g} GeV, "
            f"width {self.widths[width]:.3g} {unit}, {found}",
            f"local {self.significance[width, mass]:.2f}σ",
        ]
        if self.bump is not None:
            lines[1] += f", BumpHunter {self.bump.z:.2f}σ in {self.bump.low:g} to {self.bump.high:g} GeV"
        if self.global_p is not None:
            bound = "≤" if self.global_p.is_bound else "="
            lines[1] += f", global p {bound} {self.global_p.value:.2g} ({self.global_p.toys} toys)"
        lines[1] += f"; χ²/ndof {self.goodness.chi2:.1f}/{self.goodness.ndof}"
        return "\n".join(lines)

    @property
    def local_p0(self) -> np.ndarray:
        """Uncapped p0 = Φ(−significance), uniform without a signal; shape (n_widths, n_masses).

        Beyond 37 standard deviations it is below what a float holds, and 0: ``log_local_p0`` is not.
        """
        return ndtr(-self.significance)

    @property
    def log_local_p0(self) -> np.ndarray:
        """Natural logarithm of the uncapped p0, exact where that underflows; shape (n_widths, n_masses)."""
        return log_ndtr(-self.significance)

    @property
    def capped_p0(self) -> np.ndarray:
        """p0 from q₀, 0.5 for every deficit (arXiv:1007.1727, equation 12), shape (n_widths, n_masses)."""
        return np.minimum(self.local_p0, 0.5)

    @property
    def best(self) -> tuple[int, int]:
        """Width and mass index of the largest local significance."""
        index = np.nanargmax(self.significance)
        width, mass = np.unravel_index(index, self.significance.shape)
        return int(width), int(mass)

    @property
    def best_statistic(self) -> float:
        """The test statistic of the data: largest local significance, or the BumpHunter's −log p."""
        return float(self.significance[self.best]) if self.bump is None else self.bump.statistic

    @property
    def local_z(self) -> float:
        """Significance of ``best_statistic`` without a trials factor, whichever statistic it is."""
        return float(self.significance[self.best]) if self.bump is None else self.bump.z

    @property
    def prediction(self) -> np.ndarray:
        """Fitted background in the units of ``spectrum.counts``, shape (n_bins,)."""
        return self.background.expected[0]

    def to_dict(self) -> dict[str, Any]:
        """As ``selections.<id>.bump_hunt`` of ``results.json``, with the whole scan beside it."""
        best = self.best
        result: dict[str, Any] = {
            "mass": float(self.masses[best[1]]),
            "width": float(self.widths[best[0]]),
            "width_unit": self.width_unit,
            "shape": self.shapes[best[0]].describe(),
            "statistic": self.statistic,
            "yield": float(self.yields[best]),
            "yield_error": _number(self.yield_errors[best]),
            "local_p0": float(self.local_p0[best]),
            "log_local_p0": float(self.log_local_p0[best]),
            "local_z": float(self.significance[best]),
            "background": self._background_dict(),
            "failed_fits": self.failed_fits,
            "scan": {
                "mass": self.masses.tolist(),
                "width": self.widths.tolist(),
                "shape": [shape.describe() for shape in self.shapes],
                "yield": _numbers(self.yields),
                "yield_error": _numbers(self.yield_errors),
                "local_z": _numbers(self.significance),
                "local_p0": _numbers(self.local_p0),
                "log_local_p0": _numbers(self.log_local_p0),
            },
        }
        if self.order is not None:
            result["order"] = self.order.to_dict()
        if self.bump is not None:
            result["bumphunter"] = self.bump.to_dict()
        if self.global_p is not None:
            result |= {"global_p": self.global_p.to_dict(), "global_z": _number(self.global_p.z)}
        if self.gross_vitells is not None:
            result["gross_vitells"] = self.gross_vitells.to_dict()
        return result

    def _background_dict(self) -> dict[str, Any]:
        errors = np.sqrt(np.diag(self.background.covariance[0]))
        names = self.family.parameter_names
        values = self.background.parameters[0]
        return {
            "family": self.family.name,
            "parameters": self.family.n_parameters,
            "values": {name: float(value) for name, value in zip(names, values, strict=True)},
            "errors": {name: float(error) for name, error in zip(names, errors, strict=True)},
            "chi2": self.goodness.chi2,
            "ndof": self.goodness.ndof,
            "p": _number(self.goodness.p),
        }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: np.ndarray) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in values]
