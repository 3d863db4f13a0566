"""Toy limits and p-values against exact Poisson answers at low counts and asymptotic ones at high counts."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import poisson

from stats import StatisticsError, ToyLimit, statistic_toys, toy_discovery, toy_limit
from stats.modelfits import ModelFits
from stats.teststatistics import Hypotheses, draw_toys


def counting(
    observed: float, background: float, *modifiers: dict[str, Any], bounds: tuple[float, float] = (0.0, 20.0)
) -> dict[str, Any]:
    """One bin with a signal of mu events."""
    signal = {"name": "signal", "data": [1.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]}
    rest = {"name": "background", "data": [background], "modifiers": list(modifiers)}
    parameters = [{"name": "mu", "bounds": [list(bounds)], "inits": [max(1.0, bounds[0])]}]
    return {
        "version": "1.0.0",
        "channels": [{"name": "bin", "samples": [signal, rest]}],
        "observations": [{"name": "bin", "data": [observed]}],
        "measurements": [{"name": "counting", "config": {"poi": "mu", "parameters": parameters}}],
    }


SCALE = {"name": "scale", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
SIDEBAND = {"name": "sideband", "type": "shapesys", "data": [7.0]}


def exact_limit(observed: int, background: float) -> float:
    """CLs of a counting experiment: P(n ≤ observed | s + b) / P(n ≤ observed | b) = 0.05."""
    none = poisson.cdf(observed, background)
    return float(brentq(lambda s: poisson.cdf(observed, s + background) / none - 0.05, 0.01, 100.0))


def errors_away(limit: ToyLimit, expected: list[float]) -> np.ndarray:
    """Distances of the six limits from ``expected`` in statistical errors."""
    assert limit.expected is not None
    assert limit.expected_errors is not None
    found = np.array([limit.observed, *limit.expected])
    return (found - expected) / np.array([limit.observed_error, *limit.expected_errors])


@pytest.mark.parametrize("observed", [0, 3])
def test_limits_of_a_counting_experiment_are_the_exact_ones(observed: int) -> None:
    """Background 1: observed and all expected limits within 4 statistical errors, which are below 2.5%."""
    limit = toy_limit(counting(observed, 1.0), toys=20_000, rng=np.random.default_rng(1))
    outcomes = [observed, *(int(poisson.ppf(q, 1.0)) for q in (0.0228, 0.1587, 0.5, 0.8413, 0.9772))]
    exact = [exact_limit(n, 1.0) for n in outcomes]
    if observed == 0:
        assert exact[0] == pytest.approx(-np.log(0.05))
    assert np.abs(errors_away(limit, exact)).max() < 4
    assert limit.observed_error < 0.025 * limit.observed
    assert limit.failed == 0


def test_a_gap_between_given_strengths_is_not_interpolated() -> None:
    """No event on 1, tested at 0.1 and 50: not 22 but unknown; nor where no toy with a signal reaches the data."""
    for strengths in ([0.1, 50.0], [50.0]):
        with pytest.raises(StatisticsError, match="too wide to interpolate"):
            toy_limit(counting(0, 1.0), toys=1000, rng=np.random.default_rng(1), strengths=strengths, expected=False)
    with pytest.raises(StatisticsError, match="take more toys"):
        toy_limit(counting(0, 1.0), toys=20, rng=np.random.default_rng(1), strengths=[2.2, 2.9], expected=False)


def test_the_observed_limit_is_kept_where_expected_ones_are_not_reached() -> None:
    strengths = np.geomspace(2.4, 4.4, 4).tolist()  # the limit expected at +2 standard deviations is 6.7
    limit = toy_limit(counting(0, 1.0), toys=2000, rng=np.random.default_rng(1), strengths=strengths)
    assert limit.observed == pytest.approx(-np.log(0.05), rel=0.1)
    assert limit.expected is not None
    assert np.isnan(limit.expected[4])
    assert "No expected +2σ limit: CLs stays above 0.05 up to a strength of 4.4: test larger ones." in limit.notes
    result = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert result["expected"][4] is None
    assert result["expected_errors"][4] is None
    assert result["notes"] == list(limit.notes)


def test_data_far_below_the_background_have_expected_limits_only() -> None:
    """An empty window on 11 expected events: CLb is 0 of 1000, and no larger strength would help."""
    limit = toy_limit(counting(0, 11.0), toys=1000, rng=np.random.default_rng(1))
    assert np.isnan(limit.observed)
    assert limit.to_dict()["observed"] is None
    assert limit.expected is not None
    assert np.isfinite(limit.expected).all()
    assert limit.expected[2] == pytest.approx(exact_limit(11, 11.0), rel=0.1)
    assert len(limit.notes) == 1
    assert "far below the expected background" in limit.notes[0]
    assert "larger" not in limit.notes[0]


def test_limits_in_fb_are_those_in_events_over_events_per_fb() -> None:
    spec = counting(0, 1.0)
    spec["channels"][0]["samples"][0]["data"] = [400.0]
    limit = toy_limit(spec, toys=4000, rng=np.random.default_rng(1), expected=False, unit="fb")
    assert limit.to_dict()["unit"] == "fb"
    assert abs(limit.observed + np.log(0.05) / 400) < 4 * limit.observed_error
    assert limit.observed_error < 0.05 * limit.observed


def test_asymptotic_limits_are_far_off_where_toys_are_exact() -> None:
    limit = toy_limit(counting(0, 1.0), toys=2000, rng=np.random.default_rng(1), expected=False)
    assert limit.asymptotic is not None
    assert limit.asymptotic.observed < 0.85 * limit.observed
    assert limit.expected is None
    assert limit.to_dict()["expected"] is None


def test_limits_at_high_counts_are_the_asymptotic_ones() -> None:
    """1000 events without nuisances: all six limits within 4 statistical errors and 2%."""
    limit = toy_limit(counting(1020, 1000.0, bounds=(0, 500)), toys=20_000, rng=np.random.default_rng(2))
    assert limit.asymptotic is not None
    reference = np.array([limit.asymptotic.observed, *limit.asymptotic.expected])
    away = errors_away(limit, reference.tolist())
    assert limit.expected is not None
    relative = np.array([limit.observed, *limit.expected]) / reference - 1
    assert np.all((np.abs(away) < 4) | (np.abs(relative) < 0.02))


@pytest.mark.parametrize("modifier", [SCALE, SIDEBAND])
def test_limits_with_a_nuisance_parameter(modifier: dict[str, Any]) -> None:
    """100 expected events, 10% or 7% uncertainty: the observed limit within 3 errors of the asymptotic one and 10%."""
    spec = counting(105, 100.0, modifier, bounds=(0, 200))
    centre = 50.0 if modifier is SCALE else 35.0
    limit = toy_limit(
        spec, toys=600, rng=np.random.default_rng(3), strengths=centre * np.geomspace(0.5, 1.4, 5), expected=False
    )
    from stats import upper_limit

    reference = upper_limit(spec).observed
    assert abs(limit.observed - reference) < 3 * limit.observed_error
    assert limit.observed == pytest.approx(reference, rel=0.1)
    assert limit.failed == 0


def test_the_scan_is_kept_and_results_are_json() -> None:
    limit = toy_limit(counting(2, 1.5), toys=2000, rng=np.random.default_rng(4))
    strengths = [point[0] for point in limit.scan]
    assert strengths == sorted(strengths)
    assert len(strengths) >= 8
    result = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert result["scan"][0] == list(limit.scan[0][:3])
    assert result["n_toys"] == 2000 * (len(strengths) + 1)
    for _, cls, error, expected in limit.scan:
        assert np.all(np.diff(expected) > -0.01)
        assert 0 <= error <= max(cls, 1e-3)


def test_seeds_decide_and_global_random_numbers_are_left_alone() -> None:
    spec, state = counting(3, 2.0, SCALE), np.random.get_state()[1].copy()  # noqa: NPY002

    def run(seed: int) -> dict[str, Any]:
        return toy_limit(
            spec, toys=60, rng=np.random.default_rng(seed), strengths=[4.0, 5.0, 6.5, 8.0], expected=False
        ).to_dict()

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_the_number_of_processes_changes_nothing() -> None:
    spec = counting(3, 2.0, SCALE)
    one, two = (statistic_toys(spec, 5.0, toys=150, rng=np.random.default_rng(5), workers=n) for n in (1, 2))
    assert np.array_equal(one.signal, two.signal)
    assert np.array_equal(one.background, two.background)


def test_auxiliary_data_fluctuate_as_pyhf_says() -> None:
    """Means and widths of toys are those of the model's own density: normal and Poisson constraints, 4 errors."""
    fits = ModelFits(counting(50, 50.0, SCALE, SIDEBAND))
    point = np.where(np.array(fits.names) == "mu", 5.0, fits.initial + 0.3)
    toys = draw_toys(fits, point, 20_000, np.random.default_rng(6))
    expected = fits.expected(point)
    order = fits.model.config.auxdata_order
    variances = [expected[0], *(1.0 if name == "scale" else expected[1 + k] for k, name in enumerate(order))]
    assert sorted(order) == ["scale", "sideband"]
    assert toys.shape == (20_000, 3)
    assert np.all(np.abs(toys.mean(axis=0) - expected) < 4 * np.sqrt(np.array(variances) / 20_000))
    np.testing.assert_allclose(toys.var(axis=0), variances, rtol=0.05)


