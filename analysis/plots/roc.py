"""Receiver operating curves and significance improvement, where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numbers import format_uncertain
from analysis.plots.style import DATA, Label, add_label, colour, legend_below, new_figure, plain, styled

_INSIDE = 4  # more curves have their legend below the axes
_LONG = 46  # characters; legends with longer names have one column
_GRID = np.linspace(0.005, 1.0, 200)
_QUANTILES = (0.16, 0.84)
FEWEST_MEMBERS = 3  # fewer have no quantiles to speak of
LineStyle = str | tuple[int, tuple[float, ...]]
_LINES: tuple[LineStyle, ...] = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), ":")


@dataclass(frozen=True)
class RocCurve:
    """One detector's efficiencies.

    Attributes:
        label: name in the legend.
        signal_efficiency, background_efficiency: (m,) at falling thresholds. Nothing is drawn below the first ε_S above
            0, that of the tightest selection: no threshold separates events of equal score. A point marks such an end.
        n_signal, n_background: events of each kind that were scored.
        members: the same curves (ε_S, ε_B) for each member of the ensemble or each repeated training: the band.
        repeated: `members` are repeated trainings, whose mean is drawn in place of the curve itself; an ensemble's
            own curve may lie beside the band of its members, which it may be better than.
        uses_labels: trained with truth labels, hence a reference only.
        line: colour of the line where it is not that of the band.
        shade: colour of line and band, and `style` that of the line, where they say something; else by the order.
        auc: area under the curve and its statistical uncertainty, for the legend; None leaves them out.
    """

    label: str
    signal_efficiency: np.ndarray
    background_efficiency: np.ndarray
    n_signal: int
    n_background: int
    members: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    uses_labels: bool = False
    repeated: bool = False
    line: str | None = None
    shade: str | None = None
    style: LineStyle | None = None
    auc: tuple[float, float] | None = None

    @property
    def band(self) -> str:
        """What the band of the curve is."""
        if not self.members:
            return r"statistical $\pm 1\sigma$"
        which = "16–84%" if len(self.members) >= FEWEST_MEMBERS else "range"
        # the curve of an ensemble may lie outside: it is not the mean of its members
        return f"{which} of {'repeats' if self.repeated else 'single members'}"

    @property
    def name(self) -> str:
        """Label as it stands in a legend, with the area under the curve."""
        area = "" if self.auc is None else f", AUC {format_uncertain(*self.auc)}"
        return plain(self.label) + (" (truth labels: reference)" if self.uses_labels else "") + area


@styled
def roc_figure(
    curves: RocCurve | Sequence[RocCurve], *, minimum_background: int = 20, label: Label | None = None
) -> Figure:
    """Draw background rejection 1/ε_B against signal efficiency.

    Points with fewer than `minimum_background` background events left are cut off, and the figure says so. The band is
    that of the members, where there are any, from their 16% to their 84% quantile at each ε_S (their range where they
    are fewer than three), else the statistical error of ε_B, no farther than ε_B = 1.
    """
    figure, axes, highest = _efficiency_figure(curves, minimum_background, power=1.0, label=label)
    axes.plot(_GRID, 1 / _GRID, color=DATA, ls=":", lw=1.2, label="Random")
    axes.set_yscale("log")
    axes.set_ylim(0.8, max(highest, 10.0) * 12)
    axes.set_ylabel(r"Background rejection $1/\varepsilon_B$")
    _add_legend(axes, curves, minimum_background)
    return figure


@styled
def sic_figure(
    curves: RocCurve | Sequence[RocCurve], *, minimum_background: int = 20, label: Label | None = None
) -> Figure:
    """Draw the significance improvement ε_S/√ε_B against signal efficiency.

    Without a regulator the ratio diverges where few background events are left, so points with fewer than
    `minimum_background` are cut off, and the figure says so. Bands as in `roc_figure`.
    """
    figure, axes, highest = _efficiency_figure(curves, minimum_background, power=0.5, label=label)
    axes.plot(_GRID, np.sqrt(_GRID), color=DATA, ls=":", lw=1.2, label="Random")
    n_lines = len(axes.get_legend_handles_labels()[0]) + 1
    n_lines = n_lines if n_lines <= _INSIDE + 2 else 0
    axes.set_ylim(0, max(highest, 1.0) * (1.22 + 0.07 * n_lines))
    axes.set_ylabel(r"Significance improvement $\varepsilon_S$/√$\varepsilon_B$")
    _add_legend(axes, curves, minimum_background)
    return figure


def _efficiency_figure(
    curves: RocCurve | Sequence[RocCurve], minimum: int, *, power: float, label: Label | None
) -> tuple[Figure, Axes, float]:
    curves = [curves] if isinstance(curves, RocCurve) else list(curves)
    if not curves:
        raise ValueError("this figure needs at least one curve")
    figure = new_figure(7.2, 5.6 if len(curves) <= _INSIDE else 6.6)
    axes = figure.add_subplot()
    highest = 0.0
    for index, curve in enumerate(curves):
        highest = max(highest, _draw_curve(axes, curve, minimum, power=power, index=index))
    axes.set_xlim(0, 1)
    axes.set_xlabel(r"Signal efficiency $\varepsilon_S$")
    add_label(axes, label or Label())
    return figure, axes, highest


def _add_legend(axes: Axes, curves: RocCurve | Sequence[RocCurve], minimum: int) -> None:
    curves = [curves] if isinstance(curves, RocCurve) else curves
    title = "\n".join([f"At least {minimum} background events", *_bands(curves)])
    if len(curves) <= _INSIDE:
        axes.legend(loc="upper right", title=title, title_fontsize=10, alignment="left")
        return
    columns = 1 if max(len(curve.name) for curve in curves) > _LONG else 2
    legend_below(axes, columns=columns, title=title.replace("\n", "; ", 1))


def _bands(curves: Sequence[RocCurve]) -> list[str]:
    """What the bands of the curves are, in lines of a legend."""
    lines = ["Bands:"]
    for index, band in enumerate(sorted({curve.band for curve in curves})):
        if index and len(f"{lines[-1]}, {band}") > _LONG:
            lines[-1] += ","
            lines.append(band)
        else:
            lines[-1] += f"{',' if index else ''} {band}"
    return lines


def _draw_curve(axes: Axes, curve: RocCurve, minimum: int, *, power: float, index: int) -> float:
    """Draw one curve and its band; return the highest point of what was drawn.

    A member of equal scores is interpolated to nothing selected, as a random choice among them would be.
    """
    background = _on_grid(curve.signal_efficiency, curve.background_efficiency)
    drawn = [curve.signal_efficiency, *(signal for signal, _ in curve.members if curve.repeated)]
    possible = max(map(_tightest, drawn)) <= _GRID
    background_left = background * curve.n_background >= max(minimum, 1)
    shown = possible & background_left
    signal, background = _GRID[shown], background[shown]
    value = _improvement(signal, background, power)
    if curve.members:
        floor = 0.5 / curve.n_background  # a member may have no background left where the average has some
        each = [_improvement(signal, np.maximum(_on_grid(*member)[shown], floor), power) for member in curve.members]
        low, high = np.quantile(each, _QUANTILES if len(each) >= FEWEST_MEMBERS else (0, 1), axis=0)
        value = np.mean(each, axis=0) if curve.repeated else value
    else:
        spread = value * power * np.sqrt((1 - background) / (background * curve.n_background))
        low, high = np.maximum(value - spread, _improvement(signal, np.ones_like(signal), power)), value + spread
    shade = curve.shade or colour(index)
    style = _LINES[index % len(_LINES)] if curve.style is None else curve.style
    axes.plot(signal, value, color=curve.line or shade, ls=style, label=curve.name)
    if not len(value):
        return 0.0
    axes.fill_between(signal, low, high, color=shade, alpha=0.22, lw=0)
    if (background_left & ~possible).any():
        axes.plot(signal[0], value[0], "o", color=curve.line or shade, ms=5)  # ends although events are left
    return float(max(np.max(value), np.max(high)))


def _on_grid(signal: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Background efficiency on the common grid of signal efficiencies: the lowest threshold that reaches each."""
    order = np.lexsort((background, signal))
    signal, background = np.asarray(signal)[order], np.asarray(background)[order]
    values: np.ndarray = np.interp(_GRID, signal, background) if len(signal) else np.zeros_like(_GRID)
    return values


def _tightest(signal: np.ndarray) -> float:
    """Signal efficiency of the tightest selection that keeps any signal: equal scores are a plateau with none below."""
    return float(np.min(signal, where=np.asarray(signal) > 0, initial=1.0))


def _improvement(signal: np.ndarray, background: np.ndarray, power: float) -> np.ndarray:
    """1/ε_B for power 1, ε_S/√ε_B for power ½."""
    return 1 / background if power == 1.0 else signal / np.sqrt(background)
