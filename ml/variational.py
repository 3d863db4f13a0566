"""Ensembles of variational autoencoders: encoder, sampling, decoder and the evidence lower bound, as pure functions.

Source: arXiv:2103.06595, section III.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ml.compiled import LossFunction
from ml.detector import child_seed
from ml.keras_network import KerasNetwork
from ml.losses import weighted_mean
from ml.networks import DenseNetwork
from ml.prediction import in_chunks

ENCODER, DECODER = "encoder", "decoder"
Parameters = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class VariationalNetwork:
    """Encoder x → (z̄, log σ_z²) and decoder z → x, both dense with linear outputs.

    Attributes:
        inputs: number of features.
        latent: dimensions of z.
        hidden: widths of the hidden layers of the encoder; the decoder has them in reverse.
        activation: of the hidden layers, see `ml.networks.DenseNetwork`.
    """

    inputs: int
    latent: int = 1
    hidden: tuple[int, ...] = (64, 64, 64)
    activation: str = "selu"

    chunk: ClassVar[int] = 8192  # events that `terms` takes at a time
    xla: ClassVar[bool] = True  # whether to compile with it

    @property
    def encoder(self) -> DenseNetwork | KerasNetwork:
        """Features to means and logarithms of variances, the means first."""
        return DenseNetwork(self.inputs, self.hidden, 2 * self.latent, self.activation)

    @property
    def decoder(self) -> DenseNetwork | KerasNetwork:
        """Latent coordinates to features."""
        return DenseNetwork(self.latent, self.hidden[::-1], self.inputs, self.activation)

    def initial(self, seeds: Sequence[np.random.SeedSequence]) -> dict[str, list[np.ndarray]]:
        """Starting weights of both networks, one member per seed."""
        return {
            ENCODER: self.encoder.initial([child_seed(seed, 0) for seed in seeds]),
            DECODER: self.decoder.initial([child_seed(seed, 1) for seed in seeds]),
        }

    def save(self, parameters: Parameters, directory: Path) -> None:
        """`encoder/` and `decoder/` with one Keras model per member."""
        self.encoder.save(parameters[ENCODER], directory / ENCODER)
        self.decoder.save(parameters[DECODER], directory / DECODER)

    def load(self, directory: Path) -> dict[str, list[np.ndarray]]:
        """The parameters that `save` wrote."""
        return {ENCODER: self.encoder.load(directory / ENCODER), DECODER: self.decoder.load(directory / DECODER)}

    def encode(self, parameters: Parameters, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means z̄ and log σ_z², (members, n_events, latent) each, of x (n_events, inputs)."""
        code = self.encoder.predict(parameters[ENCODER], x)
        return code[..., : self.latent], code[..., self.latent :]

    def decode(self, parameters: Parameters, z: np.ndarray) -> np.ndarray:
        """Features (members, n_events, inputs) of z (n_events, latent), which all members share."""
        return self.decoder.predict(parameters[DECODER], z)

    def terms(self, parameters: Parameters, x: np.ndarray) -> dict[str, np.ndarray]:
        """What scores are made of, for x (n_events, inputs).

        Returns:
            mean, log_variance: (members, n_events, latent).
            kl: (members, n_events), see `kl_divergence`.
            reconstruction: (members, n_events), mean squared error over the features, decoded from z̄.
        """
        outputs = in_chunks(
            _compiled(self, len(parameters[ENCODER])),
            [*parameters[ENCODER], *parameters[DECODER]],
            x,
            chunk=self.chunk,
            shape=(2 * self.latent + 1,),
        )
        mean, log_variance = outputs[..., : self.latent], outputs[..., self.latent : -1]
        return {
            "mean": mean,
            "log_variance": log_variance,
            "kl": kl_divergence(mean, log_variance),
            "reconstruction": outputs[..., -1],
        }


def kl_divergence(mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
    """KL divergence of N(mean, exp(log_variance)) from the unit Gaussian, summed over the last axis (equation 1).

    ½ Σ (z̄² + σ² − 1 − log σ²), never negative, 0 where z̄ = 0 and σ = 1.
    """
    exact = np.asarray(log_variance, np.float64)
    return 0.5 * np.sum(np.asarray(mean, np.float64) ** 2 + np.expm1(exact) - exact, axis=-1)


def latent_divergence(mean: Any, log_variance: Any) -> Any:
    """`kl_divergence` of tensors (…, latent), as losses have it."""
    import tensorflow as tf

    return 0.5 * tf.reduce_sum(mean**2 + tf.math.expm1(log_variance) - log_variance, axis=-1)


def evidence_lower_bound(network: VariationalNetwork, *, alpha: float) -> LossFunction:
    """The loss α·MSE + KL of equation 1 (the negative ELBO up to constants), from the batch column `x`.

    MSE is the mean over features, KL the sum over latent dimensions. With a seed z is sampled. Without one (validation)
    it comes from the batch column `draws`, standard normal (events, latent), where there is one: at the mean the loss
    would be another one than is minimised, and lowest far too early. Without that column z is the mean.
    Losses: loss, reconstruction, kl.
    """

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        import tensorflow as tf

        code = network.encoder.apply(parameters[ENCODER], batch["x"])
        mean, log_variance = code[..., : network.latent], code[..., network.latent :]
        z = sampled(mean, log_variance, seed)
        if seed is None and "draws" in batch:
            z = mean + tf.exp(0.5 * log_variance) * batch["draws"]
        output = network.decoder.apply(parameters[DECODER], z)
        squared = tf.reduce_mean(tf.square(batch["x"] - output), axis=-1)
        divergence = latent_divergence(mean, log_variance)
        reconstruction, kl = (weighted_mean(values, batch["weight"]) for values in (squared, divergence))
        return {"loss": alpha * reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    return loss


def sampled(mean: Any, log_variance: Any, seed: Any) -> Any:
    """z ~ N(mean, exp(log_variance)), each member's from its own seed; the mean itself where seed is None."""
    import tensorflow as tf

    if seed is None:
        return mean
    draws = [tf.random.stateless_normal(mean.shape[1:], seed[member]) for member in range(mean.shape[0])]
    return mean + tf.exp(0.5 * log_variance) * tf.stack(draws)


@functools.cache
def _compiled(network: VariationalNetwork, arrays: int) -> Any:
    """Latent code and error of events; `arrays` of the parameters belong to the encoder."""
    import tensorflow as tf

    def outputs(parameters: Sequence[Any], x: Any) -> Any:
        shared = tf.broadcast_to(x, (parameters[0].shape[0], *x.shape))
        code = network.encoder.apply(parameters[:arrays], shared)
        decoded = network.decoder.apply(parameters[arrays:], code[..., : network.latent])
        return tf.concat([code, tf.reduce_mean(tf.square(shared - decoded), axis=-1, keepdims=True)], axis=-1)

    return tf.function(outputs, jit_compile=network.xla, autograph=False)
