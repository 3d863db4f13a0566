"""Distance correlation against its definition and a closed form, and what cuts do to mass spectra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml import TrainingError
from ml.dependence import (
    batch_distance_correlation,
    distance_correlation,
    distance_covariance,
    jsd_at_efficiency,
)

COLUMNS = st.integers(2, 40).flatmap(
    lambda n: st.tuples(*(arrays(np.float64, n, elements=st.integers(-50, 50).map(lambda i: i / 4)) for _ in range(2)))
)


def by_definition(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Squared distance covariance and correlation from loops over pairs and triples, equation 10 word by word."""
    share = weight / weight.sum()

    def squared(u: np.ndarray, v: np.ndarray) -> float:
        a, b = (np.abs(c[:, None] - c[None, :]) for c in (u, v))
        pairs = np.einsum("i,j,ij,ij", share, share, a, b)
        apart = np.einsum("i,j,ij", share, share, a) * np.einsum("i,j,ij", share, share, b)
        triples = np.einsum("i,j,k,ij,ik", share, share, share, a, b)
        return float(pairs + apart - 2 * triples)

    both, own = squared(x, y), squared(x, x) * squared(y, y)
    return max(both, 0.0), max(both, 0.0) / np.sqrt(own) if own > 0 else 0.0


@given(COLUMNS, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_distance_correlation_is_its_definition(columns: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    x, y = columns
    for weight in (np.ones(len(x)), np.random.default_rng(seed).uniform(0, 2, len(x)) + 1e-3):
        covariance, correlation = by_definition(x, y, weight)
        scale = max(np.ptp(x) * np.ptp(y), 1.0)
        assert distance_covariance(x, y, weight=weight) ** 2 == pytest.approx(covariance, abs=1e-10 * scale)
        assert distance_correlation(x, y, weight=weight) ** 2 == pytest.approx(correlation, abs=1e-7)


def test_distance_correlation_of_gaussians_is_the_closed_form() -> None:
    """Theorem 7 of arXiv:0803.4101 for a correlation of ½."""
    rho = 0.5
    x, noise = np.random.default_rng(1).normal(size=(2, 20_000))
    expected = rho * np.arcsin(rho) + np.sqrt(1 - rho**2) - rho * np.arcsin(rho / 2) - np.sqrt(4 - rho**2) + 1
    expected = np.sqrt(expected / (1 + np.pi / 3 - np.sqrt(3)))
    assert distance_correlation(x, rho * x + np.sqrt(1 - rho**2) * noise) == pytest.approx(expected, abs=0.01)


@given(COLUMNS)
@settings(max_examples=40, deadline=None)
def test_distance_correlation_is_symmetric_and_knows_no_units(columns: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = columns
    value = distance_correlation(x, y)
    assert 0 <= value <= 1
    assert distance_correlation(y, x) == pytest.approx(value, abs=1e-6)
    assert distance_correlation(1000 - 80 * x, 3 * y) == pytest.approx(value, abs=1e-6)
    assert distance_correlation(x, 2 * x + 1) == pytest.approx(float(np.ptp(x) > 0))


def test_it_sees_what_is_not_linear_and_nothing_where_nothing_is() -> None:
    x, other = np.random.default_rng(2).normal(size=(2, 5000))
    assert abs(np.corrcoef(x, x**2)[0, 1]) < 0.1
    assert distance_correlation(x, x**2) > 0.5
    assert distance_correlation(x, other) < 0.05
    assert distance_correlation(x, np.ones_like(x)) == 0


def test_an_integer_weight_is_so_many_events() -> None:
    x, y = np.random.default_rng(3).normal(size=(2, 30))
    y += x
    times = np.random.default_rng(4).integers(1, 4, 30)
    repeated = distance_correlation(np.repeat(x, times), np.repeat(y, times))
    assert distance_correlation(x, y, weight=times) == pytest.approx(repeated)


def test_the_batch_version_is_the_same_for_each_member() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 60)).astype(np.float32)
    y, weight = (x**2 + rng.normal(size=x.shape)).astype(np.float32), rng.uniform(0, 2, x.shape).astype(np.float32)
    weight[:, -5:] = 0  # what fills a batch up
    expected = [distance_correlation(*columns, weight=w) for *columns, w in zip(x, y, weight, strict=True)]
    np.testing.assert_allclose(batch_distance_correlation(x, y, weight), expected, rtol=1e-4)
    np.testing.assert_allclose(batch_distance_correlation(x[:, :-5], y[:, :-5], weight[:, :-5]), expected, rtol=1e-4)


def test_gradients_of_the_batch_version_are_finite_at_ties_and_without_dependence() -> None:
    import tensorflow as tf

    x = tf.constant(np.random.default_rng(6).normal(size=(1, 20)).astype(np.float32))
    for y in (tf.round(x), tf.ones_like(x), tf.zeros_like(x), x):
        with tf.GradientTape() as tape:
            tape.watch(y)
            value = batch_distance_correlation(x, y, tf.ones_like(x))
        assert np.isfinite(value).all()
        assert np.isfinite(tape.gradient(value, y)).all()


def test_a_cut_that_follows_the_mass_sculpts_and_another_one_does_not() -> None:
    rng = np.random.default_rng(7)
    mass, noise = 50 + rng.exponential(60, 40_000), rng.normal(size=40_000)
    scores = noise, noise + mass / 60
    free, sculpted = (jsd_at_efficiency(score, mass, 0.05, rng=np.random.default_rng(8)) for score in scores)
    assert free.n_selected == sculpted.n_selected == 2000
    assert abs(free.divergence - free.expected) < 4 * free.uncertainty
    assert sculpted.divergence > sculpted.expected + 20 * sculpted.uncertainty
    assert sculpted.inverse == 1 / sculpted.divergence
    hardest = jsd_at_efficiency(mass, mass, 0.05, rng=rng, bins=[50, float(np.quantile(mass, 0.95)), 1e4])
    # all of the selected lie in the second bin, which holds 5% of all
    half = 0.5 * (np.log(1 / 0.525) + 0.95 * np.log(0.95 / 0.475) + 0.05 * np.log(0.05 / 0.525))
    assert hardest.divergence == pytest.approx(half, rel=1e-3)


def test_the_expected_divergence_and_the_uncertainty_are_those_of_repeated_cuts() -> None:
    rng = np.random.default_rng(9)
    mass = 50 + rng.exponential(60, 5000)
    cuts = [jsd_at_efficiency(rng.normal(size=5000), mass, 0.2, rng=rng, bins=20) for _ in range(60)]
    values = np.array([cut.divergence for cut in cuts])
    assert values.mean() == pytest.approx(cuts[0].expected, rel=0.25)
    # toys fluctuate around counts that fluctuated already
    assert 1 < np.mean([cut.uncertainty for cut in cuts]) / values.std() < 2.5


def test_weights_are_events() -> None:
    rng = np.random.default_rng(10)
    mass, score = 50 + rng.exponential(60, 3000), rng.normal(size=3000)
    one = jsd_at_efficiency(score, mass, 0.1, rng=np.random.default_rng(1))
    many = jsd_at_efficiency(score, mass, 0.1, weight=np.full(3000, 7.0), rng=np.random.default_rng(1))
    assert many.to_dict() == pytest.approx(one.to_dict())


def test_what_cannot_be_measured_is_refused() -> None:
    x = np.arange(5.0)
    with pytest.raises(TrainingError, match="two columns of equal length"):
        distance_correlation(x, x[:4])
    with pytest.raises(TrainingError, match="two columns of equal length"):
        distance_covariance(x[:1], x[:1])
    with pytest.raises(TrainingError, match="1 of 5 events have NaN"):
        distance_correlation(x, np.where(x == 2, np.nan, x))
    with pytest.raises(TrainingError, match="weights must be at least 0"):
        distance_correlation(x, x, weight=-x)
    with pytest.raises(TrainingError, match=r"all 5 masses are 1 GeV"):
        jsd_at_efficiency(x, np.ones(5), 0.5, rng=np.random.default_rng(0))
    with pytest.raises(TrainingError, match="efficiency"):
        jsd_at_efficiency(x, x, 0.0, rng=np.random.default_rng(0))
