"""Pulls, impacts and likelihood scans against models that can be solved by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from stats import Family, Spectrum, StatisticsError, gaussian_template, impacts, nll_scan, pulls, resonance_workspace
from stats.modelfits import ModelFits
from stats.profiling import constraints, open_fits
from tests.stats.conftest import EDGES
from tests.stats.test_toys import SCALE, SIDEBAND, counting

UNUSED = {"name": "unused", "type": "normsys", "data": {"hi": 1.0, "lo": 1.0}}
TENTH = {"name": "tenth", "type": "histosys", "data": {"hi_data": [55.0], "lo_data": [45.0]}}


def bins(observed: list[float], samples: list[tuple[str, list[float], list[dict[str, Any]]]]) -> dict[str, Any]:
    """A channel with several bins and samples; the first sample is the signal."""
    spec = counting(0.0, 1.0, bounds=(0.0, 1000.0))
    spec["channels"][0]["samples"] = [
        {"name": name, "data": data, "modifiers": modifiers} for name, data, modifiers in samples
    ]
    spec["observations"][0]["data"] = observed
    return spec


MU = {"name": "mu", "type": "normfactor", "data": None}
FREE = {"name": "free", "type": "normfactor", "data": None}
ON_OFF = bins([130.0, 400.0], [("signal", [1.0, 0.0], [MU]), ("background", [25.0, 100.0], [FREE])])


@given(st.integers(10, 200), st.floats(20.0, 100.0), st.floats(0.02, 0.15))
@settings(max_examples=15, deadline=None)
def test_one_bin_with_a_linear_nuisance_is_solved_by_hand(observed: int, background: float, share: float) -> None:
    """μ̂ = n − b, error² = n + σ², impact = ∓σ, statistical error √n: for excess and deficit alike."""
    sigma = share * background
    nuisance = {
        "name": "shape",
        "type": "histosys",
        "data": {"hi_data": [background + sigma], "lo_data": [background - sigma]},
    }
    if observed < 0.25 * background:
        observed += int(background)
    result = impacts(counting(float(observed), background, nuisance, bounds=(0.0, 1000.0)))
    assert result.strength == pytest.approx(observed - background, abs=1e-3)
    assert result.error == pytest.approx(np.sqrt(observed + sigma**2), rel=1e-4)
    assert result.statistical_error == pytest.approx(np.sqrt(observed), rel=1e-4)
    assert result.systematic_error == pytest.approx(sigma, rel=1e-3)
    (impact,) = result.ranking
    np.testing.assert_allclose(impact.postfit, [sigma, -sigma], rtol=1e-3)
    np.testing.assert_allclose(impact.prefit, [sigma, -sigma], rtol=1e-3)
    assert impact.nuisance.pull == pytest.approx(0.0, abs=1e-4)
    assert impact.nuisance.constraint == pytest.approx(1.0, abs=1e-4)


def test_pulls_of_the_background_only_fit() -> None:
    """n = 60 on b = 50 ± 5: the minimum of the likelihood in θ alone, by bisection of its slope."""
    result = pulls(counting(60.0, 50.0, TENTH))
    theta = brentq(lambda t: 5.0 * (1.0 - 60.0 / (50.0 + 5.0 * t)) + t, 0.0, 2.0)
    (nuisance,) = result.background.nuisances
    assert result.background.strength == 0.0
    assert result.background.strength_error is None
    assert nuisance.pull == pytest.approx(theta, abs=1e-4)
    assert nuisance.constraint == pytest.approx(1.0 / np.sqrt(25.0 * 60.0 / (50.0 + 5.0 * theta) ** 2 + 1.0), rel=1e-3)
    assert result.best.twice_nll < result.background.twice_nll


def test_a_poisson_constraint_has_its_auxiliary_measurement_as_nominal_value() -> None:
    """7 of 50 uncertain: a control measurement of 51 events in units of 1."""
    fits = ModelFits(counting(50.0, 50.0, SIDEBAND))
    nominal, widths = constraints(fits)
    place = fits.names.index("sideband[0]")
    assert nominal[place] == pytest.approx(1.0)
    assert widths[place] == pytest.approx(7.0 / 50.0)
    assert np.isnan(nominal[fits.poi])


def test_a_nuisance_without_effect_stays_where_it_was() -> None:
    result = impacts(counting(60.0, 50.0, UNUSED, SCALE))
    last = result.ranking[-1]
    assert last.nuisance.name == "unused"
    assert last.nuisance.pull == pytest.approx(0.0, abs=1e-6)
    assert last.nuisance.constraint == pytest.approx(1.0, abs=1e-6)
    assert last.largest == pytest.approx(0.0, abs=1e-3)
    assert result.ranking[0].nuisance.name == "scale"


def test_free_parameters_have_no_pull_but_an_impact() -> None:
    """On/off counting, τ = 4: μ̂ = n − m/τ with error² = n + m/τ², all of it statistical."""
    result = impacts(ON_OFF)
    (impact,) = result.ranking
    assert result.strength == pytest.approx(30.0, abs=1e-3)
    assert result.error == pytest.approx(np.sqrt(130 + 400 / 16), rel=1e-4)
    assert result.statistical_error == pytest.approx(result.error, rel=1e-9)
    assert impact.nuisance.pull is None
    assert impact.nuisance.constraint is None
    assert impact.nuisance.error == pytest.approx(0.2, rel=1e-3)
    assert impact.prefit == (None, None)
    np.testing.assert_allclose(impact.postfit, [5.0, -5.0], rtol=1e-3)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["ranking"][0]["pull"] is None


def test_correlations_are_those_of_on_and_off_counts() -> None:
    best = pulls(ON_OFF).best
    assert sorted(best.names) == ["free", "mu"]
    np.testing.assert_allclose(np.diag(best.correlation), 1.0)
    assert best.correlation[0, 1] == pytest.approx(-5.0 / np.sqrt(155.0), rel=1e-4)


def test_parameters_at_a_bound_have_no_error() -> None:
    """A 1% scale on 100 events that should be 10,000 ends at its bound of five standard deviations."""
    scale = {"name": "scale", "type": "normsys", "data": {"hi": 1.01, "lo": 0.99}}
    (nuisance,) = pulls(counting(10_000.0, 100.0, scale, bounds=(0, 1e5))).background.nuisances
    assert nuisance.at_bound
    assert nuisance.value == pytest.approx(5.0)
    assert nuisance.error is None
    assert nuisance.constraint is None


def test_the_strength_is_signed_only_where_asked_for() -> None:
    spec = counting(40.0, 50.0, TENTH)
    assert pulls(spec).best.strength == pytest.approx(-10.0, abs=1e-3)
    bounded = pulls(spec, signed=False).best
    assert bounded.strength == 0.0
    assert bounded.strength_error is None


def test_differences_replace_missing_derivatives() -> None:
    """Models that only pyhf can evaluate have the same errors, to 10⁻³."""
    fits = open_fits(counting(60.0, 50.0, SCALE, SIDEBAND), signed=True)
    found = fits.fit(fits.data)
    assert found is not None
    free = np.arange(found[0].size)
    exact = fits.hessian(found[0], free)
    fits.compiled = None
    scale = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(
        fits.hessian(found[0], free) / np.outer(scale, scale), exact / np.outer(scale, scale), atol=1e-3
    )
    again = fits.fit(fits.data)
    assert again is not None
    assert again[1] == pytest.approx(found[1], abs=1e-6)


def test_the_scan_of_a_count_is_the_poisson_likelihood() -> None:
    """2 Δ log L = 2 (E − n − n log(E/n)), E = μ + b; the intervals are where it is 1 and 4."""
    n, b = 60.0, 50.0

    def exact(mu: float) -> float:
        return 2.0 * (mu + b - n - n * np.log((mu + b) / n))

    values = np.linspace(-15.0, 45.0, 7)
    scan = nll_scan(counting(n, b), values=values)
    np.testing.assert_allclose(scan.twice_delta_nll, [exact(mu) for mu in values], atol=1e-6)
    for level, (low, high) in zip((1.0, 4.0), scan.intervals, strict=True):
        assert low == pytest.approx(brentq(lambda mu: exact(mu) - level, -40.0, 10.0), abs=2e-3)  # noqa: B023
        assert high == pytest.approx(brentq(lambda mu: exact(mu) - level, 10.0, 60.0), abs=2e-3)  # noqa: B023
    assert scan.best == pytest.approx(10.0, abs=1e-3)
    assert scan.failed_fits == 0


def test_the_scan_of_a_nuisance_and_of_one_bound_on_a_side() -> None:
    scan = nll_scan(counting(40.0, 50.0, TENTH), "tenth")
    assert scan.parameter == "tenth"
    assert scan.values.size == 31
    np.testing.assert_allclose(scan.intervals[0], [-1.0, 1.0], atol=1e-3)
    bounded = nll_scan(counting(40.0, 50.0, TENTH), signed=False)
    assert bounded.intervals[0][0] is None
    assert bounded.intervals[0][1] is not None
    assert bounded.values[0] == 0.0
    assert json.loads(json.dumps(bounded.to_dict(), allow_nan=False))["intervals"]["1"][0] is None


def test_failed_points_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ModelFits.fit

    def fit(self: ModelFits, data: np.ndarray, **arguments: Any) -> Any:
        broken = (arguments.get("fixed") or {}).get(self.poi) == 12.0
        return None if broken else original(self, data, **arguments)

    monkeypatch.setattr(ModelFits, "fit", fit)
    scan = nll_scan(counting(60.0, 50.0), values=[5.0, 12.0, 20.0])
    assert scan.failed_fits == 1
    assert np.isnan(scan.twice_delta_nll[1])
    assert scan.to_dict()["twice_delta_nll"][1] is None


def test_a_resonance_has_consistent_errors(shape: np.ndarray, family: Family) -> None:
    """Interval and Hessian agree within 5%; impacts add up to the systematic error, within 10%."""
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    counts = np.random.default_rng(1).poisson(20_000 * shape + 100 * template)
    spec = resonance_workspace(Spectrum.from_counts(EDGES, counts), family, mass=3500.0, width=0.03)
    scan, result = nll_scan(spec), impacts(spec)
    low, high = scan.intervals[0]
    assert low is not None
    assert high is not None
    assert result.error is not None
    assert 0.5 * (high - low) == pytest.approx(result.error, rel=0.05)
    sizes = np.array([impact.largest for impact in result.ranking])
    assert np.all(np.diff(sizes) <= 0)
    total = np.sqrt((sizes**2).sum())
    assert total == pytest.approx(result.systematic_error, rel=0.1)
    assert result.failed_fits == 0


def test_what_cannot_be_answered_is_refused() -> None:
    spec = counting(60.0, 50.0, TENTH)
    with pytest.raises(StatisticsError, match="no parameter 'missing'; it has"):
        nll_scan(spec, "missing")
    with pytest.raises(StatisticsError, match="within its bounds"):
        nll_scan(spec, "tenth", values=[0.0, 7.0])
    with pytest.raises(StatisticsError, match="does not accept"):
        pulls({"channels": []})
    empty = counting(60.0, 50.0, TENTH)
    empty["channels"][0]["samples"][0]["data"] = [0.0]
    with pytest.raises(StatisticsError, match="expects a signal"):
        pulls(empty)
    flat = bins([130.0], [("signal", [1.0], [MU]), ("background", [100.0], [FREE])])
    with pytest.raises(StatisticsError, match="no errors"):
        pulls(flat)
