"""The minimum of a positive definite quadratic form within bounds.

The active set follows Voglis and Lagaris, "BOXCQP: an algorithm for bound constrained convex quadratic problems"
(2004): solve for the free variables, hold those that left their bounds, free those that pull inwards, until neither.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dposv

RIDGE = 1e-11  # relative to the diagonal: directions that change nothing keep a Cholesky factor
MAX_PASSES = 40


def bounded_minimum(hessian: np.ndarray, gradient: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """p that minimises gradient·p + ½ p·hessian·p in ``low`` <= p <= ``high`` (around 0).

    Returns:
        shape (n,), or None when ``hessian`` is not positive definite where p is free.
    """
    diagonal = hessian.diagonal()
    if (diagonal < 0).any() or not np.isfinite(gradient).all() or not np.isfinite(diagonal).all():
        return None
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = hessian * scale[:, None] * scale
    scaled[np.diag_indices(scale.size)] += RIDGE
    slope, low, high = gradient * scale, low / scale, high / scale
    below, above = (low >= 0) & (slope > 0), (high <= 0) & (slope < 0)
    step = np.zeros(scale.size)
    for _ in range(MAX_PASSES):
        held = below | above
        step = np.where(below, low, np.where(above, high, 0.0))
        if not held.any():
            _, step, failed = dposv(scaled, -slope)
            pull = None
        else:
            free = np.flatnonzero(~held)
            failed = 0
            if free.size:
                rows = scaled[free]
                _, inner, failed = dposv(rows[:, free], -slope[free] - rows @ step)
                step[free] = inner
            pull = scaled @ step + slope
        if failed:
            return None
        leave_low, leave_high = ~held & (step < low), ~held & (step > high)
        kept_low = below if pull is None else below & (pull >= 0)
        kept_high = above if pull is None else above & (pull <= 0)
        if not (leave_low.any() or leave_high.any()) and (kept_low | kept_high).sum() == held.sum():
            return step * scale
        below, above = kept_low | leave_low, kept_high | leave_high
    return np.clip(step, low, high) * scale
