"""Poisson likelihoods of many spectra minimised together.

Expected events are b_i(θ) + s t_i with a positive b. One Newton iteration runs over all spectra. A step that does
not lower −log L is halved; spectra leave the iteration as they converge. Where the Hessian is not positive definite
its expectation (Fisher scoring) takes its place.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stats import symmetric

MAX_ITERATIONS = 120
PATIENCE = 10  # iterations before Fisher scoring and Newton take turns: near a lone event Newton's steps only creep
TOLERANCE = 1e-8  # stop where the quadratic model promises less than this in −log L
SMALLEST_STEP = 1e-9
MOST_UNEVEN = 1e8  # ratio of curvatures beyond which the data do not determine all parameters
FLOOR = 0.01  # a negative signal never takes more than all but this fraction of a bin's background
SMALLEST_EVENTS = 1e-290  # keeps empty bins that expect nothing finite
LEAST_FISHER = 1e-9  # events, for the weight of a bin in Fisher scoring


class Spectra(Protocol):
    """What every fit has; see ``Problem``."""

    @property
    def counts(self) -> np.ndarray: ...
    @property
    def exposure(self) -> np.ndarray | None: ...
    @property
    def template(self) -> np.ndarray | None: ...
    @property
    def lower(self) -> np.ndarray | None: ...


class Problem(abc.ABC):
    """Many spectra and one background; see ``stats.loglinear`` and ``stats.nonlinear``.

    The state of a fit has shape (p, n_spectra), or (p + 1, n_spectra) with the yield of a signal last.

    Attributes:
        counts: shape (n_spectra, n_bins), 0 where ``exposure`` is 0.
        exposure: factor on all expectations, shape (n_bins,) or (n_spectra, n_bins): 0 takes a bin out.
        template: signal events per bin for a yield of 1, shape (n_bins,) or (n_spectra, n_bins); None without signal.
        lower: smallest yield allowed, shape (n_spectra,).
    """

    counts: np.ndarray
    exposure: np.ndarray | None
    template: np.ndarray | None
    lower: np.ndarray | None

    @property
    def convex(self) -> bool:
        """Whether −log L is convex, so that its Hessian is fit for Newton steps everywhere."""
        return self.template is None

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number p of background parameters."""

    @abc.abstractmethod
    def take(self, rows: np.ndarray) -> Problem:
        """The same problem for some of the spectra."""

    @abc.abstractmethod
    def with_signal(self, template: np.ndarray, lower: np.ndarray) -> Problem:
        """The same spectra with a signal on the background."""

    @abc.abstractmethod
    def derivatives(self, state: np.ndarray, *, fisher: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """−log L (n_spectra,), its gradient (size, n_spectra) and packed Hessian (or its expectation) at ``state``."""


@dataclass(frozen=True)
class Expectation:
    """Expected events of background and signal, and what −log L says of each bin.

    Attributes:
        background: exposed, shape (n_spectra, n_bins).
        template: exposed; 0 where a negative signal is held.
        rest: 1 − n/E, the derivative of −log L in E.
        weight: second derivative n/E², or its expectation 1/E.
        value: Σ E − n log E, shape (n_spectra,).
    """

    background: np.ndarray
    template: np.ndarray
    rest: np.ndarray
    weight: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, problem: Problem, background: np.ndarray, yields: np.ndarray, *, fisher: bool) -> Expectation:
        """At an exposed ``background`` and ``yields`` of the problem's template."""
        template = problem.template
        assert template is not None
        if problem.exposure is not None:
            template = template * problem.exposure
        events = background + yields[:, None] * template
        low = events < FLOOR * background
        if low.any():
            background = np.where(low, FLOOR * background, background)
            template = np.where(low, 0.0, template)
            events = np.where(low, background, events)
        safe = np.maximum(events, SMALLEST_EVENTS)
        ratio = problem.counts / safe
        value = events.sum(axis=1) - np.einsum("rn,rn->r", problem.counts, np.log(safe))
        weight = 1.0 / np.maximum(safe, LEAST_FISHER) if fisher else ratio / safe
        return cls(background, template, 1.0 - ratio, weight, value)


