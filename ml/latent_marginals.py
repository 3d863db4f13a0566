"""What is read off the invariant-mass decoder: marginal ratios against mass, and how well medians are reconstructed.

Source: arXiv:2103.06595, section V.
"""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError


def marginals(grid: np.ndarray, coordinates: np.ndarray, density: np.ndarray | None = None) -> np.ndarray:
    """⟨O⟩_z(m)/⟨O⟩_{z,m}: each feature averaged over the latent coordinate, relative to its average over all masses.

    Args:
        grid: (members, n_coordinates, n_masses, n_features), see `ml.latent_decoder.MassDecoder.grid`.
        coordinates: (n_coordinates,) ascending.
        density: (n_coordinates,) of events per unit of the coordinate, which the average is weighted with; None
            averages plainly over the coordinate.

    Returns:
        (members, n_masses, n_features) around 1.

    Raises:
        TrainingError: shapes that do not fit, a grid with NaN, a density that is negative or 0 everywhere, an average
            of 0.
    """
    u = np.asarray(coordinates, np.float64)
    if np.ndim(grid) != 4 or grid.shape[1] != len(u) or (density is not None and np.shape(density) != u.shape):
        raise TrainingError(
            f"a grid of shape {np.shape(grid)} does not fit {len(u)} coordinates"
            + ("" if density is None else f" and a density of shape {np.shape(density)}")
        )
    unknown = ~np.isfinite(grid).all(axis=(1, 2, 3))
    if unknown.any():
        raise TrainingError(
            f"the grid of the members {np.flatnonzero(unknown).tolist()} is NaN or infinite: leave out members whose "
            "coordinate is not known"
        )
    if len(u) < 2 or not (np.diff(u) > 0).all():
        raise TrainingError(f"latent coordinates must ascend, and be at least two: got {u.tolist()}")
    share = np.gradient(u) * (1.0 if density is None else np.asarray(density, np.float64))
    if (share < 0).any() or not 0 < share.sum() < np.inf:
        raise TrainingError("the density of events along the latent coordinate must be finite, not negative, and not 0")
    averages = np.einsum("mufn,u->mfn", np.asarray(grid, np.float64), share / share.sum())
    overall = averages.mean(axis=1, keepdims=True)
    if not (np.abs(overall) > 1e-12 * np.abs(averages).max(axis=1, keepdims=True)).all():
        raise TrainingError(
            "a feature averages to 0 over latent coordinate and mass: its marginal ratio is not defined"
        )
    return averages / overall


def median_pulls(x: np.ndarray, reconstructed: np.ndarray) -> np.ndarray:
    """(Median of what is reconstructed − median of the input)/(standard deviation of the input), figure 6's inset.

    Args:
        x: (n_events, n_features).
        reconstructed: (members, n_events, n_features).

    Returns:
        (members, n_features).

    Raises:
        TrainingError: no events, shapes that do not fit, a feature that is constant.
    """
    x = np.asarray(x, np.float64)
    if not len(x) or np.shape(reconstructed)[1:] != x.shape:
        raise TrainingError(f"features of shape {x.shape} and reconstructed ones of shape {np.shape(reconstructed)}")
    width = x.std(axis=0)
    if not (width > 0).all():
        raise TrainingError(f"feature number {int(np.argmin(width))} is constant: its pull is not defined")
    return np.asarray((np.median(reconstructed, axis=1) - np.median(x, axis=0)) / width)
