"""A detector that takes no time to train, to start others from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ml import Detector, History, Progress, Sample, Scores, Window
from ml.settings import settings_from_mapping


@dataclasses.dataclass(frozen=True)
class DistanceSettings:
    """The columns it looks at."""

    features: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return self.features


class Distance(Detector):
    """Squared distance from the mean of the training events, in standard deviations."""

    windowed = False
    cross_fitted = False
    settings: DistanceSettings

    def __init__(self, settings: DistanceSettings) -> None:
        self.settings = settings
        self.middle, self.width = np.zeros(0), np.zeros(0)

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        x = self.role(samples, "data").features(self.settings.features)
        self.middle, self.width = x.mean(axis=0), x.std(axis=0)
        if progress is not None:
            progress(1.0, "measured")
        return History()

    def score(self, sample: Sample) -> Scores:
        away = (sample.features(self.settings.features) - self.middle) / self.width
        event = (away**2).sum(axis=1).astype(np.float32)
        return Scores(event=event, spread=np.zeros_like(event))

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        content = {"settings": dataclasses.asdict(self.settings), "fit": [self.middle.tolist(), self.width.tolist()]}
        (directory / "distance.json").write_text(json.dumps(content))

    @classmethod
    def load(cls, directory: Path) -> Distance:
        content = json.loads((directory / "distance.json").read_text())
        detector = cls(settings_from_mapping(DistanceSettings, content["settings"]))
        detector.middle, detector.width = (np.array(values) for values in content["fit"])
        return detector
