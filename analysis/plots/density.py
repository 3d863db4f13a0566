"""Regions of a plane that hold given fractions of events: highest-density regions of a smoothed histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

FEWEST = 20  # events that an outline is drawn of
WIDEST = 4.0  # kernel of a lonely event, in units of that of the core
_GROUPS = 7  # of events whose kernels are alike


@dataclass(frozen=True)
class DensityRegions:
    """A density and the levels above which fractions of the events lie.

    Attributes:
        x: (n_x,) and y: (n_y,), bin centres.
        density: (n_y, n_x) per unit area, as matplotlib's contours take it; it integrates to 1.
        levels: (n_fractions,), of each fraction in turn.
    """

    x: np.ndarray
    y: np.ndarray
    density: np.ndarray
    levels: np.ndarray


def density_regions(
    x: np.ndarray,
    y: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    fractions: Sequence[float] = (0.68, 0.95),
    bins: int = 100,
    bandwidth: float = 1.0,
) -> DensityRegions:
    """Find the highest-density regions of points (x, y), (n,) each.

    The kernel is Gaussian, as wide in each direction as `bandwidth` times half the central 68% of the points times
    n^(−1/6), Scott's rule (n is the effective number where weights differ), and wider for points in the tails, whose
    outline would break into islands: by (g/f)^½, from 1 to `WIDEST`, for a point where a first estimate of the density
    is f, with g its weighted geometric mean (I. S. Abramson, Ann. Stat. 10 (1982) 1217). Points that are not finite are
    left out.

    Raises:
        ValueError: fewer than 2 points, points that do not spread, fractions outside (0, 1).
    """
    if not all(0 < fraction < 1 for fraction in fractions):
        raise ValueError(f"fractions must lie between 0 and 1: got {list(fractions)}")
    points = np.stack([np.asarray(x, float), np.asarray(y, float)])
    w = np.ones(points.shape[1]) if weight is None else np.asarray(weight, float)
    fine = np.isfinite(points).all(axis=0) & np.isfinite(w)
    points, w = points[:, fine], w[fine]
    if points.shape[1] < 2 or not w.sum() > 0:
        raise ValueError(f"{points.shape[1]} points with weights that sum to {w.sum():g} have no outline")
    widths = _widths(points) * bandwidth * (w.sum() ** 2 / (w**2).sum()) ** (-1 / 6)
    edges = [_edges(values, width, bins) for values, width in zip(points, widths, strict=True)]
    sizes = np.array([edge[1] - edge[0] for edge in edges])
    across, up = ((edge[1:] + edge[:-1]) / 2 for edge in edges)
    places = (points - np.array([[across[0]], [up[0]]])) / sizes[:, None]
    smooth = partial(_smoothed, points, w, edges)
    first = map_coordinates(smooth(widths / sizes, np.zeros(len(w), int), np.ones(1)), places, order=1)
    group, factors = _kernels(first, w)
    density = smooth(widths / sizes, group, factors)
    density = np.maximum(density, 0) / (density.sum() * sizes.prod())
    # not the fraction of the smoothed density: that is wider than the events, and its regions would hold more of them
    levels = levels_holding(map_coordinates(density, places, order=1), w, fractions)
    return DensityRegions(across, up, density.T, levels)


def _smoothed(
    points: np.ndarray,
    weight: np.ndarray,
    edges: Sequence[np.ndarray],
    bandwidth: np.ndarray,
    group: np.ndarray,
    factors: np.ndarray,
) -> np.ndarray:
    """Histogram (n_x, n_y) of points (2, n), those of each `group` (n,) with kernels `bandwidth` (2,) times its factor
    (n_groups,), in bins."""
    total = np.zeros([len(edge) - 1 for edge in edges])
    for index, factor in enumerate(factors):
        own = group == index
        if own.any():
            counts = np.histogram2d(points[0, own], points[1, own], bins=edges, weights=weight[own])[0]
            total += gaussian_filter(counts, bandwidth * factor, mode="constant", truncate=4.0)
    return total


def _kernels(density: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group of each point (n,) and width of each group's kernel (n_groups,), from the density (n,) at the points."""
    seen = density > 0
    typical = np.exp(np.average(np.log(density[seen]), weights=weight[seen]))
    wanted = np.full(len(density), WIDEST)
    wanted[seen] = np.clip(np.sqrt(typical / density[seen]), 1.0, WIDEST)
    factors = np.geomspace(1.0, WIDEST, _GROUPS)
    return np.rint(np.log(wanted) / np.log(WIDEST) * (_GROUPS - 1)).astype(int), factors


def levels_holding(density: np.ndarray, weight: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Return the levels (n_fractions,) that those fractions of the events lie above.

    Args:
        density: (n,) at the place of each event.
        weight: (n,) of the events.
    """
    order = np.argsort(density)[::-1]
    held = np.cumsum(weight[order]) / np.sum(weight)
    place = np.searchsorted(held, np.asarray(fractions, float))
    return np.asarray(density[order[np.minimum(place, len(order) - 1)]])


def _widths(points: np.ndarray) -> np.ndarray:
    """Half the central 68%, or the standard deviation where that is smaller and not 0."""
    low, high = np.quantile(points, [0.16, 0.84], axis=1)
    deviation = points.std(axis=1)
    widths = np.where(high > low, np.minimum((high - low) / 2, deviation), deviation)
    if not (widths > 0).all():
        raise ValueError("the points of a region all have the same coordinate: there is nothing to outline")
    return np.asarray(widths)


def _edges(values: np.ndarray, width: float, bins: int) -> np.ndarray:
    """Bins over nearly all values and the kernel's tails; outliers must not make them coarse."""
    low, high = np.quantile(values, [0.001, 0.999])
    return np.linspace(low - 4 * width, high + 4 * width, bins + 1)
