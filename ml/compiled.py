"""Passes of an ensemble over data, each a single XLA-compiled function: one that trains, one that evaluates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ml.errors import TrainingError
from ml.optimizers import UNSUITABLE

Parameters = Mapping[str, Sequence[Any]]
"""Network name → its arrays, each with a leading member axis."""

LossFunction = Callable[[Parameters, Mapping[str, Any], Any], Mapping[str, Any]]
"""(parameters, batch, seed) → named losses, (members,) each; "loss" is the one minimised.

A batch holds the data columns with leading axes (members, events), and "weight" (members, events). Events that only
fill a batch up have weight 0: average with the weights (`ml.losses.weighted_mean`). `seed` is (members, 2) int32 for
TensorFlow's stateless random functions, or None when the loss is only evaluated.
"""


class CompiledEnsemble:
    """Variables of an ensemble, its optimiser, and the compiled functions that train and evaluate it.

    The optimiser is an ordinary Keras one acting on variables with a member axis. Keras 3.x refuses `stateless_apply`
    on the TensorFlow backend, so the state lives in variables, and one instance serves one training at a time.
    No device is named: TensorFlow puts variables and compiled functions on a GPU where it sees one. `xla` is for dense
    networks, which it makes several times as fast; see `ml.keras_network.KerasNetwork` for what it does to others.
    An ensemble that is `shared` has its variables trained by this one, too: for another loss, or another optimiser.
    """

    def __init__(
        self,
        initial: Mapping[str, Sequence[np.ndarray]],
        *,
        loss: LossFunction,
        optimizer: Callable[[], Any],
        trainable: frozenset[str] | None,
        clip_norm: float | None,
        xla: bool = True,
        shared: CompiledEnsemble | None = None,
    ) -> None:
        import keras
        import tensorflow as tf

        self._tf, self._loss, self._clip_norm = tf, loss, clip_norm
        unknown = sorted(set(trainable or ()) - set(initial))
        if unknown:
            raise TrainingError(f"no network {', '.join(unknown)} to train: the networks are {', '.join(initial)}")
        self.variables: dict[str, list[Any]] = (
            {n: [keras.Variable(a, dtype="float32") for a in arrays] for n, arrays in initial.items()}
            if shared is None
            else shared.variables
        )
        self._trained = [(n, i) for n in initial if trainable is None or n in trainable for i in range(len(initial[n]))]
        if not self._trained:
            raise TrainingError(f"nothing to train: networks {sorted(initial)}, trainable {sorted(trainable or ())}")
        self._targets = [self.variables[n][i] for n, i in self._trained]
        self._optimizer = optimizer()
        _require_independent_members(self._optimizer)
        self._optimizer.build(self._targets)
        self._optimizer_start = self.optimizer_state()
        self.train = tf.function(self.train_batches, jit_compile=xla, autograph=False)
        self.evaluate = tf.function(self._evaluate, jit_compile=xla, autograph=False)

    def reset(
        self, initial: Mapping[str, Sequence[np.ndarray]], optimizer_state: Sequence[np.ndarray] | None = None
    ) -> None:
        """Start over: parameters from `initial`, the optimiser as it was when built, or as `optimizer_state` says."""
        for name, arrays in initial.items():
            for variable, array in zip(self.variables[name], arrays, strict=True):
                variable.assign(array)
        self.reset_optimizer(optimizer_state)

    def reset_optimizer(self, optimizer_state: Sequence[np.ndarray] | None = None) -> None:
        """The optimiser as it was when built, or as `optimizer_state` says; the parameters stay."""
        state = self._optimizer_start if optimizer_state is None else optimizer_state
        for variable, array in zip(self._optimizer.variables, state, strict=True):
            variable.assign(array)

    def optimizer_state(self) -> list[np.ndarray]:
        """The optimiser's variables: its count of steps, its learning rate, its moments."""
        return [np.array(v.numpy()) for v in self._optimizer.variables]

    def values(self) -> dict[str, list[Any]]:
        """The parameters as tensors."""
        return {name: [self._tf.identity(v.value) for v in vs] for name, vs in self.variables.items()}

    def train_batches(
        self, data: Mapping[str, Any], rows: Any, steps: Any, seeds: Any, batch_size: int
    ) -> Mapping[str, Any]:
        """Take one optimiser step per batch; returns the sums of the losses over steps, (members,) each.

        `rows` (members, padded) are cut into batches in order. The number of steps is an argument, so that one
        compilation serves data of slightly different size. Rows of −1 count nothing. `train` is this, compiled.
        """
        tf = self._tf

        def body(step: Any, totals: Any) -> Any:
            batch = self.batch(data, rows, step, batch_size)
            losses = self._step(batch, tf.stack([seeds[:, 0], seeds[:, 1] + step], axis=1))
            return step + 1, {name: totals[name] + losses[name] for name in totals}

        totals = self.zeros(data, rows, batch_size)
        return tf.while_loop(lambda step, _: step < steps, body, (tf.constant(0), totals))[1]

    def _evaluate(
        self, data: Mapping[str, Any], rows: Any, steps: Any, batch_size: int
    ) -> tuple[Mapping[str, Any], Any]:
        """Losses summed over batches, each times its sum of weights, and the sums of weights, (members,) each."""
        tf = self._tf

        def body(step: Any, totals: Any, weight: Any) -> Any:
            batch = self.batch(data, rows, step, batch_size)
            losses = self._loss(self.values(), batch, None)
            new = tf.reduce_sum(batch["weight"], axis=1)
            return step + 1, {name: totals[name] + losses[name] * new for name in totals}, weight + new

        none = (tf.constant(0), self.zeros(data, rows, batch_size), tf.zeros([rows.shape[0]]))
        _, totals, weight = tf.while_loop(lambda step, *_: step < steps, body, none)
        return totals, weight

    def batch(self, data: Mapping[str, Any], rows: Any, step: Any, size: int) -> dict[str, Any]:
        """Batch number `step` of `size` rows: columns (members, size, …), weight 0 where a row is −1."""
        tf = self._tf
        chosen = tf.slice(rows, [0, step * size], [rows.shape[0], size])
        batch = {name: tf.gather(column, tf.maximum(chosen, 0)) for name, column in data.items()}
        batch["weight"] = batch["weight"] * tf.cast(chosen >= 0, tf.float32)
        return batch

    def zeros(self, data: Mapping[str, Any], rows: Any, size: int) -> dict[str, Any]:
        """A zero (members,) for each loss; their names come from tracing the loss once, which is never run."""
        losses = self._loss(self.values(), self.batch(data, rows, self._tf.constant(0), size), None)
        if "loss" not in losses:
            raise TrainingError(f"the loss function must return a 'loss' to minimise: it returned {sorted(losses)}")
        for name, value in losses.items():
            if tuple(value.shape) != (rows.shape[0],):
                raise TrainingError(
                    f"the loss {name!r} has shape {tuple(value.shape)}: it must have one value per member, "
                    f"({rows.shape[0]},)"
                )
        return {name: self._tf.zeros([rows.shape[0]]) for name in sorted(losses)}

    def _step(self, batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        tf = self._tf
        values = self.values()
        trained = [values[n][i] for n, i in self._trained]
        with tf.GradientTape() as tape:
            tape.watch(trained)
            losses = self._loss(values, batch, seed)
            total = tf.reduce_sum(losses["loss"])
        gradients = tape.gradient(total, trained, unconnected_gradients="zero")
        if self._clip_norm is not None:
            gradients = _clip(tf, gradients, self._clip_norm)
        self._optimizer.apply(gradients, self._targets)
        return losses


def _clip(tf: Any, gradients: Sequence[Any], limit: float) -> list[Any]:
    """Scale each member's gradients so that their joint norm is at most `limit`."""
    squares = [tf.reduce_sum(tf.square(g), axis=list(range(1, len(g.shape)))) for g in gradients]
    norm = tf.sqrt(tf.add_n(squares))
    scale = tf.minimum(1.0, limit / tf.maximum(norm, 1e-12))
    return [g * tf.reshape(scale, [-1] + [1] * (len(g.shape) - 1)) for g in gradients]


def _require_independent_members(optimizer: Any) -> None:
    name = type(optimizer).__name__
    if name.lower() in UNSUITABLE:
        raise TrainingError(
            f"optimiser {name} cannot train ensembles: {UNSUITABLE[name.lower()]}; use one that acts on each weight "
            "alone"
        )
    if getattr(optimizer, "clipnorm", None) is not None or getattr(optimizer, "global_clipnorm", None) is not None:
        raise TrainingError(f"clip gradients with the trainer's clip_norm: {name}'s own norm runs over all members")
