"""Variational autoencoders: the KL divergence against its integral, gradients against differences, terms by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import integrate, stats

from ml import child_seed
from ml.optimizers import make_optimizer
from ml.rows import MemberRows, whole
from ml.training import Schedule, Trainer
from ml.variational import (
    DECODER,
    ENCODER,
    VariationalNetwork,
    evidence_lower_bound,
    kl_divergence,
    sampled,
)

NETWORK = VariationalNetwork(inputs=3, latent=2, hidden=(5, 4))
SEEDS = [child_seed(np.random.SeedSequence(3), member) for member in range(2)]
ALPHA = 300.0
NUMBERS = st.floats(-6, 6, width=32)


@pytest.fixture(scope="module")
def parameters() -> dict[str, list[np.ndarray]]:
    """Two members; the biases, which start at 0, are drawn, too."""
    random = np.random.default_rng(1)
    drawn = NETWORK.initial(SEEDS)
    return {
        name: [a + 0.2 * random.normal(size=a.shape).astype(np.float32) for a in arrays_]
        for name, arrays_ in drawn.items()
    }


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def batch_of(x: np.ndarray, members: int = 2, dtype: Any = np.float32) -> dict[str, Any]:
    """The batch that the engine makes: every member with its own events, and weights that differ."""
    import tensorflow as tf

    shuffled = np.stack([x[np.random.default_rng(member).permutation(len(x))] for member in range(members)])
    weight = np.stack([np.linspace(0.5, 1.5 + member, len(x)) for member in range(members)])
    return {"x": tf.constant(shuffled, dtype), "weight": tf.constant(weight, dtype)}


def losses(parameters: Any, batch: dict[str, Any], seed: Any = None, alpha: float = ALPHA) -> dict[str, np.ndarray]:
    found = evidence_lower_bound(NETWORK, alpha=alpha)(parameters, batch, seed)
    return {name: np.asarray(value) for name, value in found.items()}


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (1.3, 0.4), (-2.0, 2.5), (0.1, 0.02)])
def test_the_kl_divergence_is_its_integral(mean: float, sigma: float) -> None:
    own, prior = stats.norm(mean, sigma), stats.norm()
    edges = mean + 12 * sigma * np.array([-1, 1])
    integral = integrate.quad(lambda z: own.pdf(z) * (own.logpdf(z) - prior.logpdf(z)), *edges)[0]
    value = kl_divergence(np.array([mean]), np.array([2 * np.log(sigma)]))
    assert value == pytest.approx(integral, abs=1e-8)
    assert value == pytest.approx(0.5 * (mean**2 + sigma**2 - 1) - np.log(sigma), abs=1e-12)


@given(code=arrays(np.float32, (2, 7, 3), elements=NUMBERS))
def test_the_kl_divergence_is_never_negative_and_adds_up_over_dimensions(code: np.ndarray) -> None:
    mean, log_variance = code
    value = kl_divergence(mean, log_variance)
    assert (value >= 0).all()
    each = [kl_divergence(mean[:, [i]], log_variance[:, [i]]) for i in range(3)]
    np.testing.assert_allclose(value, np.sum(each, axis=0), rtol=1e-12)


def test_the_kl_divergence_is_0_at_the_prior_alone() -> None:
    assert kl_divergence(np.zeros(2), np.zeros(2)) == 0
    tiny = 1e-4  # ½ z̄² and ¼ (log σ²)² next to it, which plain subtraction would lose
    assert kl_divergence(np.full(1, tiny), np.zeros(1)) == pytest.approx(tiny**2 / 2, rel=1e-6)
    assert kl_divergence(np.zeros(1), np.full(1, tiny)) == pytest.approx(tiny**2 / 4, rel=1e-3)


def test_terms_are_those_of_the_exported_keras_models(
    parameters: dict[str, list[np.ndarray]], x: np.ndarray, tmp_path: Path
) -> None:
    import keras

    terms = NETWORK.terms(parameters, x)
    assert {name: values.shape for name, values in terms.items()} == {
        "mean": (2, 40, 2),
        "log_variance": (2, 40, 2),
        "kl": (2, 40),
        "reconstruction": (2, 40),
    }
    NETWORK.encoder.save(parameters[ENCODER], tmp_path / ENCODER)
    NETWORK.decoder.save(parameters[DECODER], tmp_path / DECODER)
    for member in range(2):
        encoder, decoder = (
            keras.models.load_model(tmp_path / name / f"member-{member:03}.keras") for name in (ENCODER, DECODER)
        )
        code = np.asarray(encoder(x))
        mean, log_variance = code[:, :2], code[:, 2:]
        output = np.asarray(decoder(mean))
        np.testing.assert_allclose(terms["mean"][member], mean, atol=1e-5)
        np.testing.assert_allclose(terms["log_variance"][member], log_variance, atol=1e-5)
        np.testing.assert_allclose(terms["reconstruction"][member], np.mean((x - output) ** 2, axis=1), rtol=1e-4)
        by_hand = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
        np.testing.assert_allclose(terms["kl"][member], by_hand, rtol=1e-4, atol=1e-5)


def test_encode_and_decode_agree_with_the_terms(parameters: dict[str, list[np.ndarray]], x: np.ndarray) -> None:
    terms = NETWORK.terms(parameters, x)
    mean, log_variance = NETWORK.encode(parameters, x)
    np.testing.assert_allclose(mean, terms["mean"], atol=1e-6)
    np.testing.assert_allclose(log_variance, terms["log_variance"], atol=1e-6)
    for member in range(2):
        output = NETWORK.decode(parameters, mean[member])[member]
        np.testing.assert_allclose(np.mean((x - output) ** 2, axis=1), terms["reconstruction"][member], rtol=1e-4)


@pytest.mark.parametrize("alpha", [1.0, 5000.0])
def test_the_loss_is_alpha_times_reconstruction_plus_kl(
    parameters: dict[str, list[np.ndarray]], x: np.ndarray, alpha: float
) -> None:
    """And both are the weighted means of what `terms` says of the events, where z is not sampled."""
    batch = batch_of(x)
    found = losses(parameters, batch, alpha=alpha)
    np.testing.assert_allclose(found["loss"], alpha * found["reconstruction"] + found["kl"], rtol=1e-6)
    for member in range(2):
        terms = NETWORK.terms(parameters, batch["x"][member].numpy())
        for name in ("reconstruction", "kl"):
            expected = np.average(terms[name][member], weights=batch["weight"][member])
            assert found[name][member] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("activation", "seed", "dtype", "step", "tolerance"),
    [("selu", None, np.float64, 1e-6, 1e-6), ("tanh", [[1, 2], [3, 4]], np.float32, 1e-2, 5e-3)],
    ids=["mean", "sampled"],
)
def test_the_gradient_of_the_loss_is_its_finite_difference(
    parameters: dict[str, list[np.ndarray]], x: np.ndarray, activation: str, seed: Any, dtype: Any, step: float,
    tolerance: float,
) -> None:  # fmt: skip
    """Along random directions through all weights of both networks, each member's own loss alone.

    Random numbers are drawn in single precision: there the step is large, and the activation one without a kink.
    """
    import tensorflow as tf

    loss = evidence_lower_bound(dataclasses.replace(NETWORK, activation=activation), alpha=ALPHA)
    batch, draws = batch_of(x, dtype=dtype), None if seed is None else tf.constant(seed)
    flat = [tf.constant(array, dtype) for name in (ENCODER, DECODER) for array in parameters[name]]
    arrays_ = len(parameters[ENCODER])

    def value(values: Sequence[Any]) -> Any:
        return loss({ENCODER: values[:arrays_], DECODER: values[arrays_:]}, batch, draws)["loss"]

    with tf.GradientTape() as tape:
        tape.watch(flat)
        total = tf.reduce_sum(value(flat))
    gradients = tape.gradient(total, flat)
    random = np.random.default_rng(2)
    for _ in range(5):
        along = [random.normal(size=array.shape) for array in flat]
        along = [a / np.sqrt(sum(np.sum(b**2) for b in along)) for a in along]
        expected = sum(np.sum(g.numpy() * a, axis=(1, 2)) for g, a in zip(gradients, along, strict=True))
        up, down = (
            np.asarray(value([w + tf.constant(h * a, dtype) for w, a in zip(flat, along, strict=True)]))
            for h in (step, -step)
        )
        scale = np.abs(expected).max()
        np.testing.assert_allclose((up - down) / (2 * step), expected, rtol=tolerance, atol=tolerance * scale)


def by_hand(
    weights: Sequence[np.ndarray], x: np.ndarray, weight: np.ndarray, draws: np.ndarray, alpha: float
) -> dict[str, float]:
    """The losses of one member in NumPy: equation 1 with z = z̄ + σ_z·draws, in double precision."""

    def dense(layers: Sequence[np.ndarray], value: np.ndarray) -> np.ndarray:
        for kernel, bias in zip(layers[0:-2:2], layers[1:-2:2], strict=True):
            value = value @ kernel + bias
            value = 1.0507009873554805 * np.where(value > 0, value, 1.6732632423543772 * np.expm1(np.minimum(value, 0)))
        return np.asarray(value @ layers[-2] + layers[-1])

    half = len(weights) // 2
    mean, log_variance = np.split(dense(weights[:half], x), 2, axis=1)
    output = dense(weights[half:], mean + np.exp(log_variance / 2) * draws)
    reconstruction = float(np.average(((x - output) ** 2).mean(axis=1), weights=weight))
    divergence = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
    kl = float(np.average(divergence, weights=weight))
    return {"loss": alpha * reconstruction + kl, "reconstruction": reconstruction, "kl": kl}


def member(parameters: dict[str, list[np.ndarray]], index: int) -> list[np.ndarray]:
    """Weights of one member in double precision, those of the encoder first; biases are (width,)."""
    chosen = [array[index].astype(np.float64) for name in (ENCODER, DECODER) for array in parameters[name]]
    return [array if position % 2 == 0 else array[0] for position, array in enumerate(chosen)]


def differences(
    weights: Sequence[np.ndarray], x: np.ndarray, weight: np.ndarray, draws: np.ndarray, alpha: float
) -> list[np.ndarray]:
    """Central differences of the loss by hand in every weight."""
    step, found = 1e-5, [np.zeros_like(array) for array in weights]
    for array, slope in zip(weights, found, strict=True):
        for place in np.ndindex(array.shape):
            here, ends = array[place], []
            for shift in (step, -step):
                array[place] = here + shift
                ends.append(by_hand(weights, x, weight, draws, alpha)["loss"])
            array[place] = here
            slope[place] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize("alpha", [1e-9, 3e4], ids=["KL alone", "reconstruction"])
def test_a_step_of_the_engine_goes_down_the_gradient_by_hand(
    parameters: dict[str, list[np.ndarray]], x: np.ndarray, alpha: float
) -> None:
    """One plain step of gradient descent, with all that the engine compiles: sampling, weights, members, signs."""
    import tensorflow as tf

    rate = 0.03 / max(alpha, 1.0)
    weight = np.linspace(0.5, 1.5, len(x)).astype(np.float32)
    trainer = Trainer(evidence_lower_bound(NETWORK, alpha=alpha), lambda: make_optimizer("sgd", rate), threads=1)
    schedule = Schedule(epochs=1, batch_size=len(x), validation_fraction=0, patience=None, restore_best=False)
    data = {"x": x, "weight": weight}
    fitted, history = trainer.fit(parameters, data, schedule=schedule, seeds=SEEDS)
    rows = MemberRows(SEEDS, validation_fraction=0)
    order, seeds = rows.training(whole(data)), rows.draws()
    # XLA has random numbers of its own
    draw = tf.function(lambda seed: tf.random.stateless_normal((len(x), NETWORK.latent), seed), jit_compile=True)
    for index in range(len(SEEDS)):
        seen = (x[order[index]].astype(np.float64), weight[order[index]], draw(seeds[index]).numpy(), alpha)
        before, after = member(parameters, index), member(fitted, index)
        assert history.losses["loss"][0, index] == pytest.approx(by_hand(before, *seen)["loss"], rel=1e-5)
        slopes = differences(before, *seen)
        scale = rate * max(np.abs(slope).max() for slope in slopes)
        assert scale > 1e-3, "the step is long beside the rounding of weights"
        for old, new, slope in zip(before, after, slopes, strict=True):
            np.testing.assert_allclose(new, old - rate * slope, rtol=0, atol=1e-3 * scale)


def test_validation_samples_with_the_draws_it_is_given(parameters: dict[str, list[np.ndarray]], x: np.ndarray) -> None:
    import tensorflow as tf

    batch = batch_of(x)
    draws = np.random.default_rng(4).normal(size=(2, len(x), NETWORK.latent)).astype(np.float32)
    found = losses(parameters, {**batch, "draws": tf.constant(draws)})
    at_mean = losses(parameters, batch)
    for index in range(2):
        seen = batch["x"][index].numpy().astype(np.float64), batch["weight"][index].numpy()
        for noise, losses_ in ((draws[index], found), (np.zeros_like(draws[index]), at_mean)):
            for name, value in by_hand(member(parameters, index), *seen, noise, ALPHA).items():
                assert losses_[name][index] == pytest.approx(value, rel=1e-5)
        assert found["reconstruction"][index] != pytest.approx(at_mean["reconstruction"][index], rel=0.05)
    seeded = losses(parameters, {**batch, "draws": tf.constant(draws)}, tf.constant([[1, 2], [3, 4]]))
    without = losses(parameters, batch, tf.constant([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(seeded["loss"], without["loss"])  # training samples anew


def test_the_latent_coordinate_is_drawn_from_the_posterior_by_each_member_alone() -> None:
    import tensorflow as tf

    mean = tf.constant(np.stack([np.full((20_000, 1), m, np.float32) for m in (-1.0, 3.0)]))
    log_variance = tf.constant(np.stack([np.full((20_000, 1), 2 * np.log(s), np.float32) for s in (0.5, 2.0)]))
    seeds = tf.constant([[5, 6], [7, 8]])
    z = sampled(mean, log_variance, seeds).numpy()
    assert z.mean(axis=(1, 2)) == pytest.approx([-1, 3], abs=0.06)
    assert z.std(axis=(1, 2)) == pytest.approx([0.5, 2.0], rel=0.03)
    pulls = (z - mean.numpy()) / np.array([0.5, 2.0])[:, None, None]
    assert abs(np.corrcoef(pulls[0, :, 0], pulls[1, :, 0])[0, 1]) < 0.03
    alone = sampled(mean[1:], log_variance[1:], seeds[1:]).numpy()
    assert np.array_equal(alone[0], z[1])
    assert sampled(mean, log_variance, None) is mean


def test_the_decoder_mirrors_the_encoder_and_members_start_from_their_own_seeds() -> None:
    assert NETWORK.encoder.widths == (3, 5, 4, 4)
    assert NETWORK.decoder.widths == (2, 4, 5, 3)
    both, second = NETWORK.initial(SEEDS), NETWORK.initial(SEEDS[1:])
    for name in (ENCODER, DECODER):
        for together, alone in zip(both[name], second[name], strict=True):
            assert np.array_equal(together[1:], alone)
    assert not np.array_equal(both[ENCODER][0][0], both[ENCODER][0][1])
