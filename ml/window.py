"""The signal window of a resonance search and the bands around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ml.errors import TrainingError

Band = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """Half-open bands [low, high) of the resonance mass, in GeV.

    Attributes:
        signal: the signal window.
        sidebands: the bands that stand for background, usually one below and one above.
        validation: bands kept out of training to test the method, usually between sideband and window.
    """

    signal: Band
    sidebands: tuple[Band, ...]
    validation: tuple[Band, ...] = ()

    def __post_init__(self) -> None:
        if not self.sidebands:
            raise TrainingError("a window needs at least one sideband: give sidebands as (low, high) in GeV")
        bands = sorted([self.signal, *self.sidebands, *self.validation])
        for low, high in bands:
            if not (np.isfinite(low) and np.isfinite(high) and low < high):
                raise TrainingError(f"band ({low:g}, {high:g}) GeV is empty: its lower edge must be below its upper")
        for first, second in pairwise(bands):
            if second[0] < first[1]:
                raise TrainingError(
                    f"bands ({first[0]:g}, {first[1]:g}) and ({second[0]:g}, {second[1]:g}) GeV overlap: "
                    "an event belongs to the window, to one sideband or to one validation band"
                )

    def in_signal(self, mass: np.ndarray) -> np.ndarray:
        """True for events in the signal window; (n,) bool from masses (n,) in GeV."""
        return inside(mass, self.signal)

    def sideband_index(self, mass: np.ndarray) -> np.ndarray:
        """Index into `sidebands` of each event, −1 where it is in none; (n,) int."""
        index = np.full(np.shape(mass), -1, dtype=np.int64)
        for i, band in enumerate(self.sidebands):
            index[inside(mass, band)] = i
        return index

    def require_events(self, mass: np.ndarray) -> None:
        """Raise TrainingError unless the window and every sideband hold events."""
        span = f"masses run from {np.min(mass):g} to {np.max(mass):g} GeV" if len(mass) else "there are no events"
        if not self.in_signal(mass).any():
            raise TrainingError(f"no events in the signal window {_text(self.signal)}: {span}; move the window")
        for band in self.sidebands:
            if not inside(mass, band).any():
                raise TrainingError(f"no events in the sideband {_text(band)}: {span}; move or widen the sideband")


def inside(mass: np.ndarray, band: Band) -> np.ndarray:
    """True where low ≤ mass < high."""
    mass = np.asarray(mass)
    return (mass >= band[0]) & (mass < band[1])


def _text(band: Band) -> str:
    return f"({band[0]:g}, {band[1]:g}) GeV"
