"""Settings, loss and training of the invariant-mass decoder, see `ml.latent_decoder`."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.compiled import LossFunction
from ml.errors import TrainingError
from ml.losses import weighted_mean
from ml.networks import DenseNetwork
from ml.optimizers import RateSchedule, check_optimizer, make_optimizer
from ml.training import Schedule, Trainer
from ml.variational import ENCODER, VariationalNetwork, sampled

MASS_DECODER = "mass_decoder"


@dataclass(frozen=True)
class MassDecoderSettings:
    """A dense network from (z, m) to the features, trained with Adam whose learning rate falls to nothing.

    That is how it comes to rest in a known number of steps, as `convergence` measures: with a constant rate the loss is
    noise from epoch to epoch long before maps of the features are smooth, and a rule that watches it stops too early.

    Attributes:
        hidden, activation: see `ml.networks.DenseNetwork`.
        learning_rate: of Adam at the start; it falls like half a cosine to 1% after `steps`.
        batch_size: events per step.
        steps: optimiser steps of a member; the epoch of the lowest validation loss is kept.
        mass_resolution: standard deviation of m in units of the resonance mass.
        validation_fraction: share of the events that a member does not train on, other ones for each.
    """

    hidden: tuple[int, ...] = (64, 64, 64)
    activation: str = "selu"
    learning_rate: float = 1e-3
    batch_size: int = 1000
    steps: int = 5000
    mass_resolution: float = 0.025
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} of the mass decoder must be at least 1: got {getattr(self, name)}")
        if not 0 < self.mass_resolution < 1:
            raise TrainingError(f"mass_resolution must be between 0 and 1: got {self.mass_resolution:g}")
        if not 0 < self.validation_fraction < 1:
            raise TrainingError(f"validation_fraction must be between 0 and 1: got {self.validation_fraction:g}")
        check_optimizer("adam", self.learning_rate)
        self.network(inputs=2, outputs=1)

    def network(self, *, inputs: int, outputs: int) -> DenseNetwork:
        """The decoder of `inputs` latent dimensions and masses to `outputs` features."""
        return DenseNetwork(inputs, self.hidden, outputs, self.activation)

    def schedule(self, events: int) -> Schedule:
        """So many epochs of so many events as there are steps."""
        training = events - round(self.validation_fraction * events)
        return Schedule(
            epochs=math.ceil(self.steps / max(1, training // self.batch_size)),
            batch_size=self.batch_size,
            validation_fraction=self.validation_fraction,
            patience=None,
        )


def convergence(losses: np.ndarray) -> dict[str, np.ndarray]:
    """Where the validation loss (n_epochs, members) of a training ended, and how much it still changed before.

    Returns:
        final: (members,) of the last epoch.
        change: (members,) final/(loss when a quarter of the epochs was left) − 1: near 0 where it has converged,
            negative where it still fell. 0 for a single epoch.

    Raises:
        TrainingError: no epochs, or a loss that is not finite and above 0 at these two.
    """
    losses = np.asarray(losses, np.float64)
    if losses.ndim != 2 or not len(losses):
        raise TrainingError(f"losses by epoch and member are needed: got an array of shape {losses.shape}")
    final, before = losses[-1], losses[min(len(losses) - 1, math.ceil(0.75 * len(losses)) - 1)]
    if not ((final > 0) & np.isfinite(final) & (before > 0) & np.isfinite(before)).all():
        raise TrainingError("the validation loss of a mass decoder is not finite and above 0: train with a lower rate")
    return {"final": final, "change": final / before - 1}


def mass_decoder_loss(encoder: VariationalNetwork, decoder: DenseNetwork) -> LossFunction:
    """Mean squared error over the features decoded from z ~ N(z̄, σ_z) and m.

    Without a seed the draws are always the same: at z̄ and m_jj the loss would be another one than is minimised, and
    lowest long before that one is.
    Batch columns: x (scaled features), mass (m_jj as the decoder sees it) and log_variance (that of m around it).
    """

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        seed = tf.zeros([batch["x"].shape[0], 2], tf.int32) if seed is None else seed
        code = encoder.encoder.apply(parameters[ENCODER], batch["x"])
        z = sampled(code[..., : encoder.latent], code[..., encoder.latent :], seed)
        # the second number of a seed counts the steps: the first one tells the masses' draws from those of z
        m = sampled(batch["mass"], batch["log_variance"], seed + tf.constant([1, 0]))
        output = decoder.apply(parameters[MASS_DECODER], tf.concat([z, m], axis=-1))
        squared = tf.reduce_mean(tf.square(batch["x"] - output), axis=-1)
        return {"loss": weighted_mean(squared, batch["weight"])}

    return loss


def level_start(initial: list[np.ndarray], mean: np.ndarray) -> list[np.ndarray]:
    """Let a network start from the mean (n_features,) of the features, whatever its inputs.

    A random start leaves rays in the maps where few events lie.
    """
    *before, kernel, bias = initial
    return [*before, np.zeros_like(kernel), np.broadcast_to(mean, bias.shape).astype(np.float32)]


@functools.lru_cache(maxsize=8)
def mass_decoder_trainer(encoder: VariationalNetwork, decoder: DenseNetwork, *, rate: float, steps: int) -> Trainer:
    """One trainer per pair of networks, learning rate and number of steps: subsets of the data share what it compiled.

    The encoders stay as they are.
    """
    schedule = RateSchedule("cosine", steps=steps, factor=0.01)
    return Trainer(
        mass_decoder_loss(encoder, decoder),
        lambda: make_optimizer("adam", rate, schedule=schedule),
        trainable=frozenset({MASS_DECODER}),
    )
