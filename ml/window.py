"""The signal window of a resonance search and the bands around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ml.errors import TrainingError

Band = tuple[float, float]

MIN_EVENTS = 20  # in the window and in each sideband that a classifier is trained on


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

    def in_validation(self, mass: np.ndarray) -> np.ndarray:
        """True for events in any validation band; (n,) bool from masses (n,) in GeV."""
        return np.any([inside(mass, band) for band in self.validation], axis=0) & np.ones(np.shape(mass), dtype=bool)

    def require_events(self, mass: np.ndarray, weight: np.ndarray | None = None, *, least: int = 1) -> None:
        """Raise TrainingError unless window and every sideband hold `least` events, of a positive sum of weights."""
        span = f"masses run from {np.min(mass):g} to {np.max(mass):g} GeV" if len(mass) else "there are no events"
        bands = [("signal window", self.signal, "move the window")]
        bands += [("sideband", band, "move or widen the sideband") for band in self.sidebands]
        for name, band, advice in bands:
            rows = inside(mass, band)
            if not rows.any():
                raise TrainingError(f"no events in the {name} {_text(band)}: {span}; {advice}")
            if rows.sum() < least:
                raise TrainingError(
                    f"only {int(rows.sum())} events in the {name} {_text(band)}, which would count as much as a full "
                    f"one: a classifier learns nothing from fewer than {least}; {advice}, or use more data"
                )
            total = float(rows.sum() if weight is None else np.sum(np.asarray(weight)[rows]))
            if not total > 0:
                raise TrainingError(
                    f"the event weights in the {name} {_text(band)} sum to {total:g} over {int(rows.sum())} events: "
                    "training needs a positive sum; check the cross section and the generator weights"
                )


def inside(mass: np.ndarray, band: Band) -> np.ndarray:
    """True where low ≤ mass < high."""
    mass = np.asarray(mass)
    return (mass >= band[0]) & (mass < band[1])


def _text(band: Band) -> str:
    return f"({band[0]:g}, {band[1]:g}) GeV"
