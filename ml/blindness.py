"""Whether an adversary sees what there is to be seen: its accuracy beside that of a single cut on what it is shown."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ml.errors import TrainingError

WORTH_SEEING = 0.1  # distance of two classes; fluctuations of a few thousand events reach half of it


def largest_distance(scores: np.ndarray, classes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Largest Kolmogorov–Smirnov distance between two classes of events, (members,) of scores (members, n_events).

    A cut where the two are farthest apart, and a guess of either class on its two sides, is right in (1 + D)/k of
    events of k classes of equal weight: any adversary that is worth its name is right as often.

    Args:
        scores: (members, n_events).
        classes, weight: (n_events,).

    Raises:
        TrainingError: fewer than two classes have weight.
    """
    names = np.unique(classes[weight > 0])
    if len(names) < 2:
        raise TrainingError(f"classes are apart where there are two of them: got {names.tolist()}")
    order = np.argsort(scores, axis=1, kind="stable")
    last = _last_of_equals(np.take_along_axis(scores, order, axis=1))
    below = []
    for name in names:
        own = np.where(classes == name, weight, 0.0)
        below.append(np.cumsum(own[order], axis=1) / own.sum())
    apart = [np.where(last, np.abs(one - other), 0.0).max(axis=1) for one, other in combinations(below, 2)]
    return np.asarray(np.max(apart, axis=0))


def blind(distance: np.ndarray, accuracy: np.ndarray, *, classes: int) -> np.ndarray:
    """Which adversaries, (members,), are right in less than half of what a cut adds to a guess, where that is much."""
    gained = np.asarray(accuracy) - 1 / classes
    return (np.asarray(distance) > WORTH_SEEING) & (gained < 0.5 * np.asarray(distance) / classes)


def _last_of_equals(ordered: np.ndarray) -> np.ndarray:
    """Where a score is the last of those that equal it, as a cut cannot be among equals."""
    last = np.ones(ordered.shape, dtype=bool)
    last[:, :-1] = ordered[:, 1:] != ordered[:, :-1]
    return last
