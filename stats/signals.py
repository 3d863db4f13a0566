"""What a resonance looks like in the bins of a spectrum."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError


def gaussian_template(edges: np.ndarray, mass: float, *, width: float, relative: bool = True) -> np.ndarray:
    """A Gaussian peak integrated over bins and normalised to one event inside the spectrum, shape (n_bins,).

    Args:
        edges: bin edges in GeV.
        mass: peak position in GeV, inside the spectrum: outside, only a tail would be seen.
        width: standard deviation, as a fraction of ``mass`` (``relative``) or in GeV.
    """
    sigma = width * mass if relative else width
    if not (np.isfinite(mass) and edges[0] <= mass <= edges[-1]):
        raise StatisticsError(
            f"A peak at {mass:g} GeV lies outside the spectrum, {edges[0]:g} to {edges[-1]:g} GeV: "
            "choose masses inside."
        )
    if not (np.isfinite(sigma) and sigma > 0):
        raise StatisticsError(f"A peak needs a positive width, got {width!r} at {mass:g} GeV.")
    return normalised(np.diff(ndtr((edges - mass) / sigma)))


def normalised(template: np.ndarray) -> np.ndarray:
    """The template scaled to one event; an all-zero or negative one is an error."""
    template = np.asarray(template, dtype=float)
    total = template.sum()
    if not np.all(np.isfinite(template)) or (template < 0).any() or total <= 0:
        raise StatisticsError("A signal template must hold finite, non-negative bins with at least one above zero.")
    return template / total


def gaussian_templates(edges: np.ndarray, masses: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Every relative width at every mass: shape (n_widths, n_masses, n_bins)."""
    return np.stack([[gaussian_template(edges, m, width=w) for m in masses] for w in widths])
