"""Upper limits against mass: the band of expected limits and the observed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.plots.style import DATA, FIT, ONE_SIGMA, TWO_SIGMA, Label, add_label, new_figure, plain, styled


@dataclass(frozen=True)
class LimitPoint:
    """Upper limits at one mass.

    Attributes:
        mass: GeV.
        observed: limit on the data, None or NaN where it failed or is blinded.
        expected: expected limits at −2σ, −1σ, median, +1σ, +2σ; None or NaN where they failed.
        toys: observed limit from toys, its error, and the median expected one; None or NaN where there is none.
    """

    mass: float
    observed: float | None = None
    expected: Sequence[float] | None = None
    toys: tuple[float | None, float | None, float | None] = (None, None, None)

    @classmethod
    def from_result(cls, entry: Mapping[str, Any]) -> LimitPoint:
        """Take one entry of `limits` in results.json."""
        toys = entry.get("toys") or {}
        median = (toys.get("expected") or [None] * 5)[2]
        drawn = (toys.get("observed"), toys.get("observed_error"), median)
        return cls(float(entry["mass"]), entry.get("observed"), entry.get("expected"), drawn)

    @property
    def values(self) -> np.ndarray:
        """(6,) array: the five expected limits, then the observed one; NaN for what is missing."""
        expected = [np.nan] * 5 if self.expected is None else list(self.expected)
        if len(expected) != 5:
            raise ValueError(f"a limit at {self.mass} GeV has {len(expected)} expected values, expected 5")
        return np.array([np.nan if value is None else value for value in (*expected, self.observed)], dtype=float)


@styled
def brazil_figure(
    points: Sequence[LimitPoint],
    *,
    unit: str = "selected events",
    signal: str = "",
    label: Label | None = None,
    confidence: float = 0.95,
    x_label: str = "Resonance mass [GeV]",
) -> Figure:
    """Draw observed and expected limits with ±1σ and ±2σ bands against mass.

    Markers show where limits were computed; between them the lines only guide the eye. Lines and bands break at a
    mass without a limit. A mass without neighbours has boxes for its bands. Limits from toys are open squares.

    Args:
        unit: "fb" (limit on σ·B) or "selected events" (limit on the signal yield after selection).
        signal: name of the signal, for the legend's title.

    Raises:
        ValueError: no point was given, or one has not five expected limits.
    """
    if not points:
        raise ValueError("a limit figure needs at least one mass point")
    points = sorted(points, key=lambda point: point.mass)
    masses = np.array([point.mass for point in points])
    table = np.stack([point.values for point in points])
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    _draw_bands(axes, masses, table)
    for column, line, face in ((2, "--", "white"), (5, "-", DATA)):
        if np.isfinite(table[:, column]).any():  # a line breaks where a value is NaN
            axes.plot(masses, table[:, column], color=DATA, ls=line, marker="o", ms=5, mfc=face)
    toys = np.array([[np.nan if value is None else value for value in point.toys] for point in points], dtype=float)
    from_toys = _draw_toys(axes, masses, toys)
    _limit_scale(axes, np.column_stack([table, toys[:, [0, 2]]]))
    margin = 0.05 * float(masses[0]) if len(masses) < 2 else 0.064 * float(masses[-1] - masses[0])
    axes.set_xlim(masses[0] - margin, masses[-1] + margin)
    axes.set_xlabel(x_label)
    quantity = r"$\sigma\times\mathcal{B}$ [fb]" if unit == "fb" else f"signal yield [{plain(unit)}]"
    axes.set_ylabel(f"{100 * confidence:g}% CL upper limit on {quantity}")
    axes.legend(
        handles=[*_legend(table), *from_toys], loc="upper right", title=plain(signal) or None, title_fontsize=12
    )
    add_label(axes, label or Label())
    return figure


def _half_width(masses: np.ndarray) -> float:
    """Half the width of the box of a mass point without neighbours, GeV; boxes stay clear of the next masses."""
    if len(masses) < 2:
        return 0.01 * float(masses[0])
    return min(0.04 * float(masses[-1] - masses[0]), 0.3 * float(np.diff(masses).min()))


def _draw_bands(axes: Axes, masses: np.ndarray, table: np.ndarray) -> None:
    for (low, high), shade in (((0, 4), TWO_SIGMA), ((1, 3), ONE_SIGMA)):
        for run in _runs(np.isfinite(table[:, low]) & np.isfinite(table[:, high])):
            x, bottom, top = masses[run], table[run, low], table[run, high]
            if len(x) == 1:
                width = _half_width(masses)
                x, bottom, top = np.array([x[0] - width, x[0] + width]), np.repeat(bottom, 2), np.repeat(top, 2)
            axes.fill_between(x, bottom, top, color=shade, lw=0)


def _runs(fine: np.ndarray) -> list[slice]:
    """Stretches of neighbouring points that are all there, of an (n,) array that says which are."""
    steps = np.diff(np.concatenate([[0], fine.astype(int), [0]]))
    return [slice(start, end) for start, end in zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True)]


def _draw_toys(axes: Axes, masses: np.ndarray, toys: np.ndarray) -> list[Any]:
    """Draw limits from toys, (n, 3) as in `LimitPoint.toys`; return their entries of the legend."""
    errors = np.where(np.isfinite(toys[:, 1]), toys[:, 1], 0.0)
    handles: list[Any] = []
    for column, error, shade, name in ((0, errors, DATA, "Observed"), (2, 0 * errors, FIT, "Median expected")):
        fine = np.isfinite(toys[:, column])
        if fine.any():
            look: dict[str, Any] = {"color": shade, "marker": "s", "ms": 9, "mfc": "none", "mew": 1.4, "ls": "none"}
            axes.errorbar(masses[fine], toys[fine, column], yerr=error[fine], zorder=4, **look)
            handles.append(Line2D([], [], label=f"{name}, toys", **look))
    return handles


def _limit_scale(axes: Axes, table: np.ndarray) -> None:
    values = table[np.isfinite(table)]
    if not len(values):
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "no limit was found", transform=axes.transAxes, ha="center")
        return
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > 20:
        axes.set_yscale("log")
        axes.set_ylim(low / 2, high * (high / low) ** 0.5)
    else:
        axes.set_ylim(0, 1.45 * high if high > 0 else 1)


def _legend(table: np.ndarray) -> list[Any]:
    handles: list[Any] = []
    if np.isfinite(table[:, 5]).any():
        handles.append(Line2D([], [], color=DATA, marker="o", ms=5, label="Observed"))
    if np.isfinite(table[:, 2]).any():
        handles.append(Line2D([], [], color=DATA, ls="--", marker="o", ms=5, mfc="white", label="Median expected"))
    if np.isfinite(table[:, :5]).all(axis=1).any():
        handles.append(Patch(color=ONE_SIGMA, label=r"Expected $\pm 1\sigma$"))
        handles.append(Patch(color=TWO_SIGMA, label=r"Expected $\pm 2\sigma$"))
    return handles
