"""What detectors that end in one classifier share: scoring, saving, loading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

from ml.detector import Detector, Scores
from ml.inputs import InputSettings, require_images, tagger_of
from ml.labelled import require_bands, require_columns
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.tagger import TaggerSettings
from ml.window import Window

D = TypeVar("D", bound="FeatureDetector")


class FeatureDetector(Detector):
    """A detector whose score is that of a `Tagger`, or of an `ImageTagger`; subclasses decide what it is trained on."""

    settings_class: ClassVar[type[TaggerSettings]] = TaggerSettings
    settings: TaggerSettings

    def __init__(self, settings: TaggerSettings | None = None) -> None:
        self.settings = settings or self.settings_class()
        self.needs_images = self.settings.wanted_images if isinstance(self.settings, InputSettings) else None
        self._tagger = tagger_of(self.settings)

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also bands with too few events, and features that are missing, constant or NaN, or
        images that are missing.

        Events that do not train are scored all the same, so that their features count.
        """
        super().check(samples, window=window)
        roles = {name: samples[name] for name in sorted(self.needs)}
        if window is not None and not self.uses_labels:
            require_bands(roles, window)
        if self.needs_images is not None:
            require_images(roles, self.needs_images.jets)
        else:
            require_columns(roles, self.settings.columns)

    def score(self, sample: Sample) -> Scores:
        """(Truncated) mean over members of the probability of the class that stands for signal."""
        return self._tagger.score(sample)

    def save(self, directory: Path) -> None:
        """See `Detector.save`."""
        self._tagger.save(directory)
        save_settings(self.settings, directory)

    @classmethod
    def load(cls: type[D], directory: Path) -> D:
        """See `Detector.load`."""
        detector = cls(load_settings(cls.settings_class, directory))
        detector._tagger.load(directory)
        return detector
