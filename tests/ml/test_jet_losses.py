"""Losses of jets: what they are, where they push, and that a term of strength 0 is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ml.dependence import distance_correlation
from ml.detector import child_seed
from ml.jet_losses import DecorrelationName, JetLoss, jet_loss, margin_exposure, per_jet, sigmoid_exposure
from ml.variational import DECODER, ENCODER, VariationalNetwork, kl_divergence

NETWORK = VariationalNetwork(8, 2, (6,), "relu")
SEED = np.array([[3, 4], [5, 6]], np.int32)
MEMBERS, EVENTS = 2, 30


@pytest.fixture(scope="module")
def parameters() -> dict[str, list[np.ndarray]]:
    return NETWORK.initial([child_seed(np.random.SeedSequence(1), i) for i in range(MEMBERS)])


@pytest.fixture(scope="module")
def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    columns = {"x": rng.normal(size=(MEMBERS, EVENTS, 8)), "exposed": rng.normal(0, 2, (MEMBERS, EVENTS, 8))}
    columns |= {"mass": rng.exponential(1, (MEMBERS, EVENTS)), "weight": rng.uniform(0.5, 2, (MEMBERS, EVENTS))}
    columns["strength"] = np.full((MEMBERS, EVENTS), 0.5)
    return {name: column.astype(np.float32) for name, column in columns.items()}


def with_gradients(
    loss: JetLoss, parameters: Mapping[str, Any], batch: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    import tensorflow as tf

    values = {name: [tf.constant(a) for a in arrays] for name, arrays in parameters.items()}
    flat = [a for arrays in values.values() for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(flat)
        found = jet_loss(NETWORK, loss)(values, {n: tf.constant(c) for n, c in batch.items()}, SEED)
    return {n: v.numpy() for n, v in found.items()}, [g.numpy() for g in tape.gradient(found["loss"], flat)]


def test_per_jet_terms_are_means_over_numbers_and_latent_dimensions(
    parameters: dict[str, list[np.ndarray]], batch: dict[str, np.ndarray]
) -> None:
    mse, kl = (np.asarray(v) for v in per_jet(NETWORK, parameters, batch["x"], None))
    for member in range(MEMBERS):
        encoder, decoder = (
            network.to_keras(parameters[name], member)
            for network, name in ((NETWORK.encoder, ENCODER), (NETWORK.decoder, DECODER))
        )
        code = np.asarray(encoder(batch["x"][member]))
        output = np.asarray(decoder(code[:, :2]))
        np.testing.assert_allclose(mse[member], ((output - batch["x"][member]) ** 2).mean(axis=1), rtol=1e-4)
        np.testing.assert_allclose(kl[member], kl_divergence(code[:, :2], code[:, 2:]) / 2, rtol=1e-4)


def test_kl_is_that_of_gaussians() -> None:
    """0 for the prior, ½ for a unit shift of one dimension, and what an integral gives."""
    zero, one = np.zeros((1, 3)), np.eye(1, 3)
    assert kl_divergence(zero, zero) == 0
    assert kl_divergence(one, zero) == pytest.approx(0.5)
    z = np.linspace(-12, 12, 40_001)
    mean, sigma = 0.7, 0.4
    log_q = -0.5 * ((z - mean) / sigma) ** 2 - np.log(sigma)
    integral = np.trapezoid(np.exp(log_q) / np.sqrt(2 * np.pi) * (log_q + z**2 / 2), z)
    assert kl_divergence(np.array([mean]), np.array([2 * np.log(sigma)])) == pytest.approx(integral)


def test_the_terms_are_put_together_as_in_the_equations(
    parameters: dict[str, list[np.ndarray]], batch: dict[str, np.ndarray]
) -> None:
    kinds: tuple[tuple[DecorrelationName, str, float], ...] = (
        ("disco", "dependence", 1), ("mse_oe", "exposure", -1), ("kl_oe", "exposure", -1)
    )  # fmt: skip
    plain, _ = with_gradients(JetLoss(0.1), parameters, batch)
    np.testing.assert_allclose(plain["loss"], plain["mse"] + 0.1 * plain["kl"], rtol=1e-6)
    for kind, term, sign in kinds:
        found, _ = with_gradients(JetLoss(0.1, kind, 7.0), parameters, batch)
        np.testing.assert_allclose(found["loss"], plain["loss"] + sign * 0.5 * 7 * found[term], rtol=1e-5)
    mse, kl = (np.asarray(v) for v in per_jet(NETWORK, parameters, batch["x"], SEED))
    found, _ = with_gradients(JetLoss(0.1, "disco", 7.0), parameters, batch)
    expected = [
        distance_correlation(batch["mass"][m], mse[m] + 0.1 * kl[m], weight=batch["weight"][m]) for m in range(MEMBERS)
    ]
    np.testing.assert_allclose(found["dependence"], expected, rtol=1e-3)


@pytest.mark.parametrize("kind", ["disco", "mse_oe", "kl_oe"])
def test_a_term_of_strength_zero_is_none(
    parameters: dict[str, list[np.ndarray]], batch: dict[str, np.ndarray], kind: DecorrelationName
) -> None:
    plain, slopes = with_gradients(JetLoss(0.1), parameters, batch)
    for strength, column in ((0.0, 1.0), (100.0, 0.0)):
        own = batch | {"strength": np.full_like(batch["strength"], column)}
        found, own_slopes = with_gradients(JetLoss(0.1, kind, strength), parameters, own)
        np.testing.assert_array_equal(found["loss"], plain["loss"])
        for one, other in zip(own_slopes, slopes, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("term", [sigmoid_exposure, margin_exposure(1.0)])
def test_exposure_pushes_outliers_up_and_inliers_down(term: Any) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(3)
    inliers, outliers = (tf.constant(rng.uniform(0, 1, (MEMBERS, 9)).astype(np.float32)) for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch((inliers, outliers))
        loss = -2.0 * term(inliers, outliers, tf.ones_like(inliers))  # what is minimised
    down, up = tape.gradient(loss, (inliers, outliers))
    assert (down.numpy() > 0).all()
    assert (up.numpy() < 0).all()
    assert (term(inliers, outliers + 1, tf.ones_like(inliers)).numpy() > loss.numpy() / -2).all()


def test_exposures_are_means_over_all_pairs_of_a_batch() -> None:
    rng = np.random.default_rng(4)
    inliers, outliers = rng.uniform(0, 2, (2, 1, 5)).astype(np.float32)
    weight = np.array([[1, 2, 0.5, 1, 0]], np.float32)  # the last row fills the batch up
    apart = outliers[0, None, :4] - inliers[0, :4, None]
    share = weight[0, :4, None] / weight.sum() / 4
    sigmoid, margin = (1 / (1 + np.exp(-apart)) * share).sum(), (np.minimum(apart - 0.5, 0) * share).sum()
    assert float(sigmoid_exposure(inliers, outliers, weight)[0]) == pytest.approx(sigmoid, rel=1e-5)
    assert float(margin_exposure(0.5)(inliers, outliers, weight)[0]) == pytest.approx(margin, rel=1e-5)
    # beyond the margin nothing is gained any more
    assert float(margin_exposure(0.5)(inliers, outliers + 10, weight)[0]) == 0
