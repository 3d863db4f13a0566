"""Local p-values against mass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from analysis.numbers import format_mass, is_bound
from analysis.plots.mathtext import p_text
from analysis.plots.style import DATA, Label, add_label, colour, new_figure, plain, shade_window, styled

# what still fits an axis: smaller p-values are drawn here
_FLOOR = 1e-60


@dataclass(frozen=True)
class MassScan:
    """The bump hunt of one selection.

    Attributes:
        label: name in the legend.
        masses: (n,) scanned masses in GeV, ascending.
        p0: (n,) local p-values, NaN where a fit failed.
        best_mass: mass of the smallest p0 in GeV; found in the scan if it is not given.
        global_p: `{"value", "low", "high", "method", "toys"}` as in results.json.
        global_z: significance of `global_p`.
    """

    label: str
    masses: np.ndarray
    p0: np.ndarray
    best_mass: float | None = None
    global_p: Mapping[str, Any] | None = None
    global_z: float | None = None

    def __post_init__(self) -> None:
        if np.shape(self.masses) != np.shape(self.p0):
            raise ValueError(f"scan {self.label!r} has {np.shape(self.masses)} masses and {np.shape(self.p0)} p-values")

    @property
    def best(self) -> tuple[float, float] | None:
        """Mass (GeV) and value of the smallest p0, None where there is none."""
        p0 = np.asarray(self.p0, dtype=float)
        if not np.any(np.isfinite(p0)):
            return None
        index = int(np.nanargmin(p0))
        mass = float(self.masses[index]) if self.best_mass is None else self.best_mass
        return mass, float(p0[index])


@styled
def p0_figure(
    scans: MassScan | Sequence[MassScan],
    *,
    label: Label | None = None,
    window: tuple[float, float] | None = None,
    x_label: str = "Resonance mass [GeV]",
) -> Figure:
    """Draw local p0 against mass for several selections, with lines at whole numbers of σ.

    The legend gives each selection's best mass, local p0 and global p; a global p-value that is only a bound (no toy
    beyond the observation) is written with "<".

    Raises:
        ValueError: no scan was given.
    """
    scans = [scans] if isinstance(scans, MassScan) else list(scans)
    if not scans:
        raise ValueError("a p0 figure needs at least one scan")
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    shade_window(axes, window)
    for index, scan in enumerate(scans):
        _draw_scan(axes, scan, shade=colour(index), marker="osD^v"[index % 5])
    smallest = min([scan.best[1] for scan in scans if scan.best is not None], default=0.1)
    _sigma_lines(axes, float(np.clip(smallest, _FLOOR, 0.1)), room=0.09 * len(scans) + 0.06)
    axes.set_xlabel(x_label)
    axes.set_ylabel("Local $p_0$")
    axes.legend(loc="lower left", fontsize=10, frameon=True, framealpha=0.9, edgecolor="none")
    add_label(axes, label or Label())
    return figure


def _draw_scan(axes: Axes, scan: MassScan, *, shade: str, marker: str) -> None:
    p0 = np.clip(np.asarray(scan.p0, dtype=float), _FLOOR, 1.0)
    size = 4 if len(p0) < 60 else 0
    axes.plot(scan.masses, p0, color=shade, marker=marker, ms=size, label=_description(scan), zorder=3)
    if scan.best is not None:
        mass, value = scan.best
        axes.plot([mass], [max(value, _FLOOR)], color=shade, marker="*", ms=13, mec="white", mew=0.8, ls="", zorder=4)


def _description(scan: MassScan) -> str:
    if scan.best is None:
        return f"{plain(scan.label)}: no fit"
    mass, value = scan.best
    text = f"{plain(scan.label)}: {format_mass(mass)}, {p_text(value, name='$p_0$')}"
    if scan.global_p and scan.global_p.get("value") is not None:
        bound = is_bound(scan.global_p)
        text += f", {p_text(scan.global_p['value'], name='global $p$', bound=bound)}"
        if scan.global_z is not None and np.isfinite(scan.global_z):
            text += rf" ({'> ' if bound else ''}{scan.global_z:.1f}$\sigma$)"
    return text


_LABEL_HEIGHT = 0.035  # of a number of σ, as a share of the axes


def _sigma_lines(axes: Axes, smallest: float, *, room: float) -> None:
    """Set a log scale with `room` (fraction of the axes) for the legend below, and draw the σ lines."""
    z_max = max(3, int(np.ceil(stats.norm.isf(smallest))))
    axes.set_yscale("log")
    top = 2.0
    decades = np.log10(top / min(smallest / 3, stats.norm.sf(z_max - 0.5)))
    bottom = top / 10 ** (decades / (1 - min(room, 0.5)))
    axes.set_ylim(bottom, top)
    written = np.inf
    for z in range(0, z_max + 1, 1 if z_max <= 8 else 2):
        level = stats.norm.sf(z)
        axes.axhline(level, color=DATA, lw=0.7, ls="--", alpha=0.5, zorder=1)
        if (written - np.log10(level)) / np.log10(top / bottom) < _LABEL_HEIGHT:
            continue
        written = np.log10(level)
        axes.annotate(
            rf"{z}$\sigma$", (1, level), (4, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", size=11,
        )  # fmt: skip