def test_statistics_follow_the_asymptotic_distributions_at_high_counts() -> None:
    """Tails of q̃ with and without a signal at three values, within 4 binomial errors of 1500 toys and 0.01."""
    toys = statistic_toys(
        counting(1000, 1000.0, SCALE, bounds=(0, 1000)), 200.0, toys=1500, rng=np.random.default_rng(7)
    )
    points = np.array([0.3, 1.5, 4.0])
    for sample, tails in zip((toys.signal, toys.background), toys.asymptotic_tails(points), strict=True):
        found = (sample[:, None] >= points).mean(axis=0)
        assert np.all(np.abs(found - tails) < 4 * np.sqrt(tails * (1 - tails) / 1500) + 0.01)


def failing(monkeypatch: pytest.MonkeyPatch, share: int) -> None:
    """Let fits of toys fail by the digits of their auxiliary measurement: one in ``share``."""
    original = ModelFits.fit

    def fit(self: ModelFits, data: np.ndarray, **settings: Any) -> Any:
        broken = not np.array_equal(data, self.data) and data[1] != 0 and int(abs(data[1]) * 1000) % share == 0
        return None if broken else original(self, data, **settings)

    def none(self: ModelFits, data: np.ndarray, *_: Any) -> np.ndarray:
        return np.full((len(data), self.initial.size + 1), np.nan)

    monkeypatch.setattr(ModelFits, "fit", fit)
    monkeypatch.setattr(ModelFits, "_batch_fit", none)


