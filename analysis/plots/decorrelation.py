"""What independence of the jet mass costs: 1/JSD of the background's mass spectrum against signal efficiency.

Source: arXiv:2007.01850, figure 15.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from analysis.plots.style import DATA, Label, add_label, colour, legend_below, new_figure, plain, styled

_MARKERS = "os^DvPX*<>"


@dataclass(frozen=True)
class DecorrelationPoint:
    """One network.

    Attributes:
        label: name in the legend.
        signal_efficiency, signal_error: ε_S and one standard deviation.
        divergence, divergence_error: Jensen–Shannon divergence in nats, and one standard deviation.
        family: networks of one family have the same marker.
        uses_labels: trained with labels, a reference: an open marker.
    """

    label: str
    signal_efficiency: float
    signal_error: float
    divergence: float
    divergence_error: float
    family: str
    uses_labels: bool = False


@styled
def decorrelation_figure(
    points: Sequence[DecorrelationPoint], *, efficiency: float, expected: float, label: Label | None = None
) -> Figure:
    """Draw one point per network; the dotted line is what a cut that does not sculpt at all has on average.

    Args:
        points: the networks; those without a divergence above 0 are left out.
        efficiency: of the background.
        expected: mean divergence of so many jets that are taken at random, nats.
        label: above the figure.

    Raises:
        ValueError: nothing to draw.
    """
    drawn = [point for point in points if point.divergence > 0]
    if not drawn:
        raise ValueError("this figure needs at least one network with a divergence above 0")
    figure = new_figure(7.2, 6.6)
    axes = figure.add_subplot()
    families = list(dict.fromkeys(point.family for point in drawn))
    for index, point in enumerate(drawn):
        shade = colour(index)
        value, low = 1 / point.divergence, 1 / (point.divergence + point.divergence_error)
        axes.errorbar(
            [point.signal_efficiency], [value], xerr=[point.signal_error],
            yerr=[[value - low], [_upper(point) - value]],
            fmt=_MARKERS[families.index(point.family) % len(_MARKERS)], color=shade, ms=8, elinewidth=1.2,
            mfc="white" if point.uses_labels else shade, ls="none",
            label=plain(point.label) + (" (labels: reference)" if point.uses_labels else ""),
        )  # fmt: skip
    if expected > 0:
        axes.axhline(1 / expected, color=DATA, ls=":", lw=1.2, label="No sculpting, as many jets")
    axes.set_yscale("log")
    axes.set_xlim(left=0, right=min(1.0, 1.25 * max(point.signal_efficiency + point.signal_error for point in drawn)))
    axes.set_xlabel(rf"Signal efficiency $\varepsilon_S$ at $\varepsilon_B$ = {100 * efficiency:g}%")
    axes.set_ylabel("1 / JSD of the background's masses [1/nats]")
    legend_below(axes, columns=2)
    add_label(axes, label or Label())
    return figure


def _upper(point: DecorrelationPoint) -> float:
    """End of the upper error bar; that of a divergence compatible with 0 would not end."""
    return float(1 / max(point.divergence - point.divergence_error, 0.2 * point.divergence))
