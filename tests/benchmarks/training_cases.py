"""What the benchmark of the training engine trains: each network for the engine, and as one writes it in Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml import child_seed
from ml.compiled import LossFunction
from ml.jet_losses import jet_loss
from ml.jet_vae_settings import JetVAESettings
from ml.losses import binary_crossentropy, weighted_mean
from ml.networks import DenseNetwork

EVENTS = 100_000
JETS = 20_000
ALPHA = 5000.0  # weight of the reconstruction in the VAE's loss


@dataclass(frozen=True)
class Case:
    """A network, its loss and optimiser, the data and the ratio wanted.

    Attributes:
        initial: seeds → starting weights of the engine.
        keras_model: seed → a compiled Keras model.
        keras_data: what that model's `fit` gets.
    """

    name: str
    wanted: float
    batch: int
    data: Mapping[str, np.ndarray]
    loss: LossFunction
    optimizer: Callable[[], Any]
    initial: Callable[[Sequence[np.random.SeedSequence]], dict[str, list[np.ndarray]]]
    keras_model: Callable[[int], Any]
    keras_data: tuple[np.ndarray, ...]


def start_seed(member: int) -> np.random.SeedSequence:
    """Seed of the starting weights, the same for the engine's members and the Keras models."""
    return np.random.SeedSequence([7, member])


