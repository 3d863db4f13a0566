"""The reference that Tag N' Train is held against: classifiers of each object trained on random mixtures.

Source: arXiv:2002.12376, figure 4, right ("pure CWoLa"). Tags make one sample rich in signal and one poor in it, and
may shape their background, too; mixtures of the same signal fractions, drawn from the truth, cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml.detector import child_seed
from ml.errors import TrainingError
from ml.sample import Sample
from ml.supervised_objects import SupervisedObjects, SupervisedObjectsSettings
from ml.tagging import NEITHER, POOR, RICH
from ml.tnt_settings import TNTSettings
from ml.window import MIN_EVENTS, Window

DRAW = 1_000_000  # key of the seed that draws an object's mixtures; classifiers have the small ones


@dataclass(frozen=True)
class MixtureObjectsSettings(SupervisedObjectsSettings):
    """Those of the supervised reference, and the two mixtures.

    Attributes:
        signal_rich, signal_poor: fraction of signal in either mixture, what the tags of Tag N' Train reach.
        share: events of each mixture over all labelled ones.
    """

    signal_rich: float = 0.05
    signal_poor: float = 0.005
    share: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.signal_poor < self.signal_rich <= 1:
            raise TrainingError(
                "signal fractions of mixtures lie between 0 and 1, signal_rich above signal_poor: got "
                f"{self.signal_rich:g} and {self.signal_poor:g}"
            )
        if not 0 < self.share <= 0.5:
            raise TrainingError(
                f"share must be above 0 and at most 0.5, for two mixtures have no event in common: got {self.share:g}"
            )


class MixtureObjects(SupervisedObjects):
    """One classifier per object that tells two random mixtures of signal and background apart, and joint percentiles.

    An object's mixtures are drawn without regard to anything but the category of an event, those of the two objects
    independently of each other, so that no classifier can learn how the objects depend on each other.
    """

    class_names: ClassVar[Mapping[int, str]] = {POOR: "signal-poor", RICH: "signal-rich"}
    settings_class: ClassVar[type[TNTSettings]] = MixtureObjectsSettings
    settings: MixtureObjectsSettings

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `SupervisedObjects.check`: also too few events of either class for the mixtures."""
        super().check(samples, window=window)
        self._counts(np.asarray(self.role(samples, "data").category))

    def classes(self, category: np.ndarray, seeds: np.random.SeedSequence, k: int) -> np.ndarray:
        """Draw both mixtures of object k; see `SupervisedObjects.classes`."""
        rng = np.random.default_rng(child_seed(seeds, DRAW, k))
        labels = np.full(len(category), NEITHER)
        for value, (rich, poor) in self._counts(category).items():
            rows = rng.permutation(np.flatnonzero(category == value))
            labels[rows[:rich]] = RICH
            labels[rows[rich : rich + poor]] = POOR
        return labels

    def _counts(self, category: np.ndarray) -> dict[int, tuple[int, int]]:
        """Events of each category in the rich and the poor mixture; TrainingError where there are not as many."""
        settings = self.settings
        size = round(settings.share * int(np.isin(category, (0, 1)).sum()))
        if size < MIN_EVENTS:
            raise TrainingError(
                f"a share of {settings.share:g} of the labelled events leaves {size} for each mixture; at least "
                f"{MIN_EVENTS} are needed"
            )
        rich, poor = round(settings.signal_rich * size), round(settings.signal_poor * size)
        counts = {1: (rich, poor), 0: (size - rich, size - poor)}
        for value, name in ((1, "signal"), (0, "background")):
            there, wanted = int((category == value).sum()), sum(counts[value])
            if wanted > there:
                raise TrainingError(
                    f"mixtures of {size} events with signal fractions of {settings.signal_rich:g} and "
                    f"{settings.signal_poor:g} take {wanted} {name} events, but there are {there}: lower share or the "
                    "fraction"
                )
        return counts
