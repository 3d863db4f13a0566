"""A pair of scores that depend on each other is warned of, independent ones are not, whatever signal is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.numbers import format_percent
from analysis.report.abcd_doubts import abcd_warnings
from analysis.stages.abcd_checks import checks
from analysis.stages.abcd_estimates import ScoredEvents, actual_tails, tail_of

N_EVENTS = 200_000  # those of the search
EFFICIENCIES = (0.1, 0.01)


def scored(kind: str, fraction: float, *, shift: float = 1.5, truth: bool = True, n: int = N_EVENTS) -> ScoredEvents:
    """Scores of two jets. By mass: each rises with its jet's mass, and the first jet is the heavier one."""
    rng = np.random.default_rng(1)
    is_signal = np.arange(n) >= n - round(fraction * n)
    if kind == "mass":
        masses = np.sort(rng.normal(size=(2, n)), axis=0)[::-1]
        scores = masses + rng.normal(size=(2, n))
    else:
        scores = rng.normal(size=(2, n))
    scores[:, is_signal] = shift * scores.std() + rng.normal(size=(2, is_signal.sum()))
    labels = is_signal.astype(int) if truth else None
    return ScoredEvents(scores[0], scores[1], (None, None), np.ones(n), labels)


def warned(events: ScoredEvents) -> list[str]:
    found = {
        f"f-taus-{efficiency:g}": {
            "mixture": "f",
            "efficiency": efficiency,
            "abcd": {"name": "taus", **checks(events, tail=tail_of(efficiency), background_like=0.4)},
        }
        for efficiency in EFFICIENCIES
    }
    return list(abcd_warnings({"selections": found}))


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.09])
def test_dependent_scores_are_warned_of_once(fraction: float, truth: bool) -> None:
    found = warned(scored("mass", fraction, truth=truth))
    assert len(found) == 1
    assert "ABCD estimate taus of f: the two scores are not independent" in found[0]
    assert ("over true background is 0." in found[0]) is truth
    assert ("validation region without the" in found[0]) is not truth
    assert ("efficiency 10%" in found[0]) is truth


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize(("fraction", "shift"), [(0.0, 1.0), (0.01, 2.0), (0.09, 1.0), (0.09, 2.0), (0.09, 3.0)])
def test_independent_scores_are_not(fraction: float, shift: float, truth: bool) -> None:
    events = scored("independent", fraction, shift=shift, truth=truth)
    assert warned(events) == []
    if fraction == 0.09 and shift > 1:
        # although the regions beside the signal are off, for it lies in them
        pull = checks(events, tail=0.1, background_like=0.4)["largest_pull"]
        assert abs(pull) > 10


@pytest.mark.parametrize(("truth", "weight"), [(True, 0.17), (False, 0.22)])
def test_a_weak_dependence_is_warned_of_where_it_is_three_errors_off(truth: bool, weight: float) -> None:
    """Scores with something in common: off by more than 5%, and by fewer than three errors beyond these."""
    events = scored("independent", 0.0, truth=truth, n=20_000)
    common = np.random.default_rng(2).normal(size=20_000)
    first, second = ((1 - weight) * one + weight * common for one in (events.first, events.second))
    events = ScoredEvents(first, second, events.folds, events.weight, events.truth)
    tested = checks(events, tail=tail_of(0.1), background_like=0.4)["independence"]
    assert abs(tested["ratio"] - 1) > max(0.05, 3 * tested["ratio_error"])
    assert tested["beyond"] < 3
    assert tested["doubtful"]


def with_ties(share: float, *, folds: int = 1, n: int = 20_000) -> dict[str, Any]:
    """Entry of an estimate at 1% whose first score has one value for the highest `share` of the events."""
    rng = np.random.default_rng(3)
    first, second = rng.random((2, n))
    fold = None if folds == 1 else np.arange(n) % folds
    events = ScoredEvents(np.minimum(first, 1 - share), second, (fold, None), np.ones(n), None)
    abcd = {"name": "taus", "tail": 0.1, "first": "tau", "second": "other", "tails": actual_tails(events, 0.1)}
    return {"mixture": "f", "efficiency": 0.01, "abcd": abcd}


def test_ties_that_move_a_selection_are_warned_of() -> None:
    entry = with_ties(0.14)
    fractions = [one["fraction"] for one in entry["abcd"]["tails"]]
    assert fractions == pytest.approx([0.14, 0.1], abs=0.01)
    (said,) = abcd_warnings({"selections": {"s": entry}})
    assert "ABCD estimate taus of f: events of equal tau stay together" in said
    assert f"keeps {format_percent(fractions[0])} in place of 10% (efficiency 1%)" in said


@pytest.mark.parametrize(("share", "folds", "n"), [(0.0, 1, 20_000), (0.05, 1, 20_000), (0.0, 40, 40 * 14)])
def test_selections_as_they_are_named_are_not(share: float, folds: int, n: int) -> None:
    """Ties above the cut change nothing, nor does a fold of 14 events, of which 1 in place of 1.4 is selected."""
    entry = with_ties(share, folds=folds, n=n)
    assert not any(one["tied"] for one in entry["abcd"]["tails"])
    assert list(abcd_warnings({"selections": {"s": entry}})) == []


def test_what_truth_tells() -> None:
    found = checks(scored("independent", 0.09, shift=2.0), tail=tail_of(0.03), background_like=0.4)["truth"]
    assert abs(found["correlation"]["pearson"]) < 4 * found["correlation"]["error"]
    assert found["correlation"]["n"] == 0.91 * N_EVENTS
    assert found["closure"]["closes"]
    assert abs(found["closure"]["ratio"] - 1) < 4 * found["closure"]["ratio_error"]
    # signal in the control regions is in the prediction from all events
    assert found["closure_in_data"]["ratio"] > 1.1
    assert found["closure_in_data"]["true"] == found["closure"]["true"]
    mass = checks(scored("mass", 0.0), tail=tail_of(0.1), background_like=0.4)["truth"]
    assert not mass["closure"]["closes"]
    assert mass["correlation"]["rank"] > 10 * mass["correlation"]["error"]


def test_without_background_there_is_nothing_to_compare() -> None:
    events = scored("independent", 0.0, n=400)
    signal = ScoredEvents(events.first, events.second, events.folds, events.weight, np.ones(400, dtype=int))
    found = checks(signal, tail=0.1, background_like=0.4)
    assert found["independence"] == {}
    assert found["truth"]["closure"]["reason"]
