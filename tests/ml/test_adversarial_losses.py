"""What the main network and its adversary minimise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml import child_seed
from ml.adversarial_losses import (
    STANDARD,
    adversary_loss,
    classification,
    main_loss,
    reconstruction,
    seen_statistics,
)
from ml.networks import DenseNetwork

EVENTS, MEMBERS, CLASSES = 40, 2, 3
OPPONENT = DenseNetwork(1, (6,), CLASSES, "tanh")  # smooth: finite differences meet no kinks
AUTOENCODER = DenseNetwork(4, (3, 2, 3), 4, "sigmoid")
CLASSIFIER = DenseNetwork(4, (5,), 1, "tanh")
CASES = {
    "loss": (AUTOENCODER, reconstruction),
    "log_loss": (AUTOENCODER, reconstruction),
    "output": (CLASSIFIER, classification),
    "logit": (CLASSIFIER, classification),
}


def exact(network: DenseNetwork, key: int) -> list[Any]:
    import tensorflow as tf

    seeds = [child_seed(np.random.SeedSequence(5), key, member) for member in range(MEMBERS)]
    random = np.random.default_rng(key)
    return [tf.constant(a + 0.2 * random.normal(size=a.shape), tf.float64) for a in network.initial(seeds)]


def batch() -> dict[str, Any]:
    import tensorflow as tf

    random = np.random.default_rng(0)
    shape = (MEMBERS, EVENTS)
    return {
        "x": tf.constant(random.normal(size=(*shape, 4))),
        "label": tf.constant(random.integers(0, 2, shape).astype(np.float64)),
        "nuisance": tf.constant(random.integers(0, CLASSES, shape), tf.int32),
        "weight": tf.constant(random.uniform(0.5, 2, shape)),
        "opposed_weight": tf.constant(random.uniform(0, 2, shape) * random.integers(0, 2, shape)),
    }


def parameters(network: DenseNetwork) -> dict[str, list[Any]]:
    import tensorflow as tf

    statistics = [tf.constant([[0.4], [0.9]], tf.float64), tf.constant([[0.5], [2.0]], tf.float64)]
    return {"main": exact(network, 1), "adversary": exact(OPPONENT, 2), STANDARD: statistics}


def gradient(loss: Any, values: dict[str, list[Any]], side: str, name: str = "loss") -> np.ndarray:
    """Of one loss, summed over members, with respect to all weights of a side."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(values[side])
        total = tf.reduce_sum(loss(values, batch(), None)[name])
    return np.concatenate([np.ravel(g) for g in tape.gradient(total, values[side])])


def along(values: dict[str, list[Any]], side: str, direction: list[np.ndarray], step: float) -> dict[str, list[Any]]:
    return {**values, side: [a + step * d for a, d in zip(values[side], direction, strict=True)]}


@pytest.mark.parametrize("seen", CASES)
@pytest.mark.parametrize("side", ["main", "adversary"])
def test_gradients_are_those_of_finite_differences(seen: str, side: str) -> None:
    network, kind = CASES[seen]
    outputs, values, random, step = kind(network, seen), parameters(network), np.random.default_rng(3), 1e-5
    loss = (
        main_loss(outputs, OPPONENT, alpha=30.0, standardised=True)
        if side == "main"
        else adversary_loss(outputs, OPPONENT, standardised=True)
    )
    slope = gradient(loss, values, side)
    for _ in range(5):
        direction = [random.normal(size=a.shape) for a in values[side]]
        ends = [np.sum(loss(along(values, side, direction, s), batch(), None)["loss"]) for s in (step, -step)]
        expected = slope @ np.concatenate([np.ravel(d) for d in direction])
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_main_network_climbs_what_the_adversary_descends() -> None:
    """∇(L_main − α L_adv) = ∇L_main − α ∇L_adv with respect to the main network's weights."""
    outputs, values = reconstruction(AUTOENCODER, "loss"), parameters(AUTOENCODER)
    plain = main_loss(outputs, OPPONENT, alpha=0.0, standardised=True)
    alone, opposed = gradient(plain, values, "main"), None
    for alpha in (1.0, 100.0):
        game = main_loss(outputs, OPPONENT, alpha=alpha, standardised=True)
        opposed = gradient(game, values, "main", "opposed")
        np.testing.assert_allclose(gradient(game, values, "main"), alone - alpha * opposed, rtol=1e-9, atol=1e-12)
    assert opposed is not None
    assert np.abs(opposed).max() > 1e-3


def test_both_sides_see_the_same_loss_where_weights_are_the_same() -> None:
    outputs, values, shared = classification(CLASSIFIER, "output"), parameters(CLASSIFIER), batch()
    shared["weight"] = shared["opposed_weight"]
    ours = main_loss(outputs, OPPONENT, alpha=2.0, standardised=True)(values, shared, None)
    theirs = adversary_loss(outputs, OPPONENT, standardised=True)(values, shared, None)
    np.testing.assert_allclose(ours["opposed"], theirs["loss"])
    np.testing.assert_allclose(ours["loss"], ours["main"] - 2.0 * ours["opposed"])


def test_nothing_of_the_adversary_is_computed_without_alpha() -> None:
    outputs, values = reconstruction(AUTOENCODER, "loss"), parameters(AUTOENCODER)
    plain = main_loss(outputs, OPPONENT, alpha=0.0, standardised=True)
    assert set(plain({"main": values["main"]}, batch(), None)) == {"loss", "main"}


def test_statistics_bring_what_the_adversary_sees_to_mean_0_and_width_1() -> None:
    import tensorflow as tf

    outputs, values, data = reconstruction(AUTOENCODER, "loss"), parameters(AUTOENCODER), batch()
    mean, scale = seen_statistics(outputs)(values, data)[STANDARD]
    _, seen = outputs(values["main"], data)
    seen, weight = np.asarray(seen), np.asarray(data["weight"])
    z = (seen - np.asarray(mean)) / np.asarray(scale)
    np.testing.assert_allclose(np.average(z, axis=1, weights=weight), 0, atol=1e-12)
    np.testing.assert_allclose(np.average(z**2, axis=1, weights=weight), 1)
    # and the adversary's spread is what it sees before that
    spread = adversary_loss(outputs, OPPONENT, standardised=True)(values, data, None)["spread"]
    np.testing.assert_allclose(spread, np.ravel(scale))
    # an adversary that sees z is one that sees the raw value with statistics 0 and 1
    values[STANDARD] = [mean, scale]
    raw = adversary_loss(outputs, OPPONENT, standardised=False)(values, data, None)["loss"]
    assert not np.allclose(raw, adversary_loss(outputs, OPPONENT, standardised=True)(values, data, None)["loss"])
    values[STANDARD] = [tf.zeros_like(mean), tf.ones_like(scale)]
    np.testing.assert_allclose(adversary_loss(outputs, OPPONENT, standardised=True)(values, data, None)["loss"], raw)
