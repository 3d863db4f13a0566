"""Scores of a detector's trainings as one file of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml import Scores

ARRAYS = (
    "score", "spread", "members", "fold_index", "spare_score", "spare_members", "repeat_scores", "spare_repeat_scores",
    "objects", "spare_objects",
)  # fmt: skip
"""What a file may hold; see `analysis.stages.train.Trained`."""


def save_scores(path: Path, scores: Sequence[Scores], fold_index: np.ndarray, n_searched: int) -> None:
    """Write the scores of every training; the first `n_searched` events are the searched ones, the others spare."""
    first = scores[0]
    arrays = {
        "score": first.event[:n_searched],
        "spread": first.spread[:n_searched],
        "fold_index": fold_index[:n_searched],
        "spare_score": first.event[n_searched:],
    }
    if first.members is not None:
        arrays |= {"members": first.members[:n_searched], "spare_members": first.members[n_searched:]}
    if first.objects is not None:
        arrays |= {"objects": first.objects[:n_searched], "spare_objects": first.objects[n_searched:]}
    if len(scores) > 1:
        repeats = np.stack([one.event for one in scores], axis=1).astype(np.float32)
        arrays |= {"repeat_scores": repeats[:n_searched], "spare_repeat_scores": repeats[n_searched:]}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def read_scores(path: Path) -> dict[str, Any]:
    """Return every array of `ARRAYS`, None where there is none."""
    with np.load(path, allow_pickle=False) as arrays:
        return {field: arrays.get(field) for field in ARRAYS}
