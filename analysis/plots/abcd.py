"""Background estimates from two scores: their plane, prediction against observation, and closure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from analysis.plots.clipped import mark_beyond, show_ratios
from analysis.plots.intervals import garwood_errors
from analysis.plots.style import DATA, FIT, SIGNAL, Label, add_label, colour, new_figure, plain, stacked_axes, styled

MARKERS = "os^Dvp"


@dataclass(frozen=True)
class ScorePlane:
    """Events in the plane of two scores.

    Attributes:
        x_edges, y_edges: (n + 1,) edges of both scores' bins.
        counts: (n_x, n_y) sums of weights, of the background alone where `is_background`.
        x_label, y_label: of the axes.
        x_cuts, y_cuts: scores below which events are background-like, and above which they are selected; None where
            there is no such boundary.
        signal: (n_signal, 2) scores of some signal events, or empty.
        n_signal: how many signal events there are.
        is_background: whether the truth told `counts` from signal.
        tighter: (x, y) scores above which events pass each tighter selection, drawn as a corner.
        note: what is written above the plane, e.g. a correlation coefficient.
    """

    x_edges: np.ndarray
    y_edges: np.ndarray
    counts: np.ndarray
    x_label: str
    y_label: str
    x_cuts: tuple[float | None, float | None]
    y_cuts: tuple[float | None, float | None]
    signal: np.ndarray
    n_signal: int = 0
    is_background: bool = False
    tighter: tuple[tuple[float, float], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Prediction:
    """One estimate against efficiency: (n,) predicted events and uncertainties, NaN where there is none."""

    label: str
    predicted: np.ndarray
    uncertainty: np.ndarray


@dataclass(frozen=True)
class ClosurePulls:
    """Closure in validation regions of one kind.

    Attributes:
        label: in the legend.
        tails: (n,) fraction of events above the boundary.
        ratios, errors: (n,) observed over predicted.
        pulls: (n,) in standard deviations.
    """

    label: str
    tails: np.ndarray
    ratios: np.ndarray
    errors: np.ndarray
    pulls: np.ndarray


@styled
def plane_figure(plane: ScorePlane, *, label: Label | None = None) -> Figure:
    """Draw the events of two scores on a logarithmic colour scale, with the regions A, B, C and D."""
    figure = new_figure(7.4, 6.2)
    axes = figure.add_subplot()
    counts = np.ma.masked_less_equal(np.asarray(plane.counts, dtype=float), 0.0)
    top = float(counts.max()) if counts.count() else 1.0
    mesh = axes.pcolormesh(
        plane.x_edges, plane.y_edges, counts.T, cmap="Blues", norm=LogNorm(min(1.0, top / 2), top), rasterized=True
    )
    what = "Background events" if plane.is_background else "Events"
    figure.colorbar(mesh, ax=axes, pad=0.02).set_label(f"{what} / bin")
    if len(plane.signal):
        axes.plot(*np.transpose(plane.signal), ls="", marker=".", ms=4, color=SIGNAL, alpha=0.6)
    for cuts, draw in ((plane.x_cuts, axes.axvline), (plane.y_cuts, axes.axhline)):
        for cut, style in zip(cuts, (":", "-"), strict=True):
            if cut is not None:
                draw(cut, color=DATA, ls=style, lw=1.4)
    axes.set_xlim(plane.x_edges[0], plane.x_edges[-1])
    axes.set_ylim(plane.y_edges[0], plane.y_edges[-1])
    for x_cut, y_cut in plane.tighter:
        axes.plot([x_cut, x_cut, plane.x_edges[-1]], [plane.y_edges[-1], y_cut, y_cut], color=DATA, ls="--", lw=1.0)
    _name_regions(axes, plane)
    if plane.note:
        box = {"boxstyle": "round,pad=0.3", "fc": "white", "ec": "none", "alpha": 0.85}
        axes.text(0.02, 0.98, plane.note, ha="left", va="top", transform=axes.transAxes, fontsize=12, bbox=box)
    axes.set_xlabel(plane.x_label)
    axes.set_ylabel(plane.y_label)
    axes.legend(handles=_plane_handles(plane), loc="lower left", frameon=True, framealpha=0.85)
    add_label(axes, label or Label())
    return figure


def _plane_handles(plane: ScorePlane) -> list[Line2D]:
    handles = [
        Line2D([], [], color=DATA, label="Selected above"),
        Line2D([], [], color=DATA, ls=":", label="Background-like below"),
    ]
    if plane.tighter:
        handles.insert(1, Line2D([], [], color=DATA, ls="--", lw=1.0, label="Tighter selections"))
    if len(plane.signal):
        shown, total = len(plane.signal), max(plane.n_signal, len(plane.signal))
        events = f"{shown:,} events" if shown == total else f"{shown:,} of {total:,} events"
        handles.append(Line2D([], [], color=SIGNAL, ls="", marker=".", ms=7, label=f"Signal ({events})"))
    return handles


def _name_regions(axes: Axes, plane: ScorePlane) -> None:
    """Write each region's letter into the corner of the plane that belongs to it."""
    x_cut, y_cut = plane.x_cuts[1], plane.y_cuts[1]
    if x_cut is None or y_cut is None:
        return
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.8}
    for name, x, y in (
        ("A", (x_cut + right) / 2, (y_cut + top) / 2),
        ("B", left + 0.08 * (x_cut - left), (y_cut + top) / 2),
        ("C", (x_cut + right) / 2, y_cut - 0.06 * (top - bottom)),
        ("D", left + 0.08 * (x_cut - left), y_cut - 0.06 * (top - bottom)),
    ):
        axes.text(x, y, name, ha="center", va="center", weight="bold", bbox=box)


