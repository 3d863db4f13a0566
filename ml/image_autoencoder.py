"""Convolutional autoencoders on jet images: the weak classifiers of Tag N' Train (arXiv:2002.12376, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ml.compiled import LossFunction
from ml.convolutional import ConvolutionalAutoencoder, check_widths
from ml.detector import Detector, History, Progress, Scores
from ml.image_batches import JetImageSettings, WantedImages, images_of
from ml.image_ensemble import NETWORK, ImageEnsemble, ImageNetworkSettings
from ml.keras_network import KerasNetwork
from ml.losses import weighted_mean
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.window import Window


@dataclass(frozen=True)
class ImageAutoencoderSettings(ImageNetworkSettings):
    """What an image autoencoder is made of.

    Attributes:
        latent: width of the bottleneck.
        dense: widths of dense layers on either side of the bottleneck.
        jet: whose images, where a search hands them over; j1 is the more massive one.
        images: what they are.
        filters, members, floor, optimizer, …: see `ml.image_ensemble.ImageNetworkSettings`.
    """

    latent: int = 16
    dense: tuple[int, ...] = ()
    jet: Literal["j1", "j2"] = "j1"
    images: JetImageSettings = field(default_factory=JetImageSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(filters=self.filters, dense=self.dense, latent=(self.latent,))

    def architecture(self, shape: tuple[int, ...]) -> ConvolutionalAutoencoder:
        """The networks for images of a shape."""
        return ConvolutionalAutoencoder(shape, self.filters, self.dense, self.latent)


class ImageAutoencoder(Detector):
    """Trains on all events it is given, whatever their mass; the score is the mean squared error of the reconstruction.

    The error is that of scaled pixels, averaged over the image, then over members.
    """

    windowed = False
    cross_fitted = False
    settings: ImageAutoencoderSettings

    def __init__(self, settings: ImageAutoencoderSettings | None = None) -> None:
        self.settings = settings or ImageAutoencoderSettings()
        self.needs_images = WantedImages((self.settings.jet,), self.settings.images)
        self._ensemble = ImageEnsemble(self.settings, self.settings.architecture, mean_squared_error)

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also images that are missing or of a wrong shape."""
        super().check(samples, window=window)
        images_of(samples["data"])

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """See `Detector.fit`; `window` takes no part. Member i draws from the child of `seeds` with key i."""
        self.check(samples, window=window)
        data = samples["data"]
        weight = np.asarray(data.weight, np.float64) / np.mean(data.weight)
        return self._ensemble.fit(data, {}, weight, seeds=seeds, progress=progress)

    def score(self, sample: Sample) -> Scores:
        """Mean squared error per pixel; see `Detector.score`."""
        errors = [
            np.square(outputs - images, dtype=np.float64).mean(axis=(-2, -1))
            for images, outputs in self._ensemble.outputs(sample)
        ]
        return Scores.from_members(np.concatenate(errors, axis=1))

    def save(self, directory: Path) -> None:
        """One Keras model per member, `pixels.json` and `settings.json`."""
        self._ensemble.save(directory)
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> ImageAutoencoder:
        """See `Detector.load`."""
        detector = cls(load_settings(ImageAutoencoderSettings, directory))
        detector._ensemble.load(directory)
        return detector


def mean_squared_error(network: KerasNetwork) -> LossFunction:
    """Mean over pixels of the squared difference between the batch column `x` and what the network makes of it."""

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        errors = tf.square(network.apply(parameters[NETWORK], batch["x"], seed) - batch["x"])
        return {"loss": weighted_mean(tf.reduce_mean(errors, axis=[-2, -1]), batch["weight"])}

    return loss
