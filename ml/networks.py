"""Ensembles of dense networks: pure functions of parameters that carry a leading member axis."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import TrainingError, nearest_names
from ml.prediction import in_chunks
from ml.saving import load_members, save_members

ELEMENTWISE = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu",
    "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh", "tanh_shrink",
)  # fmt: skip
"""Keras names of the activations that act on each unit alone. Those that act along an axis (softmax, glu …) would mix
events here, where the last axis is that of the events."""


@dataclass(frozen=True)
class DenseNetwork:
    """A multilayer perceptron.

    Attributes:
        inputs: number of features.
        hidden: widths of the hidden layers.
        outputs: width of the linear output layer.
        activation: Keras name of the hidden activation, one of `ELEMENTWISE`.
        dropout: share of hidden units left out in each training step.
    """

    inputs: int
    hidden: tuple[int, ...] = (64, 64, 64)
    outputs: int = 1
    activation: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if min((self.inputs, *self.hidden, self.outputs)) < 1:
            raise TrainingError(f"every layer needs at least one unit: got {self}")
        if not 0 <= self.dropout < 1:
            raise TrainingError(f"dropout must be in [0, 1): got {self.dropout:g}")
        if self.activation not in ELEMENTWISE:
            raise TrainingError(
                f"no activation {self.activation!r} that acts on each unit alone, as hidden layers here need: "
                f"{nearest_names(self.activation, ELEMENTWISE)}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Layer widths from input to output."""
        return (self.inputs, *self.hidden, self.outputs)

    def initial(self, seeds: Sequence[np.random.SeedSequence]) -> list[np.ndarray]:
        """Starting weights, one member per seed: kernels (members, in, out) and biases (members, 1, out), alternating.

        Kernels are Glorot-uniform, as Keras has them (for SELU: LeCun-normal); biases are 0.
        """
        members = [self._initial(np.random.default_rng(seed)) for seed in seeds]
        return [np.stack(arrays) for arrays in zip(*members, strict=True)]

    def _initial(self, random: np.random.Generator) -> list[np.ndarray]:
        arrays = []
        for fan_in, fan_out in zip(self.widths[:-1], self.widths[1:], strict=True):
            if self.activation == "selu":
                kernel = random.normal(0, np.sqrt(1 / fan_in), (fan_in, fan_out))
            else:
                limit = np.sqrt(6 / (fan_in + fan_out))
                kernel = random.uniform(-limit, limit, (fan_in, fan_out))
            arrays += [kernel.astype(np.float32), np.zeros((1, fan_out), np.float32)]
        return arrays

    def apply(self, parameters: Sequence[Any], x: Any, seed: Any = None) -> Any:
        """Outputs (members, events, outputs) of inputs (members, events, inputs).

        `seed` (members, 2) int32 draws the dropout; None leaves it out. Pure: no state is read or changed.
        """
        import keras
        import tensorflow as tf

        activate = _selu if self.activation == "selu" else keras.activations.get(self.activation)
        layers = list(zip(parameters[::2], parameters[1::2], strict=True))
        # (members, units, events) inside: on a processor, XLA multiplies the gradients' matrices faster that way
        h = tf.transpose(x, [0, 2, 1])
        for i, (kernel, bias) in enumerate(layers):
            h = tf.matmul(kernel, h, transpose_a=True) + tf.transpose(bias, [0, 2, 1])
            if i == len(layers) - 1:
                break
            h = activate(h)
            if self.dropout and seed is not None:
                h = h * _dropout_mask(tf, h.shape, seed + 7919 * (i + 1), self.dropout)
        return tf.transpose(h, [0, 2, 1])

    def predict(self, parameters: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
        """Outputs (members, n_events, outputs) float32 of x (n_events, inputs), in compiled chunks of fixed size."""
        return in_chunks(_compiled(self), parameters, x, chunk=8192, shape=(self.outputs,))

    def to_keras(self, parameters: Sequence[np.ndarray], member: int, *, output_activation: str = "linear") -> Any:
        """One member as an ordinary Keras model with the same outputs."""
        import keras

        layers: list[Any] = [keras.Input((self.inputs,))]
        for width in self.hidden:
            layers.append(keras.layers.Dense(width, activation=self.activation))
            if self.dropout:
                layers.append(keras.layers.Dropout(self.dropout))
        layers.append(keras.layers.Dense(self.outputs, activation=output_activation))
        model = keras.Sequential(layers)
        arrays = [np.asarray(array)[member] for array in parameters]
        model.set_weights([a if i % 2 == 0 else a[0] for i, a in enumerate(arrays)])
        return model

    def save(self, parameters: Sequence[np.ndarray], directory: Path, *, output_activation: str = "linear") -> None:
        """Write every member as `member-NNN.keras`."""
        members = range(len(parameters[0]))
        save_members([self.to_keras(parameters, m, output_activation=output_activation) for m in members], directory)

    def load(self, directory: Path) -> list[np.ndarray]:
        """Read the parameters that `save` wrote."""
        members = [[w if w.ndim == 2 else w[None] for w in weights] for weights in load_members(directory)]
        return [np.stack(arrays) for arrays in zip(*members, strict=True)]


@functools.cache
def _compiled(network: DenseNetwork) -> Any:
    import tensorflow as tf

    def outputs(parameters: Sequence[Any], x: Any) -> Any:
        shared = tf.broadcast_to(x, (parameters[0].shape[0], *x.shape))
        return network.apply(parameters, shared)

    return tf.function(outputs, jit_compile=True, autograph=False)


def _dropout_mask(tf: Any, shape: Any, seed: Any, rate: float) -> Any:
    """(members, units, events): 0 for units left out, 1/(1−rate) for others; each member draws from its own seed."""
    draws = tf.stack([tf.random.stateless_uniform(shape[1:], seed[member]) for member in range(shape[0])])
    return tf.cast(draws >= rate, tf.float32) / (1.0 - rate)


def _selu(x: Any) -> Any:
    """SELU (arXiv:1706.02515) with one exponential, and its gradient from its value without another one."""
    import tensorflow as tf

    scale, alpha = 1.0507009873554805, 1.6732632423543772

    @tf.custom_gradient
    def selu(x: Any) -> Any:
        # a sum of both branches, and it comes last: a choice would keep the exponential from being vectorised, and a
        # last factor would make XLA store the exponential as well. The gradient looks at x, which keeps XLA from
        # writing y over it: loops that work in place are not vectorised
        y = scale * tf.maximum(x, 0.0) + scale * alpha * (tf.exp(tf.minimum(x, 0.0)) - 1.0)
        return y, lambda upstream: upstream * tf.where(x > 0, scale, y + scale * alpha)

    return selu(x)
