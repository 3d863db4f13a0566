from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from stats import (
    BinnedFamily,
    Spectrum,
    StatisticsError,
    chi2_test,
    choose_order,
    dijet,
    family,
    fit_background,
)
from tests.stats.conftest import EDGES, SQRT_S


def test_chi2_of_toys_is_uniform(shape: np.ndarray, model: BinnedFamily) -> None:
    """Kolmogorov–Smirnov p > 0.001 over 1000 toys whose last bins expect far less than one event."""
    toys = np.random.default_rng(1).poisson(5000 * shape, size=(1000, shape.size))
    fits = fit_background(model, toys)
    tests = [chi2_test(n, e, n_parameters=3) for n, e in zip(toys, fits.expected, strict=True)]
    assert max(test.ndof for test in tests) < 40
    assert kstest([test.p for test in tests], "uniform").pvalue > 1e-3


def test_deviance_has_the_mean_of_its_degrees_of_freedom(shape: np.ndarray, model: BinnedFamily) -> None:
    toys = np.random.default_rng(2).poisson(5e6 * shape, size=(1000, shape.size))
    fits = fit_background(model, toys)
    assert fits.ndof[0] == 47
    assert fits.deviance.mean() == pytest.approx(47.0, abs=1.5)


def test_too_few_events_have_no_p_value() -> None:
    assert np.isnan(chi2_test(np.ones(4), np.ones(4), n_parameters=3).p)


def test_f_test_finds_the_order_that_made_the_data() -> None:
    families = [dijet(n, sqrt_s=SQRT_S) for n in (2, 3, 4, 5)]
    truth = BinnedFamily(families[2], EDGES).expected(np.array([0.0, 8.0, 3.0, -0.9]))
    truth *= 1e6 / truth.sum()
    rng = np.random.default_rng(3)
    chosen = [
        choose_order(Spectrum.from_counts(EDGES, rng.poisson(truth)), families).family.n_parameters for _ in range(20)
    ]
    assert min(chosen) >= 4
    assert chosen.count(4) >= 15


def test_f_test_ignores_masked_bins() -> None:
    families = [dijet(n, sqrt_s=SQRT_S) for n in (2, 3, 4)]
    truth = BinnedFamily(families[1], EDGES).expected(np.array([0.0, 10.0, 5.0]))
    counts = np.random.default_rng(4).poisson(50000 * truth / truth.sum())
    mask = (EDGES[:-1] < 3200) | (EDGES[:-1] >= 3800)
    spoiled = np.where(mask, counts, counts + 1000)
    choices = [choose_order(Spectrum.from_counts(EDGES, c), families, mask=mask) for c in (counts, spoiled)]
    assert choices[0].to_dict() == choices[1].to_dict()
    assert choices[0].family.n_parameters == 3


def test_f_test_needs_nested_families(shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.round(1000 * shape))
    with pytest.raises(StatisticsError, match="rising numbers"):
        choose_order(spectrum, [dijet(3, sqrt_s=SQRT_S), dijet(2, sqrt_s=SQRT_S)])
    with pytest.raises(StatisticsError, match="Too few filled bins"):
        choose_order(Spectrum.from_counts(EDGES, np.round(20 * shape)), [dijet(n, sqrt_s=SQRT_S) for n in (2, 3)])


def of_kind(name: str, n: int, low: float = 2000.0):
    return family(name, n, sqrt_s=SQRT_S, mass_range=(low, 7000.0))


@pytest.mark.parametrize("events", [1e3, 1e6])
def test_f_test_refuses_families_that_only_grow(shape: np.ndarray, events: float) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(5).poisson(events * shape))
    dijet2, dijet3 = dijet(2, sqrt_s=SQRT_S), dijet(3, sqrt_s=SQRT_S)
    for families in (
        [dijet2, of_kind("polynomial", 4), of_kind("exponential_polynomial", 6)],
        [dijet3, of_kind("exponential_polynomial", 5)],
        [dijet3, of_kind("ua2", 4)],
        [dijet2, dijet3, dijet(4, sqrt_s=8000.0)],
    ):
        with pytest.raises(StatisticsError, match="does not contain"):
            choose_order(spectrum, families)


def test_f_test_takes_nested_families_of_any_name(shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(6).poisson(1e4 * shape))
    for families in (
        [of_kind("exponential_polynomial", 2), of_kind("modified_exponential", 3)],
        [of_kind("ua2", 2), of_kind("dijet", 3), of_kind("atlas", 4)],
    ):
        assert choose_order(spectrum, families).family in families


@pytest.mark.parametrize("threshold", [float("nan"), -1.0, 0.0, 1.0, 5.0, "0.05"])
def test_f_test_needs_a_probability(threshold: float, shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.round(1000 * shape))
    with pytest.raises(StatisticsError, match="between 0 and 1"):
        choose_order(spectrum, [dijet(2, sqrt_s=SQRT_S), dijet(3, sqrt_s=SQRT_S)], threshold=threshold)
