"""Ensembles of any Keras model (convolutional, recurrent …): members run one after another inside the compiled step."""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import TrainingError
from ml.prediction import in_chunks
from ml.saving import load_members, quiet_conversion, save_members

_building = threading.Lock()


@dataclass(frozen=True)
class KerasNetwork:
    """An ensemble of one Keras model with one input and one output tensor; has what `ml.networks.DenseNetwork` has.

    Attributes:
        build: makes the model, the same one at every call. A function of a module, so that jobs can be sent to other
            processes.
        xla: compile predictions with XLA. Convolutions on a processor do better without: XLA has no fast gradient of
            them (a 3 × 3 network of three layers trained 7 to 10 times as fast without, and compiled in a sixth of the
            time), so give such networks to a `ml.training.Trainer` with `xla=False`, too.

    Losses of layers (regularisers, `add_loss`) and constraints on weights are refused: the engine minimises the loss it
    is given and nothing else. So is state that training changes beside the weights (the moving averages of batch
    normalisation): the loss is a pure function of parameters. Layer or group normalisation has none. Dropout draws from
    the step's seed.
    """

    build: Callable[[], Any]
    xla: bool = True

    def initial(self, seeds: Sequence[np.random.SeedSequence]) -> list[np.ndarray]:
        """Starting weights from the layers' own initialisers, each array with a leading member axis; one per seed.

        Raises:
            TrainingError: a model that no pure function of its weights describes, and one that starts members of
                different seeds with the same random numbers.
        """
        drawn = [int(seed.generate_state(1)[0]) for seed in seeds]
        models = [_seeded(self.build, number) for number in drawn]
        members = [self._weights(model) for model in models]
        if len(set(drawn)) > 1:
            other = next(i for i, number in enumerate(drawn) if number != drawn[0])
            _require_different(models[0], members[0], members[other])
        return [np.stack(arrays) for arrays in zip(*members, strict=True)]

    def apply(self, parameters: Sequence[Any], x: Any, seed: Any = None) -> Any:
        """Outputs (members, events, …) of inputs (members, events, …).

        `seed` (members, 2) int32 makes it training mode and draws its random numbers; None is inference. Pure.
        """
        import tensorflow as tf

        model = _reference(self)
        outputs = []
        for member in range(parameters[0].shape[0]):
            state = [_random_state(tf, v, i, seed, member) for i, v in enumerate(model.non_trainable_variables)]
            weights = [array[member] for array in parameters]
            training = seed is not None
            output, _, losses = model.stateless_call(weights, state, x[member], training=training, return_losses=True)
            if losses:  # those that a layer adds when it is called
                raise _own_losses(model)
            outputs.append(output)
        return tf.stack(outputs)

    def predict(self, parameters: Sequence[np.ndarray], x: np.ndarray) -> np.ndarray:
        """Outputs (members, n_events, …) float32 of x (n_events, …), in compiled chunks of fixed size."""
        shape = _reference(self).output_shape[1:]
        return in_chunks(_compiled(self), parameters, x, chunk=1024, shape=shape)

    def to_keras(self, parameters: Sequence[np.ndarray], member: int, *, output_activation: str = "linear") -> Any:
        """One member as an ordinary Keras model with the same outputs."""
        import keras

        model = self.build()
        model.set_weights([np.asarray(array)[member] for array in parameters])
        if output_activation == "linear":
            return model
        return keras.Model(model.inputs[0], keras.layers.Activation(output_activation)(model.outputs[0]))

    def save(self, parameters: Sequence[np.ndarray], directory: Path, *, output_activation: str = "linear") -> None:
        """Write every member as `member-NNN.keras`."""
        members = range(len(parameters[0]))
        save_members([self.to_keras(parameters, m, output_activation=output_activation) for m in members], directory)

    def load(self, directory: Path) -> list[np.ndarray]:
        """Read the parameters that `save` wrote."""
        return [np.stack(arrays) for arrays in zip(*load_members(directory), strict=True)]

    def _weights(self, model: Any) -> list[np.ndarray]:
        _require_stateless(model)
        with quiet_conversion():
            return [np.asarray(w, np.float32) for w in model.get_weights()]


def _seeded(build: Callable[[], Any], seed: int) -> Any:
    """Build a model whose initialisers draw from `seed`.

    Keras takes the seeds of initialisers that have none from Python's global generator: it is set for the time of the
    building, and put back as it was.
    """
    import keras  # noqa: F401 (before the seed is set: the first import in a process draws from that generator, too)

    with _building:
        before = random.getstate()
        try:
            random.seed(seed)
            return build()
        finally:
            random.setstate(before)


@functools.cache
def _reference(network: KerasNetwork) -> Any:
    """The model that all members are run through."""
    model = _seeded(network.build, 0)
    _require_stateless(model)
    return model


@functools.cache
def _compiled(network: KerasNetwork) -> Any:
    import tensorflow as tf

    def outputs(parameters: Sequence[Any], x: Any) -> Any:
        return network.apply(parameters, tf.broadcast_to(x, (parameters[0].shape[0], *x.shape)))

    return tf.function(outputs, jit_compile=network.xla, autograph=False)


def _random_state(tf: Any, variable: Any, index: int, seed: Any, member: int) -> Any:
    """What the `index`-th random generator of the model starts from."""
    if seed is None:
        return tf.zeros(variable.shape, variable.dtype)
    return tf.cast(tf.stack([seed[member, 0] + 7919 * (index + 1), seed[member, 1]]), variable.dtype)


def _require_stateless(model: Any) -> None:
    if not model.built:
        raise TrainingError(f"the Keras model {model.name!r} is not built: begin it with keras.Input(shape)")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            f"the Keras model {model.name!r} has {len(model.inputs)} inputs and {len(model.outputs)} outputs: an "
            "ensemble needs one of each; concatenate them, or make several networks"
        )
    if model.non_trainable_weights:
        names = ", ".join(w.path for w in model.non_trainable_weights)
        raise TrainingError(
            f"the Keras model {model.name!r} has weights that are not trained by gradients ({names}): use layer or "
            "group in place of batch normalisation, scale inputs beforehand, and freeze networks by the trainer's "
            "`trainable`"
        )
    if any(getattr(layer, "activity_regularizer", None) is not None for layer in model._flatten_layers()) or any(
        getattr(w, "regularizer", None) is not None for w in model.trainable_weights
    ):
        raise _own_losses(model)
    constrained = [w.path for w in model.trainable_weights if getattr(w, "constraint", None) is not None]
    if constrained:
        raise TrainingError(
            f"the Keras model {model.name!r} has constraints on weights ({', '.join(constrained)}), which the engine "
            "would leave out: take them out, and bound the weights by a term in the loss function"
        )


def _own_losses(model: Any) -> TrainingError:
    return TrainingError(
        f"the Keras model {model.name!r} has losses of its own (regularisers or add_loss), which the engine would "
        "leave out: take them out of the model and add such terms to the loss function"
    )


def _require_different(model: Any, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> None:
    """Refuse random numbers, which are neither constant nor an identity's two values, that two seeds share."""
    pairs = zip(model.trainable_weights, first, second, strict=True)
    same = [w.path for w, a, b in pairs if np.array_equal(a, b) and len(np.unique(a)) > 2]
    if same:
        raise TrainingError(
            f"the Keras model {model.name!r} starts members of different seeds with the same numbers in "
            f"{', '.join(same)}: leave the seeds of its initialisers to the ensemble; weights of an earlier training "
            "go into the arrays of `initial`, not into `build`"
        )
