"""What each background function makes of toys of every other one: the bias matrix as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from analysis.plots.style import DATA, Label, add_label, new_figure, plain, styled

_CELL = (1.15, 0.72)  # inches
_DARK = 0.55  # of the colour scale: beyond, numbers are white


@dataclass(frozen=True)
class BiasTable:
    """Mean pulls of one injected strength, the worst over the masses.

    Attributes:
        title: e.g. r"2$\\sigma$ injected".
        truths, fits: names of rows and columns.
        mean, error: (n_truths, n_fits) mean pull and its error, NaN where there is none.
        threshold: on |mean|.
    """

    title: str
    truths: Sequence[str]
    fits: Sequence[str]
    mean: np.ndarray
    error: np.ndarray
    threshold: float

    def __post_init__(self) -> None:
        shape = (len(self.truths), len(self.fits))
        if np.shape(self.mean) != shape or np.shape(self.error) != shape or 0 in shape:
            raise ValueError(f"pulls of {self.title!r} have shape {np.shape(self.mean)}, expected {shape}")

    @classmethod
    def from_result(cls, entry: Mapping[str, Any]) -> list[BiasTable]:
        """One table per injected strength of a `BiasMatrix` as it stands in results.json."""
        shape = (len(entry["truths"]), len(entry["fits"]))
        tables = []
        for strength in entry["strengths"]:
            worst = [_worst(pair["points"], strength) for pair in entry["pairs"]]
            mean, error = np.array(worst, dtype=float).T.reshape(2, *shape)
            title = rf"{strength:g}$\sigma$ injected" if strength else "No signal injected"
            tables.append(cls(title, entry["truths"], entry["fits"], mean, error, entry["threshold"]))
        return tables


def _worst(points: Sequence[Mapping[str, Any]], strength: float) -> tuple[float, float]:
    """Mean pull and its error at the mass where it is largest."""
    known = [(p["mean"], p["mean_error"]) for p in points if p["strength"] == strength and p["mean"] is not None]
    return max(known, key=lambda pair: abs(pair[0]), default=(np.nan, np.nan))


@styled
def bias_figure(tables: BiasTable | Sequence[BiasTable], *, label: Label | None = None) -> Figure:
    """Draw a heat map of mean pulls for each injected strength, every cell with its number.

    The colours end at twice the threshold. Cells beyond the threshold have a frame.

    Raises:
        ValueError: no table was given.
    """
    tables = [tables] if isinstance(tables, BiasTable) else list(tables)
    if not tables:
        raise ValueError("a bias figure needs at least one table")
    rows, columns = np.shape(tables[0].mean)
    names = 0.1 * max(len(name) for name in [*tables[0].truths, *tables[0].fits])
    width = names + 2.0 + len(tables) * max(_CELL[0] * columns + 0.3, 2.2)
    figure = new_figure(max(width, 6.4), max(_CELL[1] * rows, 1.5) + 0.6 * names + 1.6)
    grid = GridSpec(2, len(tables), figure=figure, height_ratios=[0.01, 1])
    header = figure.add_subplot(grid[0, :])
    header.set_axis_off()
    panels = [figure.add_subplot(grid[1, column]) for column in range(len(tables))]
    images = [_draw_table(panel, table) for panel, table in zip(panels, tables, strict=True)]
    panels[0].set_yticks(range(rows), [plain(name) for name in tables[0].truths])
    panels[0].set_ylabel("Toys drawn from")
    threshold = tables[0].threshold
    bar = figure.colorbar(images[0], ax=panels, extend="both", pad=0.02, aspect=14)
    bar.set_label(rf"Mean pull, threshold $\pm${threshold:g}")
    bar.ax.minorticks_off()
    for edge in (-threshold, threshold):
        bar.ax.axhline(edge, color=DATA, lw=1.2)
    add_label(header, label or Label())
    return figure


def _draw_table(axes: Axes, table: BiasTable) -> AxesImage:
    reach = 2 * table.threshold
    image = axes.imshow(table.mean, cmap="RdBu_r", norm=Normalize(-reach, reach), aspect="auto")
    for (row, column), mean in np.ndenumerate(np.asarray(table.mean, dtype=float)):
        _write_cell(axes, row, column, mean, float(table.error[row, column]), table.threshold)
    axes.set_xticks(
        range(len(table.fits)), [plain(n) for n in table.fits], rotation=30, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks([])
    axes.minorticks_off()
    axes.tick_params(which="both", top=False, bottom=False, left=False, right=False, labelsize=11)
    axes.set_xlabel("Fitted with")
    axes.set_title(table.title, size=12)
    return image


def _write_cell(axes: Axes, row: int, column: int, mean: float, error: float, threshold: float) -> None:
    if not np.isfinite(mean):
        axes.text(column, row, "no pull", ha="center", va="center", size=11)
        return
    ink = "white" if abs(mean) > _DARK * 2 * threshold else DATA
    text = f"${mean:+.2f}$\n" + rf"$\pm {error:.2f}$"
    axes.text(column, row, text, ha="center", va="center", size=11, color=ink)
    if abs(mean) >= threshold:
        axes.add_patch(Rectangle((column - 0.46, row - 0.45), 0.92, 0.9, fill=False, ec=ink, lw=1.5))
