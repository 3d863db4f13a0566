"""What a detector's scores are worth where the truth is known, with the spread over its independent trainings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.config import WindowSettings
from analysis.events import Events
from ml import Scores
from ml.metrics import Measured, auc, background_rejection, max_sic, sic_at
from ml.selection import fold_quantiles

MIN_BACKGROUND = 20  # events behind the largest SIC, see ml.metrics.max_sic
REGULATOR = 1e-4  # of the largest SIC in SALAD's paper, arXiv:2001.05001, where one background event is enough

_Given = dict[str, Any]
_FIGURES: dict[str, Callable[[np.ndarray, np.ndarray, _Given], Measured]] = {
    "auc": lambda event, truth, given: auc(event, truth, **given),
    "max_sic": lambda event, truth, given: max_sic(event, truth, min_background=MIN_BACKGROUND, **given),
    "max_sic_regulated": lambda event, truth, given: max_sic(
        event, truth, min_background=1, regulator=REGULATOR, **given
    ),
    "sic_at_0.5": lambda event, truth, given: sic_at(event, truth, 0.5, **given),
    "background_rejection_at_0.5": lambda event, truth, given: background_rejection(event, truth, 0.5, **given),
    "background_efficiency_at_0.5": lambda event, truth, given: _background_efficiency(event, truth, given),
}


def measure(
    events: Events, scores: Sequence[Scores], window: WindowSettings | None, *, folds: int, searched: int
) -> dict[str, dict[str, float | int | list[float] | None]]:
    """Return figures of merit against the truth, in the signal window where there is one.

    All signal events count, injected or not: each was scored by a fold that never saw it. Scores of different folds
    are comparable only by their quantiles among the searched events (those in the window) of the same fold, the first
    `searched` of `events`; an event's fold is `fold % folds`. Of one training, `spread` is
    the standard deviation over the members of its ensemble. Of several, it is that over the trainings in `repeats`,
    `value` their mean and `uncertainty` the mean of their statistical uncertainties.
    """
    rows = events.inside(window.signal) if window is not None else np.ones(len(events), dtype=bool)
    truth, weight, fold = (events[name][rows] for name in ("truth", "weight", "fold"))
    fold, own = fold % folds, int(rows[:searched].sum())
    if not (truth == 1).any() or (truth == 0).sum() < MIN_BACKGROUND:
        return {}

    def measured(name: str, one: tuple[np.ndarray, np.ndarray | None]) -> Measured:
        return _FIGURES[name](one[0], truth, {"weight": weight, "members": one[1]})

    def ranked(values: np.ndarray) -> np.ndarray:
        inside = values[rows]
        return fold_quantiles(inside, fold, reference=inside[:own], reference_fold=fold[:own], weight=weight[:own])

    each = [
        (ranked(one.event), ranked(one.members) if one.members is not None and len(scores) == 1 else None)
        for one in scores
    ]
    return {name: _over_repeats([measured(name, one) for one in each]) for name in _FIGURES}


def _over_repeats(found: Sequence[Measured]) -> dict[str, Any]:
    if len(found) == 1:
        return found[0].to_dict()
    values = [one.value for one in found]
    mean = Measured(
        value=float(np.mean(values)),
        uncertainty=float(np.mean([one.uncertainty for one in found])),
        n_signal=round(float(np.mean([one.n_signal for one in found]))),
        n_background=round(float(np.mean([one.n_background for one in found]))),
        spread=float(np.std(values, ddof=1)),
    )
    return {**mean.to_dict(), "repeats": values}


def _background_efficiency(event: np.ndarray, truth: np.ndarray, given: _Given) -> Measured:
    """ε_B at ε_S = 0.5; an upper bound where no background passes."""
    rejection = background_rejection(event, truth, 0.5, weight=given["weight"])
    members = given["members"]
    spread = None
    if members is not None and members.shape[1] > 1:
        each = [1 / background_rejection(m, truth, 0.5, weight=given["weight"]).value for m in members.T]
        spread = float(np.std(each, ddof=1))
    return Measured(
        value=1 / rejection.value,
        uncertainty=rejection.uncertainty / rejection.value**2,
        n_signal=rejection.n_signal,
        n_background=rejection.n_background,
        spread=spread,
    )
