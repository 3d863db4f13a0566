"""Dense networks as classifiers, trained on the compiled engine."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from ml.classifier import Classifier
from ml.detector import History, Progress, child_seed
from ml.errors import TrainingError
from ml.losses import binary_crossentropy
from ml.networks import DenseNetwork
from ml.optimizers import RateSchedule, check_clip_norm, check_optimizer, make_optimizer
from ml.settings import settings_from_mapping
from ml.training import Schedule, Trainer


@dataclass(frozen=True)
class MLPSettings:
    """Dense networks: architecture, optimiser and how long they train.

    Attributes:
        hidden: widths of the hidden layers.
        activation: Keras name, one of `ml.networks.ELEMENTWISE`.
        dropout: share of hidden units left out in training.
        optimizer: adam, adamw, sgd, rmsprop or another of `ml.optimizers.ELEMENTWISE`.
        learning_rate: its learning rate, above 0.
        schedule: how the learning rate changes; None keeps it.
        weight_decay: decoupled weight decay; None leaves the optimiser's own default.
        clip_norm: largest gradient norm of a member, above 0; None does not clip.
        epochs, batch_size, patience, validation_fraction: see `ml.training.Schedule`.
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    activation: str = "relu"
    dropout: float = 0.0
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: RateSchedule | None = None
    weight_decay: float | None = None
    clip_norm: float | None = None
    epochs: int = 50
    batch_size: int = 500
    patience: int | None = 5
    validation_fraction: float = 0.25

    def __post_init__(self) -> None:
        # what is impossible is refused where it is written, not in training
        _ = self.training
        self.network(1)
        check_optimizer(self.optimizer, self.learning_rate, self.weight_decay)
        check_clip_norm(self.clip_norm)

    def network(self, inputs: int) -> DenseNetwork:
        """The network for so many features."""
        return DenseNetwork(inputs=inputs, hidden=self.hidden, activation=self.activation, dropout=self.dropout)

    @property
    def training(self) -> Schedule:
        """The part of these settings that the engine takes."""
        return Schedule(
            epochs=self.epochs,
            batch_size=self.batch_size,
            patience=self.patience,
            validation_fraction=self.validation_fraction,
        )


class MLPClassifier(Classifier):
    """Dense networks on the compiled engine."""

    def __init__(self, settings: MLPSettings) -> None:
        self.settings = settings
        self._network: DenseNetwork | None = None
        self._parameters: list[np.ndarray] = []

    def fit(
        self,
        x: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        *,
        seeds: Sequence[np.random.SeedSequence],
        progress: Progress | None = None,
    ) -> History:
        """See `Classifier.fit`; initial weights and training draw from separate children of each seed."""
        self._network = self.settings.network(x.shape[1])
        parameters, history = _trainer(self._network, _optimizer_key(self.settings), self.settings.clip_norm).fit(
            {"classifier": self._network.initial([child_seed(s, 0) for s in seeds])},
            {"x": x, "label": labels.astype(np.float32), "weight": weights},
            schedule=self.settings.training,
            seeds=[child_seed(s, 1) for s in seeds],
            progress=progress,
        )
        self._parameters = parameters["classifier"]
        return history

    def predict(self, x: np.ndarray) -> np.ndarray:
        """See `Classifier.predict`."""
        if self._network is None:
            raise TrainingError("this classifier is not trained: call fit or load first")
        return expit(self._network.predict(self._parameters, x)[..., 0].astype(np.float64))

    def save(self, directory: Path) -> None:
        """`member-NNN.keras`, each an ordinary Keras model with sigmoid output, and `network.json`."""
        if self._network is None:
            raise TrainingError("this classifier is not trained: there is nothing to save")
        self._network.save(self._parameters, directory, output_activation="sigmoid")
        (directory / "network.json").write_text(json.dumps(asdict(self._network), indent=1))

    def load(self, directory: Path) -> None:
        """See `Classifier.load`."""
        content = json.loads((directory / "network.json").read_text())
        self._network = settings_from_mapping(DenseNetwork, content, where=str(directory / "network.json"))
        self._parameters = self._network.load(directory)


_OptimizerKey = tuple[str, float, float | None, RateSchedule | None]


def _optimizer_key(settings: MLPSettings) -> _OptimizerKey:
    return settings.optimizer, settings.learning_rate, settings.weight_decay, settings.schedule


@functools.lru_cache(maxsize=16)
def _trainer(network: DenseNetwork, optimizer: _OptimizerKey, clip_norm: float | None) -> Trainer:
    """One trainer per architecture and optimiser: folds and windows share what it compiled."""
    return Trainer(binary_crossentropy(network), lambda: make_optimizer(*optimizer), clip_norm=clip_norm)
