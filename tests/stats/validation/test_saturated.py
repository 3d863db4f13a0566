"""The p-value is uniform where the model is true, in sparse spectra as well, and small where it is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import gammaln
from scipy.stats import kstest

from stats import BinnedFamily, Family, Spectrum, StatisticsError, fit_background
from stats.validation import ToyP, saturated_test
from tests.stats.conftest import EDGES


def test_deviance_is_twice_the_distance_to_the_saturated_likelihood(plenty: Spectrum, family: Family) -> None:
    result = saturated_test(plenty, family, toys=1, rng=np.random.default_rng(1))
    n = plenty.counts
    saturated = float(np.sum(n - n * np.log(np.where(n > 0, n, 1.0)) + gammaln(n + 1)))
    fit = fit_background(BinnedFamily(family, EDGES), n)
    assert result.deviance == pytest.approx(2 * (fit.nll[0] - saturated), rel=1e-9)
    assert result.ndof == 47


@pytest.mark.parametrize("events", [300.0, 100_000.0])
def test_p_is_uniform_when_the_model_is_true(shape: np.ndarray, family: Family, events: float) -> None:
    """100 spectra, each with its own 150 toys; at 300 events most bins expect less than one."""
    rng = np.random.default_rng(2)
    results = [
        saturated_test(Spectrum.from_counts(EDGES, counts), family, toys=150, rng=rng)
        for counts in rng.poisson(events * shape, size=(100, shape.size))
    ]
    assert kstest([result.p.value for result in results], "uniform").pvalue > 0.01
    assert kstest([result.chi2_p.value for result in results], "uniform").pvalue > 0.01
    assert sum(result.failed for result in results) < 0.001 * 100 * 150


def test_asymptotic_p_is_right_for_many_events_and_wrong_for_few(
    plenty: Spectrum, sparse: Spectrum, family: Family
) -> None:
    for spectrum, distance in ((plenty, 0.08), (sparse, None)):
        result = saturated_test(spectrum, family, toys=2000, rng=np.random.default_rng(3))
        difference = abs(result.p.value - result.asymptotic_p)
        assert difference < distance if distance else difference > 0.2


def test_a_wrong_model_is_found(curved: np.ndarray, two: Family) -> None:
    data = Spectrum.from_counts(EDGES, np.random.default_rng(4).poisson(curved))
    result = saturated_test(data, two, toys=1000, rng=np.random.default_rng(5))
    assert result.p.exceeding == 0
    assert result.p.value == pytest.approx(1 / 1001)
    assert result.chi2_p.exceeding == 0


def test_masked_bins_do_not_count(plenty: Spectrum, family: Family) -> None:
    spoiled = np.array(plenty.counts)
    spoiled[20:25] *= 3
    mask = np.ones(50, dtype=bool)
    mask[20:25] = False
    rng = np.random.default_rng(6)
    masked = saturated_test(Spectrum.from_counts(EDGES, spoiled), family, mask=mask, toys=500, rng=rng)
    whole = saturated_test(Spectrum.from_counts(EDGES, spoiled), family, toys=500, rng=rng)
    assert masked.ndof == 42
    assert masked.p.value > 0.01
    assert whole.p.exceeding == 0


def test_weights_do_not_change_the_answer(plenty: Spectrum, family: Family) -> None:
    weighted = Spectrum(EDGES, 0.5 * plenty.counts, 0.25 * plenty.variances)
    results = [saturated_test(s, family, toys=200, rng=np.random.default_rng(7)) for s in (plenty, weighted)]
    assert results[1].deviance == pytest.approx(results[0].deviance, rel=1e-6)
    assert results[1].p.value == results[0].p.value


def test_same_seed_same_result_on_any_number_of_threads(plenty: Spectrum, family: Family) -> None:
    results = [
        saturated_test(plenty, family, toys=2000, rng=np.random.default_rng(8), workers=workers) for workers in (1, 3)
    ]
    np.testing.assert_array_equal(results[0].toy_deviance, results[1].toy_deviance)


def test_failed_toys_do_not_speak_for_the_model() -> None:
    p = ToyP.count(2.0, np.array([1.0, 3.0, np.nan]))
    assert (p.exceeding, p.toys) == (1, 3)
    assert p.value == pytest.approx(0.5)
    assert p.low < 1 / 3 < p.high


@given(
    st.floats(0, 100),
    arrays(float, st.integers(1, 50), elements=st.floats(0, 100) | st.just(float("nan"))),
)
def test_p_counts_toys_and_lies_in_its_interval(observed: float, toys: np.ndarray) -> None:
    p = ToyP.count(observed, toys)
    assert p.exceeding == sum(toy >= observed for toy in toys)
    assert 0 <= p.low <= p.exceeding / toys.size <= p.high <= 1
    assert 0 < p.value <= p.high
    assert ToyP.count(observed + 1, toys).value <= p.value


def test_result_is_json(sparse: Spectrum, family: Family) -> None:
    result = saturated_test(sparse, family, toys=50, rng=np.random.default_rng(9)).to_dict()
    assert sum(result["toy_deviance"]["counts"]) == 50
    json.dumps(result, allow_nan=False)


def test_hard_input_is_refused(plenty: Spectrum, family: Family) -> None:
    empty = Spectrum.from_counts(EDGES, np.zeros(50))
    single = Spectrum.from_counts(EDGES, np.eye(50)[3])
    rng = np.random.default_rng(10)
    for spectrum, match in ((empty, "no events"), (single, "do not determine")):
        with pytest.raises(StatisticsError, match=match):
            saturated_test(spectrum, family, toys=10, rng=rng)
    with pytest.raises(StatisticsError, match="at least 1 toys, got 0"):
        saturated_test(plenty, family, toys=0, rng=rng)
    with pytest.raises(StatisticsError, match="random numbers"):
        saturated_test(plenty, family, toys=10, rng=None)  # type: ignore[arg-type]
    with pytest.raises(StatisticsError, match="mask"):
        saturated_test(plenty, family, toys=10, rng=rng, mask=np.ones(3, dtype=bool))
