"""What a limit says of itself: how often it covers, and when it is not to be trusted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import poisson

from stats import (
    BinnedFamily,
    Family,
    Gaussian,
    Spectrum,
    abcd_workspace,
    counting_workspace,
    dijet,
    gaussian_template,
    resonance_channel,
    resonance_limits,
    resonance_workspace,
    upper_limit,
)
from stats import family as family_named
from stats.abcd.regions import Regions
from stats.asymptotics import AsymptoticTest
from tests.benchmarks.coverage import coverage, yield_error
from tests.stats.conftest import EDGES


def spectrum_of(shape: np.ndarray, *, events: float, signal: float, seed: int) -> Spectrum:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    return Spectrum.from_counts(EDGES, np.random.default_rng(seed).poisson(events * shape + signal * template))


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
