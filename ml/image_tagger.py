"""Images to scores by convolutional classifiers: what `ml.tagger.Tagger` is for features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from ml.compiled import LossFunction
from ml.convolutional import ConvolutionalClassifier, check_widths
from ml.detector import History, Progress, Scores
from ml.ensembles import require_truncation
from ml.errors import TrainingError
from ml.image_ensemble import NETWORK, ImageEnsemble, ImageNetworkSettings
from ml.keras_network import KerasNetwork
from ml.losses import binary_crossentropy
from ml.sample import Sample
from ml.settings import save_settings


@dataclass(frozen=True)
class ImageTaggerSettings(ImageNetworkSettings):
    """What an image classifier is made of.

    Attributes:
        dense: widths of the dense layers behind the convolutions.
        truncation: see `ml.tagger.TaggerSettings`.
        filters, members, floor, optimizer, …: see `ml.image_ensemble.ImageNetworkSettings`.
    """

    dense: tuple[int, ...] = (32,)
    truncation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths(filters=self.filters, dense=self.dense)
        require_truncation(self.truncation)

    def architecture(self, shape: tuple[int, ...]) -> ConvolutionalClassifier:
        """The networks for images of a shape."""
        return ConvolutionalClassifier(shape, self.filters, self.dense)


class ImageTagger:
    """A trained image classifier; images are (pixels, pixels), or (jets, pixels, pixels) where it sees several.

    The scaling of pixels is fitted once, on training events, and saved.
    """

    def __init__(self, settings: ImageTaggerSettings | None = None) -> None:
        self.settings = settings or ImageTaggerSettings()
        self._ensemble = ImageEnsemble(self.settings, self.settings.architecture, _loss, dimensions=(2, 3))

    def fit(
        self,
        sample: Sample,
        labels: np.ndarray,
        weights: np.ndarray,
        *,
        seeds: np.random.SeedSequence,
        reference: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Train on every event of `sample`.

        Args:
            sample: the training events, with images as `batch`.
            labels: (n_events,) from 0 to 1.
            weights: (n_events,) of mean near 1.
            seeds: member i uses the child with key i.
            reference: takes no part; that of `ml.tagger.Tagger`.
            progress: passed on to the training.

        Raises:
            TrainingError: no images, or of a wrong shape, or not finite; labels that are not; a training that diverges.
        """
        labels = np.asarray(labels, dtype=np.float32)
        if labels.shape != (len(sample),) or not ((labels >= 0) & (labels <= 1)).all():
            raise TrainingError(f"labels of {len(sample)} images must be as many numbers from 0 to 1")
        return self._ensemble.fit(sample, {"label": labels}, weights, seeds=seeds, progress=progress)

    def score(self, sample: Sample) -> Scores:
        """(Truncated) mean, spread and member outputs (probabilities) for every event; nothing is refitted."""
        logits = [outputs[..., 0] for _, outputs in self._ensemble.outputs(sample)]
        probability = expit(np.concatenate(logits, axis=1).astype(np.float64))
        return Scores.from_members(probability, truncation=self.settings.truncation)

    def save(self, directory: Path) -> None:
        """Members with sigmoid output, `pixels.json` and `settings.json`."""
        self._ensemble.save(directory, output_activation="sigmoid")
        save_settings(self.settings, directory)

    def load(self, directory: Path) -> None:
        """Read members and scaling that `save` wrote."""
        self._ensemble.load(directory)


def _loss(network: KerasNetwork) -> LossFunction:
    return binary_crossentropy(network, name=NETWORK)
