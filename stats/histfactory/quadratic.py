"""The minimum of a positive definite quadratic form within bounds.

The active set follows Voglis and Lagaris, "BOXCQP: an algorithm for bound constrained convex quadratic problems"
(2004): solve for the free variables, hold those that left their bounds, free those that pull inwards, until neither.
Should that go round in circles, Murty's rule (one variable at a time, the last of those at fault) ends it.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dposv

RIDGE = 1e-11  # relative to the diagonal: directions that change nothing keep a Cholesky factor
TOGETHER = 12  # passes that exchange all variables at once; after them one at a time, which cannot cycle
MAX_PASSES = 300


def bounded_minimum(hessian: np.ndarray, gradient: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """p that minimises gradient·p + ½ p·hessian·p in ``low`` <= p <= ``high`` (around 0).

    Returns:
        shape (n,), or None when ``hessian`` is not positive definite where p is free.
    """
    if not gradient.size:
        return np.zeros(0)
    diagonal = hessian.diagonal()
    if not (diagonal.min(initial=0.0) >= 0 and np.isfinite(diagonal.sum() + gradient.sum())):
        return None
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = hessian * (scale[:, None] * scale)
    np.einsum("kk->k", scaled)[:] += RIDGE
    slope, low, high = gradient * scale, low / scale, high / scale
    below, above = (low >= 0) & (slope > 0), (high <= 0) & (slope < 0)
    step = np.zeros(scale.size)
    for attempt in range(MAX_PASSES):
        held = below | above
        if not held.any():
            _, step, failed = dposv(scaled, -slope)
            wrong = (step < low) | (step > high)
        else:
            step, failed = _held_solution(scaled, slope, np.where(below, low, np.where(above, high, 0.0)), held)
            pull = scaled @ step + slope
            wrong = np.where(below, pull < 0, np.where(above, pull > 0, (step < low) | (step > high)))
        if failed:
            return None
        if not wrong.any():
            return step * scale
        if attempt >= TOGETHER:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        leaving = wrong & ~held
        below = (below & ~wrong) | (leaving & (step < low))
        above = (above & ~wrong) | (leaving & (step > high))
    return np.clip(step, low, high) * scale


def _held_solution(
    scaled: np.ndarray, slope: np.ndarray, step: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, bool]:
    """``step`` with its components that are not held at their minimum, and whether that failed."""
    free = np.flatnonzero(~held)
    if not free.size:
        return step, False
    rows = scaled[free]
    _, inner, failed = dposv(rows[:, free], -slope[free] - rows @ step)
    step[free] = inner
    return step, bool(failed)
