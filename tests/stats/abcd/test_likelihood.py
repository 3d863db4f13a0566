"""The likelihood form reproduces the estimates, takes contamination off, and keeps its promises about limits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyhf
import pytest

from stats import StatisticsError, upper_limit
from stats.abcd import (
    Plane,
    Regions,
    abcd_workspace,
    estimate,
    extended_regions,
    fitted_background,
    plain_regions,
    with_region_a,
)
from stats.asymptotics import open_workspace
from stats.minimiser import pyhf_session

PLAIN = plain_regions(Plane(np.array([[900.0, 100.0], [300.0, 45.0]])))
EXTENDED = extended_regions(Plane(np.array([[500.0, 40.0], [400.0, 60.0], [100.0, 30.0]])))
BOTH = pytest.mark.parametrize("regions", [PLAIN, EXTENDED], ids=["plain", "extended"])


def regions_of(counts: dict[str, float]) -> Regions:
    return Regions(counts, counts, is_counts=True)


@BOTH
def test_workspace_is_plain_json_in_pyhfs_schema(regions: Regions) -> None:
    workspace = abcd_workspace(regions, signal_systematics={"efficiency": 0.1})
    assert json.loads(json.dumps(workspace)) == workspace
    open_workspace(workspace)  # refuses what the schema does not know
    assert [channel["name"] for channel in workspace["channels"]] == list(
        "ABCD" if regions is PLAIN else ("A", "B", "C", "D", "B_far", "D_far")
    )


@BOTH
def test_background_obeys_the_estimate_at_every_point(regions: Regions) -> None:
    """Random parameters: A is what the estimate's formula makes of the other regions."""
    model, _ = open_workspace(abcd_workspace(regions, closure=0.0))
    rng = np.random.default_rng(1)
    for _ in range(20):
        point = rng.uniform(0.2, 3.0, model.config.npars)
        point[model.config.poi_index] = 0.0
        expected = model.expected_actualdata(point)
        # pyhf orders channels by name
        background = dict(zip(model.config.channels, map(float, expected), strict=True))
        powers = regions.powers.items()
        assert background["A"] == pytest.approx(float(np.prod([background[n] ** power for n, power in powers])))


@BOTH
def test_unblinded_fit_with_signal_in_a_alone_reproduces_the_estimate(regions: Regions) -> None:
    predicted = estimate(regions).predicted
    workspace = abcd_workspace(regions)
    assert fitted_background(workspace)["A"] == pytest.approx(predicted, rel=1e-4)
    assert upper_limit(workspace).best_fit == pytest.approx(regions.counts["A"] - predicted, rel=1e-3)


@BOTH
def test_blinded_prediction_is_the_estimate_whatever_region_a_holds(regions: Regions) -> None:
    other = Regions({**regions.counts, "A": 900.0}, {**regions.variances, "A": 900.0}, is_counts=True)
    for one in (regions, other):
        blinded = abcd_workspace(one, blinded=True)
        assert "A" not in {channel["name"] for channel in blinded["channels"]}
        assert fitted_background(blinded)["A"] == pytest.approx(estimate(regions).predicted, rel=1e-4)


def test_contamination_is_taken_off_the_prediction() -> None:
    """With s signal events per one in A, b_A(μ) = (B − μ s_B)(C − μ s_C)/(D − μ s_D)."""
    shares = {"A": 0.5, "B": 0.2, "C": 0.25, "D": 0.05}
    blinded = abcd_workspace(PLAIN, signal=shares, blinded=True)
    expected = (100 - 20 * 0.4) * (300 - 20 * 0.5) / (900 - 20 * 0.1)
    assert fitted_background(blinded, mu=20.0)["A"] == pytest.approx(expected, rel=1e-4)


def test_fit_finds_the_signal_that_contaminates_its_own_control_regions() -> None:
    shares, signal = {"A": 0.4, "B": 0.3, "C": 0.2, "D": 0.1}, 100.0
    background = {"A": 40.0, "B": 200.0, "C": 400.0, "D": 2000.0}
    regions = regions_of({name: background[name] + signal * shares[name] for name in background})
    found = upper_limit(abcd_workspace(regions, signal=shares))
    assert found.best_fit == pytest.approx(40.0, rel=1e-3)
    # who leaves it in the control regions overestimates the background
    assert upper_limit(abcd_workspace(regions)).best_fit < 35


