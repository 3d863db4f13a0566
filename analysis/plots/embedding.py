"""Points of several kinds of jets in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from analysis.plots.style import Label, add_label, new_figure, plain, styled

_SHADES = ("#3f90da", "#607641", "#e76300", "#832db6", "#a96b59")  # the first three: QCD, W and top in the paper


@dataclass(frozen=True)
class Embedding:
    """One panel: its title, and places (n, 2) of each kind of jets by name."""

    title: str
    places: Mapping[str, np.ndarray]


@styled
def embedding_figure(embeddings: Sequence[Embedding], *, label: Label | None = None) -> Figure:
    """Draw one panel per embedding, kinds in the order of their names, points of all kinds mixed.

    Raises:
        ValueError: nothing to draw.
    """
    if not embeddings:
        raise ValueError("this figure needs at least one embedding")
    figure = new_figure(5.4 * len(embeddings), 5.2)
    panels = figure.subplots(1, len(embeddings), squeeze=False)[0]
    for index, (axes, one) in enumerate(zip(panels, embeddings, strict=True)):
        points = np.concatenate(list(one.places.values()))
        kinds = np.repeat(np.arange(len(one.places)), [len(places) for places in one.places.values()])
        # drawn one kind after the other, the last would hide the first
        order = np.random.default_rng(0).permutation(len(points))
        shades = np.array(_SHADES)[kinds % len(_SHADES)]
        axes.scatter(*points[order].T, c=shades[order], s=7, alpha=0.7, lw=0, rasterized=True)
        for kind, name in enumerate(one.places):
            axes.scatter([], [], color=_SHADES[kind % len(_SHADES)], s=24, label=plain(name))
        axes.text(0.03, 0.97, plain(one.title), transform=axes.transAxes, va="top", size=12)
        axes.set(xlabel="First t-SNE coordinate", ylabel="Second t-SNE coordinate" if index == 0 else "")
        axes.margins(0.08)
    panels[0].legend(loc="lower left", frameon=True, framealpha=0.85, fontsize=10)
    add_label(panels[0], label or Label())
    return figure
