"""Newton's method within bounds for the likelihoods of this package.

Far from the minimum steps use the expected (Fisher) information, which is positive definite and exact for a yield that
is linear in a parameter; near it they use the Hessian. Each step minimises the quadratic model within the bounds and is
halved until −log L falls. The end is reached when the quadratic model promises less than ``tolerance``: then the
conditions of Karush, Kuhn and Tucker hold. Where expectations have kinks at α = 0 each side is minimised as a region
of its own, and left when the other side promises more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stats.histfactory.expectation import Yields
from stats.histfactory.likelihood import Curvatures, Likelihood
from stats.histfactory.quadratic import bounded_minimum

TOLERANCE = 1e-9
MAX_ITERATIONS = 300
FAR = 1.0  # promised decrease of −log L above which the expected information guides
ROUNDING = 1e-7  # promised decrease that may remain when no step lowers −log L any more
SMALLEST_STEP = 1e-10


# (free parameters, step, −log L, promised decrease) → whether to give up
Hopeless = Callable[[np.ndarray, np.ndarray, float, float], bool]


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended: ``value`` is the likelihood's, without its constant."""

    point: np.ndarray
    value: float
    converged: bool
    iterations: int


@dataclass
class _State:
    point: np.ndarray
    value: float
    yields: Yields


