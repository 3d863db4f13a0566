"""Reconstructed features over resonance mass and latent coordinate, with truth and the places of events on top.

Source: arXiv:2103.06595, figures 7 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots.density import FEWEST, DensityRegions, density_regions
from analysis.plots.features import axis_label
from analysis.plots.style import DATA, SIGNAL, Label, add_label, new_figure, plain, styled

U_LABEL = "Latent coordinate"
MASS_LABEL = r"$m_{JJ}$ [TeV]"
_MEDIAN = "#1f3fd0"
_REGIONS = ((0.68, "--"), (0.95, ":"))
# the upper end of viridis: the black, blue and red lines on it can be seen everywhere
_COLOURS = LinearSegmentedColormap.from_list("light viridis", colormaps["viridis"](np.linspace(0.5, 1.0, 256)))


@dataclass(frozen=True)
class Truth:
    """The true signal's mean, standard deviation and median of a feature, in its units."""

    mean: float
    deviation: float
    median: float

    @classmethod
    def of(cls, values: np.ndarray) -> Truth:
        """Of the signal events' values (n,).

        Raises:
            ValueError: no events.
        """
        if not len(values):
            raise ValueError("there are no signal events to take the mean of")
        return cls(float(np.mean(values)), float(np.std(values)), float(np.median(values)))


@dataclass(frozen=True)
class LatentMap:
    """One feature over mass and latent coordinate.

    Attributes:
        feature: its column.
        masses: (n_masses,) in GeV, ascending.
        coordinates: (n_coordinates,) in standard deviations of the training events, ascending.
        values: (n_coordinates, n_masses) in the feature's units, as a mean over members.
        truth: what the contours show, None for none.
        limits: ends of the colour scale; None takes those of the values.
    """

    feature: str
    masses: np.ndarray
    coordinates: np.ndarray
    values: np.ndarray
    truth: Truth | None = None
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.coordinates), len(self.masses))
        if np.shape(self.values) != expected:
            raise ValueError(f"the map of {self.feature!r} has shape {np.shape(self.values)}, its axes make {expected}")
        if not np.isfinite(self.values).all():
            raise ValueError(f"the map of {self.feature!r} holds values that are not finite")


@dataclass(frozen=True)
class Outlined:
    """Events whose 68% and 95% regions are outlined.

    Attributes:
        label: name in the legend.
        masses: (n,) in GeV.
        coordinates: (n,) in standard deviations of the training events.
        signal: red for signal, else black.
    """

    label: str
    masses: np.ndarray
    coordinates: np.ndarray
    signal: bool = False

    def regions(self) -> DensityRegions | None:
        """Over masses in TeV and coordinates; None for too few events."""
        if len(self.masses) < FEWEST:
            return None
        return density_regions(np.asarray(self.masses) / 1e3, self.coordinates, fractions=[f for f, _ in _REGIONS])


@styled
def latent_map_figure(
    maps: Sequence[LatentMap],
    *,
    outlined: Sequence[Outlined] = (),
    columns: int = 3,
    label: Label | None = None,
) -> Figure:
    """Draw one heat map per feature.

    Black contours stand at the true signal's mean (thick) and one standard deviation around it, a blue one at its
    median; all stand on the colour bars, too, as far as those reach. Contours that the map does not reach are absent.

    Raises:
        ValueError: nothing to draw.
    """
    if not maps:
        raise ValueError("a figure of latent maps needs at least one feature")
    columns = min(columns, len(maps))
    rows = math.ceil(len(maps) / columns)
    figure = new_figure(5.0 * columns, 3.9 * rows + 0.9)
    grid = np.ravel(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False))
    regions = [(one, found) for one in outlined if (found := one.regions()) is not None]
    for index, (axes, one) in enumerate(zip(grid, maps, strict=False)):
        _draw(figure, axes, one)
        for events, found in regions:
            _outline(axes, found, SIGNAL if events.signal else DATA)
        axes.set_xlim(one.masses[0] / 1e3, one.masses[-1] / 1e3)
        axes.set_ylim(one.coordinates[0], one.coordinates[-1])
        if index % columns == 0:
            axes.set_ylabel(U_LABEL)
        if index + columns >= len(maps):
            axes.set_xlabel(MASS_LABEL)
            axes.tick_params(labelbottom=True)
    for axes in grid[len(maps) :]:
        axes.remove()
    handles = _handles(any(one.truth for one in maps), [events for events, _ in regions])
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    add_label(grid[0], label or Label())
    return figure


def _draw(figure: Figure, axes: Axes, one: LatentMap) -> None:
    x, values = np.asarray(one.masses) / 1e3, np.asarray(one.values, float)
    low, high = one.limits or (float(values.min()), float(values.max()))
    image = axes.pcolormesh(
        x, one.coordinates, values, shading="nearest", cmap=_COLOURS, vmin=low, vmax=high, rasterized=True, zorder=0
    )  # fmt: skip
    axes.tick_params(which="both", color=DATA, zorder=5)
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06, aspect=22)
    bar.set_label(axis_label(one.feature))
    if one.truth is None:
        return
    truth = one.truth
    lines = [(truth.mean + shift * truth.deviation, DATA, 1.8 if shift == 0 else 0.9) for shift in (-1, 0, 1)]
    for level, shade, width in [*lines, (truth.median, _MEDIAN, 1.6)]:
        if values.min() < level < values.max():
            axes.contour(x, one.coordinates, values, levels=[level], colors=[shade], linewidths=width, zorder=2)
        if low < level < high:
            bar.ax.axhline(level, color=shade, lw=width)


def _outline(axes: Axes, regions: DensityRegions, shade: str) -> None:
    for level, (_, style) in zip(regions.levels, _REGIONS, strict=True):
        axes.contour(
            regions.x, regions.y, regions.density, levels=[level], colors=[shade], linestyles=style, linewidths=1.6,
            zorder=3,
        )  # fmt: skip


def _handles(truth: bool, outlined: Sequence[Outlined]) -> list[Line2D]:
    handles = []
    if truth:
        handles = [
            Line2D([], [], color=DATA, lw=1.8, label="Signal mean (truth)"),
            Line2D([], [], color=DATA, lw=0.9, label=r"Signal mean $\pm 1\,\sigma$ (truth)"),
            Line2D([], [], color=_MEDIAN, lw=1.6, label="Signal median (truth)"),
        ]
    for events in outlined:
        shade = SIGNAL if events.signal else DATA
        handles += [
            Line2D([], [], color=shade, ls=style, label=f"{fraction:.0%} of {plain(events.label)}")
            for fraction, style in _REGIONS
        ]
    return handles
