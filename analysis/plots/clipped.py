"""Ratios far from 1, written at the edge of a panel: drawn to scale they would press all others together."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from analysis.plots.style import DATA

SHOWN = (0.7, 1.3)  # ratios that are drawn to scale


def show_ratios(axes: Axes) -> None:
    """Let a panel show the ratios that are drawn to scale, with room for the markers of the others."""
    axes.set_ylim(SHOWN[0] - 0.06, SHOWN[1] + 0.06)


def mark_beyond(axes: Axes, places: np.ndarray, ratios: np.ndarray, *, colour: str, upright: bool = False) -> None:
    """Mark each ratio outside `SHOWN` by a triangle at the edge, with its value beside; (n,) each, NaN is left out.

    `upright` turns the values by a right angle, for points too close to write side by side.
    """
    low, high = SHOWN
    for place, ratio in zip(places, ratios, strict=True):
        if not np.isfinite(ratio) or low <= ratio <= high:
            continue
        edge, marker, above = (low, "v", 7) if ratio < low else (high, "^", -7)
        axes.plot(place, edge, color=colour, marker=marker, ms=8, ls="")
        axes.annotate(
            _value(float(ratio)), (place, edge), (0, above), textcoords="offset points", ha="center",
            va="bottom" if ratio < low else "top", fontsize=9 if upright else 10, rotation=90 if upright else 0,
            color=DATA,
        )  # fmt: skip


def _value(ratio: float) -> str:
    """A ratio as it stands beside its marker.

    >>> _value(0.604), _value(0.0002), _value(1234.5)
    ('0.60', '<0.01', '1,234')
    """
    if ratio >= 10:
        return f"{ratio:,.0f}"
    return f"{ratio:.2f}" if ratio >= 0.01 or ratio == 0 else "<0.01"
