from __future__ import annotations

import json

import numpy as np
import pyhf
import pytest
from scipy.stats import norm

from stats import (
    CrystalBall,
    EnergyScale,
    Family,
    Luminosity,
    Normalisation,
    Spectrum,
    StatisticsError,
    UpperLimit,
    bump_hunt,
    counting_workspace,
    dijet,
    gaussian_template,
    resonance_limits,
    resonance_workspace,
    upper_limit,
    window_channel,
)
from stats.asymptotics import log_cls, open_workspace
from stats.minimiser import pyhf_session
from tests.stats.conftest import EDGES


def spectrum_of(shape: np.ndarray, *, events: float, signal: float, seed: int) -> Spectrum:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    return Spectrum.from_counts(EDGES, np.random.default_rng(seed).poisson(events * shape + signal * template))


def at_the_limit(spec: dict, limit: UpperLimit) -> None:
    pdf, data = open_workspace(spec)
    assert limit.failed_fits == 0
    assert list(limit.expected) == sorted(limit.expected)
    bounds = [list(bound) for bound in pdf.config.suggested_bounds()]
    bounds[pdf.config.poi_index][1] = 1e5
    with pyhf_session():
        for index, mu in enumerate((limit.observed, *limit.expected)):
            result = pyhf.infer.hypotest(mu, data, pdf, par_bounds=bounds, return_expected_set=True)
            cls = result[0] if index == 0 else result[1][index - 1]
            assert float(cls) == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize(("events", "signal"), [(20000.0, 0.0), (20000.0, 120.0), (1000.0, 0.0), (300.0, 10.0)])
def test_cls_at_the_limit_is_the_level(events: float, signal: float, shape: np.ndarray, family: Family) -> None:
    """0.05 ± 0.001 by pyhf's own hypothesis test, for the observed limit and all five expected ones."""
    spec = resonance_workspace(
        spectrum_of(shape, events=events, signal=signal, seed=1), family, mass=3500.0, width=0.03
    )
    limit = upper_limit(spec)
    at_the_limit(spec, limit)


def test_cls_at_the_limit_is_the_level_with_uncertainties(shape: np.ndarray, family: Family) -> None:
    """As above for a Crystal Ball of a width in GeV with uncertain yield, scale and luminosity, in fb."""
    spectrum = spectrum_of(shape, events=20000, signal=60, seed=15)
    peak = CrystalBall(100.0, relative=False, alpha_low=1.5, n_low=4.0, alpha_high=2.0, n_high=6.0)
    systematics = (Normalisation.relative("efficiency", 0.1), EnergyScale(0.01), Luminosity(0.02))
    spec = resonance_workspace(spectrum, family, mass=3500.0, shape=peak, events=30.0, systematics=systematics)
    at_the_limit(spec, upper_limit(spec, unit="fb"))


def test_every_scanned_point_is_kept(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=20000, signal=0, seed=2)
    limit = upper_limit(resonance_workspace(spectrum, family, mass=3500.0, width=0.03))
    strengths = [mu for mu, _, _ in limit.scan]
    assert strengths == sorted(strengths)
    assert limit.observed in strengths
    assert all(b <= a + 1e-6 for (_, a, _), (_, b, _) in zip(limit.scan, limit.scan[1:], strict=False))
    result = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert result["unit"] == "selected events"
    assert len(result["expected"]) == 5
    assert len(result["scan"]) == len(strengths)


def test_the_bound_of_the_signal_strength_moves_where_it_must(shape: np.ndarray, family: Family) -> None:
    spec = resonance_workspace(spectrum_of(shape, events=20000, signal=0, seed=3), family, mass=3500.0, width=0.03)
    limit = upper_limit(spec)
    spec["measurements"][0]["config"]["parameters"][0]["bounds"] = [[0.0, 0.2 * limit.observed]]
    narrow = upper_limit(spec)
    assert narrow.observed == pytest.approx(limit.observed, rel=0.02)


def test_a_best_fit_beyond_the_bound_is_followed(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=20000, signal=150, seed=3)
    spec = resonance_workspace(spectrum, family, mass=3500.0, width=0.03)
    limit = upper_limit(spec)
    spec["measurements"][0]["config"]["parameters"][0]["bounds"] = [[0.0, 20.0]]
    narrow = upper_limit(spec)
    assert narrow.best_fit == pytest.approx(limit.best_fit, rel=1e-3)
    assert narrow.observed == pytest.approx(limit.observed, rel=0.02)


