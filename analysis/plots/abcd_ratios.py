"""Predicted over true background of several estimates against efficiency (arXiv:2002.12376, figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.abcd import MARKERS, efficiency_axis
from analysis.plots.clipped import mark_beyond, show_ratios
from analysis.plots.intervals import garwood_errors
from analysis.plots.style import DATA, Label, add_label, colour, new_figure, plain, stacked_axes, styled
from stats.abcd.truth import TOLERANCE

PANELS = ("From all events", "From background alone")


@dataclass(frozen=True)
class ClosureCurve:
    """Closure of one estimate on the true background.

    Attributes:
        label: in the legend.
        efficiencies: (n,) rising.
        ratios: (n, 2) predicted over true background, the prediction made from all events, and from background alone.
        errors: (n, 2) statistical uncertainties of the prediction, over the true background.
        true: (n, 2) true background events.
    """

    label: str
    efficiencies: np.ndarray
    ratios: np.ndarray
    errors: np.ndarray
    true: np.ndarray


@styled
def ratio_figure(curves: Sequence[ClosureCurve], *, label: Label | None = None) -> Figure:
    """Draw predicted over true background of several estimates, from all events above and from background alone below.

    Bars are the statistical uncertainty of the prediction, bands the Poisson uncertainty of the true count.

    Raises:
        ValueError: no curve, or one without an efficiency.
    """
    if not curves or any(not len(one.efficiencies) for one in curves):
        raise ValueError("a figure of closure needs at least one estimate, each with an efficiency")
    figure = new_figure(7.6, 6.8)
    panels = stacked_axes(figure, (1.0, 1.0))
    spread = np.linspace(-0.5, 0.5, len(curves)) if len(curves) > 1 else np.zeros(1)
    for column, (axes, title) in enumerate(zip(panels, PANELS, strict=True)):
        for index, curve in enumerate(curves):
            _draw(axes, curve, column, index, shift=10 ** (0.06 * spread[index]))
        axes.axhline(1, color=DATA, lw=1)
        for edge in (1 - TOLERANCE, 1 + TOLERANCE):
            axes.axhline(edge, color=DATA, lw=1, ls="--")
        show_ratios(axes)
        axes.set_ylabel("Predicted /\ntrue background", fontsize=13)
        axes.text(0.98, 0.95, title, ha="right", va="top", transform=axes.transAxes, fontsize=12)
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high + 0.05 * len(curves))
    panels[0].legend(loc="upper left")
    efficiency_axis(panels[1], np.unique(np.concatenate([one.efficiencies for one in curves])))
    add_label(panels[0], label or Label())
    return figure


def _draw(axes: Axes, curve: ClosureCurve, column: int, index: int, *, shift: float) -> None:
    x, ratios, true = curve.efficiencies * shift, curve.ratios[:, column], curve.true[:, column]
    below, above = (error / true for error in garwood_errors(true))
    # predicted / (true + its error above) is the lower edge
    axes.fill_between(x, ratios / (1 + above), ratios / (1 - below), color=colour(index), alpha=0.18, lw=0)
    axes.errorbar(
        x, ratios, curve.errors[:, column], color=colour(index), marker=MARKERS[index % len(MARKERS)],
        ms=6, lw=1.2, capsize=2, label=plain(curve.label),
    )  # fmt: skip
    mark_beyond(axes, x, ratios, colour=colour(index))
