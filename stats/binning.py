"""Bin edges for mass spectra."""

from __future__ import annotations

import math

import numpy as np

from stats.errors import StatisticsError


def uniform_edges(low: float, high: float, width: float) -> np.ndarray:
    """Edges (GeV) from ``low`` in steps of ``width``, the last at or below ``high``; shape (n_bins + 1,)."""
    _check_range(low, high)
    if not 0 < width <= high - low:
        raise StatisticsError(f"Bin width {width:g} GeV does not fit into [{low:g}, {high:g}] GeV.")
    return low + width * np.arange(math.floor((high - low) / width * (1 + 1e-12)) + 1)


def resolution_edges(low: float, high: float, *, resolution: float, bins_per_sigma: float = 1.0) -> np.ndarray:
    """Edges (GeV) of bins as wide as the mass resolution, each ``resolution · m / bins_per_sigma``; shape (n_bins +
    1,).

    The last edge is the last that does not pass ``high``.
    """
    _check_range(low, high)
    if not (low > 0 and 0 < resolution / bins_per_sigma < 1):
        raise StatisticsError(
            f"Resolution bins need low > 0 and 0 < resolution < 1, got {low:g} GeV and {resolution:g}."
        )
    growth = math.log1p(resolution / bins_per_sigma)
    n_bins = math.floor(math.log(high / low) / growth * (1 + 1e-12))
    if n_bins < 1:
        raise StatisticsError(f"[{low:g}, {high:g}] GeV is narrower than one bin of the mass resolution.")
    return low * np.exp(growth * np.arange(n_bins + 1))


def _check_range(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise StatisticsError(f"Expected a range low < high in GeV, got [{low:g}, {high:g}].")
