"""A Gaussian peak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from stats.signals.base import Width, check_edges, check_inside, normalised


@dataclass(frozen=True, init=False)
class Gaussian:
    """A Gaussian peak, integrated over bins.

    Args:
        width: standard deviation, as a fraction of the mass (``relative``) or in GeV.
    """

    sigma: Width

    def __init__(self, width: float, *, relative: bool = True) -> None:
        object.__setattr__(self, "sigma", Width(width, relative))

    def template(self, edges: np.ndarray, mass: float) -> np.ndarray:
        """Events per bin for one produced, shape (n_bins,); ``mass`` (GeV) must lie inside ``edges``."""
        edges = check_edges(edges)
        check_inside(edges, mass)
        return np.diff(ndtr((edges - mass) / self.width(mass)))

    def width(self, mass: float) -> float:
        """Standard deviation in GeV."""
        return self.sigma.gev(mass)

    def describe(self) -> str:
        """In words."""
        return f"Gaussian, {self.sigma.describe()}"


def gaussian_template(edges: np.ndarray, mass: float, *, width: float, relative: bool = True) -> np.ndarray:
    """A Gaussian peak integrated over bins and normalised to one event inside the spectrum, shape (n_bins,).

    Args:
        edges: bin edges in GeV.
        mass: peak position in GeV, inside the spectrum: outside, only a tail would be seen.
        width: standard deviation, as a fraction of ``mass`` (``relative``) or in GeV.
    """
    return normalised(Gaussian(width, relative=relative).template(edges, mass))