def test_fitted_background_is_pyhfs_where_the_closure_nuisance_is_pulled() -> None:
    """Inside one standard deviation pyhf's interpolation is a polynomial, not a power: up to 7·10⁻⁵ apart here."""
    workspace = abcd_workspace(regions_of({"A": 160.0, "B": 900.0, "C": 900.0, "D": 10000.0}), closure=2.0)
    model, data = open_workspace(workspace)
    with pyhf_session():
        point = pyhf.infer.mle.fixed_poi_fit(0.0, data, model)
    assert 0.2 < point[model.config.par_order.index("abcd_closure")] < 0.9
    expected = dict(zip(model.config.channels, map(float, model.expected_actualdata(point)), strict=True))
    assert fitted_background(workspace, mu=0.0) == pytest.approx(expected, rel=1e-7)


def test_limit_agrees_with_pyhfs_own_minimiser() -> None:
    workspace = abcd_workspace(PLAIN, closure=0.2)
    found = upper_limit(workspace)
    model, data = open_workspace(workspace)
    cls = pyhf.infer.hypotest(found.observed, data, model, test_stat="qtilde")
    assert float(cls) == pytest.approx(0.05, abs=1e-3)


def test_closure_uncertainty_weakens_limit_and_significance() -> None:
    limits = [upper_limit(abcd_workspace(PLAIN, closure=size)) for size in (0.0, 0.1, 0.5)]
    assert limits[0].observed < limits[1].observed < limits[2].observed
    assert limits[0].local_p0 < limits[1].local_p0 < limits[2].local_p0


def test_signal_systematics_weaken_the_limit() -> None:
    plain, wide = (upper_limit(abcd_workspace(PLAIN, signal_systematics=s)) for s in (None, {"efficiency": 0.3}))
    assert wide.observed > plain.observed


def test_limits_without_region_a_do_not_depend_on_it() -> None:
    results = []
    for observed in (5.0, 200.0):
        regions = regions_of({**PLAIN.counts, "A": observed})
        workspace = abcd_workspace(regions, largest=200.0)
        predicted = fitted_background(abcd_workspace(regions, blinded=True))["A"]
        results.append(upper_limit(with_region_a(workspace, predicted)).expected)
        assert workspace["observations"][0]["data"] == [observed]
    assert results[0] == pytest.approx(results[1], rel=2e-3)


@pytest.mark.parametrize("counts", [{"A": 0.0}, {"B": 0.0}, {"A": 0.0, "B": 0.0, "C": 1.0}, {"C": 0.0}])
def test_empty_regions_still_have_a_limit(counts: dict[str, float]) -> None:
    found = upper_limit(abcd_workspace(regions_of({**PLAIN.counts, **counts})))
    # never stronger than without any background: −log 0.05
    assert found.observed > 1.9
    assert np.isfinite(found.expected).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"signal": {"B": 1.0}}, "put some signal into A"),
        ({"signal": {"A": 1.0, "E": 1.0}}, "name regions among"),
        ({"signal": {"A": 1.0, "B": -1.0}}, "not negative"),
        ({"closure": -0.1}, "closure -0.1"),
        ({"signal_systematics": {"luminosity": float("nan")}}, "luminosity in A nan"),
        ({"signal_systematics": {"share": {"E": 0.1}}}, "names E"),
        ({"signal_systematics": {"mu": 0.1}}, "mu is a parameter"),
        ({"signal_systematics": {"abcd_total": 0.1}}, "abcd_total is a parameter"),
        ({"signal_systematics": {"abcd_closure": 0.1}}, "another name"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        abcd_workspace(PLAIN, **options)


def test_weighted_and_empty_regions_are_refused() -> None:
    with pytest.raises(StatisticsError, match="weighted"):
        abcd_workspace(Regions(PLAIN.counts, PLAIN.variances, is_counts=False))
    with pytest.raises(StatisticsError, match="divides by is empty"):
        abcd_workspace(regions_of({**PLAIN.counts, "D": 0.0}))
