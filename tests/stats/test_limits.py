from __future__ import annotations

import json

import numpy as np
import pyhf
import pytest
from scipy.stats import norm, poisson

from stats import (
    BinnedFamily,
    CrystalBall,
    EnergyScale,
    Family,
    Gaussian,
    Luminosity,
    Normalisation,
    Spectrum,
    StatisticsError,
    UpperLimit,
    abcd_workspace,
    bump_hunt,
    counting_workspace,
    dijet,
    gaussian_template,
    resonance_channel,
    resonance_limits,
    resonance_workspace,
    upper_limit,
    window_channel,
)
from stats import family as family_named
from stats.abcd.regions import Regions
from stats.asymptotics import AsymptoticTest, log_cls, open_workspace
from stats.minimiser import pyhf_session
from tests.benchmarks.coverage import coverage, yield_error
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


@pytest.mark.parametrize(
    ("events", "experiments", "refused"), [(2000.0, 100, 0.0), (300.0, 300, 0.15)], ids=lambda value: f"{value:g}"
)
def test_limits_cover(events: float, experiments: int, refused: float) -> None:
    """95% of 100 or 300 experiments with 5σ signals less two binomial σ (4.4, 2.7%), above 83 and 12 background events.

    Such signals are where CLs does not over-cover by design. Coverage is conditional on a limit: sidebands of 300
    events leave up to 15% of the spectra without one. ``tests/benchmarks/coverage.py`` has more of both.
    """
    found = coverage(events, 5.0 * yield_error(events, Gaussian(0.03)), experiments=experiments, seed=int(events))
    assert found.fraction >= 0.95 - found.tolerance
    assert found.fraction < 0.999
    assert found.failed == 0
    assert found.without <= refused


def test_failures_do_not_count_as_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsymptoticTest, "log_cls", lambda test, mu: None)
    found = coverage(2000.0, 10.0, experiments=3, seed=1)
    assert (found.covered, found.experiments, found.failed) == (0, 0, 3)
    assert found.without == 1.0


@pytest.mark.parametrize(("background", "worst"), [(0.01, 0.858), (0.5, 0.914), (5.0, 0.931)])
def test_coverage_of_a_counting_experiment_is_as_the_note_says(background: float, worst: float) -> None:
    """Exact, just above every limit, where coverage is lowest, up to that of 20 observed events."""
    outcomes = np.arange(21)
    limits = [upper_limit(counting_workspace(background, observed=float(n))) for n in outcomes]
    for n, limit in zip(outcomes, limits, strict=True):
        assert limit.low_counts == (background < 5 or n < 5)
    observed = np.array([limit.observed for limit in limits])
    covered = [1.0 - poisson.cdf(n, background + limit) for n, limit in zip(outcomes, observed, strict=True)]
    assert min(covered) == pytest.approx(worst, abs=0.002)
    assert any("93%" in note and "91%" in note and "86%" in note for note in limits[0].notes) == (background < 5)


@pytest.mark.parametrize("background", [5.0, 8.0, 12.0])
def test_few_observed_events_are_flagged(background: float) -> None:
    """Of none observed the exact limit is −ln 0.05 = 3.00 whatever was expected; the asymptotic one is below it."""
    none, some = (upper_limit(counting_workspace(background, observed=n)) for n in (0.0, 6.0))
    assert none.observed < 0.95 * -np.log(0.05)
    assert none.low_counts
    assert any("Only 0 events were observed" in note for note in none.notes)
    assert not some.low_counts
    assert some.to_dict()["observed_events"] == 6.0


def test_regions_that_hardly_tell_a_signal_are_not_under_it() -> None:
    """ABCD: a twentieth of the signal above 3000 events in D, half of it above 3 in A, where the limit comes from."""
    regions = Regions(counts := {"A": 3.0, "B": 30.0, "C": 300.0, "D": 3000.0}, counts, is_counts=True)
    limit = upper_limit(abcd_workspace(regions, signal={"A": 0.5, "B": 0.2, "C": 0.25, "D": 0.05}))
    assert limit.expected_background == pytest.approx(3.0)
    assert limit.observed_events == 3.0
    assert limit.low_counts


@pytest.mark.parametrize("bins", [50, 500])
def test_what_is_under_a_peak_does_not_depend_on_the_binning(bins: int, family: Family) -> None:
    """±1.4 standard deviations of a Gaussian, where S/√B is largest, within 5% and half a bin on either side."""
    edges = np.linspace(2000.0, 7000.0, bins + 1)
    expected = BinnedFamily(family, edges).expected(np.array([0.0, 10.0, 5.0]))
    counts = np.random.default_rng(16).poisson(20000 * expected / expected.sum())
    limit = upper_limit(resonance_workspace(Spectrum.from_counts(edges, counts), family, mass=3500.0, width=0.03))
    reach = np.array([-1.4, 1.4]) * 105.0
    inside = np.interp(3500.0 + reach, edges, np.concatenate([[0.0], counts.cumsum()]))
    assert limit.expected_background == pytest.approx(np.diff(inside)[0], rel=0.05 + 50.0 / bins / 2.9)


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


def test_a_background_without_a_sideband_on_one_side_is_flagged(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=20000, signal=0, seed=9)
    masses = [2080.0, 3500.0]
    edge, middle = resonance_limits(spectrum, family, masses=masses, width=0.03)
    assert edge.extrapolated
    assert edge.to_dict()["extrapolated"] is True
    assert any("no sideband below" in note for note in edge.notes)
    assert middle.extrapolated is False
    assert middle.notes == ()
    plain = json.loads(json.dumps(resonance_workspace(spectrum, family, mass=3500.0, width=0.03)))
    assert upper_limit(plain).extrapolated is None  # a file does not tell


def test_a_function_that_does_not_describe_the_sidebands_is_flagged(shape: np.ndarray, family: Family) -> None:
    """A fourth-degree polynomial in a falling spectrum of 20,000 events: far too strong a limit, and p < 10⁻⁵."""
    spectrum = spectrum_of(shape, events=20000, signal=0, seed=9)
    polynomial = family_named("bernstein", 4, sqrt_s=13000.0, mass_range=(2000.0, 7000.0))
    wrong, right = (resonance_limits(spectrum, one, masses=[3500.0], width=0.03)[0] for one in (polynomial, family))
    assert wrong.doubtful
    assert wrong.to_dict()["doubtful"] is True
    assert any("does not describe the sidebands of spectrum (chi2/ndof" in note for note in wrong.notes)
    assert right.doubtful is False
    made = resonance_workspace(spectrum, family, mass=3500.0, width=0.03)
    assert made.channels[0].goodness.ndof <= 50 - 8 - 3
    assert upper_limit(json.loads(json.dumps(made))).doubtful is None  # a file does not tell


def test_good_functions_are_seldom_doubted(shape: np.ndarray, family: Family) -> None:
    """1% of spectra from the function itself: at most 5 of 100 (more have a chance of 5·10⁻⁴)."""
    channels = [
        resonance_channel(spectrum_of(shape, events=20000, signal=0, seed=seed), family, mass=3500.0, width=0.03)
        for seed in range(100)
    ]
    assert sum(channel.goodness.p < 0.01 for channel in channels) <= 5


def test_few_expected_events_are_flagged(shape: np.ndarray) -> None:
    family = dijet(2, sqrt_s=13000.0)
    few, many = (
        resonance_limits(spectrum_of(shape, events=n, signal=0, seed=10), family, masses=[3500.0], width=0.03)[0]
        for n in (80, 2000)
    )
    assert few.low_counts
    assert any("use toys" in note for note in few.notes)
    assert not many.low_counts


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
