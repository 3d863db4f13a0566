"""Is an ABCD estimate to be believed? What validation regions say, and the truth where it is known; plain data."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.stages.abcd_estimates import ScoredEvents, allowed
from stats.abcd import (
    ClosureCheck,
    Plane,
    beyond_tolerance,
    closure_checks,
    correlation,
    counting_estimate,
    dependence,
    is_doubtful,
    plane_of,
    true_closure,
)

# boundaries of the validation regions, as fractions of events above them; those near the selection are left out
VALIDATION_TAILS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)
LEAST_STEP = 1.3  # between the tightest validation boundary and the selection
# highest scores of either kind that the test of independence leaves out at least: beside a tight selection lies signal
SIGNAL_RICH = 0.3


def checks(events: ScoredEvents, *, tail: float, background_like: float) -> dict[str, Any]:
    """Return `closure_checks`, `largest_pull` and `dependence` of all events, `independence`, and what truth tells.

    `truth` is there where each event is known to be signal or background: the `correlation` of the scores on background
    alone, and the ratio of predicted to true background, with the prediction made from background alone (`closure`,
    which tests the scores) and from all events (`closure_in_data`, which signal in the control regions raises, too).

    `independence` says whether the scores may be taken for independent in background: by `truth.closure`, else by the
    worst validation region far from the signal. `doubtful` is whether its ratio, predicted over what is there, is off
    by more than 5% and more than three standard errors, see `stats.abcd.is_doubtful`.
    """
    found = _validation(events, tail)
    if events.is_signal is None:
        return {**found, "independence": _by_validation(events, tail)}
    tails = (1.0 - background_like, tail)
    rows, columns = events.strips(tails, tails)
    true = float(events.weight[(rows == 2) & (columns == 2) & ~events.is_signal].sum())
    truth = _truth(events, ~events.is_signal, (rows, columns))
    return {"true_background": true, "truth": truth, **found, "independence": _by_truth(truth["closure"])}


def _validation(events: ScoredEvents, tail: float) -> dict[str, Any]:
    """Return closure in validation regions and the dependence of both scores, away from the selection."""
    tails = _boundaries(tail)
    if len(tails) < 2:
        return {"closure_checks": [], "largest_pull": None, "dependence": {}}
    plane = events.plane(tails, tails)
    found = [one.to_dict() for one in closure_checks(plane, tails=tails)]
    rejected = allowed(
        lambda: dependence(
            Plane(plane.counts[:-1, :-1], plane.variances[:-1, :-1]),
            first=events.first, second=events.second, weight=events.weight,
        ).to_dict()
    )  # fmt: skip
    pulls = [one["pull"] for one in found if one["pull"] is not None]
    return {
        "closure_checks": found,
        "largest_pull": max(pulls, key=abs) if pulls else None,
        "dependence": rejected,
    }


def _boundaries(tail: float) -> tuple[float, ...]:
    return (*(one for one in VALIDATION_TAILS if one > LEAST_STEP * tail), tail)


def _truth(events: ScoredEvents, background: np.ndarray, strips: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Return correlation and closure where `background` masks the events that are; see `checks`.

    `strips` are the numbers, 0 to 2, of those that background-like and selected events of either score lie in.
    """

    def plane(mask: np.ndarray) -> Plane:
        return plane_of(*(one[mask] for one in strips), shape=(3, 3), weight=events.weight[mask])

    alone = plane(background)

    def closure(measured: Plane) -> dict[str, Any]:
        estimate = counting_estimate(measured, systematic=0.0)
        return true_closure(estimate, alone.observed, variance=float(alone.variances[-1, -1])).to_dict()

    scores = (events.first[background], events.second[background])
    fold, weight = _groups(events)[background], events.weight[background]
    return {
        "correlation": allowed(lambda: correlation(*scores, fold=fold, weight=weight).to_dict()),
        "closure": allowed(lambda: closure(alone)),
        "closure_in_data": allowed(lambda: closure(plane(np.ones(len(background), dtype=bool)))),
    }


def _groups(events: ScoredEvents) -> np.ndarray:
    """(n_events,) number of the pair of folds that both scores of an event belong to."""
    known = [np.zeros(len(events.weight), dtype=int), *(fold for fold in events.folds if fold is not None)]
    groups: np.ndarray = np.unique(np.stack(known), axis=1, return_inverse=True)[1].ravel()
    return groups


def _by_truth(closure: dict[str, Any]) -> dict[str, Any]:
    if closure.get("beyond") is None:
        return {}
    kept = {name: closure[name] for name in ("ratio", "ratio_error", "beyond")}
    return {"against": "true background", **kept, "doubtful": is_doubtful(closure["ratio"], closure["ratio_error"])}


def _by_validation(events: ScoredEvents, tail: float) -> dict[str, Any]:
    """Return the worst of the regions that leave out the highest scores of both kinds, where signal would be."""
    tails = _boundaries(max(tail, SIGNAL_RICH))
    if len(tails) < 2:
        return {}
    found = [one for one in closure_checks(events.plane(tails, tails), tails=tails) if one.region == "inside"]
    # one that is known well may be doubtful, and be fewer errors beyond the tolerance than one that is known badly
    worst = max(found, key=lambda one: (_doubtful(one), _beyond(one)), default=None)
    if worst is None or _beyond(worst) < 0:
        return {}
    return {
        "against": "observed in a validation region",
        "ratio": 1.0 / worst.ratio,
        "ratio_error": worst.ratio_error / worst.ratio**2,
        "beyond": _beyond(worst),
        "left_out": tails[-1],
        "doubtful": _doubtful(worst),
    }


def _doubtful(check: ClosureCheck) -> bool:
    """Whether predicted over observed, the inverse of the region's ratio, is; not where nothing was observed."""
    return check.ratio > 0 and is_doubtful(1.0 / check.ratio, check.ratio_error / check.ratio**2)


def _beyond(check: ClosureCheck) -> float:
    """Standard errors outside the tolerance, −1 where the region has no ratio."""
    beyond = beyond_tolerance(check.ratio, check.ratio_error)
    return beyond if np.isfinite(beyond) else -1.0
