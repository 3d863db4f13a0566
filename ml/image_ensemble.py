"""Ensembles of convolutional networks on images of events: scaling of pixels, training from batches, saving."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.compiled import LossFunction
from ml.convolutional import ConvolutionalAutoencoder, ConvolutionalClassifier, check_widths
from ml.detector import History, Progress, child_seed
from ml.errors import TrainingError
from ml.image_batches import ImageChunks, blocks_of, images_of
from ml.keras_network import KerasNetwork
from ml.optimizers import RateSchedule, check_betas, check_clip_norm, check_optimizer, make_optimizer
from ml.pixel_scaling import PixelScaling, ScaledImages, check_floor, fit_scaling
from ml.sample import Sample
from ml.training import Schedule, Trainer

NETWORK = "network"
DECAY = RateSchedule("inverse", steps=2000, factor=0.5)
ORDER = 1_000_000  # key of the seed that cuts the events into chunks; members have the small ones

Architecture = ConvolutionalClassifier | ConvolutionalAutoencoder
OptimizerKey = tuple[str, float, None, RateSchedule | None, tuple[float, ...] | None]


@dataclass(frozen=True)
class ImageNetworkSettings:
    """What convolutional networks have in common; the optimiser's are those of arXiv:2002.12376.

    Attributes:
        filters: of the convolutions; the paper does not give its own.
        members: size of the ensemble.
        floor: smallest standard deviation that a pixel is divided by. Pixels at the rim are lit by few jets: theirs is
            tiny, and a jet that was not in training and does light one would get a value of hundreds or thousands
            there, which outweighs the rest of the image. 0 is the paper's.
        optimizer, learning_rate, schedule, betas: see `ml.optimizers.make_optimizer`; by default Adam, whose rate falls
            as 1/(1 + 5·10⁻⁴·step).
        clip_norm: largest gradient norm of a member; None does not clip.
        epochs, batch_size, patience, validation_fraction: see `ml.training.Schedule`.
    """

    filters: tuple[int, ...] = (8, 8, 8)
    members: int = 1
    floor: float = 1e-3
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: RateSchedule | None = DECAY
    betas: tuple[float, ...] | None = (0.8, 0.99)
    clip_norm: float | None = None
    epochs: int = 30
    batch_size: int = 100
    patience: int | None = 5
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        # what is impossible is refused where it is written, not in training
        if self.members < 1:
            raise TrainingError(f"members must be at least 1: got {self.members}")
        check_widths(filters=self.filters)
        check_floor(self.floor)
        check_optimizer(self.optimizer, self.learning_rate)
        check_betas(self.optimizer, self.betas)
        check_clip_norm(self.clip_norm)
        _ = self.training

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
        """Every column that a sample must have: none, images are not among them."""
        return ()


class ImageEnsemble:
    """Networks of one architecture, and the scaling of pixels that was fitted on their training events.

    Args:
        settings: see `ImageNetworkSettings`.
        architecture: of the networks, for images of a shape.
        loss: of a network, on the batch columns `x` and "weight" and those given to `fit`. A function of a module.
        dimensions: numbers of dimensions that an image may have.
    """

    def __init__(
        self,
        settings: ImageNetworkSettings,
        architecture: Callable[[tuple[int, ...]], Architecture],
        loss: Callable[[KerasNetwork], LossFunction],
        *,
        dimensions: tuple[int, ...] = (2,),
    ) -> None:
        self._settings, self._architecture, self._loss, self._dimensions = settings, architecture, loss, dimensions
        self._scaling: PixelScaling | None = None
        self._parameters: list[np.ndarray] = []

    @property
    def scaling(self) -> PixelScaling:
        """What pixels are scaled by; TrainingError before the training."""
        if self._scaling is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        return self._scaling

    def fit(
        self,
        sample: Sample,
        columns: Mapping[str, np.ndarray],
        weights: np.ndarray,
        *,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on every event of `sample`; images are made chunk by chunk, and never all held at once.

        Args:
            sample: the training events, with images as `batch`.
            columns: (n_events,) each, what the loss needs beside images.
            weights: (n_events,) of mean near 1.
            seeds: member i uses the child with key i.
            progress: passed on to the training.
        """
        images, shape = images_of(sample, dimensions=self._dimensions)
        architecture, settings = self._architecture(shape), self._settings
        self._scaling = fit_scaling(images, np.arange(len(sample)), weight=weights, floor=settings.floor)
        order = np.random.default_rng(child_seed(seeds, ORDER)).permutation(len(sample))
        members = [child_seed(seeds, i) for i in range(settings.members)]
        key: OptimizerKey = settings.optimizer, settings.learning_rate, None, settings.schedule, settings.betas
        parameters, history = _trainer(architecture, self._loss, key, settings.clip_norm).fit(
            {NETWORK: architecture.network.initial([child_seed(seed, 0) for seed in members])},
            ImageChunks(ScaledImages(images, self._scaling), {**columns, "weight": weights}, order),
            schedule=settings.training,
            seeds=[child_seed(seed, 1) for seed in members],
            progress=progress,
        )
        self._parameters = parameters[NETWORK]
        return history

    def outputs(self, sample: Sample) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Scaled images (n_block, …) and the members' outputs (members, n_block, …), block after block of events."""
        network = self._architecture(self.scaling.shape).network
        images, _ = images_of(sample, dimensions=self._dimensions)
        for block in blocks_of(ScaledImages(images, self.scaling), len(sample)):
            yield block, network.predict(self._parameters, block)

    def save(self, directory: Path, *, output_activation: str = "linear") -> None:
        """`member-NNN.keras`, each an ordinary Keras model of scaled images, and `pixels.json`."""
        if self._scaling is None:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        network = self._architecture(self._scaling.shape).network
        network.save(self._parameters, directory, output_activation=output_activation)
        self._scaling.save(directory / "pixels.json")

    def load(self, directory: Path) -> None:
        """Read what `save` wrote, in place of a fit."""
        self._scaling = PixelScaling.load(Path(directory) / "pixels.json")
        self._parameters = self._architecture(self._scaling.shape).network.load(Path(directory))


@functools.lru_cache(maxsize=8)
def _trainer(
    architecture: Architecture,
    loss: Callable[[KerasNetwork], LossFunction],
    optimizer: OptimizerKey,
    clip_norm: float | None,
) -> Trainer:
    """One trainer per architecture and optimiser: objects, iterations and folds share what it compiled."""
    return Trainer(loss(architecture.network), lambda: make_optimizer(*optimizer), clip_norm=clip_norm, xla=False)