@pytest.mark.parametrize("observed", [30.0, 40.0, 45.0, 50.0, 60.0])
def test_bounds_below_zero_change_nothing(observed: float) -> None:
    """q̃ has the strength at 0 or more: a workspace that lets it be negative gives the same limits and p0."""
    limits = []
    for bounds in ([0.0, 100.0], [-40.0, 100.0]):
        spec = counting_workspace(50.0, observed=observed)
        spec["measurements"][0]["config"]["parameters"][0]["bounds"] = [bounds]
        limits.append(upper_limit(spec))
    plain, signed = limits
    assert signed.best_fit == pytest.approx(max(observed - 50.0, 0.0), abs=1e-4)
    assert signed.local_p0 == pytest.approx(plain.local_p0, abs=1e-6)
    assert observed > 50 or signed.local_p0 == 0.5
    np.testing.assert_allclose([signed.observed, *signed.expected], [plain.observed, *plain.expected], rtol=2e-3)


@pytest.mark.parametrize(("bounds", "match"), [([2.0, 100.0], "no background-only"), ([-5.0, 0.0], "no signal")])
def test_bounds_without_zero_or_a_signal_are_refused(bounds: list[float], match: str) -> None:
    spec = counting_workspace(50.0)
    spec["measurements"][0]["config"]["parameters"][0].update(bounds=[bounds], inits=[bounds[0]])
    with pytest.raises(StatisticsError, match=match):
        upper_limit(spec)


def test_a_strength_that_is_fixed_has_no_limit() -> None:
    spec = counting_workspace(50.0)
    spec["measurements"][0]["config"]["parameters"][0]["fixed"] = True
    with pytest.raises(StatisticsError, match="fixes its parameter of interest"):
        upper_limit(spec)


def test_discovery_p_value_is_that_of_the_bump_hunt(shape: np.ndarray, family: Family) -> None:
    """Capped for a deficit; within 0.15σ of the free fit for an excess."""
    masses = np.array([2900.0, 3500.0])
    spectrum = spectrum_of(shape, events=20000, signal=100, seed=4)
    hunt = bump_hunt(spectrum, family, masses=masses)
    limits = resonance_limits(spectrum, family, masses=masses, width=0.03)
    assert [limit.mass for limit in limits] == masses.tolist()
    for limit, z in zip(limits, hunt.significance[0], strict=True):
        assert norm.isf(limit.local_p0) == pytest.approx(max(z, 0.0), abs=0.15)


def test_an_excess_elsewhere_can_be_masked(shape: np.ndarray, family: Family) -> None:
    """A 10σ peak at 4200 GeV pulls the background at 3500 GeV up and its limits down; masked, it does not."""
    rng = np.random.default_rng(8)
    counts = rng.poisson(20000 * shape)
    peak = rng.poisson(140 * gaussian_template(EDGES, 4200.0, width=0.03))
    clean, spoiled = (Spectrum.from_counts(EDGES, n) for n in (counts, counts + peak))
    mask = (EDGES[1:] <= 3900) | (EDGES[:-1] >= 4600)
    limits = [
        resonance_limits(spectrum, family, masses=[3500.0], width=0.03, mask=kept)[0]
        for spectrum, kept in ((clean, None), (spoiled, None), (spoiled, mask), (clean, mask))
    ]
    assert limits[1].observed < 0.7 * limits[0].observed
    assert limits[2].observed == pytest.approx(limits[3].observed, rel=0.03)
    assert limits[2].observed == pytest.approx(limits[0].observed, rel=0.1)
    with pytest.raises(StatisticsError, match="overlaps bins that the mask takes out"):
        resonance_limits(spoiled, family, masses=[4200.0], width=0.03, mask=mask)


@pytest.mark.parametrize("inside", [0, 1])
def test_an_empty_window_and_a_lone_event_have_limits(inside: int, shape: np.ndarray, family: Family) -> None:
    """Between sidebands that expect some events: the observed limit is below the expected one, and p0 is 0.5."""
    counts = np.random.default_rng(12).poisson(1500 * shape)
    window = (EDGES[1:] > 3185) & (EDGES[:-1] < 3815)
    counts[window] = 0
    counts[15] = inside
    (limit,) = resonance_limits(Spectrum.from_counts(EDGES, counts), family, masses=[3500.0], width=0.03)
    assert 0 < limit.observed < limit.expected[0] * 1.01
    assert limit.local_p0 == pytest.approx(0.5, abs=1e-6)
    assert limit.local_z == pytest.approx(0.0, abs=1e-6)
    assert limit.failed_fits == 0


