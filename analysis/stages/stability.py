"""How stable the scores of Tag N' Train are from iteration to iteration, without labels, over the folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ml.objects import OBJECTS


def stability_of(history: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an entry for each iteration of a detector that tags and trains, the weak classifiers' first; else none.

    `history` is that of the folds (`ml.History.to_dict`). An entry has `rank_correlation`, of each object's scores with
    those of the iteration before (None for the first), and `object_correlation` of the two objects' scores: each
    {value, spread, n}, mean and standard deviation over n folds; see `ml.tnt_training.Iterations.run`.
    """
    folds = [part["losses"] for part in history["parts"].values()]
    if not folds or any("object_correlation" not in losses for losses in folds):
        return []
    return [
        {
            "iteration": iteration,
            "rank_correlation": {
                name: _over_folds([losses["rank_correlation"][iteration][k] for losses in folds])
                for k, name in enumerate(OBJECTS)
            },
            "object_correlation": _over_folds([losses["object_correlation"][iteration][0] for losses in folds]),
        }
        for iteration in range(len(folds[0]["object_correlation"]))
    ]


def _over_folds(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Return mean and standard deviation of what is a number; None without any."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return {"value": float(np.mean(known)), "spread": spread, "n": len(known)}
