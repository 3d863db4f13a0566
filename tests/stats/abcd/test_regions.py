"""Plain and extended estimates: formulas, error propagation and intervals against independent calculations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from stats import StatisticsError
from stats.abcd import Plane, Regions, estimate, even_strips, extended_estimate, plain_estimate
from stats.abcd.propagation import likelihood_interval

PLANE = Plane(np.array([[900.0, 100.0], [300.0, 45.0]]))
WIDE = Plane(np.array([[500.0, 40.0], [400.0, 60.0], [100.0, 30.0]]))


def test_plain_estimate() -> None:
    found = plain_estimate(PLANE)
    assert found.predicted == pytest.approx(100 * 300 / 900)
    relative = np.sqrt(1 / 100 + 1 / 300 + 1 / 900)
    assert found.uncertainty == pytest.approx(found.predicted * relative)
    assert found.low < found.predicted < found.high
    assert found.observed == 45
    assert found.closure == pytest.approx(45 / found.predicted)
    assert found.closure_error == pytest.approx(found.closure * np.sqrt(1 / 45 + relative**2))
    assert found.regions == {"A": 45, "B": 100, "C": 300, "D": 900}


def test_extended_estimate() -> None:
    found = extended_estimate(WIDE)
    assert found.predicted == pytest.approx(100 * (60 / 400) ** 2 * 500 / 40)
    relative = np.sqrt(1 / 100 + 4 / 60 + 4 / 400 + 1 / 500 + 1 / 40)
    assert found.uncertainty == pytest.approx(found.predicted * relative)
    assert extended_estimate(Plane(WIDE.counts.T), axis=1).predicted == pytest.approx(found.predicted)
    assert found.method == "extended"


def test_extended_is_plain_where_the_ratio_does_not_change() -> None:
    assert extended_estimate(Plane(np.array([[500.0, 50.0], [300.0, 30.0], [70.0, 9.0]]))).predicted == pytest.approx(7)


def test_propagation_agrees_with_toys() -> None:
    means, rng = np.array([[5000.0, 400.0], [4000.0, 600.0], [1000.0, 300.0]]), np.random.default_rng(5)
    toys = np.array([extended_estimate(Plane(one)).predicted for one in rng.poisson(means, (600, 3, 2)).astype(float)])
    expected = extended_estimate(Plane(means)).uncertainty
    assert toys.std() == pytest.approx(expected, rel=0.1)


def test_weighted_events_scale() -> None:
    weighted = Plane(3.0 * PLANE.counts, 9.0 * PLANE.counts)
    found, plain = plain_estimate(weighted), plain_estimate(PLANE)
    assert found.predicted == pytest.approx(3 * plain.predicted)
    assert found.uncertainty == pytest.approx(3 * plain.uncertainty)
    assert np.isnan(found.low)
    assert found.to_dict()["low"] is None


@settings(deadline=None, max_examples=30)
@given(
    counts=st.tuples(st.integers(1, 400), st.integers(1, 400), st.integers(1, 400)),
    n_sigma=st.sampled_from([1.0, 2.0]),
)
def test_interval_ends_where_the_profile_likelihood_says(counts: tuple[int, int, int], n_sigma: float) -> None:
    low, high = likelihood_interval(np.array(counts), np.array([1.0, 1.0, -1.0]), n_sigma=n_sigma)
    assert low < counts[0] * counts[1] / counts[2] < high
    for end in (low, high):
        assert _profiled(counts, end) == pytest.approx(n_sigma**2, rel=1e-3)


def _profiled(counts: tuple[int, int, int], product: float) -> float:
    """−2 Δlog L at b·c/d = product, minimised numerically over b and c."""

    def deviance(logs: np.ndarray) -> float:
        means = np.exp([logs[0], logs[1], logs[0] + logs[1] - np.log(product)])
        return float(sum(2 * (m - n + n * np.log(n / m)) for m, n in zip(means, counts, strict=True)))

    # a third of the way from the counts each, so that the start lies near the constraint
    shift = np.log(product * counts[2] / counts[0] / counts[1]) / 3
    return float(minimize(deviance, np.log(counts[:2]) + shift, method="BFGS").fun)


def test_no_event_in_a_numerator_has_an_upper_end() -> None:
    found = plain_estimate(Plane(np.array([[900.0, 0.0], [300.0, 2.0]])))
    # with B = 0 and large C, D the likelihood of b_A is exp(−b_A·D/C): −2Δlog L = 1 at b_A = C/D/2
    assert (found.predicted, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(300 / 900 / 2, rel=1e-2)
    assert found.uncertainty == found.high
    assert np.isnan(found.closure)
    assert found.to_dict()["closure"] is None


@pytest.mark.parametrize("counts", [[[0.0, 10.0], [30.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
def test_an_empty_divisor_is_refused(counts: list[list[float]]) -> None:
    with pytest.raises(StatisticsError, match="divides by is empty"):
        plain_estimate(Plane(np.array(counts)))


def test_an_empty_weighted_region_is_refused() -> None:
    with pytest.raises(StatisticsError, match="control regions of an ABCD estimate is empty"):
        plain_estimate(Plane(np.array([[9.0, 0.0], [3.0, 1.0]]), np.array([[5.0, 0.0], [2.0, 1.0]])))


def test_extended_needs_three_strips() -> None:
    with pytest.raises(StatisticsError, match="three strips"):
        extended_estimate(PLANE)


@pytest.mark.parametrize("efficiency", [0.001, 0.01, 0.05, 0.1, 0.17, 0.3, 0.45])
def test_strips_are_evenly_spaced(efficiency: float) -> None:
    tails = even_strips(efficiency)
    assert 1 > tails[0] > tails[1] == efficiency
    cuts = np.concatenate([[-np.inf], ndtri(1 - np.array(tails)), [np.inf]])
    density = np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    means = -np.diff(density) / np.diff(ndtr(cuts))
    assert means[2] - means[1] == pytest.approx(means[1] - means[0], rel=1e-4)


@pytest.mark.parametrize("efficiency", [0.0, 0.5, 1.0, float("nan")])
def test_strips_without_room_are_refused(efficiency: float) -> None:
    with pytest.raises(StatisticsError, match="two control strips"):
        even_strips(efficiency)


def test_log_linear_ratios_are_extrapolated_exactly() -> None:
    far, near = 0.02, 0.05
    regions = {"D_far": 1e6, "B_far": 1e6 * far, "D": 2e6, "B": 2e6 * near, "C": 1e5, "A": 0.0}
    found = estimate(Regions(regions, regions, is_counts=True))
    assert found.predicted == pytest.approx(1e5 * near * near / far)