def along(template: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Σ_i values_i t_i per spectrum; template of shape (n_bins,) or that of ``values``."""
    return values @ template if template.ndim == 1 else np.einsum("rn,rn->r", values, template)


@dataclass(frozen=True)
class Minimum:
    """Where the spectra came to rest.

    Attributes:
        state: θ and, with signal, the yield last; shape (p or p + 1, n_spectra).
        value: Σ E − n log E over bins, shape (n_spectra,).
        factor: Cholesky factor of the Hessian there, packed; for a yield at its bound, with the yield held.
        converged: whether −log L reached its minimum, or its infimum at infinite parameters, shape (n_spectra,).
        determined: whether the data determine all background parameters, shape (n_spectra,).
        bounded: whether the yield rests on its lower bound, shape (n_spectra,).
        iterations: of the slowest spectrum.
    """

    state: np.ndarray
    value: np.ndarray
    factor: np.ndarray
    converged: np.ndarray
    determined: np.ndarray
    bounded: np.ndarray
    iterations: int


@np.errstate(all="ignore")
def minimise(problem: Problem, start: np.ndarray) -> Minimum:
    """Minimise −log L of every spectrum from ``start``, shape (p or p + 1, n_spectra).

    A spectrum whose numbers leave the range of floats on the way has not converged.
    """
    result = _Result(start.copy(), start.shape[1])
    active = _Active(problem, start.copy())
    iteration = 0
    while active.rows.size and iteration < MAX_ITERATIONS:
        iteration += 1
        if iteration // PATIENCE % 2 and not problem.convex:
            active.hessian = active.problem.derivatives(active.state, fisher=True)[2]
        step, decrement, factor, bounded, sound = _step(active.problem, active.state, active.gradient, active.hessian)
        done = decrement < 2 * TOLERANCE
        stop = done | (active.fraction < SMALLEST_STEP) | ~sound
        if stop.any():
            result.record(active, stop, factor, done & sound, bounded)
            active.keep(np.flatnonzero(~stop))
            step = step[:, ~stop]
        if active.rows.size:
            active.advance(step)
    if active.rows.size:
        _, _, factor, bounded, _ = _step(active.problem, active.state, active.gradient, active.hessian)
        never = np.zeros(active.rows.size, dtype=bool)
        result.record(active, ~never, factor, never, bounded)
    return result.minimum(iteration)


class _Active:
    """The spectra still on their way."""

    def __init__(self, problem: Problem, state: np.ndarray) -> None:
        self.problem, self.state = problem, state
        self.rows = np.arange(state.shape[1])
        self.value, self.gradient, self.hessian = problem.derivatives(state)
        self.fraction = np.ones(state.shape[1])  # of the next step that is taken

    def keep(self, which: np.ndarray) -> None:
        self.rows, self.problem = self.rows[which], self.problem.take(which)
        self.state, self.gradient, self.hessian = self.state[:, which], self.gradient[:, which], self.hessian[:, which]
        self.value, self.fraction = self.value[which], self.fraction[which]

    def advance(self, step: np.ndarray) -> None:
        """Take the steps that lower −log L, and shorten the next of the others."""
        trial = _clip(self.problem, self.state + self.fraction * step)
        value, gradient, hessian = self.problem.derivatives(trial)
        better = value <= self.value + 1e-10 + 1e-13 * np.abs(self.value)
        if better.all():
            self.state, self.value, self.gradient, self.hessian = trial, value, gradient, hessian
            self.fraction = np.ones(better.size)
            return
        self.state = np.where(better, trial, self.state)
        self.value = np.where(better, value, self.value)
        self.gradient = np.where(better, gradient, self.gradient)
        self.hessian = np.where(better, hessian, self.hessian)
        self.fraction = np.where(better, 1.0, 0.4 * self.fraction)


class _Result:
    """Collects spectra as they finish."""

    def __init__(self, state: np.ndarray, n_spectra: int) -> None:
        size = state.shape[0]
        self.state = state
        self.value = np.full(n_spectra, np.nan)
        self.factor = np.full((size * (size + 1) // 2, n_spectra), np.nan)
        self.converged = np.zeros(n_spectra, dtype=bool)
        self.determined = np.zeros(n_spectra, dtype=bool)
        self.bounded = np.zeros(n_spectra, dtype=bool)

    def record(
        self, active: _Active, which: np.ndarray, factor: np.ndarray, converged: np.ndarray, bounded: np.ndarray
    ) -> None:
        target = active.rows[which]
        even = _evenness(factor, active.problem.size) < MOST_UNEVEN
        self.state[:, target] = active.state[:, which]
        self.value[target] = active.value[which]
        self.factor[:, target] = factor[:, which]
        self.converged[target] = converged[which]
        self.determined[target] = (converged & even)[which]
        self.bounded[target] = bounded[which]

    def minimum(self, iterations: int) -> Minimum:
        return Minimum(self.state, self.value, self.factor, self.converged, self.determined, self.bounded, iterations)


def _step(problem: Problem, state: np.ndarray, gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, ...]:
    """Newton step, its decrement, Cholesky factor, whether the yield is held at its bound, and whether all is sound."""
    factor, good = symmetric.factorise(hessian)
    if not good.all() and not problem.convex:
        bad = np.flatnonzero(~good)
        hessian = hessian.copy()
        hessian[:, bad] = problem.take(bad).derivatives(state[:, bad], fisher=True)[2]
        factor, good = symmetric.factorise(hessian)
    step = -symmetric.solve(factor, gradient)
    bounded = np.zeros(state.shape[1], dtype=bool)
    if problem.lower is not None:
        bounded = (state[-1] <= problem.lower) & (step[-1] < 0)
        if bounded.any():
            factor, step, gradient, good = _hold_yield(problem.size, bounded, hessian, gradient)
        _stop_at_bound(problem.lower, state, step)
    decrement = -np.einsum("kr,kr->r", gradient, step)
    return step, np.where(good, decrement, np.inf), factor, bounded, good & np.isfinite(decrement)


def _hold_yield(size: int, held: np.ndarray, hessian: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, ...]:
    hessian, gradient = hessian.copy(), gradient.copy()
    for k in range(size):
        hessian[symmetric.place(size, k), held] = 0.0
    hessian[-1, held] = hessian[0, held]
    gradient[-1, held] = 0.0
    factor, good = symmetric.factorise(hessian)
    return factor, -symmetric.solve(factor, gradient), gradient, good


def _stop_at_bound(lower: np.ndarray, state: np.ndarray, step: np.ndarray) -> None:
    """Shorten, in place, steps that would carry the yield below its bound so that they end on it."""
    beyond = state[-1] + step[-1] < lower
    if beyond.any():
        step[:, beyond] *= (lower[beyond] - state[-1, beyond]) / step[-1, beyond]


def _clip(problem: Problem, state: np.ndarray) -> np.ndarray:
    if problem.lower is not None:
        near = state[-1] < problem.lower + 1e-12 * (1 + np.abs(problem.lower))
        state[-1, near] = problem.lower[near]
    return state


def _evenness(factor: np.ndarray, size: int) -> np.ndarray:
    """Largest over smallest curvature of the background parameters, near 1 in an orthonormal basis."""
    diagonal = factor[[symmetric.place(k, k) for k in range(size)]]
    return (diagonal.max(axis=0) / diagonal.min(axis=0)) ** 2
