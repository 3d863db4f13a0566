"""The background that reweighted simulation predicts, over the true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.style import DATA, FIT, REWEIGHTED, Label, add_label, new_figure, styled

GOAL = 0.05  # "a few percent", the band of the figure


@dataclass(frozen=True)
class DirectRatios:
    """Predicted over true (or observed) background; all arrays (n,), in the order of `efficiency`.

    Attributes:
        efficiency: of the data in the window.
        ratio, statistical, total: with the reweighted simulation: statistical error, and all errors in quadrature.
        unweighted, unweighted_error: with simulation that is only normalised in the sidebands; statistical error.
        truth: whether it is divided by the true background; else by what was observed.
        reweighted: whether there is a correction: else only the second are drawn.
    """

    efficiency: np.ndarray
    ratio: np.ndarray
    statistical: np.ndarray
    total: np.ndarray
    unweighted: np.ndarray
    unweighted_error: np.ndarray
    truth: bool = True
    reweighted: bool = True


@styled
def direct_figure(points: DirectRatios, *, label: Label | None = None) -> Figure:
    """Draw the ratios against the efficiency of the data, which falls from left to right as the selection tightens.

    Thick bars are statistical, thin ones all uncertainties.

    Raises:
        ValueError: no efficiency was given.
    """
    if not len(points.efficiency):
        raise ValueError("a direct prediction needs at least one efficiency")
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    axes.axhspan(1 - GOAL, 1 + GOAL, color="#e4e4e4", lw=0, zorder=-10, label=rf"$\pm${100 * GOAL:g}%")
    axes.axhline(1, color=DATA, lw=0.8)
    efficiency = np.asarray(points.efficiency, dtype=float)
    axes.errorbar(
        efficiency * 1.03, points.unweighted, points.unweighted_error, fmt="s", ms=5, mfc="white", color=FIT, lw=2.2,
        label="Simulation, normalised in the sidebands",
    )  # fmt: skip
    if points.reweighted:
        place, look = efficiency / 1.03, REWEIGHTED
        axes.errorbar(place, points.ratio, points.total, fmt="none", elinewidth=1.0, capsize=3, color=look)
        axes.errorbar(
            place, points.ratio, points.statistical, fmt="o", ms=5, lw=2.2, label="Simulation, reweighted", color=look
        )
    _scales(axes, points)
    add_label(axes, label or Label())
    title = "Thick bars: statistical, thin: total" if points.reweighted else "Bars: statistical"
    axes.legend(loc="upper left", title=title, title_fontsize=11, alignment="left")
    return figure


def _scales(axes: Axes, points: DirectRatios) -> None:
    efficiency = np.asarray(points.efficiency, dtype=float)
    axes.set_xscale("log")
    axes.set_xlim(2 * efficiency.max(), efficiency.min() / 2)
    axes.set_xticks(efficiency, [f"{100 * one:g}%" for one in efficiency])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Efficiency of the data in the signal window")
    axes.set_ylabel(f"Predicted / {'true background' if points.truth else 'observed'}")
    ends = [
        end
        for values, errors in ((points.ratio, points.total), (points.unweighted, points.unweighted_error))
        for end in (*(np.asarray(values) - errors), *(np.asarray(values) + errors))
        if np.isfinite(end)
    ]
    low, high = min([1 - 2 * GOAL, *ends]), max([1 + 2 * GOAL, *ends])
    axes.set_ylim(max(low - 0.1 * (high - low), 0.0), high + 0.45 * (high - low))
