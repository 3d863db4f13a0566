"""Distributions on top of each other with the ratio to one of them below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator

from analysis.plots.intervals import garwood_errors
from analysis.plots.style import (
    DATA,
    FIT,
    REWEIGHTED,
    SIGNAL,
    Label,
    add_label,
    colour,
    new_figure,
    plain,
    shade_window,
    styled,
    touching,
)

Role = Literal["data", "simulation", "reweighted", "background", "signal", "inclusive", "selection"]


@dataclass(frozen=True)
class Histogram:
    """Contents of the bins of one sample.

    Attributes:
        label: name in the legend.
        values: (n,) events or sums of weights per bin.
        variances: (n,) sums of squared weights; None for plain counts, which get Garwood errors.
        role: "data" (points), "simulation" (filled), "reweighted" (simulation after its correction), "background" and
            "signal" (known from the truth, and marked so in the legend), "inclusive" (outline) and "selection" (a
            subset of the reference, coloured points).
    """

    label: str
    values: np.ndarray
    variances: np.ndarray | None = None
    role: Role = "data"

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise ValueError(f"role of {self.label!r} is {self.role!r}, expected one of {get_args(Role)}")

    @property
    def name(self) -> str:
        """Label as it stands in a legend."""
        return plain(self.label) + (" (truth)" if self.role in ("background", "signal") else "")

    @property
    def errors(self) -> np.ndarray:
        """(2, n) error bars below and above."""
        if self.variances is None:
            return np.stack(garwood_errors(self.values))
        return np.stack([np.sqrt(self.variances)] * 2)

    @property
    def total(self) -> float:
        """Sum over bins, 1 for an empty histogram so that it can always be divided by."""
        return float(np.sum(self.values)) or 1.0


@dataclass(frozen=True)
class Comparison:
    """Histograms of one quantity.

    Attributes:
        x_label: quantity with its unit in brackets.
        edges: (n + 1,) bin edges.
        histograms: what is drawn.
        reference: index of the histogram the others are divided by, None for no ratio panel.
        window: mass window to shade where x is m_jj, GeV.
        whole_ratio: whether the ratio panel shows all points, however far from 1.
        reference_name: what the ratio panel calls the reference; by default its label, or "sim.".
    """

    x_label: str
    edges: np.ndarray
    histograms: Sequence[Histogram]
    reference: int | None = None
    window: tuple[float, float] | None = None
    whole_ratio: bool = False
    reference_name: str | None = None

    def __post_init__(self) -> None:
        for histogram in self.histograms:
            if np.shape(histogram.values) != (len(self.edges) - 1,):
                raise ValueError(
                    f"histogram {histogram.label!r} of {self.x_label} has {np.shape(histogram.values)} bins, "
                    f"its edges make {len(self.edges) - 1}"
                )


@styled
def comparison_figure(
    comparisons: Comparison | Sequence[Comparison],
    *,
    columns: int = 3,
    log: bool = False,
    normalise: bool = True,
    label: Label | None = None,
) -> Figure:
    """Draw one quantity, or a grid of them with `columns` in a row.

    Ratio points carry the error of their own histogram, the reference's error is the band around 1; a "selection" is a
    subset of the reference and gets the binomial error of the fraction instead.

    Args:
        log: logarithmic y axis.
        normalise: scale every histogram to unit sum.

    Raises:
        ValueError: nothing to draw.
    """
    comparisons = [comparisons] if isinstance(comparisons, Comparison) else list(comparisons)
    if not comparisons:
        raise ValueError("a comparison needs at least one quantity")
    columns = min(columns, len(comparisons))
    rows = math.ceil(len(comparisons) / columns)
    ratio = any(comparison.reference is not None for comparison in comparisons)
    size = (7.2, 6.2 if ratio else 5.4) if len(comparisons) == 1 else (4.7, 4.6 if ratio else 3.9)
    figure = new_figure(size[0] * columns, size[1] * rows + 0.2)
    touching(figure)
    outer = GridSpec(rows, columns, figure=figure)
    for index, comparison in enumerate(comparisons):
        main = _draw(figure, outer[index // columns, index % columns], comparison, log=log, normalise=normalise)
        if index == 0:
            add_label(main, label or Label())
            main.legend(loc="best", fontsize=11 if len(comparisons) == 1 else 10)
    return figure


def _draw(figure: Figure, cell: Any, comparison: Comparison, *, log: bool, normalise: bool) -> Axes:
    has_ratio = comparison.reference is not None
    grid = cell.subgridspec(2 if has_ratio else 1, 1, height_ratios=[3, 1] if has_ratio else [1], hspace=0.0)
    main = figure.add_subplot(grid[0])
    main.set_title(" ", fontsize="x-large")  # keeps the rows of a grid apart, and all panels equally high
    shade_window(main, comparison.window)
    for index, histogram in enumerate(comparison.histograms):
        _draw_histogram(main, comparison, index, scale=1 / histogram.total if normalise else 1.0)
    _scale(main, comparison, log=log, normalise=normalise)
    main.set_ylabel("Fraction of events" if normalise else "Events")
    main.set_xlim(comparison.edges[0], comparison.edges[-1])
    last = main
    if has_ratio:
        main.tick_params(labelbottom=False)
        last = figure.add_subplot(grid[1], sharex=main)
        _draw_ratios(last, comparison, normalise=normalise)
    last.set_xlabel(comparison.x_label)
    return main


def _draw_histogram(axes: Axes, comparison: Comparison, index: int, *, scale: float) -> None:
    histogram = comparison.histograms[index]
    values, errors, edges = histogram.values * scale, histogram.errors * scale, comparison.edges
    shade = _shade(histogram, index)
    if histogram.role in ("data", "selection"):
        values = np.where(histogram.values > 0, values, np.nan)
        mplhep.histplot(
            values, edges, yerr=errors, histtype="errorbar", ax=axes, color=shade, label=histogram.name,
            markersize=4, zorder=5,
        )  # fmt: skip
        return
    style = "--" if histogram.role == "signal" else "-"
    mplhep.histplot(values, edges, yerr=False, histtype="step", ax=axes, color=shade, label=histogram.name, ls=style)
    values = np.where(histogram.values != 0, values, np.nan)  # an empty bin's band would hide everything else
    axes.stairs(values + errors[1], edges, baseline=values - errors[0], fill=True, color=shade, alpha=0.25, lw=0)
    if histogram.role == "simulation":
        axes.stairs(values, edges, fill=True, color=shade, alpha=0.15, lw=0)


def _shade(histogram: Histogram, index: int) -> str:
    roles = {"data": DATA, "inclusive": DATA, "simulation": FIT, "background": FIT, "signal": SIGNAL}
    roles["reweighted"] = REWEIGHTED
    return roles.get(histogram.role, colour(index - 1 if index else 0))


def _draw_ratios(axes: Axes, comparison: Comparison, *, normalise: bool) -> None:
    assert comparison.reference is not None
    reference = comparison.histograms[comparison.reference]
    base = np.where(reference.values > 0, reference.values, np.nan)
    relative = reference.errors / base
    subset = any(histogram.role == "selection" for histogram in comparison.histograms)
    if not subset:
        axes.stairs(
            1 + relative[1], comparison.edges, baseline=1 - relative[0], fill=True, color="#999999", alpha=0.35, lw=0
        )  # fmt: skip
    axes.axhline(1, color=DATA, lw=0.8)
    centres = (comparison.edges[1:] + comparison.edges[:-1]) / 2
    extent = [0.1]
    for index, histogram in enumerate(comparison.histograms):
        if histogram is reference or histogram.role == "signal":
            continue
        scale = reference.total / histogram.total if normalise else 1.0
        ratio = histogram.values * scale / base
        errors = histogram.errors * scale / base
        if histogram.role == "selection":
            errors = errors * np.sqrt(np.clip(1 - histogram.values / base, 0, 1))
        shown = np.isfinite(ratio) & (histogram.values > 0)
        axes.errorbar(
            centres[shown], ratio[shown], errors[:, shown], fmt="o", ms=3.5, elinewidth=1,
            color=_shade(histogram, index),
        )  # fmt: skip
        extent.extend(ratio[shown] - 1)
    half = min(max(1.3 * float(np.quantile(np.abs(extent), 0.97)), 0.15), 1.0)
    if comparison.whole_ratio:
        axes.set_ylim(1 + 1.2 * min(*extent, -0.1), 1 + 1.2 * max(extent))
    else:
        axes.set_ylim(1 - half, 1 + half * (1 if half < 1 else 1.5))
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="both"))
    axes.set_ylabel(f"Ratio to\n{comparison.reference_name or _short(reference)}", loc="center", size="small")


def _short(histogram: Histogram) -> str:
    return "sim." if histogram.role == "simulation" else plain(histogram.label)


def _scale(axes: Axes, comparison: Comparison, *, log: bool, normalise: bool) -> None:
    scaled = [h.values / (h.total if normalise else 1.0) for h in comparison.histograms]
    top = max((float(np.max(values, initial=0)) for values in scaled), default=0.0)
    positive = [float(np.min(values[values > 0])) for values in scaled if np.any(values > 0)]
    room = 1.15 + 0.13 * len(comparison.histograms)
    if log and positive:
        low = 0.5 * min(positive)
        axes.set_yscale("log")
        axes.set_ylim(low, top * (top / low) ** (0.08 + 0.09 * len(comparison.histograms)))
    else:
        axes.set_ylim(0, top * room if top > 0 else 1)