def variational(events: np.ndarray | None = None, rate: float = 1.0) -> Case:
    """A VAE with one latent dimension: encoder and decoder 3 × 64 SELU, 6 features, Adadelta.

    `events` (n, 6) float32 take the place of uniform random numbers.
    """
    import keras
    import tensorflow as tf

    encoder = DenseNetwork(inputs=6, hidden=(64, 64, 64), outputs=2, activation="selu")
    decoder = DenseNetwork(inputs=1, hidden=(64, 64, 64), outputs=6, activation="selu")
    x = np.random.default_rng(0).random((EVENTS, 6), dtype=np.float32) if events is None else events

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        code = encoder.apply(parameters["encoder"], batch["x"])
        mean, log_variance = code[..., :1], code[..., 1:]
        z = mean
        if seed is not None:
            draws = [tf.random.stateless_normal(mean.shape[1:], seed[m]) for m in range(mean.shape[0])]
            z = mean + tf.exp(0.5 * log_variance) * tf.stack(draws)
        mse = tf.reduce_mean(tf.square(batch["x"] - decoder.apply(parameters["decoder"], z)), axis=-1)
        kl = -0.5 * tf.reduce_mean(1 + log_variance - mean**2 - tf.exp(log_variance), axis=-1)
        mse, kl = weighted_mean(mse, batch["weight"]), weighted_mean(kl, batch["weight"])
        return {"loss": ALPHA * mse + kl, "mse": mse, "kl": kl}

    def initial(seeds: Sequence[np.random.SeedSequence]) -> dict[str, list[np.ndarray]]:
        # Glorot-uniform for all, as Keras has it
        plain = DenseNetwork(inputs=6, hidden=(64, 64, 64), outputs=2), DenseNetwork(inputs=1, outputs=6)
        return {
            "encoder": plain[0].initial([child_seed(s, 0) for s in seeds]),
            "decoder": plain[1].initial([child_seed(s, 1) for s in seeds]),
        }

    def model(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        built = _keras_vae(inputs=6, hidden=(64, 64, 64), latent=1, activation="selu", weights=(ALPHA, 1.0))
        built.compile(optimizer=keras.optimizers.Adadelta(rate))
        return built

    return Case(
        "vae 6-64-64-64-1-64-64-64-6", 5, 1000, {"x": x}, loss,
        lambda: keras.optimizers.Adadelta(rate), initial, model, (x,),
    )  # fmt: skip


def jet_variational() -> Case:
    """The VAE of jet constituents: 80-256-128-64-10 ReLU and back, Adam, batches of 100, on normal random numbers."""
    import keras

    network, loss = JetVAESettings().network, JetVAESettings().loss
    x = np.random.default_rng(0).normal(size=(JETS, 80)).astype(np.float32)

    def model(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        built = _keras_vae(inputs=80, hidden=(256, 128, 64), latent=10, activation="relu", weights=(1.0, loss.beta))
        built.compile(optimizer=keras.optimizers.Adam())
        return built

    return Case(
        "jet_vae 80-256-128-64-10-64-128-256-80", 2, 100, {"x": x}, jet_loss(network, loss),
        lambda: keras.optimizers.Adam(), network.initial, model, (x,),
    )  # fmt: skip


def _keras_dense(inputs: int, hidden: tuple[int, ...], outputs: int, activation: str) -> Any:
    import keras

    layers = [keras.layers.Dense(width, activation=activation) for width in hidden]
    return keras.Sequential([keras.Input((inputs,)), *layers, keras.layers.Dense(outputs)])


def _keras_vae(
    *, inputs: int, hidden: tuple[int, ...], latent: int, activation: str, weights: tuple[float, float]
) -> Any:
    """`weights` are those of mean squared error and KL divergence, both means over numbers or dimensions."""
    import keras
    import tensorflow as tf

    class VariationalAutoencoder(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = _keras_dense(inputs, hidden, 2 * latent, activation)
            self.decoder = _keras_dense(latent, hidden[::-1], inputs, activation)

        def train_step(self, data: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                mean, log_variance = tf.split(self.encoder(data, training=True), 2, axis=1)
                z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
                mse = tf.reduce_mean(tf.square(data - self.decoder(z, training=True)))
                kl = -0.5 * tf.reduce_mean(1 + log_variance - mean**2 - tf.exp(log_variance))
                loss = weights[0] * mse + weights[1] * kl
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
            )
            self.running.update_state(loss)
            return {"loss": self.running.result()}

        @property
        def metrics(self) -> list[Any]:
            return [self.running]

        def build(self, shape: Any) -> None:
            self.built = True

    built = VariationalAutoencoder()
    built.running = keras.metrics.Mean(name="loss")
    return built


def autoencoder() -> Case:
    """21-10-3-10-21 with sigmoid hidden layers and linear output, mean squared error, Adam."""
    import keras
    import tensorflow as tf

    network = DenseNetwork(inputs=21, hidden=(10, 3, 10), outputs=21, activation="sigmoid")
    x = np.random.default_rng(0).normal(size=(EVENTS, 21)).astype(np.float32)

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> dict[str, Any]:
        output = network.apply(parameters["autoencoder"], batch["x"])
        return {"loss": weighted_mean(tf.reduce_mean(tf.square(output - batch["x"]), axis=-1), batch["weight"])}

    def model(seed: int) -> Any:
        built = network.to_keras(network.initial([start_seed(seed)]), 0)
        built.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mse")
        return built

    return Case(
        "autoencoder 21-10-3-10-21", 10, 500, {"x": x}, loss, lambda: keras.optimizers.Adam(1e-2),
        lambda seeds: {"autoencoder": network.initial(seeds)}, model, (x, x),
    )  # fmt: skip


def classifier() -> Case:
    """3 × 100 ReLU on 6 features, cross-entropy, Adam."""
    import keras

    network = DenseNetwork(inputs=6, hidden=(100, 100, 100))
    random = np.random.default_rng(0)
    x = random.normal(size=(EVENTS, 6)).astype(np.float32)
    label = (x[:, 0] + random.normal(size=EVENTS) > 0).astype(np.float32)

    def model(seed: int) -> Any:
        start = network.initial([start_seed(seed)])
        built = network.to_keras(start, 0, output_activation="sigmoid")
        built.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
        return built

    return Case(
        "classifier 6-100-100-100-1", 5, 200, {"x": x, "label": label}, binary_crossentropy(network),
        lambda: keras.optimizers.Adam(1e-3), lambda seeds: {"classifier": network.initial(seeds)}, model, (x, label),
    )  # fmt: skip
