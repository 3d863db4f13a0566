"""Local significance against mass where the signal window slides: each window's scan, and the windows themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.numbers import format_mass
from analysis.plots.style import (
    DATA,
    WINDOW,
    Label,
    add_label,
    colour,
    new_figure,
    plain,
    shade_window,
    stacked_axes,
    styled,
)

_LINES = (1, 2, 3, 5)  # standard deviations
_EDGE = "#94a4a2"


@dataclass(frozen=True)
class WindowScan:
    """What was found in one signal window.

    Attributes:
        window: low and high end in GeV.
        masses: (n,) scanned masses in GeV, ascending.
        z: (n,) local significances, negative for deficits, NaN where a fit failed.
    """

    window: tuple[float, float]
    masses: np.ndarray
    z: np.ndarray

    def __post_init__(self) -> None:
        if np.shape(self.masses) != np.shape(self.z):
            raise ValueError(
                f"the window {self.window} has {np.shape(self.masses)} masses and {np.shape(self.z)} significances"
            )


@dataclass(frozen=True)
class SlidingScan:
    """Selections of one kind (as of one efficiency) in all windows; `label` is their name in the legend."""

    label: str
    windows: Sequence[WindowScan]

    def largest(self) -> tuple[np.ndarray, np.ndarray]:
        """Masses (n,) in GeV of any window and the largest significance among windows there (n,)."""
        masses = np.unique(np.concatenate([scan.masses for scan in self.windows]))
        best = np.full(len(masses), -np.inf)
        for scan in self.windows:
            place = np.searchsorted(masses, scan.masses)
            best[place] = np.fmax(best[place], np.where(np.isfinite(scan.z), scan.z, -np.inf))
        return masses, np.where(np.isfinite(best), best, np.nan)

    def best(self) -> tuple[WindowScan, float, float] | None:
        """Window, mass (GeV) and significance of the largest excess, None where no fit converged."""
        found = [
            (float(scan.z[index]), float(scan.masses[index]), scan)
            for scan in self.windows
            if np.isfinite(scan.z).any() and (index := int(np.nanargmax(scan.z))) >= 0
        ]
        if not found:
            return None
        z, mass, scan = max(found, key=lambda one: one[0])
        return scan, mass, z


@styled
def window_figure(
    scans: Sequence[SlidingScan],
    *,
    inclusive: tuple[np.ndarray, np.ndarray] | None = None,
    label: Label | None = None,
    x_label: str = "Resonance mass [GeV]",
) -> Figure:
    """Draw local significance against mass: thin lines for windows, a thick one for the largest of them at each mass.

    Below stand the windows; that of the largest excess of all is filled and shaded above. `inclusive` are masses (GeV)
    and significances of the spectrum without selection.

    Raises:
        ValueError: no scan was given.
    """
    if not scans or not all(scan.windows for scan in scans):
        raise ValueError("a figure of windows needs at least one scan with a window in each")
    extents = list(dict.fromkeys(window.window for scan in scans for window in scan.windows))
    rows = _rows(extents)
    figure = new_figure(8.2, 5.6 + 0.12 * max(rows))
    top, bottom = stacked_axes(figure, [5, 1 + 0.15 * max(rows)])
    bests = [found for scan in scans if (found := scan.best()) is not None]
    highlighted = max(bests, key=lambda one: one[2])[0].window if bests else None
    shade_window(top, highlighted)
    if inclusive is not None:
        top.plot(*inclusive, color=DATA, lw=1.2, ls="-.", label="Inclusive", zorder=2)
    for index, scan in enumerate(scans):
        _draw(top, scan, shade=colour(index), marker="osD^v"[index % 5])
    low, high = min(window[0] for window in extents), max(window[1] for window in extents)
    margin = 0.02 * (high - low)
    top.set_xlim(low - margin, high + margin)
    _significances(top, room=0.075 * (len(scans) + 1 + (inclusive is not None)) + 0.05)
    top.plot([], [], color=DATA, lw=0.9, alpha=0.55, marker="o", ms=2.5, label="each window by itself (thin)")
    top.set_ylabel(r"Local significance [$\sigma$]")
    top.legend(loc="upper right", fontsize=10.5, frameon=True, framealpha=0.9, edgecolor="none")
    _bars(bottom, extents, rows, highlighted)
    bottom.set_xlabel(x_label)
    add_label(top, label or Label())
    return figure


def _draw(axes: Axes, scan: SlidingScan, *, shade: str, marker: str) -> None:
    for window in scan.windows:
        axes.plot(window.masses, window.z, color=shade, lw=0.9, alpha=0.55, marker=marker, ms=2.5, zorder=3)
    found = scan.best()
    text = plain(scan.label)
    if found is not None:
        window, mass, z = found
        text += rf": {z:.1f}$\sigma$ at {format_mass(mass)}, window {window.window[0]:g} to {window.window[1]:g} GeV"
        axes.plot([mass], [z], color=shade, marker="*", ms=14, mec="white", mew=0.8, ls="", zorder=5)
    axes.plot(*scan.largest(), color=shade, lw=2.2, label=text, zorder=4)


def _significances(axes: Axes, *, room: float) -> None:
    """Draw lines at whole standard deviations, and leave `room` (fraction of the axes) above for the legend."""
    low, high = axes.dataLim.y0, max(axes.dataLim.y1, 3.0)
    low -= 0.08 * (high - low)
    axes.set_ylim(low, low + (high + 0.3 - low) / (1 - min(room, 0.5)))
    axes.axhline(0, color=DATA, lw=0.7, zorder=1)
    for z in _LINES:
        if z <= high:
            axes.axhline(z, color=DATA, lw=0.7, ls="--", alpha=0.5, zorder=1)
            axes.annotate(
                rf"{z}$\sigma$", (1, z), (4, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="center", size=11,
            )  # fmt: skip


def _rows(extents: Sequence[tuple[float, float]]) -> list[int]:
    """Return the row of each window, so that those in one row do not overlap."""
    ends: list[float] = []
    rows = [0] * len(extents)
    for index in sorted(range(len(extents)), key=lambda one: extents[one]):
        low, high = extents[index]
        free = [row for row, end in enumerate(ends) if end <= low]
        rows[index] = free[0] if free else len(ends)
        ends[rows[index] : rows[index] + 1] = [high]
    return rows


def _bars(
    axes: Axes, extents: Sequence[tuple[float, float]], rows: Sequence[int], highlighted: tuple[float, float] | None
) -> None:
    for (low, high), row in zip(extents, rows, strict=True):
        chosen = (low, high) == highlighted
        face = _EDGE if chosen else WINDOW
        axes.add_patch(Rectangle((low, row + 0.12), high - low, 0.76, facecolor=face, edgecolor=_EDGE, lw=0.8))
    axes.set_ylim(-0.15, max(rows) + 1.15)
    axes.set_yticks([])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("Windows", rotation=0, ha="right", va="center", size=11, labelpad=6)
    axes.yaxis.set_label_coords(-0.01, 0.5)