class Search:
    """One minimisation: the likelihood, which parameters move, and their bounds (shape (P, 2))."""

    def __init__(self, likelihood: Likelihood, free: np.ndarray, bounds: np.ndarray) -> None:
        self.likelihood = likelihood
        self.free = free
        self.low, self.high = bounds[:, 0].copy(), bounds[:, 1].copy()
        kinked = likelihood.expectation.kinked
        self.kinked = np.intersect1d(kinked, free) if kinked.size else kinked
        self.moving = np.zeros(bounds.shape[0], dtype=bool)
        self.moving[free] = True
        self.upper = np.ones(bounds.shape[0], dtype=bool)
        self.bounds = bounds
        self._enclose()

    def run(
        self,
        start: np.ndarray,
        *,
        tolerance: float = TOLERANCE,
        max_iterations: int = MAX_ITERATIONS,
        hopeless: Hopeless | None = None,
    ) -> Minimum:
        """Minimise from ``start``, which lies within the bounds; ``hopeless`` may end it before the minimum."""
        point = start.copy()
        self.upper = point >= 0
        self._enclose()
        state = _State(point, *self.likelihood.at(point, self.upper))
        promise, flips = np.inf, 0
        for iteration in range(max_iterations):
            if not np.isfinite(state.value):
                return Minimum(state.point, state.value, False, iteration)
            curvatures = self.likelihood.derivatives(state.yields)
            step, promise, exact = self._step(state.point, curvatures, promise)
            if hopeless is not None and hopeless(state.point[self.free], step, state.value, promise):
                return Minimum(state.point, state.value, False, iteration)
            if promise < tolerance:
                moved = self._escape(state, curvatures) if not exact else None
                if moved is None and flips < 4 * self.kinked.size:
                    flips += 1
                    moved = self._cross(state, curvatures, tolerance)
                if moved is None:
                    return Minimum(state.point, state.value, True, iteration)
                state, promise = moved, np.inf
                continue
            following = self._descend(state, step, float(curvatures.gradient[self.free] @ step))
            if following is None:
                return Minimum(state.point, state.value, promise < ROUNDING, iteration)
            state = following
        return Minimum(state.point, state.value, False, max_iterations)

    def _enclose(self) -> None:
        """Bounds of the region between kinks that ``upper`` names."""
        kinked, upper = self.kinked, self.upper[self.kinked]
        low, high = self.bounds[kinked].T
        self.low[kinked] = np.where(upper, np.maximum(low, 0.0), low)
        self.high[kinked] = np.where(upper, high, np.minimum(high, 0.0))

    def _step(self, point: np.ndarray, curvatures: Curvatures, promise: float) -> tuple[np.ndarray, float, bool]:
        """The step of the free parameters, what it promises, and whether the Hessian gave it."""
        free = self.free
        gradient = curvatures.gradient[free]
        low, high = self.low[free] - point[free], self.high[free] - point[free]
        chosen = (free[:, None], free)
        found = np.zeros(free.size)
        for exact in (True, False) if promise < FAR else (False, True, False):
            hessian = (curvatures.hessian if exact else curvatures.fisher)[chosen]
            step = bounded_minimum(hessian, gradient, low, high)
            if step is None:
                continue
            found = step
            promised = float(-gradient @ step - 0.5 * step @ hessian @ step)
            if exact or promised > FAR:
                return step, promised, exact
            if promise >= FAR:
                promise = promised  # near enough for the Hessian; if it fails, the expected information again
        return found, float(-gradient @ found) * 0.5, False

    def _descend(self, state: _State, step: np.ndarray, slope: float) -> _State | None:
        """A point along ``step`` with a lower −log L (Armijo's rule), or None."""
        fraction = 1.0
        while fraction > SMALLEST_STEP:
            point = state.point.copy()
            point[self.free] += fraction * step
            self._settle(point)
            value, yields = self.likelihood.at(point, self.upper)
            if value <= state.value + 1e-4 * fraction * slope:
                return _State(point, value, yields)
            curve = value - state.value - fraction * slope
            best = -0.5 * slope * fraction / curve if np.isfinite(curve) and curve > 0 else 0.0
            fraction *= min(max(best, 0.1), 0.5)
        return None

    def _settle(self, point: np.ndarray) -> None:
        """Put free parameters that rounding left beside a bound onto it."""
        near = 1e-14 * (1.0 + np.abs(point))
        np.copyto(point, self.low, where=self.moving & (point < self.low + near))
        np.copyto(point, self.high, where=self.moving & (point > self.high - near))

    def _escape(self, state: _State, curvatures: Curvatures) -> _State | None:
        """A lower point along a direction of negative curvature, if −log L has a saddle here."""
        point = state.point[self.free]
        gradient = curvatures.gradient[self.free]
        held = ((point <= self.low[self.free]) & (gradient > 0)) | ((point >= self.high[self.free]) & (gradient < 0))
        inner = self.free[~held]
        if not inner.size:
            return None
        values, vectors = np.linalg.eigh(curvatures.hessian[np.ix_(inner, inner)])
        if values[0] >= -1e-8 * max(values[-1], 1.0):
            return None
        for length in (1.0, 0.1, 0.01):
            for sign in (1.0, -1.0):
                moved = state.point.copy()
                moved[inner] += sign * length * vectors[:, 0]
                moved[inner] = np.clip(moved[inner], self.low[inner], self.high[inner])
                value, yields = self.likelihood.at(moved, self.upper)
                if value < state.value - TOLERANCE:
                    return _State(moved, value, yields)
        return None

    def _cross(self, state: _State, curvatures: Curvatures, tolerance: float) -> _State | None:
        """The same point seen from the other side of its kinks, if −log L falls there."""
        at_kink = self.kinked[(state.point[self.kinked] == 0)]
        low, high = self.bounds[at_kink].T
        at_kink = at_kink[np.where(self.upper[at_kink], low < 0, high > 0)]
        if not at_kink.size:
            return None
        other = self.upper.copy()
        other[at_kink] = ~other[at_kink]
        beyond = self.likelihood.derivatives(self.likelihood.at(state.point, other)[1])
        slope = beyond.gradient[at_kink] * np.where(other[at_kink], 1.0, -1.0)
        curve = np.maximum(beyond.fisher[at_kink, at_kink], 1e-12)
        falls = at_kink[(slope < 0) & (0.5 * slope**2 / curve > tolerance)]
        if not falls.size:
            return None
        self.upper[falls] = ~self.upper[falls]
        self._enclose()
        return _State(state.point, *self.likelihood.at(state.point, self.upper))
