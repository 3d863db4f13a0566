"""Several networks in one loss, learning-rate schedules, optimisers that go on, other rules of stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, child_seed
from ml.losses import weighted_mean
from ml.mlp import make_optimizer
from ml.networks import DenseNetwork
from ml.training import OptimizerState, Schedule, Trainer

SEEDS = [child_seed(np.random.SeedSequence(4), i) for i in range(2)]
ENCODER = DenseNetwork(inputs=3, hidden=(8,), outputs=2, activation="selu")
DECODER = DenseNetwork(inputs=1, hidden=(8,), outputs=3, activation="selu")


def full_batch(epochs: int) -> Schedule:
    """One step per epoch on all events: what a plain loop does, too."""
    return Schedule(epochs=epochs, batch_size=10**6, validation_fraction=0, patience=None, restore_best=False)


def slope_loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
    return {"loss": weighted_mean((parameters["slope"][0] * batch["x"] - batch["y"]) ** 2, batch["weight"])}


def slope_data() -> dict[str, np.ndarray]:
    x = np.linspace(-1, 1, 16)
    return {"x": x, "y": 3 * x}


def slopes(*values: float) -> dict[str, list[np.ndarray]]:
    return {"slope": [np.array(values, dtype=np.float32)[:, None]]}


def schedules() -> list[Callable[[], Any]]:
    from keras.optimizers import SGD, Adam, schedules

    return [
        lambda: SGD(schedules.CosineDecay(0.5, decay_steps=5)),
        lambda: Adam(schedules.ExponentialDecay(0.5, decay_steps=2, decay_rate=0.3, staircase=True)),
        lambda: SGD(schedules.PiecewiseConstantDecay([2, 4], [0.5, 0.1, 0.3]), momentum=0.5),
    ]


@pytest.mark.parametrize("number", range(3))
def test_learning_rate_schedules_are_those_of_a_plain_keras_loop(number: int) -> None:
    import keras
    import tensorflow as tf

    make, data = schedules()[number], slope_data()
    engine = Trainer(slope_loss, make, threads=1)
    fitted, _ = engine.fit(slopes(0.0, 1.0), data, schedule=full_batch(7), seeds=SEEDS)
    again, _ = engine.fit(slopes(0.0, 1.0), data, schedule=full_batch(7), seeds=SEEDS)
    np.testing.assert_array_equal(fitted["slope"][0], again["slope"][0])  # steps are counted from 0 in each training
    for member, value in enumerate((0.0, 1.0)):
        slope, optimizer = keras.Variable([value]), make()
        for _ in range(7):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((slope.value * data["x"].astype(np.float32) - data["y"].astype(np.float32)) ** 2)
            optimizer.apply(tape.gradient(loss, [slope.value]), [slope])
        np.testing.assert_allclose(fitted["slope"][0][member], slope.numpy(), rtol=1e-5)


def test_an_optimiser_goes_on_where_it_ended() -> None:
    engine = Trainer(slope_loss, schedules()[1], threads=2)
    whole, _ = engine.fit(slopes(0.0, 1.0), slope_data(), schedule=full_batch(6), seeds=SEEDS)
    state, parts = OptimizerState(), slopes(0.0, 1.0)
    for _ in range(3):
        parts, _ = engine.fit(parts, slope_data(), schedule=full_batch(2), seeds=SEEDS, state=state)
    np.testing.assert_allclose(parts["slope"][0], whole["slope"][0], rtol=1e-5)
    forgetful = slopes(0.0, 1.0)
    for _ in range(3):
        forgetful, _ = engine.fit(forgetful, slope_data(), schedule=full_batch(2), seeds=SEEDS)
    assert not np.allclose(forgetful["slope"][0], whole["slope"][0], rtol=1e-2)
    for schedule in (replace(full_batch(2), restore_best=True), replace(full_batch(2), patience=3)):
        with pytest.raises(TrainingError, match="optimizer state is that of the last epoch"):
            engine.fit(parts, slope_data(), schedule=schedule, seeds=SEEDS, state=state)
    with pytest.raises(TrainingError, match="ensemble of another size"):
        engine.fit(slopes(0.0, 1.0, 2.0), slope_data(), schedule=full_batch(1), seeds=[*SEEDS, SEEDS[0]], state=state)


def vae_loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
    import tensorflow as tf

    x = batch["x"]
    code = ENCODER.apply(parameters["encoder"], x)
    mean, log_variance = code[..., :1], code[..., 1:]
    z = mean
    if seed is not None:
        noise = [tf.random.stateless_normal(mean.shape[1:], seed[i]) for i in range(mean.shape[0])]
        z = mean + tf.exp(0.5 * log_variance) * tf.stack(noise)
    mse = tf.reduce_mean((x - DECODER.apply(parameters["decoder"], z)) ** 2, axis=-1)
    kl = -0.5 * tf.reduce_mean(1 + log_variance - mean**2 - tf.exp(log_variance), axis=-1)
    mse, kl = (weighted_mean(v, batch["weight"]) for v in (mse, kl))
    return {"loss": 100 * mse + kl, "mse": mse, "kl": kl}


def vae_start() -> dict[str, list[np.ndarray]]:
    return {"encoder": ENCODER.initial(SEEDS), "decoder": DECODER.initial([child_seed(s, 9) for s in SEEDS])}


def curve() -> dict[str, np.ndarray]:
    """One number behind three columns: one latent dimension is enough to reconstruct them."""
    t = np.random.default_rng(3).uniform(-1, 1, 600)
    return {"x": np.stack([t, -t, 0.5 * t], axis=1)}


def test_two_networks_learn_a_variational_autoencoder_and_every_loss_is_recorded() -> None:
    schedule = Schedule(epochs=15, batch_size=50, validation_fraction=0.2, patience=None)
    engine = Trainer(vae_loss, lambda: make_optimizer("adam", 0.01, None), threads=1)
    _, history = engine.fit(vae_start(), curve(), schedule=schedule, seeds=SEEDS)
    assert set(history.losses) == {f"{part}{n}" for part in ("", "validation_") for n in ("loss", "mse", "kl")}
    assert (history.losses["validation_mse"][-1] < 0.1 * np.mean(curve()["x"] ** 2)).all()
    assert (history.losses["kl"][-1] > 0.3).all(), "the code carries information"
    for part in ("", "validation_"):
        loss, mse, kl = (history.losses[part + name] for name in ("loss", "mse", "kl"))
        np.testing.assert_allclose(loss, 100 * mse + kl, rtol=1e-4)


def test_a_frozen_encoder_stays_the_same_to_the_bit() -> None:
    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        output = parameters["decoder"][0] * parameters["encoder"][0] * batch["x"]
        return {"loss": weighted_mean((output - batch["y"]) ** 2, batch["weight"])}

    # weight decay would move a frozen weight even without a gradient
    engine = Trainer(loss, lambda: make_optimizer("adamw", 0.01, 0.1), trainable=frozenset({"decoder"}), threads=1)
    initial = {"encoder": slopes(0.7, 0.3)["slope"], "decoder": slopes(0.1, 0.2)["slope"]}
    fitted, _ = engine.fit(initial, slope_data(), schedule=full_batch(2), seeds=SEEDS)
    assert all(np.array_equal(a, b) for a, b in zip(fitted["encoder"], initial["encoder"], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(fitted["decoder"], initial["decoder"], strict=True))


def adversarial() -> list[np.ndarray]:
    """Train linear models of y, and adversaries that guess the nuisance n from their output, in turns; the first model
    disregards its adversary, which has weight 4 in the loss of the second. Returns their two weights.

    From x = (y + n, n + e), all of unit variance, least squares gives the weights (2/3, −1/3), whose covariance with n
    is their sum, 1/3. A model that hides n from the adversary has weights that sum to 0.
    """

    def losses(parameters: Mapping[str, Any], batch: Mapping[str, Any]) -> tuple[Any, Any]:
        import tensorflow as tf

        output = tf.squeeze(tf.matmul(batch["x"], parameters["model"][0]), -1)
        guess = parameters["adversary"][0] * output
        weight = batch["weight"]
        return weighted_mean((output - batch["y"]) ** 2, weight), weighted_mean((guess - batch["n"]) ** 2, weight)

    def model_loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        own, other = losses(parameters, batch)
        return {"loss": own - parameters["alpha"][0][:, 0] * other, "own": own}

    def adversary_loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        return {"loss": losses(parameters, batch)[1]}

    y, n, e = np.random.default_rng(6).normal(size=(3, 4000))
    data = {"x": np.stack([y + n, n + e], axis=1), "y": y, "n": n}
    model = Trainer(model_loss, lambda: make_optimizer("sgd", 0.05, None), trainable=frozenset({"model"}), threads=1)
    other = Trainer(
        adversary_loss, lambda: make_optimizer("adam", 0.1, None), trainable=frozenset({"adversary"}), threads=1
    )
    states = OptimizerState(), OptimizerState()
    both = np.array([[[0.7], [-0.3]]] * 2)
    parameters = {"model": [both], "adversary": [np.zeros((2, 1))], "alpha": [np.array([[0.0], [4.0]])]}
    schedule = Schedule(epochs=1, batch_size=500, validation_fraction=0, patience=None)
    for turn in range(25):
        seeds = [child_seed(SEEDS[0], turn)] * 2
        parameters, _ = model.fit(parameters, data, schedule=schedule, seeds=seeds, state=states[0])
        parameters, _ = other.fit(parameters, data, schedule=schedule, seeds=seeds, state=states[1])
    return [weights[:, 0] for weights in parameters["model"][0]]


def test_two_networks_train_in_turns_against_one_another() -> None:
    correlated, hidden = adversarial()
    assert correlated.sum() == pytest.approx(1 / 3, abs=0.05)
    assert hidden.sum() == pytest.approx(0.0, abs=0.08)
    assert hidden[0] > 0.3, "still a model of y"


class Peak:
    """Stops each member one epoch after its loss fell for the first time; keeps the highest."""

    def __init__(self, members: int) -> None:
        self.active, self.best_epoch = np.ones(members, dtype=bool), np.zeros(members, dtype=np.int64)
        self._highest = np.full(members, -np.inf)

    def update(self, epoch: int, losses: np.ndarray) -> np.ndarray:
        rose = self.active & (losses > self._highest)
        self._highest[rose], self.best_epoch[rose] = losses[rose], epoch
        self.active &= rose
        return rose


def test_another_rule_may_watch_another_loss() -> None:
    def loss(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        import tensorflow as tf

        value = parameters["slope"][0][:, 0]  # falls by 1 with each step
        return {"loss": value + 0 * tf.reduce_mean(batch["x"], axis=1), "height": -((value - 0.5) ** 2)}

    schedule = Schedule(epochs=20, batch_size=16, validation_fraction=0, monitor="height")
    engine = Trainer(loss, lambda: make_optimizer("sgd", 1.0, None), threads=1)
    fitted, history = engine.fit(slopes(3.5, 5.5), {"x": np.ones(16)}, schedule=schedule, seeds=SEEDS, stopping=Peak)
    # the epoch's loss is that before its step: the peak at 0.5 is seen in epochs 3 and 5, and kept one step later
    assert history.best_epoch.tolist() == [3, 5]
    np.testing.assert_allclose(fitted["slope"][0][:, 0], [-0.5, -0.5])
    assert np.isnan(history.losses["loss"][-1]).tolist() == [True, False]
    with pytest.raises(TrainingError, match="no loss 'hieght' to watch: there are height, loss"):
        engine.fit(
            slopes(1.0, 2.0),
            {"x": np.ones(16)},
            schedule=Schedule(validation_fraction=0, monitor="hieght"),
            seeds=SEEDS,
        )


def test_losses_and_networks_that_do_not_fit_are_refused() -> None:
    def averaged(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        import tensorflow as tf

        return {"loss": tf.reduce_mean(parameters["slope"][0])}

    def nameless(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
        return {"mse": parameters["slope"][0][:, 0]}

    for loss, trainable, message in (
        (averaged, None, r"'loss' has shape \(\): it must have one value per member"),
        (nameless, None, "must return a 'loss' to minimise"),
        (slope_loss, frozenset({"slop"}), "no network slop to train: the networks are slope"),
    ):
        engine = Trainer(loss, lambda: make_optimizer("sgd", 0.1, None), trainable=trainable, threads=1)
        with pytest.raises(TrainingError, match=message):
            engine.fit(slopes(0.0, 1.0), slope_data(), schedule=full_batch(1), seeds=SEEDS)
    with pytest.raises(TrainingError, match="first axis must be the 2 members"):
        Trainer(slope_loss, schedules()[0]).fit(slopes(0.0), slope_data(), schedule=full_batch(1), seeds=SEEDS)
