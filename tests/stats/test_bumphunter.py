from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm, poisson

from stats import BinnedFamily, BumpHunter, Family, Spectrum, StatisticsError, bump_hunt, dijet, fit_background
from stats.bumphunter import BumpHunterScan, minus_log_p
from tests.stats.conftest import EDGES, SQRT_S

NARROW = BumpHunter(widths=range(2, 6))


def test_windows_are_all_places_of_every_width() -> None:
    windows = BumpHunter(widths=[1, 3]).windows(5)
    assert windows.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [0, 3], [1, 4], [2, 5]]
    assert len(BumpHunter().windows(10)) == 9 + 8 + 7 + 6
    assert BumpHunter(widths=[2], step=3).windows(8).tolist() == [[0, 2], [3, 5], [6, 8]]
    assert BumpHunter(widths=[2], exclude=True).windows(7).tolist() == [[2, 4], [3, 5]]


@pytest.mark.parametrize("widths", [[], [0], [3, 2], [1.5], [51]])
def test_impossible_windows_are_refused(widths: list) -> None:
    with pytest.raises(StatisticsError, match="whole numbers of bins"):
        BumpHunter(widths=widths).windows(50)
    with pytest.raises(StatisticsError, match="at least one bin"):
        BumpHunter(step=0).windows(50)
    with pytest.raises(StatisticsError, match="either side"):
        BumpHunter(widths=[20], exclude=True).windows(50)


@given(st.integers(0, 400), st.floats(1e-3, 300.0))
def test_p_is_poisson(observed: int, expected: float) -> None:
    found = minus_log_p(np.array([float(observed)]), np.array([expected]))[0]
    exact = -poisson.logsf(observed - 1, expected) if observed > expected else 0.0
    if np.isfinite(exact) and exact < 600:
        assert found == pytest.approx(exact, rel=1e-6, abs=1e-12)
    else:
        assert found > 600


def test_p_below_the_range_of_floats_keeps_its_logarithm() -> None:
    found = minus_log_p(np.array([900.0, 2000.0, 5.0]), np.array([150.0, 150.0, 0.0]))
    terms = poisson.logpmf(np.arange(900, 3000), 150.0)
    assert found[0] == pytest.approx(-np.logaddexp.reduce(terms), rel=1e-4)
    assert found[1] > found[0]
    assert np.isfinite(found[2])
    assert np.isnan(minus_log_p(np.array([1.0]), np.array([np.nan]))[0])


def brute_force(counts: np.ndarray, expected: np.ndarray, widths: range) -> float:
    return max(
        -poisson.logsf(counts[first : first + w].sum() - 1, expected[first : first + w].sum())
        if counts[first : first + w].sum() > expected[first : first + w].sum()
        else 0.0
        for w in widths
        for first in range(counts.size - w + 1)
    )


def test_the_statistic_is_the_smallest_p_of_all_windows(shape: np.ndarray, model: BinnedFamily) -> None:
    background = fit_background(model, 3000 * shape)
    toys = np.random.default_rng(1).poisson(3000 * shape, size=(10, 50)).astype(float)
    found = BumpHunterScan(background, NARROW)(toys)
    for toy, statistic in zip(toys, found.largest, strict=True):
        # the background is fitted again, to this toy
        refitted = fit_background(model, toy, reference=background).expected[0]
        assert statistic == pytest.approx(brute_force(toy, refitted, range(2, 6)), rel=1e-6)


def test_a_bump_is_found_where_it_is(shape: np.ndarray, family: Family) -> None:
    counts = np.random.default_rng(2).poisson(20000 * shape).astype(float)
    counts[15:17] += 100
    spectrum = Spectrum.from_counts(EDGES, counts)
    for windows in (NARROW, BumpHunter(widths=range(2, 6), sidebands=True), BumpHunter(widths=[2, 3], exclude=True)):
        hunt = bump_hunt(
            spectrum,
            family,
            masses=[3400.0, 3600.0],
            statistic="bumphunter",
            windows=windows,
            toys=100,
            rng=np.random.default_rng(3),
        )
        assert hunt.bump is not None
        assert hunt.bump.low <= EDGES[15]
        assert hunt.bump.high >= EDGES[17]
        assert hunt.bump.z == pytest.approx(norm.isf(hunt.bump.p))
        result = json.loads(json.dumps(hunt.to_dict(), allow_nan=False))
        assert result["statistic"] == "bumphunter"
        assert result["global_p"]["is_bound"]
        assert result["bumphunter"]["observed"] > result["bumphunter"]["expected"]
        assert "gross_vitells" not in result


