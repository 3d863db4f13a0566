"""What an ensemble says as a whole."""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError


def truncated_mean(members: np.ndarray, truncation: float) -> np.ndarray:
    """Mean over the first axis without the lowest and the highest members, chosen anew in every column.

    Args:
        members: (n_members, n_events).
        truncation: share left out at either end, from 0 to below 0.5, rounded down to whole members: 0.1 of ten
            leaves out one at either end, 0.1 of nine none.

    Returns:
        (n_events,) float64.
    """
    require_truncation(truncation)
    members = np.asarray(members, dtype=np.float64)
    cut = int(truncation * len(members) + 1e-9)
    return members.mean(axis=0) if not cut else np.sort(members, axis=0)[cut : len(members) - cut].mean(axis=0)


def require_truncation(truncation: float) -> None:
    """Raise TrainingError unless the share is from 0 to below 0.5."""
    if not 0 <= truncation < 0.5:
        raise TrainingError(f"truncation must be from 0 to below 0.5, a share of members at either end: {truncation:g}")
