"""ROC curves of a reference with the ratio of another network's rejection to its below: arXiv:2007.01850, figure 20."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from analysis.plots.jet_types import JetLook
from analysis.plots.style import DATA, Label, add_label, new_figure, plain, stacked_axes, styled

_GRID = np.linspace(0.02, 1.0, 99)


@dataclass(frozen=True)
class ComparedRoc:
    """Both networks on one type of jets: (ε_S, ε_B) at falling thresholds, (m,) each."""

    label: str
    look: JetLook
    reference: tuple[np.ndarray, np.ndarray]
    other: tuple[np.ndarray, np.ndarray]


@styled
def roc_ratio_figure(
    curves: Sequence[ComparedRoc],
    *,
    reference: str,
    other: str,
    n_background: int,
    minimum_background: int = 20,
    label: Label | None = None,
) -> Figure:
    """Draw 1/ε_B of the reference over ε_S, and below the other's over it, above 1 where the other is better.

    Points where either has fewer than `minimum_background` of `n_background` background jets left are cut off. The
    bands are statistical, those of the ratio as if both had background of their own: they share it, so that they are
    too wide rather than too narrow.

    Raises:
        ValueError: nothing to draw.
    """
    if not curves:
        raise ValueError("this figure needs at least one type of jets")
    figure = new_figure(7.2, 7.4)
    main, below = stacked_axes(figure, (2.4, 1.4))
    highest, ratios = 10.0, [1.0]
    for curve in curves:
        kept = [np.interp(_GRID, *_rising(*pair)) for pair in (curve.reference, curve.other)]
        shown = np.minimum(*kept) * n_background >= minimum_background
        x, (own, others) = _GRID[shown], (efficiency[shown] for efficiency in kept)
        if not len(x):
            continue
        errors = [np.sqrt((1 - efficiency) / (efficiency * n_background)) for efficiency in (own, others)]
        shade, style = curve.look.shade, curve.look.style
        main.plot(x, 1 / own, color=shade, ls=style, label=plain(curve.label))
        main.fill_between(x, (1 - errors[0]) / own, (1 + errors[0]) / own, color=shade, alpha=0.2, lw=0)
        ratio, error = own / others, np.hypot(*errors)
        below.plot(x, ratio, color=shade, ls=style)
        below.fill_between(x, ratio * (1 - error), ratio * (1 + error), color=shade, alpha=0.2, lw=0)
        highest = max(highest, float(np.max(1 / own)))
        ratios.extend(ratio)
    main.plot(_GRID, 1 / _GRID, color=DATA, ls=":", lw=1.2, label="Random")
    main.set(xlim=(0, 1), yscale="log", ylim=(0.8, 8 * highest))
    main.set_ylabel(rf"$1/\varepsilon_B$ of {plain(reference)}")
    below.axhline(1, color=DATA, lw=0.8)
    below.set(yscale="log", ylim=(min(ratios) / 1.5, max(ratios) * 1.5))
    below.set_ylabel(rf"$1/\varepsilon_B$: {plain(other)}" + f"\nover {plain(reference)}", loc="center", size="small")
    below.set_xlabel(r"Signal efficiency $\varepsilon_S$")
    main.legend(loc="upper right", title=f"At least {minimum_background} background jets", title_fontsize=10)
    add_label(main, label or Label())
    figure.align_ylabels()
    return figure


def _rising(signal: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((background, signal))
    return np.asarray(signal)[order], np.asarray(background)[order]
