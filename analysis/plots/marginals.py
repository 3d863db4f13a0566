"""Features averaged over latent space against resonance mass, with what data without signal make of them.

Source: arXiv:2103.06595, figure 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.plots.features import axis_label
from analysis.plots.style import DATA, FIT, SIGNAL, Label, add_label, new_figure, shade_window, styled


@dataclass(frozen=True)
class MarginalRatio:
    """⟨O⟩_z/⟨O⟩ of one feature.

    Attributes:
        feature: its column.
        masses: (n_masses,) in GeV, ascending.
        data: (members, n_masses).
        background: (n_trainings, n_masses), of every member on every subset of background; None where there is none.
    """

    feature: str
    masses: np.ndarray
    data: np.ndarray
    background: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, values in (("data", self.data), ("background", self.background)):
            if values is not None and (np.ndim(values) != 2 or np.shape(values)[1] != len(self.masses)):
                raise ValueError(
                    f"the {name} of {self.feature!r} have shape {np.shape(values)} where there are {len(self.masses)} "
                    "masses: one row per training is expected"
                )


@styled
def marginal_figure(
    ratios: Sequence[MarginalRatio],
    *,
    columns: int = 3,
    window: tuple[float, float] | None = None,
    signal: tuple[float, float] | None = None,
    label: Label | None = None,
) -> Figure:
    """Draw one panel per feature: the mean over members with its spread as lines, and the background's range as a band.

    `window` (GeV), where a signal is looked for, is shaded, and `signal` (GeV), the central 68% of the masses of a
    known one, stands between red lines.

    Raises:
        ValueError: nothing to draw.
    """
    if not ratios:
        raise ValueError("a figure of marginal ratios needs at least one feature")
    columns = min(columns, len(ratios))
    rows = math.ceil(len(ratios) / columns)
    figure = new_figure(4.6 * columns, 3.4 * rows + 0.8)
    grid = np.ravel(figure.subplots(rows, columns, sharex=True, squeeze=False))
    for index, (axes, ratio) in enumerate(zip(grid, ratios, strict=False)):
        _draw(axes, ratio, window)
        _mark(axes, signal)
        if index + columns >= len(ratios):
            axes.set_xlabel(r"$m_{JJ}$ [TeV]")
            axes.tick_params(labelbottom=True)
        if index % columns == 0:
            axes.set_ylabel(r"$⟨O⟩_z\,/\,⟨O⟩_{z,m}$")
    for axes in grid[len(ratios) :]:
        axes.remove()
    entries = {text: handle for axes in grid for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=min(len(entries), 4))
    add_label(grid[0], label or Label())
    return figure


def _mark(axes: Axes, signal: tuple[float, float] | None) -> None:
    for index, mass in enumerate(signal or ()):
        text = None if index else "Central 68% of the signal (truth)"
        axes.axvline(mass / 1e3, color=SIGNAL, lw=1.2, ls=":", label=text, zorder=1)


def _draw(axes: Axes, ratio: MarginalRatio, window: tuple[float, float] | None) -> None:
    x, data = np.asarray(ratio.masses) / 1e3, np.asarray(ratio.data, float)
    if window is not None:
        shade_window(axes, (window[0] / 1e3, window[1] / 1e3), label="Search window")
    axes.axhline(1, color=DATA, lw=0.8, zorder=1)
    if ratio.background is not None and len(ratio.background):
        background = np.asarray(ratio.background, float)
        axes.fill_between(
            x, background.min(axis=0), background.max(axis=0), color=FIT, alpha=0.35, lw=0,
            label=f"Background only, range of {len(background)} trainings", zorder=2,
        )  # fmt: skip
    mean, spread = data.mean(axis=0), data.std(axis=0, ddof=1 if len(data) > 1 else 0)
    axes.plot(x, mean, color=DATA, lw=1.8, label=f"Data, mean of {len(data)} members", zorder=4)
    for side, text in ((-1, r"$\pm 1\,\sigma$ of the members"), (1, None)):
        axes.plot(x, mean + side * spread, color=DATA, lw=0.9, ls="--", label=text, zorder=3)
    axes.set_xlim(x[0], x[-1])
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.margins(y=0.16)
    axes.annotate(
        axis_label(ratio.feature).split(" [")[0], (0.96, 0.93), xycoords="axes fraction", ha="right", va="top"
    )  # fmt: skip
