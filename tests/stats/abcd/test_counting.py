"""Tag N' Train counting: formula, correlated errors, equation 4.1, and a significance that is calibrated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from stats import StatisticsError
from stats.abcd import (
    Plane,
    count_plane,
    counting_estimate,
    excess_significance,
    expected_significance,
    tag_n_train,
)

CELLS = np.array([[1500.0, 1900.0, 380.0], [1950.0, 2600.0, 610.0], [390.0, 590.0, 205.0]])


def test_prediction_is_the_product_of_efficiencies_and_all_events() -> None:
    found = counting_estimate(Plane(CELLS))
    first, second = 390 / (1500 + 1950 + 390), 380 / (1500 + 1900 + 380)
    assert found.efficiencies == pytest.approx((first, second))
    assert found.predicted == pytest.approx(first * second * CELLS.sum())
    assert found.efficiency_errors[0] == pytest.approx(np.sqrt(first * (1 - first) / 3840))
    assert found.uncertainty == pytest.approx(np.hypot(found.statistical, 0.03 * found.predicted))
    assert found.observed == 205


def test_significance_is_equation_4_1() -> None:
    found = counting_estimate(Plane(CELLS), signal=60.0)
    spread = np.sqrt(205 + found.uncertainty**2)
    assert found.significance.simple == pytest.approx((205 - found.predicted) / spread)
    assert found.significance.expected_simple == pytest.approx(60 / spread)
    assert set(found.to_dict()) >= {"z_simple", "expected_z_simple", "z", "p", "expected_z"}


def test_statistical_error_holds_events_in_both_samples_once() -> None:
    rng = np.random.default_rng(7)
    toys = [counting_estimate(Plane(one)).predicted for one in rng.poisson(CELLS, (1500, 3, 3)).astype(float)]
    statistical = counting_estimate(Plane(CELLS)).statistical
    assert np.std(toys) == pytest.approx(statistical, rel=0.08)


def test_arrays_and_counts_agree_and_folds_are_summed() -> None:
    rng = np.random.default_rng(8)
    first, second, fold = rng.normal(size=6000), rng.normal(size=6000), rng.integers(0, 5, 6000)
    one, other = first + 50.0 * fold, second - 9.0 * fold
    found = tag_n_train(one, other, tail=0.1, fold=fold)
    assert found.total == 6000
    assert found.predicted == pytest.approx(60, rel=0.15)
    same = counting_estimate(count_plane(one, other, first_tails=(0.6, 0.1), fold=fold))
    assert found.to_dict() == same.to_dict()
    # thresholds that ignore the folds select the last fold of one score and the first of the other
    assert counting_estimate(count_plane(one, other, first_tails=(0.99, 0.1))).observed == 0


def test_truth_only_enters_the_expected_significance() -> None:
    rng = np.random.default_rng(9)
    truth = (np.arange(5000) < 100).astype(int)
    scores = rng.normal(size=(2, 5000)) + 2.0 * truth
    blind, known = tag_n_train(*scores, tail=0.1), tag_n_train(*scores, tail=0.1, truth=truth)
    assert blind.predicted == known.predicted
    assert np.isnan(blind.significance.expected_simple)
    assert blind.to_dict()["expected_z"] is None
    assert known.significance.expected_simple > 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tail": 0.7}, "together below 1"),
        ({"tail": 0.0}, "above 0"),
        ({"tail": 0.1, "background_like": 0.0}, "above 0"),
        ({"tail": 0.1, "systematic": -0.1}, "not negative"),
        ({"tail": 0.002}, "None of the"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, float], message: str) -> None:
    scores = np.stack([np.arange(300.0), np.arange(300.0)])
    with pytest.raises(StatisticsError, match=message):
        tag_n_train(*scores, **options)  # type: ignore[arg-type]


def test_counting_takes_three_strips() -> None:
    with pytest.raises(StatisticsError, match="three strips"):
        counting_estimate(Plane(np.ones((2, 2))))


def test_without_uncertainty_the_p_value_is_the_poisson_tail() -> None:
    found = excess_significance(12, 4.2, 0.0)
    assert found.p == pytest.approx(poisson.sf(11, 4.2))
    assert excess_significance(12, 4.2, 1e-4).p == pytest.approx(found.p, rel=1e-3)


def test_binomial_p_value_of_an_on_off_measurement() -> None:
    # 20 events on, 40 off with twice the exposure: off/τ = 20 ± √40/2
    found = excess_significance(20, 20.0, np.sqrt(40) / 2)
    n = np.arange(20, 61)
    from scipy.stats import binom

    assert found.p == pytest.approx(binom.pmf(n, 60, 1 / 3).sum())


def test_nothing_observed_is_no_excess() -> None:
    found = excess_significance(0, 3.0, 0.5)
    assert found.p == 1.0
    assert found.to_dict()["z"] is None


def test_p_values_cover() -> None:
    """p ≤ α at most α of the time, within two binomial standard deviations of 2,000 toys, with background measured."""
    rng, toys = np.random.default_rng(11), 2000
    for mean, ratio in ((8.0, 3.0), (100.0, 2.0)):
        on, off = rng.poisson(mean, toys), rng.poisson(mean * ratio, toys)
        p = np.array([excess_significance(a, b / ratio, np.sqrt(b) / ratio).p for a, b in zip(on, off, strict=True)])
        for level in (0.05, 0.16):
            assert (p <= level).mean() <= level + 2 * np.sqrt(level * (1 - level) / toys)
        assert (p <= 0.16).mean() > 0.1  # conservative by the steps of counts, not more


def test_expected_significance_limits() -> None:
    assert expected_significance(5.0, 10000.0, 0.0) == pytest.approx(5 / 100, rel=1e-3)
    assert expected_significance(5.0, 10000.0, 100.0) == pytest.approx(5 / np.sqrt(2e4), rel=1e-3)
    assert expected_significance(30.0, 50.0, 1e-3) == pytest.approx(expected_significance(30.0, 50.0, 0.0), rel=1e-6)
    assert expected_significance(0.0, 50.0, 5.0) == 0.0


@pytest.mark.parametrize("numbers", [(-1, 1, 1), (1, 0, 1), (1, float("nan"), 1), (1, 1, -1), (float("inf"), 1, 1)])
def test_numbers_that_are_no_counts_are_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(StatisticsError, match="An excess is measured"):
        excess_significance(*numbers)
