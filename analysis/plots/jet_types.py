"""How curves of types of jets look: the colour says the mass, the line style the kind (arXiv:2007.01850, figure 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.plots.roc import LineStyle
from analysis.plots.style import PALETTE, SIGNAL

_STYLES: tuple[LineStyle, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_SHADES = tuple(shade for shade in PALETTE if shade != SIGNAL)


@dataclass(frozen=True)
class JetLook:
    """Colour and line style of one type of jets."""

    shade: str
    style: LineStyle


def jet_looks(jets: Mapping[str, tuple[str, float]]) -> dict[str, JetLook]:
    """Give types of jets, name → (kind, mass in GeV), their looks; the largest mass is red.

    >>> looks = jet_looks({"w": ("W", 80), "heavy_w": ("W", 174), "top": ("top", 174)})
    >>> looks["w"].style == looks["heavy_w"].style, looks["top"].shade == looks["heavy_w"].shade == SIGNAL
    (True, True)
    """
    masses = sorted({mass for _, mass in jets.values()})
    kinds = list(dict.fromkeys(kind for kind, _ in jets.values()))
    shades = {mass: _SHADES[index % len(_SHADES)] for index, mass in enumerate(masses[:-1])}
    shades |= dict.fromkeys(masses[-1:], SIGNAL)
    return {
        name: JetLook(shades[mass], _STYLES[kinds.index(kind) % len(_STYLES)]) for name, (kind, mass) in jets.items()
    }
