"""The ROC of an ensemble with what its score looks like set into it (arXiv:2103.06595, figure 3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.roc import RocCurve, roc_figure
from analysis.plots.style import DATA, FIT, SIGNAL, Label, legend_below, plain, styled

BINS = 40
TAIL = 1e-3  # share of a class beyond either end of the inset, gathered in its outermost bins
_INSET = (0.56, 0.60, 0.42, 0.36)
_CLEAR = 0.50  # share of the panel's height that curves may take below the inset


@dataclass(frozen=True)
class ScoreDistribution:
    """The score of an ensemble for events whose truth is known.

    Attributes:
        label: what the score is, with its unit, for the axis.
        signal, background: (n_signal,), (n_background,) scores.
        signal_weight, background_weight: event weights, 1 if None.
    """

    label: str
    signal: np.ndarray
    background: np.ndarray
    signal_weight: np.ndarray | None = None
    background_weight: np.ndarray | None = None


@styled
def roc_inset_figure(
    curves: RocCurve | Sequence[RocCurve],
    scores: ScoreDistribution,
    *,
    minimum_background: int = 20,
    label: Label | None = None,
) -> Figure:
    """Draw `analysis.plots.roc.roc_figure` with distributions of the first curve's score, each of area 1, set in.

    The first curve is black, with the band over its members in colour. Events beyond the axis of the inset are in its
    outermost bins.

    Raises:
        ValueError: no curve, or scores of one class only.
    """
    if not len(scores.signal) or not len(scores.background):
        raise ValueError("the distribution of a score needs events of signal and of background")
    drawn = [curves] if isinstance(curves, RocCurve) else list(curves)
    drawn[:1] = [dataclasses.replace(curve, line=DATA) for curve in drawn[:1]]
    figure = roc_figure(drawn, minimum_background=minimum_background, label=label)
    axes = figure.axes[0]
    legend = axes.get_legend()
    if legend is not None:  # the inset takes its place
        title = legend.get_title().get_text().replace("\n", "; ")
        legend.remove()
        legend_below(axes, title=title)
    _make_room(axes)
    _draw_scores(axes.inset_axes(_INSET), scores)
    return figure


def _make_room(axes: Axes) -> None:
    """Raise the end of the log y axis until everything that lies below the inset stays clear of it."""
    low, high = np.log10(axes.get_ylim())
    reach = low
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
        below = (x >= _INSET[0] - 0.08) & np.isfinite(y) & (y > 0)
        if below.any():
            reach = max(reach, float(np.log10(y[below].max())) + 0.1)
    axes.set_ylim(10**low, 10 ** max(high - 0.6, low + (reach - low) / _CLEAR))


def _draw_scores(axes: Axes, scores: ScoreDistribution) -> None:
    ends = np.array([np.quantile(values, [TAIL, 1 - TAIL]) for values in (scores.signal, scores.background)])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    classes = (
        ("Background", scores.background, scores.background_weight, FIT),
        ("Signal", scores.signal, scores.signal_weight, SIGNAL),
    )
    smallest, largest = np.inf, 0.0
    for name, values, weight, line in classes:
        clipped = np.clip(values, edges[0], edges[-1])
        density, _ = np.histogram(clipped, edges, weights=weight, density=True)
        axes.stairs(density, edges, color=line, lw=1.4, label=name, fill=False)
        axes.stairs(density, edges, color=line, alpha=0.15, fill=True, lw=0)
        smallest, largest = min(smallest, float(density[density > 0].min())), max(largest, float(density.max()))
    axes.set_yscale("log")
    axes.set_ylim(smallest / 2, largest * (largest / smallest) ** 0.35)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(plain(scores.label), fontsize=11)
    axes.set_ylabel("Density", fontsize=11)
    axes.tick_params(labelsize=10)
    axes.legend(loc="upper right", fontsize=9, ncols=2, columnspacing=1.0, handlelength=1.2)
