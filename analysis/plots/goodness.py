"""How well a background function fits, and how many parameters it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy import stats

from analysis.numbers import format_count, is_bound, mathtext_p
from analysis.plots.mathtext import p_text
from analysis.plots.style import DATA, FIT, SIGNAL, Label, add_label, new_figure, plain, styled

# p-values below this are drawn here, with an arrow
_FLOOR = 1e-8


@dataclass(frozen=True)
class ToyStatistic:
    """A goodness-of-fit statistic of the data and of toys.

    Attributes:
        observed: of the data.
        edges, counts: (n + 1,) and (n,) histogram of the toys.
        ndof: degrees of freedom of the asymptotic χ² distribution; None leaves the curve out.
        p, low, high: p-value from the toys, with its interval.
        is_bound: no toy fits as badly as the data, so that `p` is only a bound.
        failed: toys with a failed fit.
        name: what the statistic is called on the axis.
        function: name of the background function.
    """

    observed: float
    edges: np.ndarray
    counts: np.ndarray
    ndof: int | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    is_bound: bool = False
    failed: int = 0
    name: str = r"Deviance from the saturated model, $-2\,\ln\lambda$"
    function: str = ""

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.edges)} edges do not fit {len(self.counts)} bins of toys")

    @classmethod
    def from_result(cls, entry: Mapping[str, Any]) -> ToyStatistic:
        """Take a `SaturatedTest` as it stands in results.json."""
        p, toys = entry["p"], entry["toy_deviance"]
        return cls(
            float(entry["deviance"]), np.array(toys["edges"]), np.array(toys["counts"]), entry["ndof"],
            p["value"], p["low"], p["high"], is_bound(p), entry["failed"], function=entry["family"],
        )  # fmt: skip


@styled
def goodness_figure(statistic: ToyStatistic, *, label: Label | None = None) -> Figure:
    """Draw the toys' statistic, the asymptotic distribution and the observed value; the tail beyond it is shaded."""
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    edges = np.asarray(statistic.edges, dtype=float)
    low, high = min(edges[0], statistic.observed), max(edges[-1], statistic.observed)
    highest = _draw_toys(axes, statistic, np.linspace(low, high, 400))
    # the line ends below the legend
    axes.axvline(statistic.observed, ymax=0.72, color=SIGNAL, lw=2, label=_observed(statistic))
    margin = 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(0, 1.5 * highest)
    axes.set_xlabel(statistic.name)
    axes.set_ylabel(f"Toys / {np.diff(edges).mean():.2g}")
    axes.legend(loc="upper right", title=plain(statistic.function) or None, title_fontsize=12)
    add_label(axes, label or Label())
    return figure


def _draw_toys(axes: Axes, statistic: ToyStatistic, x: np.ndarray) -> float:
    """Draw the histogram of toys and the asymptotic curve along `x`; return the highest of both."""
    edges, counts = np.asarray(statistic.edges, dtype=float), np.asarray(statistic.counts, dtype=float)
    failed = f", {format_count(statistic.failed)} failed" if statistic.failed else ""
    name = f"{format_count(counts.sum())} toys{failed}"
    tail = edges[:-1] >= statistic.observed
    axes.stairs(np.where(tail, 0.0, counts), edges, fill=True, color=FIT, alpha=0.35, lw=0, label=name)
    if tail.any():
        axes.stairs(np.where(tail, counts, 0.0), edges, fill=True, color=SIGNAL, alpha=0.35, lw=0)
    axes.stairs(counts, edges, color=FIT, lw=1.2)
    highest = max(float(counts.max(initial=0)), 1.0)
    if statistic.ndof is None or statistic.ndof < 1:
        return highest
    curve = counts.sum() * np.diff(edges).mean() * stats.chi2.pdf(x, statistic.ndof)
    axes.plot(x, curve, color=DATA, ls="--", lw=1.2, label=rf"$\chi^2$ with {statistic.ndof} degrees of freedom")
    return max(highest, float(curve.max()))


def _observed(statistic: ToyStatistic) -> str:
    text = f"Observed: {statistic.observed:.1f}"
    if statistic.p is None:
        return text
    text += f", {p_text(statistic.p, bound=statistic.is_bound)}"
    if statistic.low is None or statistic.high is None or statistic.is_bound:
        return text
    return f"{text} [{mathtext_p(statistic.low)}, {mathtext_p(statistic.high)}]"


