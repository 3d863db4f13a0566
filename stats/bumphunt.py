"""The bump hunt: one spectrum, one background function, a scan over mass and width, local and global significance."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background
from stats.functions import BinnedFamily, Family
from stats.goodness import Goodness, chi2_test
from stats.lookelsewhere import GlobalP, gross_vitells_p, toy_p, toy_scans
from stats.scan import scan
from stats.signals import gaussian_templates
from stats.spectrum import Spectrum

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BumpHunt:
    """Result of a bump hunt.

    Attributes:
        spectrum, family: what was searched, with which background.
        background: the background-only fit; ``background.expected[0]`` in effective events per unit exposure.
        goodness: χ² of that fit.
        masses: GeV, shape (n_masses,).
        widths: standard deviation of the peak over its mass, shape (n_widths,).
        yields, yield_errors: fitted signal events in the spectrum, shape (n_widths, n_masses).
        significance: signed local significance, sign(yield)·√(2 Δ log L), shape (n_widths, n_masses); NaN where a
            fit failed.
        failed_fits: scan points without a fit.
        global_p: from toys, or None when none were asked for.
        gross_vitells: extrapolated from the same toys.
    """

    spectrum: Spectrum
    family: Family
    background: BackgroundFits
    goodness: Goodness
    masses: np.ndarray
    widths: np.ndarray
    yields: np.ndarray
    yield_errors: np.ndarray
    significance: np.ndarray
    failed_fits: int
    global_p: GlobalP | None = None
    gross_vitells: GlobalP | None = None

    @property
    def local_p0(self) -> np.ndarray:
        """Uncapped p0 = Φ(−significance), uniform without a signal; shape (n_widths, n_masses)."""
        return ndtr(-self.significance)

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
    def prediction(self) -> np.ndarray:
        """Fitted background in the units of ``spectrum.counts``, shape (n_bins,)."""
        return self.background.expected[0]

    def to_dict(self) -> dict[str, Any]:
        """As ``selections.<id>.bump_hunt`` of ``results.json``, with the whole scan beside it."""
        best = self.best
        result: dict[str, Any] = {
            "mass": float(self.masses[best[1]]),
            "width": float(self.widths[best[0]]),
            "yield": float(self.yields[best]),
            "yield_error": _number(self.yield_errors[best]),
            "local_p0": float(self.local_p0[best]),
            "local_z": float(self.significance[best]),
            "background": self._background_dict(),
            "failed_fits": self.failed_fits,
            "scan": {
                "mass": self.masses.tolist(),
                "width": self.widths.tolist(),
                "yield": _numbers(self.yields),
                "yield_error": _numbers(self.yield_errors),
                "local_z": _numbers(self.significance),
                "local_p0": _numbers(self.local_p0),
            },
        }
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


def bump_hunt(
    spectrum: Spectrum,
    family: Family,
    *,
    masses: Sequence[float] | np.ndarray,
    widths: Sequence[float] | np.ndarray = (0.03,),
    mask: np.ndarray | None = None,
    toys: int = 0,
    rng: np.random.Generator | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Search a spectrum for a Gaussian resonance of any of the masses and widths.

    Args:
        spectrum: events per bin; weighted ones are fitted as effective events.
        family: background function, its order fixed beforehand (``choose_order`` on a control selection).
        masses: GeV, rising, inside the spectrum.
        widths: standard deviations of the peak over its mass, rising.
        mask: bins to use, True keeps; all by default.
        toys: pseudo-experiments for the global p-value, each repeating the whole procedure; 0 for none.
        rng: random numbers for them.
        workers: threads for them.

    Raises:
        StatisticsError: for a spectrum that does not determine the background, masses outside it, toys without
            ``rng``.
    """
    masses, widths = _grid(masses, "masses"), _grid(widths, "widths")
    templates = gaussian_templates(spectrum.edges, masses, widths)
    counts, exposure = effective(spectrum, mask)
    background = fit_background(BinnedFamily(family, spectrum.edges), counts, exposure=exposure)
    points = scan(background, templates)
    if not np.isfinite(points.largest[0]):
        raise StatisticsError(
            "Not one signal fit of the scan converged: the spectrum is too sparse for this background function."
        )
    failed = int(points.failed[0])
    if failed:
        logger.warning("%d of %d signal fits did not converge and are left out", failed, points.significance[0].size)
    largest = float(points.largest[0])
    global_p, extrapolated = _global(background, templates, largest, toys, rng, workers) if toys else (None, None)
    return BumpHunt(
        spectrum=spectrum,
        family=family,
        background=background,
        goodness=chi2_test(counts[0], background.seen[0], n_parameters=family.n_parameters),
        masses=masses,
        widths=widths,
        yields=points.yields[0],
        yield_errors=points.errors[0],
        significance=points.significance[0],
        failed_fits=failed,
        global_p=global_p,
        gross_vitells=extrapolated,
    )


def _global(
    background: BackgroundFits,
    templates: np.ndarray,
    largest: float,
    toys: int,
    rng: np.random.Generator | None,
    workers: int,
) -> tuple[GlobalP, GlobalP]:
    if rng is None:
        raise StatisticsError("Toys need random numbers: pass rng=numpy.random.default_rng(seed).")
    pseudo = toy_scans(background, templates, toys=toys, rng=rng, workers=workers)
    return toy_p(largest, pseudo), gross_vitells_p(largest, pseudo, two_dimensional=templates.shape[0] > 1)


def goodness_outside(spectrum: Spectrum, family: Family, *, mass: float, width: float, reach: float = 3.0) -> Goodness:
    """χ² of a background fit to the bins away from a peak at ``mass`` (GeV) of relative ``width``.

    A strong signal spoils the fit of a background alone; whether the function describes the background is then seen
    beside the peak. Bins within ``reach`` standard deviations are left out. Raises StatisticsError if too few remain.
    """
    away = reach * width * mass
    mask = (spectrum.edges[1:] <= mass - away) | (spectrum.edges[:-1] >= mass + away)
    counts, exposure = effective(spectrum, mask)
    background = fit_background(BinnedFamily(family, spectrum.edges), counts, exposure=exposure)
    return chi2_test(counts[0][mask], background.seen[0][mask], n_parameters=family.n_parameters)


def _grid(values: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    grid = np.asarray(values, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or (np.diff(grid) <= 0).any() or grid[0] <= 0:
        raise StatisticsError(f"The {name} of a scan must be positive, finite and rising, got {values!r}.")
    return grid


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: np.ndarray) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in values]
