"""What every signal shape has in common: the interface, the width, and the templates of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from stats.errors import StatisticsError


class SignalShape(Protocol):
    """A resonance of a given kind, at any mass."""

    def template(self, edges: np.ndarray, mass: float) -> np.ndarray:
        """Events per bin, shape (n_bins,), for one signal event produced: what falls outside ``edges`` is lost."""

    def width(self, mass: float) -> float:
        """Standard deviation of the core in GeV for a resonance of ``mass`` (GeV)."""

    def describe(self) -> str:
        """The shape in words, for results and captions."""


@dataclass(frozen=True)
class Width:
    """A standard deviation, as a fraction of the mass or in GeV.

    Raises:
        StatisticsError: if ``value`` is not a positive, finite number.
    """

    value: float
    relative: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) and self.value > 0):
            raise StatisticsError(f"A peak needs a positive width, got {self.value!r}.")

    @property
    def unit(self) -> str:
        """``relative`` or ``GeV``."""
        return "relative" if self.relative else "GeV"

    def gev(self, mass: float) -> float:
        """In GeV for a peak at ``mass`` (GeV)."""
        return self.value * mass if self.relative else self.value

    def describe(self) -> str:
        """In words."""
        return f"σ = {100 * self.value:g}% of the mass" if self.relative else f"σ = {self.value:g} GeV"


def check_edges(edges: np.ndarray) -> np.ndarray:
    """The edges as an array of rising, finite numbers in GeV; anything else is an error."""
    edges = np.asarray(edges, dtype=float)
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.isfinite(edges)) or (np.diff(edges) <= 0).any():
        raise StatisticsError("Bin edges must be at least two finite, rising masses in GeV.")
    return edges


def check_inside(edges: np.ndarray, mass: float) -> None:
    """Refuse a peak outside the spectrum: only its tail would be seen."""
    if not (np.isfinite(mass) and edges[0] <= mass <= edges[-1]):
        raise StatisticsError(
            f"A peak at {mass:g} GeV lies outside the spectrum, {edges[0]:g} to {edges[-1]:g} GeV: "
            "choose masses inside."
        )


def normalised(template: np.ndarray) -> np.ndarray:
    """The template scaled to one event; an all-zero or negative one is an error."""
    template = np.asarray(template, dtype=float)
    total = template.sum()
    if not np.all(np.isfinite(template)) or (template < 0).any() or total <= 0:
        raise StatisticsError("A signal template must hold finite, non-negative bins with at least one above zero.")
    return template / total


def scan_templates(edges: np.ndarray, masses: np.ndarray, shapes: Sequence[SignalShape]) -> np.ndarray:
    """Every shape at every mass, each normalised to one event inside the spectrum.

    Returns:
        Shape (n_shapes, n_masses, n_bins).

    Raises:
        StatisticsError: for masses (GeV) outside the spectrum, and peaks that are wider than it: such a peak is part
            of what a smooth background describes.
    """
    edges, span = check_edges(edges), float(edges[-1] - edges[0])
    for shape in shapes:
        widest = max(shape.width(float(mass)) for mass in masses)
        if not widest < span:
            raise StatisticsError(
                f"A peak of {widest:g} GeV ({shape.describe()}) is wider than the spectrum of {span:g} GeV: "
                "nothing tells it from the background. Search for narrower peaks."
            )
    return np.stack([[_inside(shape, edges, float(mass)) for mass in masses] for shape in shapes])


def is_width_scan(shapes: Sequence[SignalShape]) -> bool:
    """Whether the shapes differ in nothing but their width, which rises: points of one continuous scan."""
    widths = [getattr(shape, "sigma", None) for shape in shapes]
    declared = [width for width in widths if isinstance(width, Width)]
    if (
        len(declared) < len(shapes)
        or len({(type(shape), width.relative) for shape, width in zip(shapes, declared, strict=True)}) > 1
    ):
        return False
    others = [{name: value for name, value in vars(shape).items() if name != "sigma"} for shape in shapes]
    return all(rest == others[0] for rest in others) and all(a.value < b.value for a, b in pairwise(declared))


def _inside(shape: SignalShape, edges: np.ndarray, mass: float) -> np.ndarray:
    template = np.asarray(shape.template(edges, mass), dtype=float)
    if template.shape != (edges.size - 1,):
        raise StatisticsError(
            f"{shape.describe()} gave a template of shape {template.shape} for {edges.size - 1} bins."
        )
    try:
        return normalised(template)
    except StatisticsError as error:
        raise StatisticsError(f"{shape.describe()} at {mass:g} GeV: {error}") from error
