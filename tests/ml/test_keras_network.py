"""Convolutional and recurrent members under the compiled engine; each independent of the others, and plain Keras."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, child_seed
from ml.keras_network import KerasNetwork
from ml.losses import binary_crossentropy
from ml.mlp import make_optimizer
from ml.training import Schedule, Trainer

SEEDS = [child_seed(np.random.SeedSequence(2), i) for i in range(2)]
OTHER = child_seed(np.random.SeedSequence(2), 7)
SCHEDULE = Schedule(epochs=12, batch_size=32, validation_fraction=0.0, patience=None, restore_best=False)


def images_to_logit() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(1),
        ]
    )


IN_A_FRESH_PROCESS = """
import numpy as np
from ml.keras_network import KerasNetwork
from tests.ml.test_keras_network import images_to_logit

first, again = (KerasNetwork(images_to_logit).initial([np.random.SeedSequence(2)]) for _ in range(2))
assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
"""


def test_the_first_network_of_a_process_starts_like_any_other() -> None:
    """Importing Keras draws from the generator that its initialisers take their seeds from."""
    done = subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def sequence_to_logit() -> Any:
    import keras

    return keras.Sequential([keras.Input((4, 2)), keras.layers.SimpleRNN(4), keras.layers.Dense(1)])


def with_batch_normalisation() -> Any:
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="moving"), keras.layers.Dense(1)])


def with_two_inputs() -> Any:
    import keras

    inputs = [keras.Input((3,)), keras.Input((3,))]
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()(inputs)))


def dense(**options: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, **options), keras.layers.Dense(1)])


def with_regulariser() -> Any:
    return dense(kernel_regularizer="l2")


def with_activity_regulariser() -> Any:
    return dense(activity_regularizer="l2")


def with_constraint() -> Any:
    return dense(kernel_constraint="non_neg")


def with_seeded_kernel() -> Any:
    import keras

    return dense(kernel_initializer=keras.initializers.GlorotUniform(seed=3))


def with_added_loss() -> Any:
    import keras

    class Penalised(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(keras.ops.mean(inputs))
            return inputs

    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), Penalised(), keras.layers.Dense(1)])


def images(count: int) -> dict[str, np.ndarray]:
    """Label 1: one bright pixel somewhere."""
    generator = np.random.default_rng(0)
    x, label = generator.normal(0, 0.1, (count, 6, 6, 1)), generator.integers(0, 2, count)
    x[np.arange(count), generator.integers(1, 5, count), generator.integers(1, 5, count), 0] += 2.0 * label
    return {"x": x.astype(np.float32), "label": label.astype(np.float32)}


def sequences(count: int) -> dict[str, np.ndarray]:
    """Label 1: the first entry is positive, which has to be remembered to the end."""
    x = np.random.default_rng(1).normal(size=(count, 4, 2))
    return {"x": x.astype(np.float32), "label": (x[:, 0, 0] > 0).astype(np.float32)}


def trainer(network: KerasNetwork) -> Trainer:
    return Trainer(binary_crossentropy(network), lambda: make_optimizer("adam", 0.03, None), threads=1)


def accuracy(network: KerasNetwork, parameters: list[np.ndarray], data: dict[str, np.ndarray]) -> np.ndarray:
    return np.mean((network.predict(parameters, data["x"])[..., 0] > 0) == data["label"], axis=1)


def test_a_recurrent_member_learns_what_only_memory_can_tell() -> None:
    network, data = KerasNetwork(sequence_to_logit), sequences(320)
    one = SEEDS[:1]
    fitted, _ = trainer(network).fit({"classifier": network.initial(one)}, data, schedule=SCHEDULE, seeds=one)
    assert (accuracy(network, fitted["classifier"], data) > 0.9).all()


def test_convolutional_members_learn_and_do_not_know_of_each_other(tmp_path: Path) -> None:
    network, data = KerasNetwork(images_to_logit), images(320)
    engine = trainer(network)
    initial = network.initial(SEEDS)
    fitted, _ = engine.fit({"classifier": initial}, data, schedule=SCHEDULE, seeds=SEEDS)
    parameters = fitted["classifier"]
    assert (accuracy(network, parameters, data) > 0.9).all()
    beside = [OTHER, SEEDS[1]]
    again, _ = engine.fit({"classifier": network.initial(beside)}, data, schedule=SCHEDULE, seeds=beside)
    for ours, theirs in zip(again["classifier"], parameters, strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])
    assert not np.allclose(again["classifier"][0][0], parameters[0][0])
    network.save(parameters, tmp_path, output_activation="sigmoid")
    assert all(np.array_equal(a, b) for a, b in zip(network.load(tmp_path), parameters, strict=True))
    model = network.to_keras(parameters, 0)
    np.testing.assert_allclose(
        model.predict(data["x"], verbose=0), network.predict(parameters, data["x"])[0], atol=1e-5
    )


def test_dropout_draws_from_the_step_and_the_member() -> None:
    import tensorflow as tf

    network = KerasNetwork(images_to_logit)
    parameters = [np.repeat(a[:1], 2, axis=0) for a in network.initial(SEEDS)]
    x = tf.constant(np.repeat(images(64)["x"][None], 2, axis=0))
    first, again = (network.apply(parameters, x, tf.constant([[1, 2], [3, 4]])).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first[0], first[1])
    evaluated = network.apply(parameters, x).numpy()
    np.testing.assert_array_equal(evaluated[0], evaluated[1])


def test_starting_weights_come_from_the_seeds_and_leave_the_global_generator_alone() -> None:
    network = KerasNetwork(images_to_logit)
    random.seed(11)
    before = random.getstate()
    first = network.initial(SEEDS)
    assert random.getstate() == before
    random.seed(12)
    second = network.initial(SEEDS[::-1])
    assert all(np.array_equal(a, b[::-1]) for a, b in zip(first, second, strict=True))
    assert not np.allclose(first[0][0], first[0][1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (with_batch_normalisation, "weights that are not trained by gradients .*moving.*: use layer or group"),
        (with_two_inputs, "has 2 inputs and 1 outputs"),
        (with_regulariser, "has losses of its own"),
        (with_activity_regulariser, "has losses of its own"),
        (with_constraint, "has constraints on weights .*kernel.*, which the engine would leave out"),
        (with_seeded_kernel, "members of different seeds with the same numbers in .*kernel: leave the seeds"),
    ],
)
def test_models_that_no_pure_function_describes_are_refused(build: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        KerasNetwork(build).initial(SEEDS)


def test_losses_that_layers_add_when_called_are_refused() -> None:
    network = KerasNetwork(with_added_loss)
    with pytest.raises(TrainingError, match="has losses of its own"):
        network.predict(network.initial(SEEDS), np.zeros((4, 3)))
