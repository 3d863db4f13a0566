"""What a classifier reads of an event, features or images of its jets: the settings, and the classifier for either."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ml.errors import TrainingError
from ml.image_batches import JETS, JetImageSettings, WantedImages, images_of
from ml.image_tagger import ImageTagger, ImageTaggerSettings
from ml.sample import Sample
from ml.tagger import Tagger, TaggerSettings

InputsName = Literal["features", "images"]


@dataclass(frozen=True)
class InputSettings:
    """Features, or images.

    Attributes:
        inputs: of the classifiers. `images` are those of both jets, which a search makes of stored constituents.
        images: what they are.
        network: the classifiers of images.
    """

    inputs: InputsName = "features"
    images: JetImageSettings = field(default_factory=JetImageSettings)
    network: ImageTaggerSettings = field(default_factory=ImageTaggerSettings)

    FEATURES_ALONE: ClassVar[tuple[str, ...]] = ("features", "classifier", "members", "truncation", "mlp", "bdt")

    @property
    def wanted_images(self) -> WantedImages | None:
        """What `Detector.needs_images` is: both jets, or None."""
        return WantedImages(JETS, self.images) if self.inputs == "images" else None

    def refuse_unread(self) -> None:
        """Raise TrainingError for settings that were changed and that `inputs` does not read."""
        images = self.inputs == "images"
        unread = self.FEATURES_ALONE if images else ("images", "network")
        remedy = "; those of classifiers of images stand under `network`" if images else ", or take 'images'"
        for name in self.changed(unread):
            raise TrainingError(f"{name} has no effect with inputs {self.inputs!r}: leave it out{remedy}")

    def changed(self, names: Sequence[str]) -> list[str]:
        """Those of the named settings that differ from their defaults."""
        found = []
        for one in dataclasses.fields(self):
            default = one.default if one.default_factory is dataclasses.MISSING else one.default_factory()
            if one.name in names and getattr(self, one.name) != default:
                found.append(one.name)
        return found


@dataclass(frozen=True)
class EventTaggerSettings(TaggerSettings, InputSettings):
    """A classifier of whole events, by features of both jets or by both images at once.

    Attributes:
        inputs, images, network: see `InputSettings`; the others are those of a classifier of features.
    """

    FEATURES_ALONE = (*InputSettings.FEATURES_ALONE, "decorrelation", "ratio_features", "slices")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.refuse_unread()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have."""
        return () if self.inputs == "images" else self.features


def tagger_of(settings: TaggerSettings | ImageTaggerSettings) -> Tagger | ImageTagger:
    """The untrained classifier that these settings ask for."""
    if isinstance(settings, EventTaggerSettings) and settings.inputs == "images":
        return ImageTagger(settings.network)
    return ImageTagger(settings) if isinstance(settings, ImageTaggerSettings) else Tagger(settings)


def require_images(samples: Mapping[str, Sample], jets: Sequence[str]) -> None:
    """Raise TrainingError, with the role, for a sample without images (n, len(jets), pixels, pixels)."""
    for role, sample in samples.items():
        try:
            _, shape = images_of(sample, dimensions=(3,))
        except TrainingError as error:
            raise TrainingError(f"sample of role {role!r}: {error}") from error
        if shape[0] != len(jets):
            raise TrainingError(
                f"sample of role {role!r}: `batch` gives images of {shape[0]} jets, expected those of "
                f"{' and '.join(jets)}"
            )
