"""Nuisance parameters and the signal: the ranking of pulls and impacts, and likelihood scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.numbers import format_number, format_uncertain
from analysis.plots.mathtext import in_mathtext
from analysis.plots.style import DATA, FIT, ONE_SIGMA, SIGNAL, TWO_SIGMA, Label, add_label, new_figure, plain, styled

SHOWN = 20  # nuisance parameters in one ranking
_UP, _DOWN = SIGNAL, FIT
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class RankedNuisance:
    """One row of the ranking.

    Attributes:
        name: of the nuisance parameter.
        pull, constraint: (θ̂ − θ₀)/σ₀ and error over σ₀; None for free parameters and those without an error.
        postfit, prefit: change of the signal strength with θ one error down and up; None where unknown.
        value, error: of the parameter, written in place of a pull where there is none.
    """

    name: str
    pull: float | None
    constraint: float | None
    postfit: Ends
    prefit: Ends = (None, None)
    value: float | None = None
    error: float | None = None

    @property
    def largest(self) -> float:
        """The larger post-fit change, 0 where none is known."""
        return max((abs(change) for change in self.postfit if change is not None), default=0.0)

    @classmethod
    def from_result(cls, entry: Mapping[str, Any], *, channel: str = "") -> RankedNuisance:
        """Take one entry of the `ranking` of `Impacts.to_dict()`.

        Nuisances of the background of `channel`, the only one of the workspace, are named without it: "background 0".
        """
        name, prefix = entry["name"], f"{channel}_background_"
        if channel and name.startswith(prefix):
            name = f"background {name.removeprefix(prefix)}"
        return cls(
            name, entry["pull"], entry["constraint"], tuple(entry["postfit_impact"]),
            tuple(entry["prefit_impact"]), entry["value"], entry["error"],
        )  # fmt: skip


@styled
def ranking_figure(
    nuisances: Sequence[RankedNuisance],
    *,
    strength: float,
    error: float | None = None,
    unit: str = "selected events",
    shown: int = SHOWN,
    label: Label | None = None,
) -> Figure:
    """Draw pulls with their constraints (left) and impacts on the signal strength (right), largest impact on top.

    Filled bars are post-fit impacts, open ones prefit. Of more than `shown` parameters the largest are drawn, and a
    line says how many are not.

    Raises:
        ValueError: no nuisance parameter was given.
    """
    if not nuisances:
        raise ValueError("a ranking needs at least one nuisance parameter")
    ordered = sorted(nuisances, key=lambda nuisance: -nuisance.largest)
    kept = ordered[: max(shown, 1)]
    longest = max(len(nuisance.name) for nuisance in kept)
    figure = new_figure(8.6 + 0.07 * min(longest, 40), 2.9 + 0.33 * len(kept))
    grid = GridSpec(1, 2, figure=figure, width_ratios=[1.0, 1.15])
    left = figure.add_subplot(grid[0])
    right = figure.add_subplot(grid[1], sharey=left)
    _draw_pulls(left, kept)
    _draw_impacts(right, kept, unit)
    right.tick_params(labelleft=False)
    add_label(left, label or Label())
    fitted = f"$\\hat{{\\mu}}$ = {in_mathtext(format_uncertain(strength, error))} {plain(unit)}"
    right.annotate(
        fitted, (1, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        ha="right", va="bottom", size="medium",
    )  # fmt: skip
    handles = [
        Line2D([], [], color=DATA, marker="o", ms=5, label=r"pull, error / prefit error"),
        Patch(color=_DOWN, label=r"$\theta$ one error down"),
        Patch(color=_UP, label=r"$\theta$ one error up"),
        Patch(fill=False, ec=DATA, lw=1.0, label="by the prefit error"),
    ]
    hidden = len(ordered) - len(kept)
    title = f"The {len(kept)} largest of {len(ordered)} nuisance parameters" if hidden else None
    figure.legend(handles=handles, loc="outside lower center", ncols=4, title=title, title_fontsize=12)
    return figure


def _draw_pulls(axes: Axes, kept: Sequence[RankedNuisance]) -> None:
    rows = range(len(kept))
    reach = max([2.2] + [abs(n.pull) + (n.constraint or 0.0) + 0.2 for n in kept if n.pull is not None])
    for edge, shade in ((2.0, TWO_SIGMA), (1.0, ONE_SIGMA)):
        axes.axvspan(-edge, edge, color=shade, alpha=0.35, lw=0, zorder=-5)
    axes.axvline(0.0, color=DATA, lw=0.8, ls=":")
    for row, nuisance in zip(rows, kept, strict=True):
        if nuisance.pull is not None:
            axes.errorbar(nuisance.pull, row, xerr=nuisance.constraint or 0.0, color=DATA, fmt="o", ms=5, lw=1.6)
        elif nuisance.value is not None:
            text = f"free: {format_uncertain(nuisance.value, nuisance.error)}"
            axes.text(0.0, row, text, ha="center", va="center", size="small", bbox={"fc": "white", "ec": "none"})
    axes.set_yticks(rows, [plain(nuisance.name) for nuisance in kept], size=12)
    axes.minorticks_on()
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.set_xlim(-reach, reach)
    axes.set_xlabel(r"$(\hat{\theta} - \theta_0)\,/\,\sigma_0$")


def _draw_impacts(axes: Axes, kept: Sequence[RankedNuisance], unit: str) -> None:
    sizes = [abs(change) for nuisance in kept for change in (*nuisance.postfit, *nuisance.prefit) if change is not None]
    for row, nuisance in enumerate(kept):
        for changes, filled in ((nuisance.prefit, False), (nuisance.postfit, True)):
            for change, shade in zip(changes, (_DOWN, _UP), strict=True):
                if change is None:
                    continue
                look: dict[str, Any] = {"color": shade, "lw": 0} if filled else {"fill": False, "ec": shade, "lw": 1.2}
                axes.barh(row, change, height=0.5 if filled else 0.74, **look)
        if all(change is None for change in nuisance.postfit):
            axes.text(0.0, row, "no impact known", ha="center", va="center", size="small")
    reach = 1.15 * max(sizes, default=0.0) or 1.0
    axes.axvline(0.0, color=DATA, lw=0.8)
    axes.set_xlim(-reach, reach)
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.set_xlabel(f"$\\Delta\\hat{{\\mu}}$ [{plain(unit)}]")


@dataclass(frozen=True)
class LikelihoodScan:
    """A profiled likelihood.

    Attributes:
        parameter: its name.
        values, twice_delta_nll: (n,) each; NaN where a fit failed.
        best: value of the best fit.
        intervals: ends where 2 Δ log L is 1 and 4; None for an end beyond the parameter's range.
        failed: fits that failed.
    """

    parameter: str
    values: np.ndarray
    twice_delta_nll: np.ndarray
    best: float
    intervals: Sequence[Ends] = ()
    failed: int = 0

    @classmethod
    def from_result(cls, entry: Mapping[str, Any]) -> LikelihoodScan:
        """Take `NllScan.to_dict()`."""
        curve = np.array([np.nan if value is None else value for value in entry["twice_delta_nll"]], dtype=float)
        intervals = [tuple(entry["intervals"][level]) for level in ("1", "4")]
        return cls(entry["parameter"], np.array(entry["values"]), curve, entry["best"], intervals, entry["failed_fits"])


@styled
def nll_figure(scan: LikelihoodScan, *, unit: str = "", label: Label | None = None) -> Figure:
    """Draw 2 Δ log L against a parameter with lines at one and two standard deviations and the intervals they give.

    Raises:
        ValueError: values and likelihoods are not of the same length.
    """
    values, curve = np.asarray(scan.values, dtype=float), np.asarray(scan.twice_delta_nll, dtype=float)
    if values.shape != curve.shape:
        raise ValueError(f"a scan has {values.shape} values and {curve.shape} likelihoods")
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    fine = np.isfinite(curve)
    axes.plot(values[fine], curve[fine], color=FIT, marker="o", ms=3.5, label=_scan_name(scan))
    highest = max(4.8, 1.05 * float(curve[fine].max(initial=0.0)))
    for sigmas, ends in zip((1, 2), scan.intervals, strict=False):
        axes.axhline(sigmas**2, color=DATA, lw=0.9, ls="--" if sigmas == 1 else ":")
        for end in ends:
            if end is not None:
                axes.plot([end, end], [0.0, sigmas**2], color=DATA, lw=0.9, ls="--" if sigmas == 1 else ":")
        text = f"{100 * (0.6827 if sigmas == 1 else 0.9545):.1f}%: {_interval(ends)}"
        axes.plot([], [], color=DATA, lw=0.9, ls="--" if sigmas == 1 else ":", label=text)
    axes.set_ylim(0.0, 1.45 * highest)
    if fine.any() and values[fine].min() < values[fine].max():
        axes.set_xlim(values[fine].min(), values[fine].max())
    name = r"$\mu$" if scan.parameter == "mu" else plain(scan.parameter)
    axes.set_xlabel(name + (f" [{plain(unit)}]" if unit else ""))
    axes.set_ylabel(r"$-2\,\Delta\ln L$")
    axes.legend(loc="upper center")
    add_label(axes, label or Label())
    return figure


def _scan_name(scan: LikelihoodScan) -> str:
    failed = f", {scan.failed} failed fits" if scan.failed else ""
    best = format_number(scan.best)
    return f"profiled, best {best}{failed}"


def _interval(ends: Ends) -> str:
    low, high = (None if end is None else format_number(end) for end in ends)
    if low is None and high is None:
        return "not within bounds"
    if low is None:
        return f"below {high}"
    return f"above {low}" if high is None else f"{low} to {high}"
