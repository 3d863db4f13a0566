"""Signal + background fits over a grid of hypotheses, for one spectrum or for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError
from stats.fits import SIGNIFICANT_PART, BackgroundFits, fit_background, fit_signal
from stats.functions import LogLinearFamily
from stats.loglinear import orthonormal
from stats.solvers import DEEPEST, least_yield

LEAST_VISIBLE = 0.05  # share of a template in the bins looked at: from less, a tail, no yield can be told
LEVELS = (0.0, 1.0)  # significances at which the Euler characteristic is counted


@dataclass(frozen=True)
class Scan:
    """Fits of N spectra at every width and mass.

    Attributes:
        yields, errors: signal events, shape (N, n_widths, n_masses).
        significance: signed local significance, shape (N, n_widths, n_masses); NaN where a fit failed.
    """

    yields: np.ndarray
    errors: np.ndarray
    significance: np.ndarray

    @property
    def failed(self) -> np.ndarray:
        """Fits that failed, per spectrum, shape (N,)."""
        return np.isnan(self.significance).sum(axis=(1, 2))

    @property
    def largest(self) -> np.ndarray:
        """Largest significance of each spectrum, −∞ where every fit failed, shape (N,)."""
        return np.where(np.isnan(self.significance), -np.inf, self.significance).max(axis=(1, 2))


def visible_share(templates: np.ndarray, exposure: np.ndarray | None) -> np.ndarray:
    """Share of each template, shape (…, n_bins), in bins of any exposure, the least of the spectra; shape (…)."""
    total = templates.sum(axis=-1)
    if exposure is None:
        return np.ones_like(total)
    return ((templates @ (np.atleast_2d(exposure) > 0).T.astype(float)) / total[..., None]).min(axis=-1)


def scan(background: BackgroundFits, templates: np.ndarray) -> Scan:
    """Fit every template, shape (n_widths, n_masses, n_bins), to every spectrum of a background-only fit.

    Raises:
        StatisticsError: for templates of which less than ``LEAST_VISIBLE`` lies in bins that are looked at.
    """
    hidden = visible_share(templates, background.exposure) < LEAST_VISIBLE
    if hidden.any():
        raise StatisticsError(
            f"{int(hidden.sum())} of {hidden.size} templates have less than {LEAST_VISIBLE:.0%} of their signal in the "
            "bins looked at, which does not tell their yields: leave them out, or unmask their bins."
        )
    flat = np.ascontiguousarray(templates.reshape(-1, templates.shape[-1]), dtype=float)
    shape = (background.counts.shape[0], *templates.shape[:2])
    exposure = background.exposure
    if isinstance(background.model.family, LogLinearFamily) and (exposure is None or exposure.ndim == 1):
        arrays = _compiled_scan(background, flat)
        _repair(background, flat, arrays)
    else:
        arrays = _fit_each(background, flat)
    return Scan(*(part.reshape(shape) for part in arrays))


def _fit_each(background: BackgroundFits, templates: np.ndarray) -> np.ndarray:
    """Yields, errors and significances, shape (3, N, T), by one ``fit_signal`` for each of the T templates."""
    n_spectra = background.counts.shape[0]
    if n_spectra == 1:
        fits = fit_signal(background, templates)
        return np.stack([fits.yields, fits.errors, fits.significance])[:, None]
    arrays = np.empty((3, n_spectra, templates.shape[0]))
    for column, template in enumerate(templates):
        fits = fit_signal(background, template)
        arrays[:, :, column] = fits.yields, fits.errors, fits.significance
    return arrays


def _compiled_scan(background: BackgroundFits, templates: np.ndarray) -> np.ndarray:
    """Yields, errors and significances, shape (3, N, T), NaN where the compiled fit did not converge."""
    from stats.scankernel import fit_all  # compiling takes a while, and not every user scans

    good = background.converged & np.isfinite(background.expected).all(axis=1)
    seen, expected = background.seen[good], background.expected[good]
    arrays = np.full((3, background.counts.shape[0], templates.shape[0]), np.nan)
    found = np.full((3, len(seen), templates.shape[0]), np.nan)
    lower = np.empty(found.shape[1:])
    for column, template in enumerate(templates):
        peak = template > SIGNIFICANT_PART * template.max()
        lower[:, column] = least_yield(expected[:, peak], template[peak], peak[peak], deepest=DEEPEST)
    exposed = templates if background.exposure is None else templates * background.exposure
    if len(seen):
        design, mean = background.log_derivatives[0], seen.mean(axis=0)
        basis = np.ascontiguousarray(design @ orthonormal(design, mean + 1e-3 * mean.mean()))
        fit_all(background.counts[good], seen, basis, exposed, lower, *found)
    arrays[:, good] = found
    return arrays


def _repair(background: BackgroundFits, templates: np.ndarray, arrays: np.ndarray) -> None:
    """Fit again, in place, what the compiled fits of converged backgrounds left open."""
    rows, columns = np.nonzero(np.isnan(arrays[2]) & background.converged[:, None])
    if rows.size == 0:
        return
    spectra = fit_background(
        background.model, background.counts[rows], exposure=background.exposure, reference=background
    )
    fits = fit_signal(spectra, templates[columns[0]] if rows.size == 1 else templates[columns])
    for part, values in zip(arrays, (fits.yields, fits.errors, fits.significance), strict=True):
        part[rows, columns] = values


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
