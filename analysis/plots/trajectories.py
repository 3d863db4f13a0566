"""Losses and scores of an ensemble along its training, one column per optimiser (arXiv:2103.06595, figure 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.numbers import format_count, format_number
from analysis.plots.style import DATA, Label, add_label, colour, new_figure, plain, styled

STYLES: Mapping[str, tuple[str, str, str, float]] = {
    "coordinate": ("Latent coordinate", colour(0), "-", 0.9),
    "kl": ("KL divergence", colour(1), "--", 0.9),
    "oriented_kl": ("KL divergence, oriented", colour(4), "--", 0.9),
    "reconstruction": ("Reconstruction", colour(2), "-", 2.8),  # wide, as the ELBO mostly runs along it
    "elbo": ("ELBO", colour(3), ":", 1.1),
}
"""Score → its name in the legend, its colour, how its lines are dashed, and their width."""

_LOSS = "#717581"


@dataclass(frozen=True)
class TrajectoryLines:
    """One ensemble along its training.

    Attributes:
        title: what stands above the column: the optimiser.
        steps: (n_points,) optimiser steps.
        losses: "loss" and "kl" → (n_points, members).
        auc, rejection: score → (n_points, members), 1/ε_B at ε_S = 0.5 for the latter; NaN where there is none. Empty
            where the truth is not known: then there are losses alone.
    """

    title: str
    steps: np.ndarray
    losses: Mapping[str, np.ndarray]
    auc: Mapping[str, np.ndarray]
    rejection: Mapping[str, np.ndarray]


@styled
def trajectory_figure(
    columns: TrajectoryLines | Sequence[TrajectoryLines],
    *,
    scores: Sequence[str] = tuple(STYLES),
    label: Label | None = None,
) -> Figure:
    """Draw total loss, KL divergence, AUC and background rejection against the optimiser's steps.

    Each line is a member. Rows share their y axis, so that optimisers can be compared.

    Args:
        columns: one ensemble each.
        scores: which ones to draw, keys of `STYLES`.
        label: above the figure.

    Raises:
        ValueError: no ensemble, or a score that is not one of `STYLES`.
    """
    columns = [columns] if isinstance(columns, TrajectoryLines) else list(columns)
    if not columns:
        raise ValueError("this figure needs the training of at least one ensemble")
    unknown = sorted(set(scores) - set(STYLES))
    if unknown:
        raise ValueError(f"no scores {unknown}: there are {', '.join(STYLES)}")
    known = any(column.auc for column in columns)
    rows = 4 if known else 2
    figure = new_figure(1.6 + 5.2 * len(columns), 1.6 + 2.3 * rows)
    grid = figure.subplots(rows, len(columns), squeeze=False, sharex="col", sharey="row")
    for index, column in enumerate(columns):
        _draw_losses(grid[:2, index], column)
        if known:
            _draw_scores(grid[2:, index], column, scores)
        _finish(grid[:, index], column)
    _y_axes(grid[:, 0], columns, known=known)
    figure.align_ylabels(grid[:, 0])
    label = label or Label()
    add_label(grid[0, 0], Label(name=label.name, status=label.status))
    add_label(grid[0, -1], dataclasses.replace(label, name="", status=""))
    if known:
        drawn = [score for score in scores if any(score in column.auc for column in columns)]
        handles = [_handle(*STYLES[score]) for score in drawn]
        handles.append(Line2D([], [], color=DATA, ls=(0, (1, 3)), lw=1.2, label="Random"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=12)
    return figure


def _handle(name: str, line: str, dashes: str, width: float) -> Line2D:
    return Line2D([], [], color=line, ls=dashes, lw=max(width, 1.6), alpha=0.4 if width > 2 else 1, label=name)


def _draw_losses(axes: np.ndarray, column: TrajectoryLines) -> None:
    for axis, name, line in ((axes[0], "loss", _LOSS), (axes[1], "kl", STYLES["kl"][1])):
        axis.plot(column.steps, column.losses[name], color=line, lw=0.9, alpha=0.8)


def _draw_scores(axes: np.ndarray, column: TrajectoryLines, scores: Sequence[str]) -> None:
    for axis, table, random in ((axes[0], column.auc, 0.5), (axes[1], column.rejection, 2.0)):
        for score in scores:
            if score in table:
                _, line, dashes, width = STYLES[score]
                axis.plot(column.steps, table[score], color=line, ls=dashes, lw=width, alpha=0.4 if width > 2 else 0.8)
        axis.axhline(random, color=DATA, ls=(0, (1, 3)), lw=1.2)


def _finish(axes: np.ndarray, column: TrajectoryLines) -> None:
    """Write the optimiser into the column's first panel and the steps below its last."""
    members = column.losses["kl"].shape[1]
    what = f"{plain(column.title)}, {members} member{'s' if members > 1 else ''}"
    axes[0].text(0.97, 0.93, what, transform=axes[0].transAxes, ha="right", va="top", size="medium")
    axes[-1].set_xlabel("Optimiser step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(5))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda step, _: format_count(step)))
    axes[-1].set_xlim(0, 1.02 * float(column.steps[-1]))


def _y_axes(axes: np.ndarray, columns: Sequence[TrajectoryLines], *, known: bool) -> None:
    axes[0].set_yscale("log")
    axes[0].set_ylabel(r"Loss $\alpha\,$MSE + KL")
    axes[1].set_ylabel("Mean KL divergence")
    axes[1].set_ylim(bottom=0)
    low, high = _ends([column.losses["loss"] for column in columns])
    axes[0].set_ylim(low / 1.3, high * (high / low) ** 0.25 * 1.3)
    if known:
        axes[2].set_ylabel("AUC")
        axes[2].set_ylim(0, 1)
        axes[3].set_ylabel(r"$1/\varepsilon_B$ at $\varepsilon_S = 0.5$")
        axes[3].set_yscale("log")
        axes[3].yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_number(value)))


def _ends(tables: Sequence[np.ndarray]) -> tuple[float, float]:
    values = np.concatenate([np.ravel(table) for table in tables])
    values = values[np.isfinite(values) & (values > 0)]
    return (float(values.min()), float(values.max())) if len(values) else (1.0, 10.0)