def test_leaving_the_window_out_of_the_fit_makes_its_bump_larger(shape: np.ndarray, family: Family) -> None:
    counts = 20000 * shape
    counts[14:18] += 60
    spectrum = Spectrum.from_counts(EDGES, np.round(counts))
    bumps = [
        bump_hunt(spectrum, family, masses=[3500.0], statistic="bumphunter", windows=windows).bump
        for windows in (BumpHunter(widths=[4]), BumpHunter(widths=[4], exclude=True))
    ]
    assert bumps[0] is not None
    assert bumps[1] is not None
    assert (bumps[0].low, bumps[1].low) == (EDGES[14], EDGES[14])
    assert bumps[1].statistic > bumps[0].statistic
    assert bumps[1].expected == pytest.approx(20000 * family_sum(shape, 14, 18), rel=0.03)


def family_sum(shape: np.ndarray, first: int, last: int) -> float:
    return float(shape[first:last].sum())


def test_sidebands_reject_an_edge_but_not_a_bump(shape: np.ndarray, model: BinnedFamily) -> None:
    background = fit_background(model, 5000 * shape)
    step = 5000 * shape
    step[20:24] *= 6.0
    broad = BumpHunterScan(background, BumpHunter(widths=[2], sidebands=True)).table(fit_background(model, step))
    inner = [[21, 23]]
    index = next(i for i, window in enumerate(broad.windows.tolist()) if window == inner[0])
    free = BumpHunterScan(background, BumpHunter(widths=[2])).table(fit_background(model, step))
    assert free.statistic[0, index] > 15
    assert broad.statistic[0, index] == 0


def test_masked_and_empty_bins_take_no_part(shape: np.ndarray, family: Family) -> None:
    counts = np.random.default_rng(4).poisson(5000 * shape).astype(float)
    mask = np.ones(50, dtype=bool)
    mask[20:23] = False
    spoiled = counts.copy()
    spoiled[~mask] = 1000.0
    hunts = [
        bump_hunt(Spectrum.from_counts(EDGES, c), family, masses=[3000.0], mask=mask, statistic="bumphunter")
        for c in (counts, spoiled)
    ]
    assert hunts[0].bump is not None
    assert hunts[1].bump is not None
    assert hunts[0].bump.statistic == pytest.approx(hunts[1].bump.statistic, rel=1e-6)


def test_global_p_is_uniform(shape: np.ndarray) -> None:
    """150 spectra, each with 99 toys from its own fit that refit the background, independent seeds; 300 events.

    The p-values are multiples of 1/100; KS against uniform at 10⁻³ allows for D < 0.16, of which the grain is 0.01.
    """
    family = dijet(2, sqrt_s=SQRT_S)
    data = np.random.default_rng(5).poisson(300 * shape[::2], size=(150, 25))
    rngs = np.random.default_rng(6).spawn(150)
    p, failed = [], 0
    for counts, rng in zip(data, rngs, strict=True):
        spectrum = Spectrum.from_counts(np.linspace(2000.0, 7000.0, 26), counts)
        hunt = bump_hunt(spectrum, family, masses=[4500.0], statistic="bumphunter", windows=NARROW, toys=99, rng=rng)
        assert hunt.global_p is not None
        p.append(hunt.global_p.value)
        failed += hunt.global_p.failed
    assert failed < 1e-3 * 150 * 99
    assert kstest(p, "uniform").pvalue > 1e-3


def test_the_statistic_has_to_be_known(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(7).poisson(5000 * shape))
    with pytest.raises(StatisticsError, match="likelihood, bumphunter"):
        bump_hunt(spectrum, family, masses=[3000.0], statistic="bumps")
    with pytest.raises(StatisticsError, match="windows are those"):
        bump_hunt(spectrum, family, masses=[3000.0], windows=NARROW)
    with pytest.raises(StatisticsError, match="whole numbers of bins"):
        bump_hunt(spectrum, family, masses=[3000.0], statistic="bumphunter", windows=BumpHunter(widths=[60]))