def test_failed_toys_are_counted_against_the_result(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spec, settings = (
        counting(5, 4.0, SCALE),
        {"toys": 200, "strengths": [4.0, 5.0, 6.5, 8.0, 10.0, 12.5, 16.0, 20.0], "expected": False},
    )
    before = toy_limit(spec, rng=np.random.default_rng(8), **settings)  # type: ignore[arg-type]
    discovery = toy_discovery(spec, toys=200, rng=np.random.default_rng(8))
    failing(monkeypatch, 125)
    with caplog.at_level(logging.WARNING):
        after = toy_limit(spec, rng=np.random.default_rng(8), **settings)  # type: ignore[arg-type]
    failing(monkeypatch, 20)
    later = toy_discovery(spec, toys=200, rng=np.random.default_rng(8))
    assert before.failed == 0
    assert after.failed > 0
    assert after.failure_rate == pytest.approx(after.failed / after.n_toys)
    assert after.observed >= before.observed
    assert later.failed > 0
    assert later.p0 >= discovery.p0
    assert "have no fit" in caplog.text


def test_discovery_of_a_counting_experiment_is_the_poisson_probability() -> None:
    result = toy_discovery(counting(12, 5.0), toys=50_000, rng=np.random.default_rng(9))
    exact = poisson.sf(11, 5.0)
    assert abs(result.p0 - exact) < 4 * np.sqrt(exact / 50_000)
    assert result.p0 == (result.exceeding + 1) / 50_001
    assert result.low < result.p0 < result.high
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["exceeding"] == result.exceeding


def test_discovery_of_deficits_and_of_signals_beyond_all_toys() -> None:
    deficit = toy_discovery(counting(2, 5.0), toys=100, rng=np.random.default_rng(10))
    assert deficit.p0 == 1.0
    assert json.dumps(deficit.to_dict(), allow_nan=False)
    strong = toy_discovery(counting(60, 5.0), toys=100, rng=np.random.default_rng(10))
    assert strong.is_bound
    assert strong.p0 == pytest.approx(1 / 101)
    assert strong.best_fit == pytest.approx(55.0, rel=1e-4)


def test_discovery_with_a_nuisance_is_near_the_asymptotic_one() -> None:
    result = toy_discovery(counting(125, 100.0, SCALE), toys=1500, rng=np.random.default_rng(11))
    assert result.low * 0.7 < result.asymptotic_p0 < result.high * 1.3
    assert result.failed == 0


def test_empty_data_and_empty_expectations() -> None:
    """No events on no background: every toy without a signal is the data, CLs = exp(−mu)."""
    limit = toy_limit(
        counting(0, 0.0), toys=5000, rng=np.random.default_rng(12), strengths=[2.0, 2.8, 3.2, 4.0], expected=False
    )
    assert abs(limit.observed - 2.9957) < 4 * limit.observed_error


def test_what_cannot_be_answered_is_refused() -> None:
    spec, rng = counting(3, 2.0), np.random.default_rng(13)
    with pytest.raises(StatisticsError, match="positive whole number"):
        toy_limit(spec, toys=0, rng=rng)
    with pytest.raises(StatisticsError, match="random numbers"):
        toy_discovery(spec, toys=10, rng=np.random)  # type: ignore[arg-type]
    with pytest.raises(StatisticsError, match="between 0 and 1"):
        toy_limit(spec, toys=10, rng=rng, level=0.0)
    with pytest.raises(StatisticsError, match="take 880 at the very least"):
        toy_limit(spec, toys=500, rng=rng)
    with pytest.raises(StatisticsError, match="positive and finite"):
        toy_limit(spec, toys=1000, rng=rng, strengths=[1.0, -2.0])
    with pytest.raises(StatisticsError, match="stays above"):
        toy_limit(spec, toys=100, rng=rng, strengths=[0.5, 1.0], expected=False)
    with pytest.raises(StatisticsError, match="positive and finite"):
        statistic_toys(spec, -1.0, toys=10, rng=rng)
    with pytest.raises(StatisticsError, match="bounded from below"):
        Hypotheses(ModelFits(counting(3, 2.0, bounds=(0.5, 10.0))))