def test_zero_count_sidebands_have_a_limit_or_an_error(shape: np.ndarray, family: Family) -> None:
    """Events end before the window: the function falls to nothing there, or is too uncertain to tell."""
    counts = np.where(EDGES[:-1] < 3000, np.random.default_rng(13).poisson(20000 * shape), 0)
    spectrum = Spectrum.from_counts(EDGES, counts)
    with pytest.raises(StatisticsError, match=r"uncertain by|do not determine|No limit"):
        resonance_limits(spectrum, family, masses=[5500.0], width=0.03)


def test_a_signal_of_nothing_has_no_limit() -> None:
    spec = counting_workspace(100.0)
    spec["channels"][0]["samples"][0]["data"] = [0.0]
    with pytest.raises(StatisticsError, match="zero in every bin"):
        upper_limit(spec)
    with pytest.raises(StatisticsError, match="at least one above zero"):
        window_channel(
            Spectrum.from_counts(EDGES, np.arange(50, 0, -1)),
            dijet(3, sqrt_s=13000.0),
            template=np.zeros(50),
            window=(3e3, 4e3),
        )


@pytest.mark.parametrize("mass", [1500.0, 7500.0, np.nan])
def test_masses_outside_the_spectrum_are_refused(mass: float, shape: np.ndarray, family: Family) -> None:
    with pytest.raises(StatisticsError, match="outside the spectrum"):
        resonance_limits(spectrum_of(shape, events=20000, signal=0, seed=1), family, masses=[mass], width=0.03)


def test_the_search_for_the_crossings_takes_few_fits(shape: np.ndarray, family: Family) -> None:
    """At most 20 strengths for six crossings, and at a very large and a very small unit of the strength, too."""
    spectrum = spectrum_of(shape, events=20000, signal=0, seed=14)
    limits = [
        upper_limit(resonance_workspace(spectrum, family, mass=3500.0, width=0.03, events=events))
        for events in (1.0, 1e4, 1e-4)
    ]
    for limit, events in zip(limits, (1.0, 1e4, 1e-4), strict=True):
        assert len(limit.scan) <= 20
        assert limit.observed * events == pytest.approx(limits[0].observed, rel=5e-3)


def test_a_mass_without_a_limit_is_named(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=30, signal=0, seed=5)
    with pytest.raises(StatisticsError, match="No limit at 3500 GeV"):
        resonance_limits(spectrum, family, masses=[3500.0], width=0.15)


def test_broken_workspaces_are_refused(shape: np.ndarray, family: Family) -> None:
    spec = resonance_workspace(spectrum_of(shape, events=20000, signal=0, seed=6), family, mass=3500.0, width=0.03)
    with pytest.raises(StatisticsError, match="between 0 and 1"):
        upper_limit(spec, level=1.5)
    with pytest.raises(StatisticsError, match="does not accept"):
        upper_limit({"channels": []})


def change(spec: dict, where: str) -> None:
    """Break one part of a counting experiment's workspace."""
    channel, config = spec["channels"][0], spec["measurements"][0]["config"]
    if where == "name":
        effect = {"hi": 1.1, "lo": 0.9}
        channel["samples"][0]["modifiers"].append({"name": "lumi", "type": "normsys", "data": effect})
    elif where == "templates":
        effect = {"hi_data": [1.0, 2.0], "lo_data": [1.0, 2.0]}
        channel["samples"][0]["modifiers"].append({"name": "scale", "type": "histosys", "data": effect})
    elif where == "luminosity":
        config["parameters"] = []
    elif where == "channel":
        spec["observations"][0]["name"] = "other"
    elif where == "bins":
        spec["observations"][0]["data"] = [1.0, 2.0]
    elif where == "signal":
        channel["samples"][0]["data"] = [np.nan]
    else:
        spec["observations"][0]["data"] = [float(where)]


@pytest.mark.parametrize(
    "where", ["name", "templates", "luminosity", "channel", "bins", "signal", "nan", "-3"], ids=lambda where: where
)
def test_whatever_is_wrong_with_a_workspace_is_an_error_of_statistics(where: str) -> None:
    spec = counting_workspace(50.0, luminosity_uncertainty=0.02)
    change(spec, where)
    with pytest.raises(StatisticsError, match=r"does not accept|observes 2 bins|must be finite"):
        upper_limit(spec)


def test_cls_of_a_perfect_background_is_that_of_the_median() -> None:
    values = log_cls(4.0, 4.0)
    assert values[0] == pytest.approx(values[3])
    assert np.all(np.diff(values[1:]) > 0)
    np.testing.assert_allclose(np.exp(log_cls(0.0, 0.0)), 1.0)
