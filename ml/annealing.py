"""How strongly a term counts in a loss, epoch by epoch."""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError

RAMP = 0.5  # share of a cycle in which the strength rises


def cyclic(epochs: int, *, cycles: int) -> np.ndarray:
    """Strengths (epochs,) from 0 to 1: in each cycle a linear rise from 0, then 1 for the other half of the cycle.

    "Slowly increase λ from 0 to the target value for multiple times" (arXiv:2007.01850, section V, footnote 5; the
    shape of a cycle is that of arXiv:1903.10145). 0 cycles are the full strength all along. A training ends at the full
    strength: cycles of two epochs, the shortest, are 0 and 1.

    Raises:
        TrainingError: less than two epochs in a cycle.
    """
    if not cycles:
        return np.ones(epochs)
    if cycles < 0 or epochs < 2 * cycles:
        raise TrainingError(f"{cycles} cycles need at least two epochs each: got {epochs} epochs")
    lengths = [len(part) for part in np.array_split(np.arange(epochs), cycles)]
    return np.concatenate([np.minimum(np.arange(n) / max(RAMP * n, 1.0), 1.0) for n in lengths])