@styled
def prediction_figure(
    efficiencies: np.ndarray,
    observed: np.ndarray,
    predictions: Sequence[Prediction],
    *,
    true_background: np.ndarray | None = None,
    label: Label | None = None,
) -> Figure:
    """Draw predicted and observed events against efficiency, and below it their ratio to what is to be predicted.

    The ratio is to the true background where that is known, else to the observed events, with the Poisson uncertainty
    of that number as a band. Ratios beyond 0.7 and 1.3 stand at the edge as numbers.

    Args:
        efficiencies: (n,) nominal efficiencies of the selection.
        observed: (n,) events in the signal region.
        predictions: the estimates, drawn side by side.
        true_background: (n,) background events in the signal region.

    Raises:
        ValueError: no efficiency was given, or lengths differ.
    """
    order = np.argsort(efficiencies)
    x, seen = np.asarray(efficiencies, dtype=float)[order], np.asarray(observed, dtype=float)[order]
    if not len(x) or len(seen) != len(x) or any(len(p.predicted) != len(x) for p in predictions):
        raise ValueError("a figure of predictions needs one value for each efficiency, and at least one")
    reference = seen if true_background is None else np.asarray(true_background, dtype=float)[order]
    figure = new_figure(7.6, 6.6)
    top, bottom = stacked_axes(figure, (2.2, 1.0))
    low, high = garwood_errors(seen)
    top.errorbar(x, seen, (low, high), color=DATA, ls="", marker="o", ms=6, capsize=2, label="Observed")
    if true_background is not None:
        top.plot(x, reference, color=DATA, ls="", marker="_", ms=22, mew=2, label="True background")
    spread = np.linspace(-0.5, 0.5, len(predictions)) if len(predictions) > 1 else np.zeros(1)
    for index, one in enumerate(predictions):
        place = x * 10 ** (0.16 * spread[index])
        values, errors = np.asarray(one.predicted)[order], np.asarray(one.uncertainty)[order]
        style: dict[str, Any] = {
            "color": colour(index),
            "marker": MARKERS[(index + 1) % len(MARKERS)],
            "ls": "",
            "ms": 6,
            "capsize": 2,
        }
        top.errorbar(place, values, errors, label=plain(one.label), **style)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = values / reference
            bottom.errorbar(place, ratios, errors / reference, **style)
        mark_beyond(bottom, place, ratios, colour=colour(index), upright=True)
    _ratio_band(bottom, x, reference)
    show_ratios(bottom)
    bottom.set_ylabel("Predicted /\n" + ("observed" if true_background is None else "true background"), fontsize=12)
    efficiency_axis(bottom, x)
    top.set_yscale("log")
    top.set_ylabel("Events in the signal region")
    top.legend(loc="upper left")
    floor, ceiling = top.get_ylim()
    top.set_ylim(floor, ceiling * (ceiling / floor) ** 0.25)
    add_label(top, label or Label())
    return figure


