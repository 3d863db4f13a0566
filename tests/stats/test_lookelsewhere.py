from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, kstest, norm

from stats import (
    BinnedFamily,
    Gaussian,
    StatisticsError,
    binomial_interval,
    fit_background,
    gross_vitells_p,
    scan,
    toy_p,
)
from stats.lookelsewhere import ToyScans, run_toys
from stats.procedures import LikelihoodScan
from stats.scan import euler_characteristic
from stats.signals import scan_templates
from tests.stats.conftest import EDGES

MASSES = np.linspace(2300.0, 5300.0, 31)


def scans(largest: np.ndarray) -> ToyScans:
    return ToyScans(largest, np.zeros((largest.size, 2)), int(np.isinf(largest).sum()))


def test_p_counts_toys_and_says_when_it_is_a_bound() -> None:
    toys = scans(np.array([0.5, 1.0, 2.0, 3.0]))
    assert toy_p(2.0, toys).value == pytest.approx(3 / 5)
    bound = toy_p(9.0, toys)
    assert bound.value == pytest.approx(1 / 5)
    assert bound.is_bound
    assert bound.low == 0.0
    assert bound.high >= bound.value


def test_failed_toys_never_help() -> None:
    """They count against a discovery, but say nothing of where the fitted toys end."""
    largest = np.append(np.linspace(0.0, 3.0, 19), np.inf)
    beyond = toy_p(5.0, scans(largest))
    assert (beyond.exceeding, beyond.failed, beyond.value) == (1, 1, 2 / 21)
    assert beyond.is_bound
    assert beyond.low == 0.0
    reached = toy_p(3.0, scans(largest))
    assert (reached.exceeding, reached.value) == (2, 3 / 21)
    assert not reached.is_bound
    assert reached.low == binomial_interval(1, 20)[0]
    assert reached.high == binomial_interval(2, 20)[1]


@pytest.mark.parametrize(("failed", "outcome"), [(1, "silent"), (2, "warned"), (100, "warned"), (101, "refused")])
def test_many_failed_toys_are_said(failed: int, outcome: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of 1000 toys: above 0.1% a warning, above 10% no p-value at all."""
    toys = scans(np.append(np.zeros(1000 - failed), np.full(failed, np.inf)))
    if outcome == "refused":
        with pytest.raises(StatisticsError, match="101 of 1000 toys have a failed fit, more than 10%"):
            toy_p(1.0, toys)
        return
    assert toy_p(1.0, toys).value == (failed + 1) / 1001
    assert (outcome == "warned") == (f"{failed} of 1000 toys have a failed fit" in caplog.text)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10)])
def test_interval_is_clopper_pearson(successes: int, trials: int) -> None:
    low, high = binomial_interval(successes, trials, probability=0.9)
    if successes:
        assert binom.sf(successes - 1, trials, low) == pytest.approx(0.05)
    if successes < trials:
        assert binom.cdf(successes, trials, high) == pytest.approx(0.05)


def test_euler_characteristic_counts_islands_less_holes() -> None:
    line = np.array([[[1, 1, -1, 1, -1, 1]]], dtype=float) * 2
    assert euler_characteristic(line)[0].tolist() == [3, 3]
    ring = np.full((1, 3, 3), 2.0)
    ring[0, 1, 1] = -1.0
    assert euler_characteristic(ring)[0].tolist() == [0, 0]
    missing = np.where(ring < 0, np.nan, ring)
    assert euler_characteristic(missing)[0].tolist() == [0, 0]


def test_global_p_of_independent_toys_is_uniform(shape: np.ndarray, model: BinnedFamily) -> None:
    """600 pseudo-data sets against 3000 calibrating toys of the true background; each is scanned like data."""
    templates = scan_templates(EDGES, MASSES, [Gaussian(0.03)])
    truth = fit_background(model, 5000 * shape)
    calibration = run_toys(LikelihoodScan(truth, templates), toys=3000, rng=np.random.default_rng(1))
    data = np.random.default_rng(2).poisson(5000 * shape, size=(600, shape.size))
    largest = scan(fit_background(model, data), templates).largest
    p = [toy_p(z, calibration).value for z in largest]
    assert calibration.failed == 0
    assert kstest(p, "uniform").pvalue > 1e-3


def test_gross_vitells_agrees_with_toys_at_two_and_a_half_sigma(shape: np.ndarray, model: BinnedFamily) -> None:
    """Within 35%: the extrapolation knows a continuous mass, the toys a grid of it."""
    background = fit_background(model, 2000 * shape)
    for widths in ([0.05], [0.03, 0.05]):
        templates = scan_templates(EDGES, MASSES, [Gaussian(width) for width in widths])
        toys = run_toys(LikelihoodScan(background, templates), toys=1500, rng=np.random.default_rng(3))
        exact = toy_p(2.5, toys)
        extrapolated = gross_vitells_p(2.5, toys, two_dimensional=len(widths) > 1)
        assert extrapolated.value == pytest.approx(exact.value, rel=0.35)
        assert extrapolated.value > norm.sf(2.5)
        assert extrapolated.low < extrapolated.value < extrapolated.high


def test_toys_come_from_one_spectrum(shape: np.ndarray, model: BinnedFamily) -> None:
    templates = scan_templates(EDGES, MASSES, [Gaussian(0.03)])
    both = fit_background(model, np.stack([5000 * shape, 5000 * shape]))
    with pytest.raises(StatisticsError, match="one spectrum"):
        run_toys(LikelihoodScan(both, templates), toys=10, rng=np.random.default_rng(1))
    with pytest.raises(StatisticsError, match="positive"):
        run_toys(LikelihoodScan(fit_background(model, 5000 * shape), templates), toys=0, rng=np.random.default_rng(1))
