"""The quick estimate from a ROC curve: known answers, its error over toys, and CLs beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stats import Spectrum, StatisticsError, counting_limit, counting_workspace, simple_limit, upper_limit
from stats.disjoint import disjoint_spectra, require_disjoint

SIGNAL = np.array([1.0, 0.8, 0.5, 0.2, 0.05])
BACKGROUND = np.array([1.0, 0.2, 0.04, 0.01, 0.0])


def simple(**changes: float):
    numbers = {"n_signal": 1e5, "n_background": 1e5, "background_cross_section": 1000.0}
    return simple_limit(SIGNAL, BACKGROUND, **{**numbers, **changes})


def test_the_best_point_and_its_cross_section() -> None:
    """S/√B at σ = 1 fb is best at ε_s = 0.5, ε_b = 0.04: B = 1000 · 100 · 0.04 = 4000 events, S = 2 √4000."""
    found = simple()
    assert found.point == 2
    assert found.background_events == pytest.approx(4000.0)
    assert found.signal_events == pytest.approx(2 * np.sqrt(4000.0))
    assert found.cross_section == pytest.approx(2 * np.sqrt(4000.0) / (100.0 * 0.5))
    assert not found.few
    assert json.loads(json.dumps(found.to_dict()))["luminosity"] == 100.0
    assert simple(luminosity=400.0).cross_section == pytest.approx(found.cross_section / 2)


def test_points_that_rest_on_few_events_are_not_taken() -> None:
    """ε_b = 0 would exclude everything; of 1000 events ε_b = 0.01 keeps 10, of which 20 are needed."""
    assert simple(n_background=1000.0).point == 2
    with pytest.raises(StatisticsError, match="a fluctuation"):
        simple(n_background=10.0)


def test_the_error_is_the_spread_of_repeated_estimates() -> None:
    """At a fixed working point, over 4000 curves counted with 2000 signal and 3000 background events: within 5%."""
    rng = np.random.default_rng(5)
    kept = rng.binomial(2000, 0.5, 4000) / 2000
    passed = rng.binomial(3000, 0.04, 4000) / 3000
    found = [
        simple_limit([s], [b], n_signal=2000, n_background=3000, background_cross_section=1000.0)
        for s, b in zip(kept, passed, strict=True)
    ]
    spread = np.std([one.cross_section for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.05)


def test_cls_of_many_events_is_the_gaussian_limit() -> None:
    """The median expected CLs limit excludes S = 1.96 √B where the simple one asks for 2 √B, within 2%."""
    found = simple(n_background=1e9)
    limit = counting_limit(found)
    assert limit.unit == "fb"
    assert limit.expected[2] / found.cross_section == pytest.approx(1.96 / 2.0, rel=0.02)
    assert limit.observed == pytest.approx(limit.expected[2], rel=0.02)
    assert counting_limit(found, luminosity_uncertainty=0.2).expected[2] > limit.expected[2]


def test_cls_of_few_events_is_weaker() -> None:
    """√B is no spread of a count of half an event: S/√B = 2 would exclude 1.4 signal events, CLs does not."""
    found = simple(background_cross_section=0.125)
    assert found.few
    limit = counting_limit(found)
    assert limit.expected[2] > 1.5 * found.cross_section
    assert limit.low_counts


def test_uncertain_backgrounds_weaken_cls() -> None:
    sharp, vague = (upper_limit(counting_workspace(400.0, background_uncertainty=size)) for size in (0.01, 0.1))
    assert sharp.expected[2] == pytest.approx(1.96 * np.hypot(20, 4), rel=0.05)
    assert vague.expected[2] == pytest.approx(1.96 * np.hypot(20, 40), rel=0.07)


def test_counting_nothing_has_a_limit() -> None:
    """Zero observed events above half an expected one: the exact CLs limit is −ln 0.05 ≈ 3.0, the asymptotic below."""
    limit = upper_limit(counting_workspace(0.5, observed=0.0))
    assert limit.best_fit == pytest.approx(0.0, abs=1e-6)
    assert 1.0 < limit.observed < 3.1
    assert limit.low_counts


@pytest.mark.parametrize(
    ("signal", "background"),
    [([], []), ([0.5], [0.5, 0.1]), ([np.nan], [0.5]), ([1.5], [0.5]), ([-0.1], [0.5]), ([0.0], [0.5])],
)
def test_what_is_no_roc_curve_is_refused(signal: list, background: list) -> None:
    with pytest.raises(StatisticsError):
        simple_limit(signal, background, n_signal=1e4, n_background=1e4, background_cross_section=1.0)


def test_numbers_must_be_positive() -> None:
    for changes in ({"luminosity": 0.0}, {"background_cross_section": np.nan}, {"n_signal": -1.0}, {"required": 0.0}):
        with pytest.raises(StatisticsError, match="positive"):
            simple(**changes)
    with pytest.raises(StatisticsError, match="positive background and signal"):
        counting_workspace(0.0)


def test_nested_selections_become_disjoint() -> None:
    edges = [0.0, 1.0, 2.0, 3.0]
    tight, loose, all_of_it = (Spectrum.from_counts(edges, n) for n in ([1, 2, 0], [4, 2, 1], [9, 9, 9]))
    made = disjoint_spectra([tight, loose, all_of_it])
    np.testing.assert_array_equal([one.counts for one in made], [[1, 2, 0], [3, 0, 1], [5, 7, 8]])
    np.testing.assert_array_equal(sum(one.counts for one in made), all_of_it.counts)
    with pytest.raises(StatisticsError, match="not nested"):
        disjoint_spectra([loose, tight])
    with pytest.raises(StatisticsError, match="other bins"):
        disjoint_spectra([tight, Spectrum.from_counts([0.0, 1.0, 2.0, 4.0], [4, 2, 1])])
    with pytest.raises(StatisticsError, match="no spectrum"):
        disjoint_spectra([])


def test_shared_events_are_found() -> None:
    require_disjoint({"tight": [1, 2, 3], "loose": [4, 5], "late": ["a", "b"][:0]})
    with pytest.raises(StatisticsError, match="tight and loose share 2 events"):
        require_disjoint({"tight": [1, 2, 3], "loose": [3, 2, 9]})
