"""CWoLa hunting: tell the events of a mass window from those beside it, without labels.

Collins, Howe, Nachman, arXiv:1805.02664 and arXiv:1902.02634: a classifier between two mixtures with different signal
fractions is, in the limit of enough events, the classifier between signal and background (arXiv:1708.02949).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml.detector import History, Progress
from ml.errors import TrainingError
from ml.feature_detector import FeatureDetector
from ml.inputs import EventTaggerSettings
from ml.preprocessing import balanced_weights
from ml.sample import Sample
from ml.tagger import TaggerSettings
from ml.window import Window


@dataclass(frozen=True)
class CWoLaSettings(EventTaggerSettings):
    """Settings of CWoLa hunting: those of its classifier."""


class CWoLa(FeatureDetector):
    """Signal window against sidebands; the resonance mass is not an input.

    The window counts as much as all sidebands together, and each sideband as much as any other. Only events in window
    and sidebands train; events of any mass are scored.
    """

    settings_class: ClassVar[type[TaggerSettings]] = CWoLaSettings

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the sample of role "data".

        Raises:
            TrainingError: no window, fewer than `ml.window.MIN_EVENTS` events in it or in a sideband, negative weights,
                a feature that is missing, constant or NaN.
        """
        self.check(samples, window=window)
        assert window is not None
        sample = samples["data"]
        groups = training_groups(sample.mass, window)
        rows = groups >= 0
        training, groups = sample.select(rows), groups[rows]
        return self._tagger.fit(
            training,
            (groups == 0).astype(np.int64),
            class_weights(training.weight, groups, sidebands=len(window.sidebands)),
            seeds=seeds,
            reference=groups - 1,
            progress=progress,
        )

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`."""
        if window is None:
            raise TrainingError("CWoLa hunting needs a signal window and its sidebands: give a window")
        super().check(samples, window=window)


def training_groups(mass: np.ndarray, window: Window) -> np.ndarray:
    """0 in the signal window, 1 + i in sideband i, −1 elsewhere; (n,) int from masses (n,) in GeV."""
    sideband = window.sideband_index(mass)
    return np.where(window.in_signal(mass), 0, np.where(sideband >= 0, sideband + 1, -1))


def class_weights(weights: np.ndarray, groups: np.ndarray, *, sidebands: int) -> np.ndarray:
    """Event weights of mean 1: the window sums to half of them, each sideband to an equal part of the rest."""
    shares = {0: 0.5} | {1 + i: 0.5 / sidebands for i in range(sidebands)}
    return balanced_weights(weights, groups, shares)
