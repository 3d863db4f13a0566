from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from stats import BinnedFamily, Spectrum, StatisticsError, chi2_test, choose_order, dijet, fit_background
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
