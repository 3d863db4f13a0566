"""One epoch of an ensemble as a single XLA-compiled function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ml.errors import TrainingError

Parameters = Mapping[str, Sequence[Any]]
"""Network name → its arrays, each with a leading member axis."""

LossFunction = Callable[[Parameters, Mapping[str, Any], Any], Mapping[str, Any]]
"""(parameters, batch, seed) → named losses, (members,) each; "loss" is the one minimised.

A batch holds the data columns with leading axes (members, events), and "weight" (members, events). `seed` is
(members, 2) int32 for TensorFlow's stateless random functions, or None when the loss is only evaluated.
"""

# They mix the elements of a variable, and with the leading member axis the members: an ensemble's members would no
# longer be independent of one another.
_MIXING = {"Adafactor", "Lamb", "LossScaleOptimizer", "MultiOptimizer", "Muon"}


class CompiledEpoch:
    """Variables of an ensemble, its optimiser, and the compiled function that trains both for an epoch.

    The optimiser is an ordinary Keras one acting on variables with a member axis. Keras 3.x refuses `stateless_apply`
    on the TensorFlow backend, so the state lives in variables, and one instance serves one training at a time.
    """

    def __init__(
        self,
        initial: Mapping[str, Sequence[np.ndarray]],
        *,
        loss: LossFunction,
        optimizer: Callable[[], Any],
        trainable: frozenset[str] | None,
        clip_norm: float | None,
    ) -> None:
        import keras
        import tensorflow as tf

        self._tf, self._loss, self._clip_norm = tf, loss, clip_norm
        self.variables = {n: [keras.Variable(a, dtype="float32") for a in arrays] for n, arrays in initial.items()}
        self._trained = [v for n, vs in self.variables.items() if trainable is None or n in trainable for v in vs]
        if not self._trained:
            raise TrainingError(f"nothing to train: networks {sorted(initial)}, trainable {sorted(trainable or ())}")
        self._optimizer = optimizer()
        _require_independent_members(self._optimizer)
        self._optimizer.build(self._trained)
        self._optimizer_start = [v.numpy() for v in self._optimizer.variables]
        self.run = tf.function(self._epoch, jit_compile=True, autograph=False)

    def reset(self, initial: Mapping[str, Sequence[np.ndarray]]) -> None:
        """Start over: parameters from `initial`, the optimiser as it was when built."""
        for name, arrays in initial.items():
            for variable, array in zip(self.variables[name], arrays, strict=True):
                variable.assign(array)
        for variable, array in zip(self._optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(array)

    def values(self) -> dict[str, list[Any]]:
        """The parameters as tensors."""
        return {name: [self._tf.identity(v.value) for v in vs] for name, vs in self.variables.items()}

    def _epoch(
        self,
        data: Mapping[str, Any],
        training: tuple[Any, Any],
        validation: tuple[Any, Any],
        seeds: Any,
        active: Any,
        batch_sizes: tuple[int, int],
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Train on every whole batch, then evaluate; returns mean training and validation losses, (members,) each.

        `training` and `validation` are (rows (members, padded), number of steps): the count is an argument, so that one
        compilation serves data of slightly different size. Rows of −1 in the last validation batch count nothing.
        Members that are not `active` keep their parameters.
        """
        tf = self._tf

        def train(step: Any, totals: Any) -> Any:
            batch = self._batch(data, training[0], step, batch_sizes[0])
            seed = tf.stack([seeds[:, 0], seeds[:, 1] + step], axis=1)
            losses = self._step(batch, seed, active)
            return step + 1, {name: totals[name] + losses[name] for name in totals}

        def evaluate(step: Any, totals: Any, weight: Any) -> Any:
            batch = self._batch(data, validation[0], step, batch_sizes[1])
            losses = self._loss(self.values(), batch, None)
            new = tf.reduce_sum(batch["weight"], axis=1)
            return step + 1, {name: totals[name] + losses[name] * new for name in totals}, weight + new

        zeros = dict.fromkeys(
            self._loss_names(data, training[0], batch_sizes[0]), tf.zeros_like(seeds[:, 0], tf.float32)
        )
        steps, checks = training[1], validation[1]
        _, trained = tf.while_loop(lambda step, _: step < steps, train, (tf.constant(0), zeros))
        none = (tf.constant(0), zeros, tf.zeros_like(seeds[:, 0], tf.float32))
        _, checked, weight = tf.while_loop(lambda step, *_: step < checks, evaluate, none)
        count = tf.cast(steps, tf.float32)
        return {n: v / count for n, v in trained.items()}, {n: v / weight for n, v in checked.items()}

    def _batch(self, data: Mapping[str, Any], rows: Any, step: Any, size: int) -> dict[str, Any]:
        tf = self._tf
        chosen = tf.slice(rows, [0, step * size], [rows.shape[0], size])
        batch = {name: tf.gather(column, tf.maximum(chosen, 0)) for name, column in data.items()}
        batch["weight"] = batch["weight"] * tf.cast(chosen >= 0, tf.float32)
        return batch

    def _loss_names(self, data: Mapping[str, Any], rows: Any, size: int) -> list[str]:
        """Names of the losses: traced once, never run."""
        batch = self._batch(data, rows, self._tf.constant(0), size)
        return sorted(self._loss(self.values(), batch, None))

    def _step(self, batch: Mapping[str, Any], seed: Any, active: Any) -> Mapping[str, Any]:
        tf = self._tf
        values = self.values()
        trained = [values[n][i] for n, vs in self.variables.items() for i, v in enumerate(vs) if self._is_trained(v)]
        with tf.GradientTape() as tape:
            tape.watch(trained)
            losses = self._loss(values, batch, seed)
            total = tf.reduce_sum(losses["loss"])
        gradients = tape.gradient(total, trained, unconnected_gradients="zero")
        if self._clip_norm is not None:
            gradients = _clip(tf, gradients, self._clip_norm)
        self._optimizer.apply(gradients, self._trained)
        for variable, old in zip(self._trained, trained, strict=True):
            keep = tf.reshape(active, [-1] + [1] * (len(old.shape) - 1))
            variable.assign(tf.where(keep, variable.value, old))
        return losses

    def _is_trained(self, variable: Any) -> bool:
        return any(variable is t for t in self._trained)


def _clip(tf: Any, gradients: Sequence[Any], limit: float) -> list[Any]:
    """Scale each member's gradients so that their joint norm is at most `limit`."""
    squares = [tf.reduce_sum(tf.square(g), axis=list(range(1, len(g.shape)))) for g in gradients]
    norm = tf.sqrt(tf.add_n(squares))
    scale = tf.minimum(1.0, limit / tf.maximum(norm, 1e-12))
    return [g * tf.reshape(scale, [-1] + [1] * (len(g.shape) - 1)) for g in gradients]


def _require_independent_members(optimizer: Any) -> None:
    name = type(optimizer).__name__
    if name in _MIXING:
        raise TrainingError(
            f"optimiser {name} mixes the members of an ensemble: use one that acts on each weight alone"
        )
    if getattr(optimizer, "clipnorm", None) is not None or getattr(optimizer, "global_clipnorm", None) is not None:
        raise TrainingError(f"clip gradients with the trainer's clip_norm: {name}'s own norm runs over all members")
