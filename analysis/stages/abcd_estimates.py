"""From two scores per event to every ABCD estimate of one selection, as plain data."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stats import StatisticsError, upper_limit
from stats.abcd import (
    Plane,
    Regions,
    SignalShares,
    abcd_discovery,
    abcd_workspace,
    counting_estimate,
    estimate,
    even_strips,
    extended_regions,
    fitted_background,
    plain_regions,
    plane_of,
    shares_of,
    strips,
    with_region_a,
)

logger = logging.getLogger(__name__)

TIED = 0.1  # relative difference of actual and nominal fraction of a score from which a report warns
OBJECTS = ("first", "second")  # of an event, as detectors that score each of them call them
_ORDERED = re.compile(r"(leading|subleading)_(\w+)")


@dataclass(frozen=True)
class ScoredEvents:
    """Two scores per event, larger being more anomalous, with all that an estimate needs; (n_events,) each.

    `folds` are those of the first and the second score, None where one threshold serves all events; `simulated` are
    events of a simulated signal, for how a signal is shared among the regions.
    """

    first: np.ndarray
    second: np.ndarray
    folds: tuple[np.ndarray | None, np.ndarray | None]
    weight: np.ndarray
    truth: np.ndarray | None
    simulated: ScoredEvents | None = None

    def strips(self, first: tuple[float, ...], second: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of the strip of each event along both scores; see `stats.abcd.strips`."""
        return (
            strips(self.first, first, fold=self.folds[0], weight=self.weight),
            strips(self.second, second, fold=self.folds[1], weight=self.weight),
        )

    def plane(self, first: tuple[float, ...], second: tuple[float, ...], *, only: np.ndarray | None = None) -> Plane:
        """Return the events per pair of strips; `only` masks the events that count, the thresholds are everyone's."""
        rows, columns = self.strips(first, second)
        chosen = np.ones(len(rows), dtype=bool) if only is None else only
        shape = (len(first) + 1, len(second) + 1)
        return plane_of(rows[chosen], columns[chosen], shape=shape, weight=self.weight[chosen])

    def simulated_plane(self, first: tuple[float, ...], second: tuple[float, ...]) -> Plane:
        """Return the simulated signal per pair of strips; the thresholds are those of the searched events."""
        signal = self.simulated
        assert signal is not None
        own = len(self.weight)
        # without weight the signal moves no threshold
        weight = np.concatenate([self.weight, np.zeros(len(signal.weight))])
        codes = [
            strips(
                np.concatenate([mine, other]),
                tails,
                fold=None if fold is None or also is None else np.concatenate([fold, also]),
                weight=weight,
            )[own:]
            for mine, other, tails, fold, also in zip(
                (self.first, self.second),
                (signal.first, signal.second),
                (first, second),
                self.folds,
                signal.folds,
                strict=True,
            )
        ]
        return plane_of(*codes, shape=(len(first) + 1, len(second) + 1), weight=signal.weight)

    @property
    def is_signal(self) -> np.ndarray | None:
        """Mask of the signal events, None where truth is not known."""
        return None if self.truth is None else self.truth == 1


def object_of(name: str) -> tuple[str, str] | None:
    """Return detector and object behind the score of one object, None for a score that is none of these.

    >>> object_of("-tnt.first"), object_of("tnt")
    (('tnt', 'first'), None)
    """
    detector, _, part = name.removeprefix("-").rpartition(".")
    return (detector, part) if detector and part in OBJECTS else None


def score_columns(name: str) -> tuple[str, ...]:
    """Return the columns behind a score that is no detector's.

    The processed events call the more massive of the two jets j1. Ordering by mass makes the jets' features depend on
    each other, so that `leading_tau21` and `subleading_tau21` mean the same jets ordered by transverse momentum.

    >>> score_columns("-subleading_tau21"), score_columns("j1_m")
    (('j1_tau21', 'j2_tau21', 'j1_pt', 'j2_pt'), ('j1_m',))
    """
    ordered = _ORDERED.fullmatch(name.removeprefix("-"))
    if ordered is None:
        return (name.removeprefix("-"),)
    return (f"j1_{ordered[2]}", f"j2_{ordered[2]}", "j1_pt", "j2_pt")


def tail_of(efficiency: float) -> float:
    """Return the fraction above the threshold of each score so that both together keep `efficiency`, if independent.

    Nothing of the selected events enters: the number that is observed stays free.
    """
    return float(np.sqrt(efficiency))


def actual_tails(events: ScoredEvents, tail: float) -> list[dict[str, Any]]:
    """Return of the first and the second score the fraction of events that it selects, and whether ties change it.

    Events of equal score stay together, so that their fraction may differ from the nominal one. `tied` is whether it
    does by more than `TIED`, and by more than the one event that each fold may have too many or too few.
    """
    found = []
    for strip, fold in zip(events.strips((tail,), (tail,)), events.folds, strict=True):
        total = float(events.weight.sum())
        fraction = float(events.weight[strip == 1].sum()) / total
        n_folds = 1 if fold is None else len(np.unique(fold))
        off = abs(fraction - tail)
        tied = off > TIED * tail and off * total > n_folds * float(events.weight.max())
        found.append({"fraction": fraction, "tied": bool(tied)})
    return found


