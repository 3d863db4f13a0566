"""The engine: reproducible, members independent, stops and restores as told, and says when training diverges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, child_seed
from ml.losses import binary_crossentropy
from ml.networks import DenseNetwork
from ml.optimizers import make_optimizer
from ml.stopping import EarlyStopping
from ml.training import Schedule, Trainer

NETWORK = DenseNetwork(inputs=3, hidden=(8,), dropout=0.1)
SHORT = Schedule(epochs=3, batch_size=50, validation_fraction=0.25, patience=None)
SEEDS = [child_seed(np.random.SeedSequence(5), i) for i in range(3)]


def adam() -> Any:
    return make_optimizer("adam", 0.01, None)


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3)).astype(np.float32)
    return {"x": x, "label": (x[:, 0] + random.normal(size=400) > 0).astype(np.float32)}


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(binary_crossentropy(NETWORK), adam, threads=1)


def start(seeds: list[np.random.SeedSequence]) -> dict[str, list[np.ndarray]]:
    return {"classifier": NETWORK.initial(seeds)}


@pytest.fixture(scope="module")
def trained(trainer: Trainer, data: dict[str, np.ndarray]) -> tuple[dict[str, list[np.ndarray]], Any]:
    return trainer.fit(start(SEEDS), data, schedule=SHORT, seeds=SEEDS)


def test_the_loss_falls_and_every_epoch_is_recorded(trained: Any) -> None:
    history = trained[1]
    assert set(history.losses) == {"loss", "validation_loss"}
    assert history.losses["loss"].shape == (3, 3)
    assert (history.losses["loss"][-1] < history.losses["loss"][0]).all()


def test_the_same_seed_gives_the_same_bits(trainer: Trainer, data: dict[str, np.ndarray], trained: Any) -> None:
    again, _ = trainer.fit(start(SEEDS), data, schedule=SHORT, seeds=SEEDS)
    assert all(np.array_equal(a, b) for a, b in zip(again["classifier"], trained[0]["classifier"], strict=True))


def test_a_member_alone_is_the_member_in_the_ensemble(data: dict[str, np.ndarray], trained: Any) -> None:
    sharded = Trainer(binary_crossentropy(NETWORK), adam, threads=2)
    together, _ = sharded.fit(start(SEEDS[1:]), data, schedule=SHORT, seeds=SEEDS[1:])
    for whole, alone in zip(trained[0]["classifier"], together["classifier"], strict=True):
        np.testing.assert_allclose(alone, whole[1:], rtol=1e-4, atol=1e-5)
    assert not np.allclose(trained[0]["classifier"][0][0], trained[0]["classifier"][0][1])


def test_data_of_nearly_equal_size_are_compiled_once(
    trainer: Trainer, data: dict[str, np.ndarray], trained: Any
) -> None:
    (waiting,) = trainer._idle._waiting.values()
    compiled = waiting.get()
    before = compiled.train.experimental_get_tracing_count()
    waiting.put(compiled)
    trainer.fit(start(SEEDS), {n: c[:397] for n, c in data.items()}, schedule=SHORT, seeds=SEEDS)
    assert compiled.train.experimental_get_tracing_count() == before


def test_training_equals_plain_gradient_descent(data: dict[str, np.ndarray]) -> None:
    """One full batch per epoch: the engine's weights are those of w ← w − η ∇L, computed by hand for logistic loss."""
    network = DenseNetwork(inputs=3, hidden=())
    seeds, weight = SEEDS[:1], np.linspace(0.5, 1.5, 400)
    initial = network.initial(seeds)
    engine = Trainer(binary_crossentropy(network), lambda: make_optimizer("sgd", 0.5, None), threads=1)
    schedule = Schedule(epochs=4, batch_size=400, validation_fraction=0, patience=None, restore_best=False)
    fitted, _ = engine.fit({"classifier": initial}, {**data, "weight": weight}, schedule=schedule, seeds=seeds)
    kernel, bias = initial[0][0].astype(float), 0.0
    for _ in range(4):
        residual = weight * (1 / (1 + np.exp(-(data["x"] @ kernel[:, 0] + bias))) - data["label"]) / weight.sum()
        kernel, bias = kernel - 0.5 * (data["x"].T @ residual)[:, None], bias - 0.5 * residual.sum()
    np.testing.assert_allclose(fitted["classifier"][0][0], kernel, atol=1e-5)
    np.testing.assert_allclose(fitted["classifier"][1][0], [[bias]], atol=1e-5)


def quadratic(scale: float = 1.0) -> Callable[..., Mapping[str, Any]]:
    """Minimum at 1 for `moving`; the validation loss is that of whatever the parameters are."""

    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        import tensorflow as tf

        value = parameters["moving"][0][:, 0] + tf.reduce_sum(parameters["frozen"][0], axis=1)
        each = scale * (value[:, None] - batch["target"]) ** 2
        return {"loss": tf.reduce_mean(each * batch["weight"], axis=1), "extra": value}

    return loss


def sgd() -> Any:
    return make_optimizer("sgd", 0.9, None)


def test_only_trainable_networks_move_and_gradients_are_clipped_per_member() -> None:
    engine = Trainer(quadratic(), sgd, trainable=frozenset({"moving"}), clip_norm=0.1, threads=1)
    initial = {"moving": [np.array([[0.0], [0.99]])], "frozen": [np.zeros((2, 2))]}
    schedule = Schedule(epochs=1, batch_size=4, validation_fraction=0, patience=None, restore_best=False)
    fitted, history = engine.fit(initial, {"target": np.ones(4)}, schedule=schedule, seeds=SEEDS[:2])
    assert not fitted["frozen"][0].any()
    # gradients −2 (clipped to −0.1) and −0.02 (left alone)
    np.testing.assert_allclose(fitted["moving"][0][:, 0], [0.09, 0.99 + 0.9 * 0.02], atol=1e-6)
    assert set(history.losses) == {"loss", "extra"}


