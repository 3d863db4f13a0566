"""Pairs of quantities as two-dimensional histograms, with how much one depends on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from analysis.plots.style import Label, add_label, new_figure, styled

_BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.0}
_COVERED = (0.0, 0.995)  # quantiles between which the axes reach


@dataclass(frozen=True)
class Pair:
    """Two quantities of the same jets.

    Attributes:
        x_label, y_label: what they are, with units.
        x, y: (n,).
        dependence: what stands in the corner, as mathtext.
    """

    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    dependence: str = ""

    def __post_init__(self) -> None:
        if np.shape(self.x) != np.shape(self.y) or np.ndim(self.x) != 1 or not len(self.x):
            raise ValueError(f"a pair is of two columns of equal length: got {np.shape(self.x)} and {np.shape(self.y)}")


@styled
def correlation_figure(pairs: Sequence[Pair], *, bins: int = 50, label: Label | None = None) -> Figure:
    """Draw one panel per pair: numbers of jets in colour, and the median of y over x with its 16–84% as a band.

    Raises:
        ValueError: nothing to draw.
    """
    if not pairs:
        raise ValueError("this figure needs at least one pair of quantities")
    figure = new_figure(5.6 * len(pairs), 4.8)
    panels = figure.subplots(1, len(pairs), squeeze=False)[0]
    for axes, pair in zip(panels, pairs, strict=True):
        x_edges, y_edges = (_edges(values, bins) for values in (pair.x, pair.y))
        counts = np.histogram2d(pair.x, pair.y, bins=(x_edges, y_edges))[0]
        shown = np.ma.masked_equal(counts.T, 0)
        mesh = axes.pcolormesh(x_edges, y_edges, shown, norm=LogNorm(1, max(counts.max(), 2)), rasterized=True)
        centres, low, median, high = _profile(pair, x_edges[:: max(bins // 12, 1)])
        axes.plot(centres, median, color="#bd1f01", marker="o", ms=3.5, lw=1.4, label="Median and 16–84%")
        axes.fill_between(centres, low, high, color="#bd1f01", alpha=0.25, lw=0)
        axes.set(xlabel=pair.x_label, ylabel=pair.y_label, xlim=x_edges[[0, -1]], ylim=y_edges[[0, -1]])
        axes.text(
            0.04, 0.96, pair.dependence, transform=axes.transAxes, va="top", size=11, bbox=_BOX, zorder=5
        )  # fmt: skip
        figure.colorbar(mesh, ax=axes, pad=0.02, label="Jets")
    panels[0].legend(loc="lower right")
    add_label(panels[0], label or Label())
    return figure


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    low, high = np.quantile(values, _COVERED)
    return np.linspace(low, high if high > low else low + 1, bins + 1)


def _profile(pair: Pair, edges: np.ndarray) -> tuple[np.ndarray, ...]:
    """Centres, 16%, 50% and 84% quantiles of y in bins of x with ten jets or more."""
    place = np.digitize(pair.x, edges) - 1
    found = [
        (0.5 * (edges[i] + edges[i + 1]), *np.quantile(pair.y[place == i], (0.16, 0.5, 0.84)))
        for i in range(len(edges) - 1)
        if np.count_nonzero(place == i) >= 10
    ]
    return tuple(np.array(found).reshape(-1, 4).T)