def estimates(
    events: ScoredEvents, *, efficiency: float, background_like: float, systematic: float, closure: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return every estimate as plain data for results.json, and the pyhf workspaces by name.

    An estimate that its counts do not allow is `{"reason": …}`; no other one suffers.
    """
    tail = tail_of(efficiency)
    workspaces: dict[str, Any] = {}
    counting = allowed(lambda: _counting(events, tail, background_like, systematic))
    observed = counting.get("observed", events.plane((tail,), (tail,)).observed)
    summary: dict[str, Any] = {
        "tail": tail,
        "predicted": counting.get("predicted"),
        "uncertainty": counting.get("uncertainty"),
        "observed": observed,
        "selected_fraction": observed / float(events.weight.sum()),
        "tails": actual_tails(events, tail),
        "z": counting.get("z"),
        "counting": counting,
    }
    if "reason" in counting:
        summary["reason"] = counting["reason"]
    for name, make in _regions_of(tail).items():
        summary[name] = allowed(partial(_regional, events, make, systematic))
    for name in ("plain", "extended"):
        content, workspace = _likelihood(events, _regions_of(tail)[name], closure)
        summary[f"likelihood_{name}"] = content
        if workspace is not None:
            workspaces[name] = workspace
    return summary, workspaces


def allowed(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `make` makes, or `{"reason": …}` where the counts do not allow it."""
    try:
        return make()
    except StatisticsError as error:
        logger.warning("no ABCD estimate: %s", error)
        return {"reason": str(error)}


def _counting(events: ScoredEvents, tail: float, background_like: float, systematic: float) -> dict[str, Any]:
    tails = (1.0 - background_like, tail)
    signal = None if events.is_signal is None else events.plane(tails, tails, only=events.is_signal).observed
    return counting_estimate(events.plane(tails, tails), systematic=systematic, signal=signal).to_dict()


MakeRegions = Callable[[Callable[..., Plane]], Regions]


def _regions_of(tail: float) -> dict[str, MakeRegions]:
    """Return how each estimate makes its regions of a function (first tails, second tails) → plane."""
    return {
        "plain": lambda plane: plain_regions(plane((tail,), (tail,))),
        "extended": lambda plane: extended_regions(plane(even_strips(tail), (tail,))),
        "extended_second": lambda plane: extended_regions(plane((tail,), even_strips(tail)), axis=1),
    }


def _regional(events: ScoredEvents, make: MakeRegions, systematic: float) -> dict[str, Any]:
    found = estimate(make(events.plane))
    content = found.to_dict()
    if found.predicted > 0:
        significance = found.significance(systematic=systematic).to_dict()
        content |= {"z": significance["z"], "p": significance["p"], "z_simple": significance["simple"]}
    return content


def _likelihood(
    events: ScoredEvents, make: MakeRegions, closure: float
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return prediction without region A, limits with and without it, and the workspace with all regions."""
    try:
        regions, found = make(events.plane), _signal_shares(events, make)
        known: dict[str, Any] = (
            {} if found is None else {"signal": found.shares, "signal_systematics": found.systematics}
        )
        workspace = abcd_workspace(regions, closure=closure, **known)
        predicted = fitted_background(abcd_workspace(regions, closure=closure, blinded=True, **known))["A"]
        limit = upper_limit(workspace)
        content: dict[str, Any] = {
            "predicted": predicted,
            "signal_shares": {"A": 1.0} if found is None else dict(found.shares),
            "shares_known": found is not None,
            "closure": closure,
            "fitted_background": fitted_background(workspace)["A"],
            "limit": {
                **limit.to_dict(),
                **abcd_discovery(workspace, limit=limit).to_dict(),
                "unit": "selected events",
            },
        }
        blinded = upper_limit(with_region_a(workspace, predicted)).to_dict()
        return content | {"blinded_expected": blinded["expected"]}, workspace
    except StatisticsError as error:
        logger.warning("no ABCD likelihood: %s", error)
        return {"reason": str(error)}, None


def _signal_shares(events: ScoredEvents, make: MakeRegions) -> SignalShares | None:
    """Return signal by region: simulated, else true events; None where there are none in the selection.

    Only the simulated ones carry an error: the true ones are the very signal in the data.
    """
    if events.simulated is not None:
        return shares_of(make(events.simulated_plane))
    if events.is_signal is None:
        return None
    mask = events.is_signal
    counts = make(lambda first, second: events.plane(first, second, only=mask)).counts
    return SignalShares(dict(counts), dict.fromkeys(counts, 0.0)) if counts["A"] > 0 else None
