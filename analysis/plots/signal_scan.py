"""Figures of merit of detectors against the amount of signal in the window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from analysis.plots.style import DATA, Label, add_label, colour, new_figure, plain, styled

MARKERS = "osD^vPX<>*"
_APART = 2.4  # points between the markers of neighbouring lines


@dataclass(frozen=True)
class ScanLine:
    """One detector over samples with different amounts of signal.

    Attributes:
        label: name in the legend.
        s_over_b: (n,) S/B in the window, ascending.
        values, errors: figure of merit → (n,); NaN where it was not measured.
        uses_labels: trained with truth labels, hence a reference only.
    """

    label: str
    s_over_b: np.ndarray
    values: Mapping[str, np.ndarray]
    errors: Mapping[str, np.ndarray]
    uses_labels: bool = False

    @property
    def name(self) -> str:
        """Label as it stands in a legend."""
        return plain(self.label) + (" (truth labels: reference)" if self.uses_labels else "")


@dataclass(frozen=True)
class ScanPanel:
    """One figure of merit: its key, the label of its axis, what a random score gives, and whether its axis is log."""

    key: str
    y_label: str
    random: float
    log: bool = False


PANELS = (
    ScanPanel("auc", "Area under the ROC curve", 0.5),
    ScanPanel("max_sic", r"Largest $\varepsilon_S$/√$\varepsilon_B$", 1.0, log=True),
    ScanPanel("max_sic_regulated", r"Largest $\varepsilon_S$/√($\varepsilon_B + 10^{-4}$)", 1.0, log=True),
    ScanPanel("background_efficiency_at_0.5", r"$\varepsilon_B$ at $\varepsilon_S = 0.5$", 0.5, log=True),
    ScanPanel("sic_at_0.5", r"$\varepsilon_S$/√$\varepsilon_B$ at $\varepsilon_S = 0.5$", np.sqrt(0.5), log=True),
)


@styled
def scan_figure(
    lines: Sequence[ScanLine], *, panels: Sequence[ScanPanel] = PANELS, label: Label | None = None
) -> Figure:
    """Draw every figure of merit in a panel of its own against S/B in percent, with a place for no signal.

    Lines stand a little apart, so that error bars at the same S/B do not hide each other.

    Raises:
        ValueError: no line was given.
    """
    if not lines:
        raise ValueError("a scan needs at least one detector")
    rows = int(np.ceil(len(panels) / 2))
    figure = new_figure(12.4, 4.4 * rows + 0.8)
    grid = figure.subplots(rows, 2, squeeze=False)
    for index, panel in enumerate(panels):
        axes = grid[index // 2, index % 2]
        for number, line in enumerate(lines):
            _draw_line(axes, line, panel, number, len(lines))
        axes.axhline(panel.random, color=DATA, ls=":", lw=1.2, label="Random")
        _scales(axes, lines, panel)
    add_label(grid[0, 0], label or Label())
    handles, names = grid[0, 0].get_legend_handles_labels()
    if len(panels) % 2:  # the last cell is free
        grid[-1, -1].axis("off")
        grid[-1, -1].legend(handles, names, loc="center", fontsize=13)
    else:
        figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)), fontsize=12)
    return figure


def _draw_line(axes: Axes, line: ScanLine, panel: ScanPanel, number: int, total: int) -> None:
    values = np.asarray(line.values.get(panel.key, np.full(len(line.s_over_b), np.nan)), dtype=float)
    errors = np.asarray(line.errors.get(panel.key, np.zeros(len(values))), dtype=float)
    fine = np.isfinite(values)
    figure = axes.get_figure(root=True)
    assert figure is not None
    aside = ScaledTranslation(_APART * (number - (total - 1) / 2) / 72, 0, figure.dpi_scale_trans)
    axes.errorbar(
        100 * np.asarray(line.s_over_b)[fine], values[fine], np.where(np.isfinite(errors), errors, 0.0)[fine],
        color=colour(number), marker=MARKERS[number % len(MARKERS)], ms=5, lw=1.3, elinewidth=1.2, capsize=0,
        ls="--" if line.uses_labels else "-", label=line.name, transform=axes.transData + aside,
    )  # fmt: skip


def _scales(axes: Axes, lines: Sequence[ScanLine], panel: ScanPanel) -> None:
    points = np.unique(np.round(100 * np.concatenate([line.s_over_b for line in lines]), 6))
    positive = points[points > 0]
    axes.set_xlabel("S/B in the signal window [%]")
    axes.set_ylabel(panel.y_label)
    if panel.log:
        axes.set_yscale("log")
    axes.set_ylim(*_room(lines, panel))
    if len(positive):
        axes.set_xscale("symlog", linthresh=float(positive[0]), linscale=0.5)
        axes.set_xlim(-0.25 * positive[0] if points[0] == 0 else 0.7 * positive[0], 1.4 * positive[-1])
        axes.set_xticks(points, [f"{point:.2g}" for point in points])
        axes.set_xticks([], minor=True)


def _room(lines: Sequence[ScanLine], panel: ScanPanel) -> tuple[float, float]:
    """Return limits of the y axis with some room around values, errors and the random score."""
    ends = [panel.random]
    for line in lines:
        values = np.asarray(line.values.get(panel.key, []), dtype=float)
        errors = np.nan_to_num(np.asarray(line.errors.get(panel.key, 0.0 * values), dtype=float))
        ends += [end for end in (*(values - errors), *(values + errors)) if np.isfinite(end)]
        ends += [value for value in values if np.isfinite(value)]
    if panel.log:
        positive = [end for end in ends if end > 0]
        return min(positive) / 1.5, max(positive) * 1.5
    low, high = min(ends), max(ends)
    margin = 0.08 * ((high - low) or 1.0)
    return low - margin, high + margin
