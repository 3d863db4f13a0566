"""The background that simulation predicts, over the true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from analysis.plots.style import DATA, FIT, REWEIGHTED, Label, add_label, colour, new_figure, plain, styled

GOAL = 0.05  # "a few percent", the band of the figure
_APART = 7.0  # points between neighbouring lines


@dataclass(frozen=True)
class DirectRatios:
    """Predicted over true (or observed) background; all arrays (n,), in the order of `efficiency`.

    Attributes:
        label: name in the legend.
        efficiency: of the data in the window.
        ratio: NaN where nothing is there to divide by.
        statistical: error of the ratio, of both counts.
        total: all errors in quadrature, None where only the statistical one is known.
        reweighted: whether the simulation was; decides the colour.
    """

    label: str
    efficiency: np.ndarray
    ratio: np.ndarray
    statistical: np.ndarray
    total: np.ndarray | None = None
    reweighted: bool = False


@styled
def direct_figure(
    lines: DirectRatios | Sequence[DirectRatios], *, truth: bool = True, label: Label | None = None
) -> Figure:
    """Draw the ratios against the efficiency of the data, which falls from left to right as the selection tightens.

    Thick bars are statistical, thin ones all uncertainties. Lines stand a little apart.

    Args:
        truth: whether it is divided by the true background; else by what was observed.

    Raises:
        ValueError: no line, or no efficiency, was given.
    """
    lines = [lines] if isinstance(lines, DirectRatios) else list(lines)
    if not lines or not all(len(line.efficiency) for line in lines):
        raise ValueError("a direct prediction needs at least one efficiency")
    figure = new_figure(7.6, 5.8)
    axes = figure.add_subplot()
    axes.axhspan(1 - GOAL, 1 + GOAL, color="#e4e4e4", lw=0, zorder=-10, label=rf"$\pm${100 * GOAL:g}%")
    axes.axhline(1, color=DATA, lw=0.8)
    for index, line in enumerate(lines):
        _draw(axes, line, index, len(lines))
    _scales(axes, lines)
    axes.set_ylabel(f"Predicted / {'true background' if truth else 'observed'}")
    add_label(axes, label or Label())
    several = any(line.total is not None for line in lines)
    title = "Thick bars: statistical, thin: total" if several else "Bars: statistical"
    axes.legend(loc="upper left", title=title, title_fontsize=11, alignment="left")
    return figure


def _draw(axes: Axes, line: DirectRatios, index: int, total: int) -> None:
    figure = axes.get_figure(root=True)
    assert figure is not None
    aside = ScaledTranslation(_APART * (index - (total - 1) / 2) / 72, 0, figure.dpi_scale_trans)
    place = axes.transData + aside
    shade = REWEIGHTED if line.reweighted else (FIT, *(colour(i) for i in (3, 5, 8)))[index % 4]
    x, y = np.asarray(line.efficiency, dtype=float), np.asarray(line.ratio, dtype=float)
    if line.total is not None:
        axes.errorbar(x, y, line.total, fmt="none", elinewidth=1.0, capsize=3, color=shade, transform=place)
    axes.errorbar(
        x, y, line.statistical, fmt="osD^v"[index % 5], ms=5, lw=2.2, color=shade, label=plain(line.label),
        mfc=shade if line.reweighted else "white", transform=place,
    )  # fmt: skip


def _scales(axes: Axes, lines: Sequence[DirectRatios]) -> None:
    efficiency = np.unique(np.concatenate([line.efficiency for line in lines]))
    axes.set_xscale("log")
    axes.set_xlim(2 * efficiency.max(), efficiency.min() / 2)
    axes.set_xticks(efficiency, [f"{100 * one:g}%" for one in efficiency])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Efficiency of the data in the signal window")
    ends = [1 - 2 * GOAL, 1 + 2 * GOAL]
    for line in lines:
        errors = line.statistical if line.total is None else line.total
        ends += [end for sign in (-1, 1) for end in line.ratio + sign * errors if np.isfinite(end)]
    low, high = min(ends), min(max(ends), 3.0)
    axes.set_ylim(max(low - 0.1 * (high - low), 0.0), high + (0.3 + 0.09 * len(lines)) * (high - low))
