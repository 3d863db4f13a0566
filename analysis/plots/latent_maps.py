"""Reconstructed features over resonance mass and latent coordinate, with truth and the places of events on top.

Source: arXiv:2103.06595, figures 7 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps, patheffects
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
_HALO = [patheffects.withStroke(linewidth=2.5, foreground="white", alpha=0.7)]
_Dashes = str | tuple[int, tuple[float, ...]]
_ABOVE, _BELOW = (0, (9.0, 1.5)), (0, (7.0, 1.5, 1.2, 1.5))  # the mean; neither like outlines nor like each other
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

    def contours(self) -> list[TruthContour]:
        """What is drawn of it."""
        low, high = (self.mean + shift * self.deviation for shift in (-1, 1))
        return [
            TruthContour(r"$-1\,\sigma$", r"Signal mean $- 1\,\sigma$ (truth)", low, DATA, 1.2, _BELOW),
            TruthContour("mean", "Signal mean (truth)", self.mean, DATA, 2.0),
            TruthContour(r"$+1\,\sigma$", r"Signal mean $+ 1\,\sigma$ (truth)", high, DATA, 1.2, _ABOVE),
            TruthContour("median", "Signal median (truth)", self.median, _MEDIAN, 1.6),
        ]


@dataclass(frozen=True)
class TruthContour:
    """A line at one value of a feature: `short` on the line, `name` in the legend."""

    short: str
    name: str
    value: float
    shade: str
    width: float
    style: _Dashes = "-"

    @property
    def handle(self) -> Line2D:
        """In the legend."""
        return Line2D([], [], color=self.shade, lw=self.width, ls=self.style, label=self.name)


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

    Black contours stand at the true signal's mean (thick) and one standard deviation above and below it, a blue one at
    its median, each with its name; all stand on the colour bars, too, as far as those reach. Contours that a map does
    not reach are absent, and the legend has those that some map reaches.

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
    drawn: dict[str, TruthContour] = {}
    for index, (axes, one) in enumerate(zip(grid, maps, strict=False)):
        drawn |= {contour.name: contour for contour in _draw(figure, axes, one)}
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
    names = [] if not drawn else [one.name for one in Truth(0.0, 1.0, 0.0).contours()]
    handles = [drawn[name].handle for name in names if name in drawn]
    handles += _outline_handles([events for events, _ in regions])
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4))
    add_label(grid[0], label or Label())
    return figure


def _draw(figure: Figure, axes: Axes, one: LatentMap) -> list[TruthContour]:
    """Draw the map and its colour bar; return the contours of the truth that are on it."""
    x, values = np.asarray(one.masses) / 1e3, np.asarray(one.values, float)
    low, high = one.limits or (float(values.min()), float(values.max()))
    image = axes.pcolormesh(
        x, one.coordinates, values, shading="nearest", cmap=_COLOURS, vmin=low, vmax=high, rasterized=True, zorder=0
    )  # fmt: skip
    axes.tick_params(which="both", color=DATA, zorder=5)
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.06, aspect=22)
    bar.set_label(axis_label(one.feature))
    drawn = []
    for line in [] if one.truth is None else one.truth.contours():
        if values.min() < line.value < values.max():
            found = axes.contour(
                x, one.coordinates, values, levels=[line.value], colors=[line.shade], linewidths=line.width,
                linestyles=[line.style], zorder=2,
            )  # fmt: skip
            for text in axes.clabel(found, fmt=lambda _, name=line.short: name, fontsize=10, inline_spacing=3):
                text.set(path_effects=_HALO, zorder=4)
            drawn.append(line)
        if low < line.value < high:
            bar.ax.axhline(line.value, color=line.shade, lw=line.width, ls=line.style)
    return drawn


def _outline(axes: Axes, regions: DensityRegions, shade: str) -> None:
    for level, (_, style) in zip(regions.levels, _REGIONS, strict=True):
        axes.contour(
            regions.x, regions.y, regions.density, levels=[level], colors=[shade], linestyles=style, linewidths=1.6,
            zorder=3,
        )  # fmt: skip


def _outline_handles(outlined: Sequence[Outlined]) -> list[Line2D]:
    return [
        Line2D(
            [], [], color=SIGNAL if events.signal else DATA, ls=style, label=f"{fraction:.0%} of {plain(events.label)}"
        )
        for events in outlined
        for fraction, style in _REGIONS
    ]
