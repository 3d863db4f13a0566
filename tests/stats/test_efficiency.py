"""Numbers of selected events become cross sections, and never silently outside what was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats import (
    Efficiency,
    Family,
    InjectedEfficiency,
    Spectrum,
    StatisticsError,
    UpperLimit,
    in_fb,
    resonance_limits,
)
from tests.stats.conftest import EDGES


@given(
    values=st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4),
    cross_section=st.floats(1.0, 50.0),
    luminosity=st.floats(0.1, 1000.0),
)
@settings(max_examples=100, deadline=None)
def test_the_largest_cross_section_is_found(values: list[float], cross_section: float, luminosity: float) -> None:
    """S(σ) = σ L ε(σ) at the answer is the number asked for, and no larger tested σ selects as few."""
    efficiency = InjectedEfficiency((0.0, 5.0, 20.0, 50.0), values, (0.0,) * 4)
    events = cross_section * luminosity * efficiency.at(cross_section)[0]
    found = efficiency.cross_section(events, luminosity=luminosity)
    if found.status == "above":  # a larger cross section would select fewer than this one
        assert 50.0 * luminosity * values[-1] < events
        assert np.isnan(found.value)
        return
    assert found.status == "inside"
    assert found.value >= cross_section * (1 - 1e-6)
    assert found.value * luminosity * efficiency.at(found.value)[0] == pytest.approx(events, rel=1e-5)
    beyond = np.linspace(found.value, 50.0, 50)[1:]
    selected = [x * luminosity * efficiency.at(float(x))[0] for x in beyond]
    assert all(more >= events * (1 - 1e-6) for more in selected)


def test_an_efficiency_that_falls_gives_the_largest_and_says_so() -> None:
    """ε falls from 0.6 to 0.2: S is 6 at 10 fb, 4 at 20 fb, 6 again at 30 fb."""
    efficiency = InjectedEfficiency((0.0, 10.0, 20.0, 40.0), (0.6, 0.6, 0.2, 0.2), (0.0,) * 4)
    found = efficiency.cross_section(5.0, luminosity=1.0)
    assert found.value == pytest.approx(25.0)
    assert found.ambiguous
    plain = efficiency.cross_section(3.0, luminosity=1.0)
    assert plain.value == pytest.approx(5.0)
    assert not plain.ambiguous


def test_nothing_is_extrapolated() -> None:
    efficiency = InjectedEfficiency((2.0, 10.0), (0.5, 0.5), (0.05, 0.05))
    below, above = (efficiency.cross_section(n, luminosity=10.0) for n in (5.0, 51.0))
    assert (below.status, above.status) == ("below", "above")
    assert np.isnan([below.value, above.value]).all()
    inside = efficiency.cross_section(25.0, luminosity=10.0)
    assert (inside.low, inside.value, inside.high) == pytest.approx((25 / 5.5, 5.0, 25 / 4.5))
    with pytest.raises(StatisticsError, match="inject that much"):
        efficiency.at(11.0)


def test_injected_numbers_of_events_are_cross_sections() -> None:
    one = InjectedEfficiency.from_events((0, 500, 1000), (0.1, 0.2, 0.3), (0.0,) * 3, luminosity=100.0)
    assert one.injected == (0.0, 5.0, 10.0)
    assert one.at(7.5)[0] == pytest.approx(0.25)


def test_efficiencies_lie_between_their_masses() -> None:
    efficiency = Efficiency((0.2, 0.4), (0.02, 0.04), (2000.0, 4000.0))
    assert efficiency.at(3000.0) == pytest.approx((0.3, 0.03))
    assert efficiency.systematic(3000.0).up == pytest.approx(1.1)
    assert Efficiency.constant(0.3).systematic(1.0) is None
    with pytest.raises(StatisticsError, match="not at 5000 GeV"):
        efficiency.at(5000.0)


@pytest.mark.parametrize(
    ("values", "errors", "masses"),
    [
        ((0.0,), (0.0,), None),
        ((1.2,), (0.0,), None),
        ((np.nan,), (0.0,), None),
        ((0.5,), (-0.1,), None),
        ((0.5, 0.5), (0.1, 0.1), None),
        ((0.5, 0.5), (0.1, 0.1), (3.0, 2.0)),
        ((0.5,), (0.1, 0.1), None),
        ((), (), None),
    ],
)
def test_what_is_no_efficiency_is_refused(values: tuple, errors: tuple, masses: tuple | None) -> None:
    with pytest.raises(StatisticsError):
        Efficiency(values, errors, masses)


def test_limits_in_fb_are_those_in_events_over_luminosity_and_efficiency(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(3).poisson(20000 * shape))
    (events,) = resonance_limits(spectrum, family, masses=[3500.0], width=0.03)
    (exact,) = resonance_limits(
        spectrum, family, masses=[3500.0], width=0.03, efficiency=Efficiency.constant(0.25), luminosity=40.0
    )
    assert (exact.unit, exact.scan_unit, events.unit) == ("fb", "fb", "selected events")
    np.testing.assert_allclose(
        [exact.observed, *exact.expected], np.array([events.observed, *events.expected]) / 10, 3e-3
    )
    (uncertain,) = resonance_limits(
        spectrum, family, masses=[3500.0], width=0.03, efficiency=Efficiency.constant(0.25, 0.05), luminosity=40.0
    )
    assert 1.005 < uncertain.observed / exact.observed < 1.2
    injected = InjectedEfficiency((0.0, 5.0, 20.0), (0.25, 0.25, 0.25), (0.0,) * 3)
    converted = in_fb(events, injected, luminosity=40.0)
    assert converted.expected[2] == pytest.approx(events.expected[2] / 10)
    assert (converted.unit, converted.scan_unit) == ("fb", "selected events")


def test_a_limit_beyond_what_was_injected_is_none_and_told(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(3).poisson(20000 * shape))
    (events,) = resonance_limits(spectrum, family, masses=[3500.0], width=0.03)
    edge = 0.5 * (events.expected[2] + events.expected[3])
    limit = in_fb(events, InjectedEfficiency((0.0, edge), (1.0, 1.0), (0.0, 0.0)), luminosity=1.0)
    found = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert found["expected"][2] == pytest.approx(events.expected[2])
    assert found["expected"][3:] == [None, None]
    assert any("no signal was injected" in note for note in found["notes"])
    with pytest.raises(StatisticsError, match="this one is in fb"):
        in_fb(limit, InjectedEfficiency((0.0, 1.0), (1.0, 1.0), (0.0, 0.0)), luminosity=1.0)


@dataclass(frozen=True)
class OtherLimit:
    """As much as ``in_fb`` asks of a limit from toys."""

    observed: float
    observed_error: float
    expected: tuple[float, ...] | None = None
    expected_errors: tuple[float, ...] | None = None
    unit: str = "selected events"
    notes: tuple[str, ...] = ()


def test_limits_from_toys_and_their_errors_become_cross_sections() -> None:
    efficiency = InjectedEfficiency((0.0, 20.0), (0.5, 0.5), (0.0, 0.0))
    band = (10.0, 20.0, 30.0, 40.0, 50.0)
    found = in_fb(OtherLimit(25.0, 1.0, band, (0.5,) * 4 + (np.nan,)), efficiency, luminosity=10.0)
    assert (found.observed, found.observed_error, found.unit) == (pytest.approx(5.0), pytest.approx(0.2), "fb")
    assert found.expected == pytest.approx((2.0, 4.0, 6.0, 8.0, 10.0))
    assert found.expected_errors[:4] == pytest.approx((0.1,) * 4)
    assert np.isnan(found.expected_errors[4])
    lost = in_fb(OtherLimit(np.nan, np.nan, band, (0.5,) * 5, notes=("Too few toys.",)), efficiency, luminosity=10.0)
    assert np.isnan([lost.observed, lost.observed_error]).all()
    assert lost.expected == found.expected
    assert lost.notes == ("Too few toys.",)
    alone = in_fb(OtherLimit(25.0, 1.0), efficiency, luminosity=10.0)
    assert (alone.observed, alone.expected) == (pytest.approx(5.0), None)


def test_the_efficiencys_error_is_told_at_the_limit() -> None:
    """10 ± 1% at 2 fb, 20 ± 4% at 6 fb: 15 ± 2.5% at 4 fb, where 60 events of 100 fb⁻¹ are."""
    efficiency = InjectedEfficiency((2.0, 6.0, 20.0), (0.1, 0.2, 0.2), (0.01, 0.04, 0.04))
    assert efficiency.relative_error(4.0) == pytest.approx(1 / 6)
    limit = UpperLimit(60.0, (60.0,) * 5, (), 0.05, 0.0, 0.5, 0)
    found = in_fb(limit, efficiency, luminosity=100.0)
    assert found.observed == pytest.approx(4.0)
    low, high = found.efficiency_interval
    assert low * (efficiency.at(low)[0] + efficiency.at(low)[1]) == pytest.approx(0.6)
    assert high * (efficiency.at(high)[0] - efficiency.at(high)[1]) == pytest.approx(0.6)
    assert found.to_dict()["efficiency_interval"] == [low, high]
    assert limit.to_dict()["efficiency_interval"] is None
    edge = in_fb(UpperLimit(390.0, (60.0,) * 5, (), 0.05, 0.0, 0.5, 0), efficiency, luminosity=100.0)
    assert edge.to_dict()["efficiency_interval"][1] is None
    assert any("deviation down the observed limit lies outside" in note for note in edge.notes)
    with pytest.raises(StatisticsError, match="no relative error"):
        InjectedEfficiency((0.0, 1.0), (0.0, 0.0), (0.0, 0.1)).relative_error(0.5)


def test_steep_efficiencies_are_told() -> None:
    """5% at 4 fb, 20% at 8 fb: four times as much, nothing known between; at 10 fb it is flat."""
    efficiency = InjectedEfficiency((0.0, 4.0, 8.0, 20.0), (0.05, 0.05, 0.2, 0.2), (0.0,) * 4)
    limit = UpperLimit(200.0, (60.0, 70.0, 200.0, 200.0, 200.0), (), 0.05, 0.0, 0.5, 0)
    (note,) = in_fb(limit, efficiency, luminosity=100.0).notes
    assert "from 0.05 at 4 fb to 0.2 at 8 fb" in note
    assert "expected at -2 sigma, expected at -1 sigma" in note
    assert "observed" not in note


def test_a_detector_that_selects_nothing_excludes_nothing() -> None:
    blind = InjectedEfficiency((0.0, 5.0, 10.0), (0.3, 0.0, 0.0), (0.0,) * 3)
    for efficiency in (blind, InjectedEfficiency((0.0, 10.0), (0.0, 0.0), (0.0, 0.0))):
        for events in (0.0, 1.0):
            found = efficiency.cross_section(events, luminosity=1.0)
            assert found.status == "above"
            assert np.isnan(found.value)


def test_a_luminosity_alone_makes_no_cross_section(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(3).poisson(2000 * shape))
    with pytest.raises(StatisticsError, match="without an efficiency"):
        resonance_limits(spectrum, family, masses=[3500.0], width=0.03, luminosity=100.0)


def test_a_cross_section_needs_a_luminosity(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(3).poisson(2000 * shape))
    for luminosity in (None, 0.0, np.nan):
        with pytest.raises(StatisticsError, match="positive luminosity"):
            resonance_limits(
                spectrum,
                family,
                masses=[3500.0],
                width=0.03,
                efficiency=Efficiency.constant(0.5),
                luminosity=luminosity,
            )
