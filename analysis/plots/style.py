"""How figures look: mplhep's style at report size, a colour-blind-safe palette, one experiment-neutral label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib
import mplhep
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# M. Petroff, "Accessible color sequences for data visualization" (arXiv:2107.02270)
PALETTE = (
    "#3f90da",
    "#bd1f01",
    "#ffa90e",
    "#832db6",
    "#94a4a2",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
DATA, FIT, SIGNAL, WINDOW = "#000000", "#3f90da", "#bd1f01", "#e4e4e4"
REWEIGHTED = "#e76300"
# the pair the CMS publication committee recommends in place of green and yellow
ONE_SIGMA, TWO_SIGMA = "#607641", "#f5bb54"

_TICKS = {
    f"{axis}tick.{level}.{what}": value
    for axis in "xy"
    for level, what, value in (
        ("major", "size", 7),
        ("minor", "size", 3.5),
        ("major", "width", 1.0),
        ("minor", "width", 0.8),
    )
}
_STYLE: Any = {
    **mplhep.style.CMS,
    **_TICKS,
    # the first comes with mplhep, the second with matplotlib: nothing depends on the fonts of the machine
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "font.size": 14,
    "axes.unicode_minus": True,  # mplhep writes hyphens
    "axes.linewidth": 1.2,
    "axes.titlesize": "medium",
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.fontsize": 11,
    "legend.labelspacing": 0.35,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.bbox": None,
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.hashsalt": "darkhorse",
}


@dataclass(frozen=True)
class Label:
    """What stands above a figure.

    `name` in bold, `status` in italics (e.g. "simulation"), and on the right `text`, the luminosity in fb⁻¹ and √s in
    TeV where they are known.
    """

    name: str = "Darkhorse"
    status: str = ""
    text: str = ""
    sqrt_s: float | None = None
    luminosity: float | None = None

    @property
    def right(self) -> str:
        """The right-hand part, e.g. "100 fb⁻¹ (13 TeV)" as mathtext."""
        luminosity = f"{self.luminosity:g} fb$^{{-1}}$" if self.luminosity is not None else ""
        energy = f"({self.sqrt_s:g} TeV)" if luminosity and self.sqrt_s is not None else ""
        if not luminosity and self.sqrt_s is not None:
            energy = f"√s = {self.sqrt_s:g} TeV"
        numbers = " ".join(part for part in (luminosity, energy) if part)
        return ", ".join(part for part in (plain(self.text), numbers) if part)


def styled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run `function` with the report's style, and leave matplotlib's settings as they were."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with matplotlib.rc_context(_STYLE):
            return function(*args, **kwargs)

    return wrapper


def plain(text: str) -> str:
    """Make a name from outside safe as figure text: a `$` in it must not start mathtext."""
    return text.replace("$", r"\$")


def colour(index: int) -> str:
    """Colour number `index` of the palette, which repeats after its end."""
    return PALETTE[index % len(PALETTE)]


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure (inches) that belongs to no pyplot state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def touching(figure: Figure) -> None:
    """Let panels above each other touch, with a margin around them all."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(h_pad=0.0, hspace=0.0, rect=(0.005, 0.008, 0.99, 0.984))  # type: ignore[call-arg]


def stacked_axes(figure: Figure, ratios: Sequence[float]) -> list[Axes]:
    """Add panels above each other that share x and touch; `ratios` are their heights, top first."""
    touching(figure)
    grid = GridSpec(len(ratios), 1, figure=figure, height_ratios=list(ratios))
    first = figure.add_subplot(grid[0])
    axes = [first, *(figure.add_subplot(grid[row], sharex=first) for row in range(1, len(ratios)))]
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)
    return axes


def add_label(axes: Axes, label: Label) -> None:
    """Write the label above the axes: name and status on the left, luminosity and energy on the right."""
    name = axes.annotate(
        plain(label.name), (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
        weight="bold", va="bottom", size="large",
    )  # fmt: skip
    if label.status:
        axes.annotate(
            plain(label.status), (1, 0), (6, 0), xycoords=name, textcoords="offset points",
            style="italic", va="bottom", size="medium",
        )  # fmt: skip
    if label.right:
        axes.annotate(
            label.right, (1, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
            ha="right", va="bottom", size="medium",
        )  # fmt: skip


def legend_below(axes: Axes, *, columns: int = 2, title: str | None = None) -> None:
    """Write the legend of many lines below the axes instead of over them."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.legend(
        *axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns, title=title, title_fontsize=10
    )  # fmt: skip


def shade_window(axes: Axes, window: tuple[float, float] | None, *, label: str | None = None) -> None:
    """Shade a mass window (GeV) behind everything else."""
    if window is not None:
        axes.axvspan(*window, color=WINDOW, zorder=-10, lw=0, label=label)


def bin_label(edges: np.ndarray, *, unit: str = "GeV", what: str = "Events") -> str:
    """Label of a y axis of counts: the bin width where all bins have the same.

    >>> bin_label(np.array([0.0, 50.0, 100.0]))
    'Events / 50 GeV'
    """
    widths = np.diff(edges)
    if len(widths) and np.allclose(widths, widths[0], rtol=1e-6):
        return f"{what} / {widths[0]:.4g}{' ' + unit if unit else ''}"
    return f"{what} / bin"
