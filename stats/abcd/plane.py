"""Events counted in strips of two scores: the plane that every ABCD estimate reads.

A strip is named by the fractions of events above its boundaries ("tails"), so that "the 1% highest scores" means the
same in every fold although scores of different folds, which come from different models, cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError


@dataclass(frozen=True)
class Plane:
    """Events per pair of strips.

    Attributes:
        counts: (n_first, n_second) sums of weights; strips run from the least to the most anomalous, so that
            ``counts[-1, -1]`` is the signal region.
        variances: (n_first, n_second) sums of squared weights; by default the counts, as where nothing is weighted.

    Raises:
        StatisticsError: for anything but two equal matrices of finite numbers that are not negative, two strips or
            more in each direction.
    """

    counts: np.ndarray
    variances: np.ndarray = None  # type: ignore[assignment]  # ever only before __post_init__

    def __post_init__(self) -> None:
        counts = np.array(self.counts, dtype=float)
        variances = counts.copy() if self.variances is None else np.array(self.variances, dtype=float)
        if counts.ndim != 2 or min(counts.shape) < 2 or variances.shape != counts.shape:
            raise StatisticsError(
                "A plane of two scores is a matrix of counts with two strips or more in each direction, and a matrix "
                f"of variances like it: got shapes {counts.shape} and {variances.shape}."
            )
        for values, what in ((counts, "counts"), (variances, "variances")):
            if not np.all(np.isfinite(values)) or np.any(values < 0):
                raise StatisticsError(
                    f"The {what} of a plane are finite and not negative, got {values.ravel().tolist()}. Events with "
                    "negative weights cannot fill the regions of an ABCD estimate."
                )
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "variances", variances)

    @property
    def is_counts(self) -> bool:
        """Whether these are numbers of events, not weighted sums: only then do exact intervals and pyhf apply."""
        return bool(np.array_equal(self.counts, self.variances) and np.array_equal(self.counts, np.rint(self.counts)))

    @property
    def total(self) -> float:
        """Events in all strips."""
        return float(self.counts.sum())

    @property
    def observed(self) -> float:
        """Events in the signal region."""
        return float(self.counts[-1, -1])

    def merged(self, first: Sequence[int], second: Sequence[int]) -> Plane:
        """The plane with neighbouring strips taken together; ``first`` and ``second`` are the strips that begin one.

        >>> Plane(np.arange(9.0).reshape(3, 3)).merged([0, 2], [0, 2]).counts
        array([[ 8.,  7.],
               [13.,  8.]])
        """
        return Plane(*(_add(_add(values, first, 0), second, 1) for values in (self.counts, self.variances)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"counts": self.counts.tolist(), "variances": self.variances.tolist()}


def _add(values: np.ndarray, starts: Sequence[int], axis: int) -> np.ndarray:
    result: np.ndarray = np.add.reduceat(values, list(starts), axis=axis)
    return result


def count_plane(
    first: np.ndarray,
    second: np.ndarray,
    *,
    first_tails: Sequence[float],
    second_tails: Sequence[float] | None = None,
    fold: np.ndarray | None = None,
    second_fold: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Plane:
    """Count events in strips of two scores, larger being more anomalous.

    Args:
        first, second: (n_events,) scores.
        first_tails, second_tails: falling fractions of events above each boundary, between 0 and 1: (0.6, 0.01)
            makes three strips, the lowest 40%, the middle, and the highest 1%. The second default to the first.
        fold, second_fold: (n_events,) fold of each score; thresholds are set within it and the folds' counts summed.
        weight: (n_events,) event weights, 1 by default.

    Raises:
        StatisticsError: for lengths that differ, scores that are not finite, negative weights, no events.
    """
    second_tails = first_tails if second_tails is None else second_tails
    second_fold = fold if second_fold is None else second_fold
    rows = strips(first, first_tails, fold=fold, weight=weight)
    columns = strips(second, second_tails, fold=second_fold, weight=weight)
    return plane_of(rows, columns, shape=(len(first_tails) + 1, len(second_tails) + 1), weight=weight)


def plane_of(rows: np.ndarray, columns: np.ndarray, *, shape: tuple[int, int], weight: np.ndarray | None) -> Plane:
    """Count events whose strips are known, (n_events,) each."""
    if len(rows) != len(columns):
        raise StatisticsError(f"The two scores belong to different events: there are {len(rows)} and {len(columns)}.")
    cell = rows * shape[1] + columns
    weights = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=float)
    sums = [np.bincount(cell, weights=w, minlength=shape[0] * shape[1]).reshape(shape) for w in (weights, weights**2)]
    return Plane(sums[0], sums[1])


def strips(
    score: np.ndarray, tails: Sequence[float], *, fold: np.ndarray | None = None, weight: np.ndarray | None = None
) -> np.ndarray:
    """(n_events,) number of the strip of each event: how many of the boundaries its score reaches in its fold.

    Events of equal score stay together; of the possible boundaries the one is taken whose tail holds most nearly the
    fraction of the fold's weight that was asked for.
    """
    score, fractions = np.asarray(score, dtype=float), np.asarray(tails, dtype=float)
    weights = np.ones(len(score)) if weight is None else np.asarray(weight, dtype=float)
    folds = np.zeros(len(score), dtype=int) if fold is None else np.asarray(fold)
    _check(score, weights, folds, fractions)
    result = np.zeros(len(score), dtype=int)
    for one in np.unique(folds):
        rows = np.flatnonzero(folds == one)
        cuts = thresholds(score[rows], fractions, weights[rows])
        result[rows] = (score[rows, None] >= cuts).sum(axis=1)
    return result


def thresholds(score: np.ndarray, tails: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n_tails,) scores such that the events at or above hold most nearly these fractions of the weight.

    A tail that holds less than half of the first event has an infinite threshold: nothing passes.
    """
    distinct, place = np.unique(score, return_inverse=True)
    kept = np.append(np.cumsum(np.bincount(place, weights=weight)[::-1])[::-1], 0.0)
    # the tail farthest up wins where two are equally near: reversed, argmin finds it first
    nearest = [len(kept) - 1 - int(np.argmin(np.round(np.abs(kept - t * kept[0])[::-1], 9))) for t in tails]
    return np.append(distinct, np.inf)[nearest]


def _check(score: np.ndarray, weight: np.ndarray, fold: np.ndarray, tails: np.ndarray) -> None:
    if not len(score) or not len(score) == len(weight) == len(fold):
        raise StatisticsError(
            f"An ABCD estimate needs events, each with a score, a weight and a fold: got {len(score)}, {len(weight)} "
            f"and {len(fold)} of them."
        )
    if not np.all(np.isfinite(score)):
        raise StatisticsError(
            f"{int((~np.isfinite(score)).sum())} of {len(score)} scores are not finite. Leave those events out, or "
            "find out why the detector cannot score them."
        )
    if not np.all(np.isfinite(weight)) or np.any(weight < 0) or not weight.sum() > 0:
        raise StatisticsError("Event weights must be finite and not negative, with a positive sum, to set percentiles.")
    if not len(tails) or np.any(tails <= 0) or np.any(tails >= 1) or np.any(np.diff(tails) >= 0):
        raise StatisticsError(
            f"Tails are fractions between 0 and 1 that fall from strip to strip: got {tails.tolist()}."
        )
