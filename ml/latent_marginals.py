"""What is read off the invariant-mass decoder: marginal ratios against mass, and how well medians are reconstructed.

Source: arXiv:2103.06595, section V.
"""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError


def marginals(grid: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """⟨O⟩_z(m)/⟨O⟩_{z,m}: each feature averaged over the latent coordinate, relative to its average over all masses.

    Every stretch of the coordinate between the outermost ones counts alike, however many events lie there.

    Args:
        grid: (members, n_coordinates, n_masses, n_features), see `ml.latent_decoder.MassDecoder.grid`.
        coordinates: (n_coordinates,) ascending.

    Returns:
        (members, n_masses, n_features) around 1.

    Raises:
        TrainingError: shapes that do not fit, a grid with NaN, an average of 0.
    """
    u = np.asarray(coordinates, np.float64)
    if np.ndim(grid) != 4 or grid.shape[1] != len(u):
        raise TrainingError(f"a grid of shape {np.shape(grid)} does not fit {len(u)} coordinates")
    unknown = ~np.isfinite(grid).all(axis=(1, 2, 3))
    if unknown.any():
        raise TrainingError(
            f"the grid of the members {np.flatnonzero(unknown).tolist()} is NaN or infinite: leave out members whose "
            "coordinate is not known"
        )
    if len(u) < 2 or not (np.diff(u) > 0).all():
        raise TrainingError(f"latent coordinates must ascend, and be at least two: got {u.tolist()}")
    share = np.gradient(u)
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