@dataclass(frozen=True)
class OrderSteps:
    """What an F-test saw.

    Attributes:
        names: (n,) functions, from few to many parameters.
        chi2_p: (n,) p-value of each one's χ², NaN where there is none.
        chi2, ndof: (n,) for the labels.
        f_p: (n − 1,) p-value of each step to the next, NaN where it was not made.
        chosen: name of the function that was taken.
        threshold: p-value of a step below which the richer function was taken.
    """

    names: Sequence[str]
    chi2_p: np.ndarray
    chi2: np.ndarray
    ndof: np.ndarray
    f_p: np.ndarray
    chosen: str
    threshold: float = 0.05

    def __post_init__(self) -> None:
        shapes = [np.shape(getattr(self, name)) for name in ("chi2_p", "chi2", "ndof", "f_p")]
        n = len(self.names)
        if not n or self.chosen not in self.names:
            raise ValueError(f"an F-test chooses one of its functions, got {self.chosen!r} of {list(self.names)}")
        if shapes != [(n,), (n,), (n,), (n - 1,)]:
            raise ValueError(f"an F-test of {n} functions has arrays of shapes {shapes}")

    @classmethod
    def from_result(cls, entry: Mapping[str, Any], *, threshold: float = 0.05) -> OrderSteps:
        """Take an `OrderChoice` as it stands in results.json."""
        names = list(entry["chi2"])
        steps = {(test["simpler"], test["richer"]): test["p"] for test in entry["tests"]}
        values = {
            key: np.array([np.nan if entry["chi2"][name][key] is None else entry["chi2"][name][key] for name in names])
            for key in ("p", "chi2", "ndof")
        }
        f_p = np.array([steps.get(pair, np.nan) for pair in pairwise(names)], dtype=float)
        return cls(names, values["p"], values["chi2"], values["ndof"], f_p, entry["family"], threshold)


@styled
def order_figure(steps: OrderSteps, *, label: Label | None = None) -> Figure:
    """Draw the p-value of each function's χ² and, between functions, that of the F-test of the step.

    P-values too small for the axis are drawn at its foot with an arrow.
    """
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    places = np.arange(len(steps.names), dtype=float)
    known = np.concatenate([steps.chi2_p, steps.f_p])
    smallest = float(np.nanmin(known, initial=steps.threshold / 30))
    # room below the smallest p-value for the arrows of those that leave the axis
    bottom = max(smallest, _FLOOR) ** 1.2 / 3
    _draw_p(axes, places, steps.chi2_p, color=DATA, marker="o", above=8, label=r"$\chi^2$ of the function")
    _draw_p(axes, places[:-1] + 0.5, steps.f_p, color=SIGNAL, marker="s", above=21, label="F-test of the step")
    axes.axhline(steps.threshold, color=SIGNAL, ls="--", lw=1.2, label=f"F-test threshold, {steps.threshold:g}")
    chosen = list(steps.names).index(steps.chosen)
    axes.axvspan(chosen - 0.3, chosen + 0.3, color=FIT, alpha=0.2, lw=0, label=f"Chosen: {plain(steps.chosen)}")
    axes.set_yscale("log")
    axes.set_ylim(bottom, bottom**-0.35)
    axes.yaxis.set_ticks([tick for tick in axes.get_yticks() if bottom <= tick <= 1])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.6, len(places) - 0.4)
    labels = zip(steps.names, steps.chi2, steps.ndof, strict=True)
    axes.set_xticks(places, [f"{plain(name)}\n$\\chi^2$ = {chi2:.1f}/{ndof:.0f}" for name, chi2, ndof in labels])
    axes.tick_params(axis="x", which="both", top=False, bottom=False, labelsize=12 if len(places) < 5 else 10)
    axes.set_ylabel("p-value")
    axes.legend(loc="upper right", ncols=2)
    add_label(axes, label or Label())
    return figure


def _draw_p(axes: Axes, x: np.ndarray, p: np.ndarray, *, color: str, marker: str, above: int, label: str) -> None:
    """Points with their values ``above`` them (typographic points); those below the floor on it, with an arrow."""
    shown = np.where(np.isfinite(p), np.maximum(p, _FLOOR), np.nan)
    axes.plot(x, shown, color=color, marker=marker, ms=7, ls="", label=label, zorder=3)
    points: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "size": 10, "color": color}
    white = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.6}
    for place, height, value in zip(x, shown, p, strict=True):
        if not np.isfinite(value):
            continue
        axes.annotate(mathtext_p(float(value)), (place, height), (0, above), bbox=white, **points)
        if value < _FLOOR:
            arrow = {"arrowstyle": "<-", "color": color, "lw": 1.5}
            axes.annotate("", (place, height), (0, -26), arrowprops=arrow, **points)
