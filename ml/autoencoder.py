"""Autoencoders on features: what they reconstruct badly is rare, and rare may be anomalous; no label takes part."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.compiled import LossFunction
from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.labelled import require_columns
from ml.losses import weighted_mean
from ml.networks import DenseNetwork
from ml.optimizers import check_optimizer, make_optimizer
from ml.prediction import in_chunks
from ml.preprocessing import Standardiser
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.tagger import DEFAULT_FEATURES, require_features
from ml.training import Schedule, Trainer
from ml.window import Window

ENCODER, DECODER = "encoder", "decoder"
BLOCK = 100_000  # events scored at a time
Parameters = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class AutoencoderSettings:
    """An ensemble of dense autoencoders.

    Attributes:
        features: columns of the sample; the resonance mass is refused.
        members: size of the ensemble.
        latent: width of the bottleneck, below the number of features; None is half of that, rounded down.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        activation: of the hidden layers; bottleneck and output are linear, as standardised features need.
        optimizer, learning_rate: see `ml.optimizers.make_optimizer`.
        epochs, batch_size, patience, validation_fraction: see `ml.training.Schedule`.
    """

    features: tuple[str, ...] = DEFAULT_FEATURES
    members: int = 4
    latent: int | None = None
    hidden: tuple[int, ...] = (32, 32)
    activation: str = "elu"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 30
    batch_size: int = 500
    patience: int | None = 5
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        require_features(self.features)
        if self.members < 1:
            raise TrainingError(f"members must be at least 1: got {self.members}")
        if not 1 <= self.bottleneck < len(self.features):
            raise TrainingError(
                f"latent must be at least 1 and below the number of features, {len(self.features)}, or there is "
                f"nothing that cannot be reconstructed: got {self.bottleneck}"
            )
        # what is impossible is refused where it is written, not in training
        _ = self.training, self.encoder, self.decoder
        check_optimizer(self.optimizer, self.learning_rate)

    @property
    def bottleneck(self) -> int:
        """Width of the narrowest layer."""
        return len(self.features) // 2 if self.latent is None else self.latent

    @property
    def encoder(self) -> DenseNetwork:
        """Features to latent coordinates."""
        return DenseNetwork(len(self.features), self.hidden, self.bottleneck, self.activation)

    @property
    def decoder(self) -> DenseNetwork:
        """Latent coordinates to features."""
        return DenseNetwork(self.bottleneck, self.hidden[::-1], len(self.features), self.activation)

    @property
    def training(self) -> Schedule:
        """The part of these settings that the engine takes."""
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_size,
            patience=self.patience,
            validation_fraction=self.validation_fraction,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have."""
        return self.features


class Autoencoder(Detector):
    """Trains on all events it is given, whatever their mass; the score is the mean squared error of the reconstruction.

    Features are standardised by the training events. The error is averaged over features, then over members, which
    differ in their starting weights and in the events that stop them.
    """

    windowed = False
    cross_fitted = False
    settings: AutoencoderSettings

    def __init__(self, settings: AutoencoderSettings | None = None) -> None:
        self.settings = settings or AutoencoderSettings()
        self._parameters: Parameters = {}
        self._scaler: Standardiser | None = None

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also features that are missing, constant or NaN."""
        super().check(samples, window=window)
        require_columns({"data": samples["data"]}, self.settings.columns)

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
        data, settings = samples["data"], self.settings
        x = data.features(settings.features)
        weight = np.asarray(data.weight, np.float64) / np.mean(data.weight)
        self._scaler = Standardiser.fit(x, weight, names=settings.features)
        members = [child_seed(seeds, member) for member in range(settings.members)]
        initial = {
            ENCODER: settings.encoder.initial([child_seed(seed, 0, 0) for seed in members]),
            DECODER: settings.decoder.initial([child_seed(seed, 0, 1) for seed in members]),
        }
        self._parameters, history = _trainer(
            settings.encoder, settings.decoder, settings.optimizer, settings.learning_rate
        ).fit(
            initial,
            {"x": self._scaler.apply(x), "weight": weight},
            schedule=settings.training,
            seeds=[child_seed(seed, 1) for seed in members],
            progress=progress,
        )
        return history

    def score(self, sample: Sample) -> Scores:
        """Mean squared error per feature, in units of the training events' variances; see `Detector.score`."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        x = self._scaler.apply(sample.features(self.settings.features))
        arrays = [*self._parameters[ENCODER], *self._parameters[DECODER]]
        outputs = _compiled(self.settings.encoder, self.settings.decoder)
        errors = [
            in_chunks(outputs, arrays, x[start : start + BLOCK], chunk=8192, shape=())
            for start in range(0, max(len(x), 1), BLOCK)
        ]
        return Scores.from_members(np.concatenate(errors, axis=1))

    def save(self, directory: Path) -> None:
        """`encoder/` and `decoder/` with one Keras model per member, `settings.json` and `preprocessing.json`."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        self.settings.encoder.save(self._parameters[ENCODER], directory / ENCODER)
        self.settings.decoder.save(self._parameters[DECODER], directory / DECODER)
        (directory / "preprocessing.json").write_text(json.dumps(self._scaler.to_dict()))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> Autoencoder:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(AutoencoderSettings, directory))
        detector._scaler = Standardiser.from_dict(json.loads((directory / "preprocessing.json").read_text()))
        detector._parameters = {
            ENCODER: detector.settings.encoder.load(directory / ENCODER),
            DECODER: detector.settings.decoder.load(directory / DECODER),
        }
        return detector


def reconstruction_error(encoder: DenseNetwork, decoder: DenseNetwork) -> LossFunction:
    """Mean over features of the squared difference between the batch column `x` and what is decoded of it."""

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        errors = _errors(encoder, decoder, parameters[ENCODER], parameters[DECODER], batch["x"])
        return {"loss": weighted_mean(errors, batch["weight"])}

    return loss


def _errors(encoder: DenseNetwork, decoder: DenseNetwork, inner: Any, outer: Any, x: Any) -> Any:
    """(members, events) mean squared errors of x (members, events, features)."""
    import tensorflow as tf

    return tf.reduce_mean(tf.square(x - decoder.apply(outer, encoder.apply(inner, x))), axis=-1)


@functools.lru_cache(maxsize=8)
def _trainer(encoder: DenseNetwork, decoder: DenseNetwork, optimizer: str, learning_rate: float) -> Trainer:
    """One trainer per architecture and optimiser: objects and folds share what it compiled."""
    return Trainer(reconstruction_error(encoder, decoder), lambda: make_optimizer(optimizer, learning_rate))


@functools.cache
def _compiled(encoder: DenseNetwork, decoder: DenseNetwork) -> Any:
    import tensorflow as tf

    arrays = 2 * (len(encoder.hidden) + 1)

    def outputs(parameters: Sequence[Any], x: Any) -> Any:
        shared = tf.broadcast_to(x, (parameters[0].shape[0], *x.shape))
        return _errors(encoder, decoder, parameters[:arrays], parameters[arrays:], shared)

    return tf.function(outputs, jit_compile=True, autograph=False)
