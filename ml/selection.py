"""Working points: the most anomalous events at a given efficiency, fold by fold."""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError


def thresholds(
    scores: np.ndarray, fold_index: np.ndarray, efficiency: float, *, weight: np.ndarray | None = None
) -> dict[int, float]:
    """Score threshold of each fold, so that `score >= threshold` keeps the fraction `efficiency` of its weight.

    Scores of different folds come from different models and are not comparable: each fold gets its own threshold.
    Of the possible thresholds (the distinct scores, and one above all of them) the one whose selected weight is
    closest to the fraction asked for is taken, the tighter one where two are equally close. Without ties that is the
    fraction to half an event; events of equal score are kept or dropped together.

    Args:
        scores: (n_events,).
        fold_index: (n_events,) fold of each event.
        efficiency: fraction to keep, above 0 and at most 1.
        weight: (n_events,) event weights; 1 if None.

    Raises:
        TrainingError: an efficiency outside (0, 1], scores that are not finite, a fold whose weights do not sum to
            something positive.
    """
    scores, fold_index = np.asarray(scores), np.asarray(fold_index)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not 0 < efficiency <= 1:
        raise TrainingError(f"a selection efficiency must be above 0 and at most 1: got {efficiency:g}")
    if not np.isfinite(scores).all():
        raise TrainingError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite")
    result = {}
    for fold in np.unique(fold_index):
        rows = fold_index == fold
        result[int(fold)] = _threshold(scores[rows], weights[rows], efficiency, fold=int(fold))
    return result


def select(
    scores: np.ndarray, fold_index: np.ndarray, efficiency: float, *, weight: np.ndarray | None = None
) -> np.ndarray:
    """(n_events,) bool: the events above the threshold of their fold; see `thresholds`."""
    return passing(scores, fold_index, thresholds(scores, fold_index, efficiency, weight=weight))


def passing(scores: np.ndarray, fold_index: np.ndarray, cuts: dict[int, float]) -> np.ndarray:
    """(n_events,) bool: the events at or above given thresholds, for samples the thresholds were not set on.

    Raises:
        TrainingError: events of a fold without a threshold.
    """
    fold_index = np.asarray(fold_index)
    missing = sorted(set(np.unique(fold_index).tolist()) - set(cuts))
    if missing:
        raise TrainingError(f"no threshold for folds {missing}: thresholds exist for folds {sorted(cuts)}")
    selected = np.zeros(len(fold_index), dtype=bool)
    for fold, cut in cuts.items():
        rows = fold_index == fold
        selected[rows] = np.asarray(scores)[rows] >= cut
    return selected


def fold_quantiles(
    scores: np.ndarray,
    fold_index: np.ndarray,
    *,
    reference: np.ndarray,
    reference_fold: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Each score as the fraction of the reference events of its fold that score lower, equal ones counted half.

    Working points are set within folds (see `thresholds`), so a curve over scores of several folds has to be: raw
    scores of different models only share a range. Within a fold the order against reference events is kept, whatever
    the number of folds.

    Args:
        scores: (n_events,), or (n_events, n_members), where every member has its own quantiles.
        fold_index: (n_events,) fold of each event.
        reference: (n_reference,) or (n_reference, n_members) scores of the searched events.
        reference_fold: (n_reference,) fold of each of these.
        weight: (n_reference,) their event weights; 1 if None.

    Returns:
        float64 from 0 to 1, of the shape of `scores`.

    Raises:
        TrainingError: events of a fold without reference events of a positive sum of weights; scores that are not
            finite.
    """
    scores, reference = np.asarray(scores), np.asarray(reference)
    if scores.ndim == 2:
        columns = zip(scores.T, reference.T, strict=True)
        each = [
            fold_quantiles(own, fold_index, reference=other, reference_fold=reference_fold, weight=weight)
            for own, other in columns
        ]
        return np.stack(each, axis=1)
    weights = np.ones(len(reference)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not (np.isfinite(scores).all() and np.isfinite(reference).all()):
        raise TrainingError("scores that are not finite have no quantile")
    result = np.zeros(len(scores))
    for fold in np.unique(fold_index):
        rows, own = np.asarray(fold_index) == fold, np.asarray(reference_fold) == fold
        order = np.argsort(reference[own], kind="stable")
        ordered, summed = reference[own][order], np.concatenate([[0.0], np.cumsum(weights[own][order])])
        if not summed[-1] > 0:
            raise TrainingError(f"no searched events of fold {fold} with a positive sum of weights to compare with")
        ends = [np.searchsorted(ordered, scores[rows], side=side) for side in ("left", "right")]
        result[rows] = (summed[ends[0]] + summed[ends[1]]) / 2 / summed[-1]
    return result


def _threshold(scores: np.ndarray, weights: np.ndarray, efficiency: float, *, fold: int) -> float:
    total = float(weights.sum())
    if not total > 0:
        raise TrainingError(f"the event weights of fold {fold} sum to {total:g}: no efficiency can be set on them")
    distinct, place = np.unique(scores, return_inverse=True)
    per_score = np.bincount(place, weights=weights, minlength=len(distinct))
    kept = np.append(np.cumsum(per_score[::-1])[::-1], 0.0)
    # the last index is nothing kept; among equally close ones prefer it, the tighter
    distance = np.abs(kept - efficiency * total)
    tightest = len(kept) - 1 - int(np.argmin(np.round(distance[::-1], 9)))
    return float("inf") if tightest == len(distinct) else float(distinct[tightest])
