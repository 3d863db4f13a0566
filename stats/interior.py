"""Fits of backgrounds linear in their parameters, kept positive by an interior-point method.

With E = A u + s t the negative log-likelihood is convex, but where bins are empty it falls towards negative
expectations: the fit is a convex problem with linear constraints. All spectra go through one primal–dual iteration
with a logarithmic barrier (Nocedal and Wright, Numerical Optimization, 2nd edition, chapter 19): a step is a Newton
step of −log L − κ Σ log c over the distances c to the constraints, cut short before any of them, with κ falling until
−log L lies less than ``GAP`` above its minimum, which it does by at most κ per constraint. Near a constraint c is far
smaller than the rounding of expected events: distances are carried along as variables of their own, and steps are
solved for so that a stiff constraint does not drown what the data say of the other directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stats import symmetric
from stats.loglinear import products, taken
from stats.newton import SMALLEST_EVENTS, TOLERANCE, Minimum, along

MAX_ITERATIONS = 150
GAP = 2e-7  # in −log L, above its minimum at most
FIRST_BARRIER = 0.1  # of the events per constraint
CENTRED = 10.0  # barriers per constraint: where a step promises less than this, the next barrier follows
OFF_CENTRE = 3.0  # price × distance of a constraint over the mean: above, its price belies how near −log L is
LAST_BARRIER = 0.2  # of the gap per constraint: there it stays until all prices have followed
SHRINK = 0.05  # of a barrier is the next
TO_BOUNDARY = 0.99  # of the way to the nearest constraint at most
ARMIJO = 1e-4
STIFFEST = 1e10  # curvature of a constraint over that of −log L in the matrix that is factorised
REFINEMENTS = 3  # solutions with that matrix until the step is that of the true one; each gains a factor STIFFEST
ACTIVE = 1e-3  # price of a constraint, in −log L per event, from which it counts as what holds the yield
LEAST_CURVATURE = 1e-6  # of a direction, relative to the mean event, below which the data do not determine it


@dataclass(frozen=True)
class LinearProblem:
    """Many spectra and one linear background, basis · u.

    Attributes:
        basis: shape (n_bins, p); near orthonormal under the inverse of the expected events.
        positive: rows g with g · u > 0 for every allowed u, shape (m, p).
        counts, exposure, template, lower: as in ``newton.Problem``; lower may be −∞.
        depth: share of the background of a bin that a negative signal may take at most, shape of ``template``.
    """

    basis: np.ndarray
    positive: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray | None = None
    template: np.ndarray | None = None
    lower: np.ndarray | None = None
    depth: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of parameters u."""
        return int(self.basis.shape[1])

    def take(self, rows: np.ndarray) -> LinearProblem:
        """The same problem for some of the spectra."""
        depth = self.depth[rows] if self.depth is not None and self.depth.ndim == 2 else self.depth
        return replace(self, **taken(self, rows), depth=depth)

    def events(self, state: np.ndarray) -> np.ndarray:
        """Expected background and signal before exposure, shape (n_spectra, n_bins)."""
        events = state[: self.size].T @ self.basis.T
        return events if self.template is None else events + state[-1][:, None] * self.template

    def value(self, state: np.ndarray) -> np.ndarray:
        """Σ E − n log E, shape (n_spectra,)."""
        events = self._exposed(self.events(state))
        return events.sum(axis=1) - (self.counts * np.log(np.maximum(events, SMALLEST_EVENTS))).sum(axis=1)

    def derivatives(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (size, n_spectra) and packed Hessian of ``value``."""
        safe = np.maximum(self.events(state), SMALLEST_EVENTS)
        exposure = 1.0 if self.exposure is None else self.exposure
        slope = exposure - self.counts / safe
        return self.back(slope), self.packed(self.counts / safe**2)

    def back(self, values: np.ndarray) -> np.ndarray:
        """Jᵀ values with J = (basis, template): (n_spectra, n_bins) to (size, n_spectra)."""
        inner = self.basis.T @ values.T
        return inner if self.template is None else np.concatenate([inner, along(self.template, values)[None]])

    def packed(self, weight: np.ndarray) -> np.ndarray:
        """Jᵀ diag(weight) J, packed."""
        inner = products(self.basis).T @ weight.T
        if self.template is None:
            return inner
        mixed = self.basis.T @ (weight * self.template).T
        return np.concatenate([inner, mixed, along(self.template * self.template, weight)[None]])

    def _exposed(self, events: np.ndarray) -> np.ndarray:
        return events if self.exposure is None else events * self.exposure


class Constraints:
    """Distances c = C · state − d to the constraints of a problem, all of which must stay positive.

    The first are those of the background, then those of each bin with a signal, depth · background + s t, and last
    the lower bound of the yield.
    """

    def __init__(self, problem: LinearProblem) -> None:
        self.problem = problem
        self.n_background = problem.positive.shape[0]

    def along(self, step: np.ndarray) -> np.ndarray:
        """C · step, shape (n_spectra, n_constraints)."""
        problem = self.problem
        background = step[: problem.size].T
        parts = [background @ problem.positive.T]
        if problem.template is not None:
            parts += [problem.depth * (background @ problem.basis.T) + step[-1][:, None] * problem.template]
            parts += [step[-1][:, None]]
        return np.concatenate(parts, axis=1)

    def distance(self, state: np.ndarray) -> np.ndarray:
        """C · state − d."""
        distance = self.along(state)
        if self.problem.template is not None:
            assert self.problem.lower is not None
            distance[:, -1] -= self.problem.lower
        return distance

    def back(self, prices: np.ndarray) -> np.ndarray:
        """Cᵀ prices, shape (size, n_spectra)."""
        problem = self.problem
        result = problem.positive.T @ prices[:, : self.n_background].T
        if problem.template is None:
            return result
        bins = prices[:, self.n_background : -1]
        result = result + problem.basis.T @ (bins * problem.depth).T
        return np.concatenate([result, (along(problem.template, bins) + prices[:, -1])[None]])

    def packed(self, weight: np.ndarray) -> np.ndarray:
        """Cᵀ diag(weight) C, packed."""
        problem = self.problem
        result = products(problem.positive).T @ weight[:, : self.n_background].T
        if problem.template is None:
            return result
        assert problem.depth is not None
        bins = weight[:, self.n_background : -1]
        result = result + products(problem.basis).T @ (bins * problem.depth**2).T
        mixed = problem.basis.T @ (bins * problem.depth * problem.template).T
        return np.concatenate([result, mixed, (along(problem.template * problem.template, bins) + weight[:, -1])[None]])

    def softest(self, hessian: np.ndarray) -> np.ndarray:
        """The least inverse stiffness of a constraint: its variance under −log L alone over ``STIFFEST``."""
        problem, size = self.problem, self.problem.size
        variance = 1.0 / np.maximum(hessian[[symmetric.place(k, k) for k in range(size)]], 1e-6)
        parts = [variance.T @ (problem.positive**2).T]
        if problem.template is not None:
            assert problem.depth is not None
            events = np.maximum(problem.counts.sum(axis=1), 1.0)
            least = np.broadcast_to(problem.template, problem.counts.shape).sum(axis=1) ** 2 / events
            of_yield = 1.0 / np.maximum(hessian[-1], least)[:, None]
            parts += [variance.T @ (problem.basis**2).T * problem.depth**2 + of_yield * problem.template**2, of_yield]
        return np.concatenate(parts, axis=1) / STIFFEST


@np.errstate(all="ignore")
def minimise(problem: LinearProblem, start: np.ndarray) -> Minimum:
    """Minimise −log L of every spectrum from a ``start`` inside all constraints, shape (p or p + 1, n_spectra)."""
    n_spectra = start.shape[1]
    size = start.shape[0]
    state, value = start.copy(), np.full(n_spectra, np.nan)
    factor = np.full((size * (size + 1) // 2, n_spectra), np.nan)
    converged, bounded = np.zeros(n_spectra, dtype=bool), np.zeros(n_spectra, dtype=bool)
    rows, now = np.arange(n_spectra), _Iterate.begin(problem, start)
    iteration = 0
    while rows.size:
        iteration += 1
        now.solve()
        stop = now.done | ~now.sound | (iteration >= MAX_ITERATIONS)
        if stop.any():
            target = rows[stop]
            state[:, target], value[target] = now.state[:, stop], now.problem.take(stop).value(now.state[:, stop])
            factor[:, target] = now.factor[:, stop]
            converged[target], bounded[target] = (now.done & now.sound)[stop], now.held()[stop]
            rows, now = rows[~stop], now.take(~stop)
        if rows.size:
            now.advance()
    curvature = factor[[symmetric.place(k, k) for k in range(problem.size)]] ** -2.0
    scale = np.maximum(problem.counts.sum(axis=1), 1.0)
    determined = converged & (curvature.min(axis=0) * scale > LEAST_CURVATURE)
    return Minimum(state, value, factor, converged, determined, bounded, iteration)


@dataclass
class _Iterate:
    """Spectra on their way: state and prices of the constraints, and the step from there."""

    problem: LinearProblem
    state: np.ndarray
    prices: np.ndarray
    barrier: np.ndarray
    distance: np.ndarray

    @classmethod
    def begin(cls, problem: LinearProblem, start: np.ndarray) -> _Iterate:
        distance = Constraints(problem).distance(start)
        barrier = np.maximum(FIRST_BARRIER * problem.counts.sum(axis=1) / distance.shape[1], GAP / distance.shape[1])
        return cls(problem, start.copy(), barrier[:, None] / distance, barrier, distance)

    def take(self, which: np.ndarray) -> _Iterate:
        rows = self.prices[which], self.barrier[which], self.distance[which]
        taken = _Iterate(self.problem.take(which), self.state[:, which], *rows)
        taken.step, taken.price_step = self.step[:, which], self.price_step[which]
        taken.slope = self.slope[which]
        return taken

    def solve(self) -> None:
        """The primal–dual step, its promise, and whether the spectrum has arrived."""
        limits = Constraints(self.problem)
        gradient, hessian = self.problem.derivatives(self.state)
        good = self._step(limits, gradient, hessian)
        uphill = gradient - limits.back(self.barrier[:, None] / self.distance)
        self.slope = np.einsum("kr,kr->r", uphill, self.step)
        self.sound = good & np.isfinite(self.slope)
        gaps = self.prices * self.distance
        central = gaps.max(axis=1) < OFF_CENTRE * gaps.mean(axis=1)
        self.done = (-self.slope < 2 * TOLERANCE) & (gaps.sum(axis=1) < GAP) & central

    def _step(self, limits: Constraints, gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
        """Set ``step`` and ``price_step`` from H s − Cᵀ δ = Cᵀ λ − ∇ and C s + (c/λ) δ = κ/λ − c.

        The second is stiff where c/λ is small. There a softer one stands in the matrix, and the difference, times the
        last solution's δ, on the right-hand side (the method of multipliers).
        """
        soft = self.distance / self.prices
        wanted = self.barrier[:, None] / self.prices - self.distance
        softer = np.maximum(soft, limits.softest(hessian))
        self.factor, good = symmetric.factorise(hessian + limits.packed(1.0 / softer))
        self.price_step = np.zeros_like(self.prices)
        for _ in range(REFINEMENTS if (softer > soft).any() else 1):
            pull = (wanted + (softer - soft) * self.price_step) / softer
            self.step = symmetric.solve(self.factor, limits.back(self.prices + pull) - gradient)
            self.price_step = pull - limits.along(self.step) / softer
        return good

    def held(self) -> np.ndarray:
        """Whether a constraint on the signal holds the yield."""
        first = self.problem.positive.shape[0]
        prices, distance = self.prices[:, first:], self.distance[:, first:]
        if self.problem.template is None or self.problem.depth is None:
            return np.zeros(self.state.shape[1], dtype=bool)
        scale = np.broadcast_to(self.problem.template, self.problem.counts.shape)
        scale = np.concatenate([scale / scale.max(axis=1, keepdims=True), np.ones((scale.shape[0], 1))], axis=1)
        return ((prices * scale > ACTIVE) & (distance < prices)).any(axis=1)

    def advance(self) -> None:
        """As far along the step as the constraints allow and the barrier function falls; then a lower barrier."""
        moved = Constraints(self.problem).along(self.step)
        reach = np.minimum(1.0, TO_BOUNDARY / np.maximum((-moved / self.distance).max(axis=1), 1e-300))
        merit = self._merit(self.state, self.distance)
        for _ in range(30):
            trial, distance = self.state + reach * self.step, self.distance + reach[:, None] * moved
            bad = self._merit(trial, distance) > merit + ARMIJO * reach * self.slope + 1e-12 * (1 + np.abs(merit))
            if not bad.any():
                break
            reach = np.where(bad, 0.4 * reach, reach)
        self.state, self.distance = self.state + reach * self.step, self.distance + reach[:, None] * moved
        dual = np.minimum(1.0, TO_BOUNDARY / np.maximum((-self.price_step / self.prices).max(axis=1), 1e-300))
        central = self.barrier[:, None] / self.distance
        self.prices = np.clip(self.prices + dual[:, None] * self.price_step, central * 1e-8, central * 1e8)
        centred = -self.slope < CENTRED * self.barrier * self.distance.shape[1]
        least = LAST_BARRIER * GAP / self.distance.shape[1]
        self.barrier = np.where(centred, np.maximum(SHRINK * self.barrier, least), self.barrier)

    def _merit(self, state: np.ndarray, distance: np.ndarray) -> np.ndarray:
        logs = np.log(np.maximum(distance, SMALLEST_EVENTS)).sum(axis=1)
        return self.problem.value(state) - self.barrier * logs
