"""Area under the ROC curve against the signal among the training events: figure 7 of arXiv:1905.10384."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from analysis.plots.style import DATA, Label, add_label, colour, new_figure, plain, styled


@dataclass(frozen=True)
class ContaminationLine:
    """One network, trained with more and more signal.

    Attributes:
        label: name in the legend.
        fraction: (n,) of the training events that were signal, rising from 0.
        overall, error: (n,) area against all classes of the background, and its uncertainty.
        lowest, highest: (n,) smallest and largest area against one class.
    """

    label: str
    fraction: np.ndarray
    overall: np.ndarray
    error: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


@styled
def contamination_figure(
    lines: ContaminationLine | Sequence[ContaminationLine], *, label: Label | None = None
) -> Figure:
    """Draw the overall area as points with errors, and the range over classes as a band.

    Raises:
        ValueError: no line was given.
    """
    lines = [lines] if isinstance(lines, ContaminationLine) else list(lines)
    if not lines:
        raise ValueError("this figure needs at least one network")
    figure = new_figure(7.2, 5.0)
    axes = figure.add_subplot()
    for index, line in enumerate(lines):
        percent = 100 * line.fraction
        axes.fill_between(
            percent, line.lowest, line.highest, color=colour(index), alpha=0.22, lw=0,
            label=f"{plain(line.label)}: lowest to highest class",
        )  # fmt: skip
        axes.errorbar(
            percent, line.overall, line.error, color=colour(index), fmt="o-", ms=5,
            label=f"{plain(line.label)}: all classes",
        )  # fmt: skip
    axes.axhline(0.5, color=DATA, ls=":", lw=1.2, label="Random")
    low = min(0.5, *(float(line.lowest.min()) for line in lines))
    high = max(float(line.highest.max()) for line in lines)
    axes.set_ylim(low - 0.02, high + max(0.3 * (high - low), 0.05))
    axes.set_xlim(left=min(0.0, -0.02 * 100 * max(float(line.fraction.max()) for line in lines)))
    axes.set_xlabel("Signal among the training events [%]")
    axes.set_ylabel("AUC")
    axes.legend(loc="upper right")
    add_label(axes, label or Label())
    return figure
