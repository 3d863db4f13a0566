"""The labelled upper bound: the same classifier, told the truth. A reference, never a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

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
class SupervisedSettings(EventTaggerSettings):
    """Settings of the labelled reference: those of its classifier, and where it trains.

    Attributes:
        region: all masses, or the signal window: what bounds a detector that is judged in the window, and quicker.
    """

    region: Literal["all", "window"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.region == "window" and self.decorrelation == "slices":
            raise TrainingError(
                "the supervised reference cannot take decorrelation 'slices' with `region: window`: there are no "
                "sidebands to fit slices on; use 'none' or 'ratio'"
            )


class Supervised(FeatureDetector):
    """Signal against background by `Sample.category` (1 and 0; others do not train), the classes weighted equal."""

    uses_labels: ClassVar[bool] = True
    settings_class: ClassVar[type[TaggerSettings]] = SupervisedSettings
    settings: SupervisedSettings

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the labelled events of role "data", of any mass, or of the window with `region: window`.

        Otherwise `window` only serves `decorrelation: slices`, which is fitted on the training events of its sidebands.

        Raises:
            TrainingError: no labels, or one class missing; negative weights; a feature that is missing, constant or
                NaN.
        """
        self.check(samples, window=window)
        data = samples["data"]
        training = data.select(np.isin(np.asarray(data.category), (0, 1)) & self._region(data, window))
        labels = np.asarray(training.category, dtype=np.int64)
        return self._tagger.fit(
            training,
            labels,
            balanced_weights(training.weight, labels, {0: 0.5, 1: 0.5}, names={0: "background", 1: "signal"}),
            seeds=seeds,
            reference=None if window is None else window.sideband_index(training.mass),
            progress=progress,
        )

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`."""
        super().check(samples, window=window)
        category = samples["data"].category
        if category is None:
            raise TrainingError("the supervised reference needs the category of each event (1 signal, 0 background)")
        rows = self._region(samples["data"], window)
        where = " in the signal window" if self.settings.region == "window" else ""
        for label, name in ((1, "signal"), (0, "background")):
            if not (category[rows] == label).any():
                raise TrainingError(
                    f"no {name} events (category {label}) among {rows.sum()}{where}: the supervised reference needs "
                    f"both classes; add {name} to the sample, or leave the reference out"
                )

    def _region(self, sample: Sample, window: Window | None) -> np.ndarray:
        """(n,) bool: the events of the masses to train on."""
        if self.settings.region == "all":
            return np.ones(len(sample), dtype=bool)
        if window is None:
            raise TrainingError("the supervised reference with `region: window` needs a signal window: give a window")
        return window.in_signal(sample.mass)
