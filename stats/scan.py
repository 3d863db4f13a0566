"""Signal + background fits over a grid of hypotheses, for one spectrum or for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stats.fits import BackgroundFits, fit_signal

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


def scan(background: BackgroundFits, templates: np.ndarray) -> Scan:
    """Fit every template, shape (n_widths, n_masses, n_bins), to every spectrum of a background-only fit."""
    grid = templates.shape[:2]
    flat = templates.reshape(-1, templates.shape[-1])
    n_spectra = background.counts.shape[0]
    if n_spectra == 1:
        fits = fit_signal(background, flat)
        parts = [fits.yields, fits.errors, fits.significance]
        return Scan(*(part.reshape(1, *grid) for part in parts))
    arrays = np.empty((3, n_spectra, flat.shape[0]))
    for column, template in enumerate(flat):
        fits = fit_signal(background, template)
        arrays[:, :, column] = fits.yields, fits.errors, fits.significance
    return Scan(*arrays.reshape(3, n_spectra, *grid))


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
