"""The labelled upper bound: the same classifier, told the truth. A reference, never a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ml.detector import History, Progress
from ml.errors import TrainingError
from ml.feature_detector import FeatureDetector
from ml.preprocessing import balanced_weights
from ml.sample import Sample
from ml.tagger import TaggerSettings
from ml.window import Window


@dataclass(frozen=True)
class SupervisedSettings(TaggerSettings):
    """Settings of the labelled reference: those of its classifier."""


class Supervised(FeatureDetector):
    """Signal against background by `Sample.category` (1 and 0; others do not train), the classes weighted equal."""

    uses_labels: ClassVar[bool] = True
    settings_class: ClassVar[type[TaggerSettings]] = SupervisedSettings

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the labelled events of role "data", of any mass; `window` only serves `decorrelation: slices`.

        Raises:
            TrainingError: no labels, or one class missing; a feature that is missing, constant or NaN.
        """
        sample = self.role(samples, "data")
        if sample.category is None:
            raise TrainingError("the supervised reference needs the category of each event (1 signal, 0 background)")
        sample.features(self.settings.columns)  # events that do not train are scored all the same: refuse NaN now
        rows = np.isin(sample.category, (0, 1))
        training = sample.select(rows)
        labels = np.asarray(training.category, dtype=np.int64)
        for label, name in ((1, "signal"), (0, "background")):
            if not (labels == label).any():
                raise TrainingError(f"no {name} events (category {label}) among {len(sample)}: both classes are needed")
        return self._tagger.fit(
            training,
            labels,
            balanced_weights(training.weight, labels, {0: 0.5, 1: 0.5}, names={0: "background", 1: "signal"}),
            seeds=seeds,
            reference=None if window is None else window.sideband_index(training.mass),
            progress=progress,
        )