def _ratio_band(axes: Axes, x: np.ndarray, reference: np.ndarray) -> None:
    low, high = garwood_errors(np.where(np.isfinite(reference), reference, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        edges = np.stack([1 - low / reference, 1 + high / reference])
    for one, (lower, upper) in zip(x, edges.T, strict=True):
        if np.isfinite(lower + upper):
            axes.fill_between([one / 1.3, one * 1.3], lower, upper, color=FIT, alpha=0.18, lw=0)
    axes.axhline(1, color=DATA, lw=1)


def efficiency_axis(axes: Axes, efficiencies: np.ndarray) -> None:
    """Make the x axis one of nominal efficiencies, a tick in percent at each."""
    axes.set_xscale("log")
    axes.set_xlim(efficiencies.min() / 1.7, efficiencies.max() * 1.7)
    axes.set_xticks(efficiencies)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Efficiency of the selection if the scores were independent")


@styled
def closure_figure(closures: Sequence[ClosurePulls], *, label: Label | None = None) -> Figure:
    """Draw observed over predicted in validation regions against their boundary, and the pulls below.

    Raises:
        ValueError: no validation region was given.
    """
    closures = [one for one in closures if len(one.tails)]
    if not closures:
        raise ValueError("a figure of closure needs at least one validation region")
    figure = new_figure(7.6, 6.2)
    top, bottom = stacked_axes(figure, (1.6, 1.0))
    for index, one in enumerate(closures):
        place = np.asarray(one.tails) * 10 ** (0.012 * (index - (len(closures) - 1) / 2))
        style: dict[str, Any] = {"color": colour(index), "marker": MARKERS[index % len(MARKERS)], "ls": "", "ms": 6}
        top.errorbar(place, one.ratios, one.errors, capsize=2, label=plain(one.label), **style)
        bottom.plot(place, one.pulls, **style)
    top.axhline(1, color=DATA, lw=1)
    for level, line in ((0, "-"), (-2, ":"), (2, ":")):
        bottom.axhline(level, color=DATA, ls=line, lw=1)
    reach = max(3.0, 1.15 * max(float(np.nanmax(np.abs(one.pulls))) for one in closures))
    bottom.set_ylim(-reach, reach)
    bottom.set_ylabel("Pull")
    top.set_ylabel("Observed / predicted")
    low, high = top.get_ylim()
    top.set_ylim(low - 0.05 * (high - low), high + 0.45 * (high - low))
    top.legend(loc="upper left")
    bottom.set_xscale("log")
    tails = np.unique(np.concatenate([one.tails for one in closures]))
    bottom.set_xlim(tails[-1] * 1.15, tails[0] / 1.15)
    bottom.set_xticks(_apart(tails))
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    bottom.xaxis.set_minor_formatter(NullFormatter())
    bottom.set_xlabel("Fraction of events above the boundary of the validation region")
    add_label(top, label or Label())
    return figure


def _apart(values: np.ndarray) -> list[float]:
    """Rising values thinned so that their labels do not touch on a logarithmic axis."""
    kept: list[float] = []
    span = float(np.log(values[-1] / values[0])) if len(values) > 1 else 1.0
    for value in values:
        if not kept or np.log(value / kept[-1]) > span / 14:
            kept.append(float(value))
    return kept
