"""Momentum, mass and mean image of jets from the four-momenta of their constituents."""

from __future__ import annotations

import numpy as np

from ml.energy_mover import energy_flow


def kinematics(momenta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pT and mass (n,) in GeV of jets, of constituents (n, count, 4) as (E, px, py, pz) in GeV.

    Constituents that a network makes up need not be on their mass shell, and the squared mass of their sum may be
    negative: such a jet has the mass 0.
    """
    energy, px, py, pz = np.asarray(momenta, np.float64).sum(axis=1).T
    return np.hypot(px, py), np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0.0))


def mean_image(momenta: np.ndarray, *, half_width: float, pixels: int) -> np.ndarray:
    """Return the mean image (pixels, pixels) of jets (n, count, 4): each constituent's share of the jet's scalar pT.

    η runs to the right and φ upwards, row 0 being the top, both from −`half_width` to `half_width`.
    """
    share, eta, phi = np.moveaxis(energy_flow(momenta), -1, 0)
    edges = np.linspace(-half_width, half_width, pixels + 1)
    image = np.histogram2d(phi.ravel(), eta.ravel(), bins=(edges, edges), weights=share.ravel())[0]
    found: np.ndarray = image[::-1] / max(len(share), 1)
    return found