def test_the_weights_of_the_best_epoch_are_restored_and_a_stopped_member_stays() -> None:
    """Steps too long for the minimum: every epoch is worse than the one before."""
    engine = Trainer(quadratic(), lambda: make_optimizer("sgd", 1.05, None), trainable=frozenset({"moving"}), threads=1)
    initial = {"moving": [np.array([[0.9], [0.5]])], "frozen": [np.zeros((2, 2))]}
    schedule = Schedule(epochs=6, batch_size=4, validation_fraction=0.5, patience=2)
    fitted, history = engine.fit(initial, {"target": np.ones(8)}, schedule=schedule, seeds=SEEDS[:2])
    # each step multiplies the distance by −1.1, so the first epoch is the best and training ends after the third
    assert history.best_epoch.tolist() == [0, 0]
    assert history.losses["loss"].shape[0] == 3
    np.testing.assert_allclose(fitted["moving"][0][:, 0], [1 + 0.1 * 1.1, 1 + 0.5 * 1.1], atol=1e-5)


def test_early_stopping_treats_each_member_alone() -> None:
    stopping = EarlyStopping(2, patience=2)
    series = [(3.0, 3.0), (2.0, 4.0), (2.5, 5.0), (1.0, 1.0)]
    improved = [stopping.update(epoch, np.array(losses)).tolist() for epoch, losses in enumerate(series)]
    assert improved == [[True, True], [True, False], [False, False], [True, False]]
    assert stopping.best_epoch.tolist() == [3, 0]
    assert stopping.active.tolist() == [True, False]


def test_divergence_names_member_and_epoch() -> None:
    engine = Trainer(quadratic(), lambda: make_optimizer("sgd", 1e9, None), trainable=frozenset({"moving"}), threads=1)
    initial = {"moving": [np.array([[1.0], [5.0]])], "frozen": [np.zeros((2, 2))]}
    schedule = Schedule(epochs=9, batch_size=4, validation_fraction=0, patience=None)
    with pytest.raises(TrainingError, match=r"loss of member 1 is (inf|nan) after epoch \d: training diverged"):
        engine.fit(initial, {"target": np.ones(4)}, schedule=schedule, seeds=SEEDS[:2])


def test_a_last_step_that_diverges_is_seen() -> None:
    """The loss is that before the step: 100 for the member whose step is too large for float32."""
    schedule = Schedule(epochs=1, batch_size=4, validation_fraction=0, patience=None)
    initial = {"moving": [np.array([[1.5], [11.0]])], "frozen": [np.zeros((2, 2))]}
    engine = Trainer(quadratic(), lambda: make_optimizer("sgd", 1e38, None), trainable=frozenset({"moving"}), threads=1)
    with pytest.raises(TrainingError, match="network 'moving' of member 1 ended with weights that are not finite"):
        engine.fit(initial, {"target": np.ones(4)}, schedule=schedule, seeds=SEEDS[:2])


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"x": np.ones(3), "label": np.ones(2)}, "differ in length"), ({"x": np.ones((0, 3))}, "no events to train on")],
)
def test_data_that_cannot_be_trained_on_are_refused(
    trainer: Trainer, columns: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        trainer.fit(start(SEEDS), columns, schedule=SHORT, seeds=SEEDS)


def test_optimisers_that_mix_members_are_refused(data: dict[str, np.ndarray]) -> None:
    import keras

    for make in (keras.optimizers.Lamb, lambda: keras.optimizers.LossScaleOptimizer(adam())):
        with pytest.raises(TrainingError, match=r"all members of an ensemble|mixes the weights"):
            Trainer(binary_crossentropy(NETWORK), make).fit(start(SEEDS), data, schedule=SHORT, seeds=SEEDS)
    for limit in (0.0, -1.0, float("nan")):
        with pytest.raises(TrainingError, match="clip_norm must be above 0"):
            Trainer(binary_crossentropy(NETWORK), adam, clip_norm=limit)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"validation_fraction": 1.0}, {"patience": 0}])
def test_impossible_schedules_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong)).split("_")[0]):
        Schedule(**wrong)


def test_a_member_is_an_ordinary_keras_model(trained: Any, data: dict[str, np.ndarray], tmp_path: Any) -> None:
    import keras

    parameters = trained[0]["classifier"]
    outputs = NETWORK.predict(parameters, data["x"])
    NETWORK.save(parameters, tmp_path)
    model = keras.models.load_model(tmp_path / "member-001.keras")
    np.testing.assert_allclose(model.predict(data["x"], verbose=0), outputs[1], atol=1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(NETWORK.load(tmp_path), parameters, strict=True))


@pytest.mark.parametrize("activation", ["selu", "relu", "sigmoid"])
def test_outputs_and_gradients_are_those_of_keras(activation: str, data: dict[str, np.ndarray]) -> None:
    import tensorflow as tf

    network = DenseNetwork(inputs=3, hidden=(5, 4), outputs=2, activation=activation)
    parameters = [tf.constant(a) for a in network.initial(SEEDS[:1])]
    model = network.to_keras([p.numpy() for p in parameters], 0)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        outputs = network.apply(parameters, data["x"][None])[0]
        value = tf.reduce_sum(outputs**2)
    with tf.GradientTape() as plain:
        expected = model(data["x"])
        total = tf.reduce_sum(expected**2)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    weights = model.trainable_variables
    gradients = plain.gradient(total, [w.value for w in weights])
    for own, other in zip(tape.gradient(value, parameters), gradients, strict=True):
        np.testing.assert_allclose(np.reshape(own, other.shape), other, rtol=1e-3, atol=1e-3)
