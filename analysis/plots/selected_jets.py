"""Jet mass and τ21 of what a selection keeps, beside all events and, where it is known, the signal.

Source: arXiv:2002.12376, figure 6: the events that a detector likes best tell what it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots.density import FEWEST, density_regions
from analysis.plots.features import axis_label
from analysis.plots.style import Label, add_label, new_figure, plain, styled

JETS = ("j1", "j2")
POINTS = 1500  # drawn of each group: more hide one another
_FRACTIONS = (0.68, 0.95)


@dataclass(frozen=True)
class JetGroup:
    """Events of one kind: `columns` holds j1_m, j1_tau21, j2_m, j2_tau21, (n_events,) each."""

    label: str
    colour: str
    columns: Mapping[str, np.ndarray]

    def jet(self, jet: str) -> tuple[np.ndarray, np.ndarray]:
        """Mass in GeV and τ21 of the events that have both."""
        mass, ratio = (np.asarray(self.columns[f"{jet}_{name}"], float) for name in ("m", "tau21"))
        fine = np.isfinite(mass) & np.isfinite(ratio) & (ratio >= 0)
        return mass[fine], ratio[fine]


@styled
def selected_jets_figure(groups: Sequence[JetGroup], *, label: Label | None = None) -> Figure:
    """One row per jet, the heavier one above, one column per group; outlines hold 68% and 95% of the group's events.

    Raises:
        ValueError: no groups, or none with events.
    """
    masses = [[mass for group in groups if len(mass := group.jet(jet)[0])] for jet in JETS]
    if not all(masses):
        raise ValueError("none of the groups has an event with jet masses and τ21: there is nothing to draw")
    reach = [max(float(np.quantile(one, 0.99)) for one in each) for each in masses]
    figure = new_figure(width=3.4 * len(groups) + 0.8, height=6.6)
    axes = figure.subplots(len(JETS), len(groups), squeeze=False, sharey=True)
    for row, jet in enumerate(JETS):
        for column, group in enumerate(groups):
            _panel(axes[row, column], *group.jet(jet), colour=group.colour)
            axes[row, column].set(xlim=(0, 1.05 * reach[row]), ylim=(0, 1), xlabel=axis_label(f"{jet}_m"))
            if column == 0:
                axes[row, column].set_ylabel(axis_label(f"{jet}_tau21"))
            if row == 0:
                axes[row, column].text(
                    0.97, 0.96, plain(group.label), transform=axes[row, column].transAxes, ha="right", va="top"
                )
    add_label(axes[0, 0], label or Label())
    return figure


def _panel(axes: Axes, mass: np.ndarray, ratio: np.ndarray, *, colour: str) -> None:
    shown = np.unique(np.linspace(0, max(len(mass) - 1, 0), min(len(mass), POINTS)).astype(int))
    axes.plot(mass[shown], ratio[shown], ".", color=colour, markersize=2.5, alpha=0.45, rasterized=True)
    if len(mass) < FEWEST or not (mass.std() > 0 and ratio.std() > 0):
        return
    regions = density_regions(mass, ratio, fractions=_FRACTIONS)
    axes.contour(
        regions.x, regions.y, regions.density, levels=np.sort(regions.levels), colors="black",
        linewidths=1.2, linestyles=[":", "-"],
    )  # fmt: skip
