"""Fits of log-linear backgrounds: coordinates, starting points and derivatives.

Without signal −log L is convex and depends on the data through a few sums; with signal it is nearly so. One Newton
iteration over all spectra is a handful of matrix products and one exponential per bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stats import symmetric
from stats.errors import StatisticsError
from stats.functions import BinnedFamily, LogLinear, LogLinearFamily
from stats.newton import Expectation, Minimum, Problem, Spectra, along, minimise
from stats.solvers import DEEPEST, Signal, Solver, in_blocks, least_yield, summed, undetermined


@dataclass(frozen=True)
class Frame:
    """A log-linear model in coordinates u in which the fit is well conditioned: θ = rotation · u."""

    linear: LogLinear
    basis: np.ndarray
    rotation: np.ndarray

    @classmethod
    def around(cls, linear: LogLinear, events: np.ndarray) -> Frame:
        """Coordinates whose basis is orthonormal under ``events`` per bin, shape (n_bins,)."""
        rotation = orthonormal(linear.design, (events + 1e-3 * events.mean()) / events.sum())
        return cls(linear, linear.design @ rotation, rotation)


def orthonormal(design: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """R with columns of ``design`` · R, shape (n_bins, p), orthonormal under ``weight`` per bin."""
    _, triangle = np.linalg.qr(np.sqrt(weight)[:, None] * design)
    return np.asarray(np.linalg.inv(triangle))


@dataclass(frozen=True)
class LogLinearProblem(Problem):
    """Spectra and exp(offset + basis · u).

    Attributes:
        basis: shape (n_bins, p); columns should be near orthonormal under the expected events.
        offset: shape (n_bins,).
        counts, exposure, template, lower: see ``Problem``.
    """

    basis: np.ndarray
    offset: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray | None = None
    template: np.ndarray | None = None
    lower: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of parameters u."""
        return int(self.basis.shape[1])

    def take(self, rows: np.ndarray) -> LogLinearProblem:
        """The same problem for some of the spectra."""
        return replace(self, **taken(self, rows))

    def with_signal(self, template: np.ndarray, lower: np.ndarray) -> LogLinearProblem:
        """The same spectra with a signal on the background."""
        return replace(self, template=template, lower=lower)

    def background(self, state: np.ndarray) -> np.ndarray:
        """Expected background, shape (n_spectra, n_bins), at ``state`` of shape (≥ p, n_spectra)."""
        events = np.exp(state[: self.size].T @ self.basis.T + self.offset)
        return events if self.exposure is None else events * self.exposure

    def derivatives(self, state: np.ndarray, *, fisher: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """−log L, gradient and packed Hessian; see ``Problem``."""
        return self._alone(state) if self.template is None else self._with_signal(state, fisher)

    def _alone(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        events = self.background(state)
        counts = self.counts
        sums = self.basis.T @ counts.T
        constant = counts @ self.offset
        if self.exposure is not None:
            constant = constant + (counts * np.log(np.where(self.exposure > 0, self.exposure, 1.0))).sum(axis=1)
        value = events.sum(axis=1) - np.einsum("kr,kr->r", sums, state) - constant
        gradient = self.basis.T @ events.T - sums
        hessian = products(self.basis).T @ events.T
        return value, gradient, hessian

    def _with_signal(self, state: np.ndarray, fisher: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        now = Expectation.of(self, self.background(state), state[-1], fisher=fisher)
        background, template = now.background, now.template
        gradient = np.concatenate([self.basis.T @ (now.rest * background).T, along(template, now.rest)[None]])
        mixed = background * now.weight
        diagonal = background * mixed if fisher else background * (now.rest + mixed)
        hessian = np.concatenate(
            [
                products(self.basis).T @ diagonal.T,
                self.basis.T @ (mixed * template).T,
                along(template * template, now.weight)[None],
            ]
        )
        return now.value, gradient, hessian


def taken(problem: Spectra, rows: np.ndarray) -> dict[str, Any]:
    """The fields of a problem that run over spectra, for some of these."""

    def of(values: np.ndarray | None) -> np.ndarray | None:
        return values[rows] if values is not None and values.ndim == 2 else values

    return {
        "counts": problem.counts[rows],
        "exposure": of(problem.exposure),
        "template": of(problem.template),
        "lower": None if problem.lower is None else problem.lower[rows],
    }


def products(basis: np.ndarray) -> np.ndarray:
    """Pairwise products of columns in the packed order, shape (n_bins, p (p + 1)/2)."""
    return np.stack([basis[:, j] * basis[:, k] for j, k in symmetric.pairs(basis.shape[1])], axis=1)


def starting_state(problem: LogLinearProblem) -> np.ndarray:
    """u by weighted least squares on log counts, shape (p, n_spectra): linear, so it needs no start itself."""
    log_counts = np.log(problem.counts + 0.5) - problem.offset
    weights = problem.counts + 0.5
    if problem.exposure is not None:
        exposure = np.broadcast_to(problem.exposure, problem.counts.shape)
        log_counts = log_counts - np.log(np.where(exposure > 0, exposure, 1.0))
        weights = weights * (exposure > 0)
    normal = products(problem.basis).T @ weights.T
    right = problem.basis.T @ (weights * log_counts).T
    factor, good = symmetric.factorise(normal)
    return np.where(good, symmetric.solve(factor, right), 0.0)


class LogLinearSolver(Solver):
    """All spectra share the point about which the bin integrals are expanded (``BinnedFamily``): the fit to their sum.

    Raises:
        StatisticsError: for a sum of spectra that does not determine the parameters.
    """

    def __init__(self, model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None) -> None:
        family = model.family
        assert isinstance(family, LogLinearFamily)
        self.model = model
        self.frame = expand(model, family.terms, *summed(counts, exposure))
        self.rotation = self.frame.rotation

    def fit(self, counts: np.ndarray, exposure: np.ndarray | None) -> Minimum:
        """Background-only fits, from least squares on log counts."""
        problem = LogLinearProblem(self.frame.basis, self.frame.linear.offset, counts, exposure)

        def fit(rows: np.ndarray) -> Minimum:
            part = problem.take(rows)
            return minimise(part, starting_state(part))

        return in_blocks(counts.shape[0], self.block, fit)

    def with_signal(
        self, start: Minimum, counts: np.ndarray, exposure: np.ndarray | None, signal: Signal
    ) -> Callable[[np.ndarray], Minimum]:
        """See ``Solver``."""
        problem = LogLinearProblem(self.frame.basis, self.frame.linear.offset, counts, exposure)
        return from_background(self, problem, start, signal)

    def expected(self, state: np.ndarray) -> np.ndarray:
        """Events per bin before exposure, shape (N, n_bins)."""
        with np.errstate(over="ignore"):
            return np.exp(self.frame.linear.offset + state[: self.model.n_parameters].T @ self.frame.basis.T)

    def log_derivatives(self, state: np.ndarray) -> np.ndarray:
        """The expansion's design, for every spectrum; shape (N, n_bins, p)."""
        design = self.frame.linear.design
        return np.broadcast_to(design, (state.shape[1], *design.shape))


def from_background(
    solver: Solver, problem: Problem, start: Minimum, signal: Signal
) -> Callable[[np.ndarray], Minimum]:
    """Fits of some rows of ``problem`` with a signal, from the background-only ones at a yield of 0.

    Bounds of a signed yield are those of the background alone; 0 where that has not converged.
    """
    n_rows = problem.counts.shape[0]
    lower = np.zeros(n_rows)
    if not signal.non_negative:
        lowest = least_yield(solver.expected(start.state), signal.template, signal.peak, deepest=DEEPEST)
        lower = np.broadcast_to(np.where(start.converged, lowest, 0.0), (n_rows,)).copy()
    whole = problem.with_signal(signal.template, lower)
    background = np.where(start.converged, start.state, 0.0)
    state = np.concatenate([np.broadcast_to(background, (background.shape[0], n_rows)), np.zeros((1, n_rows))])
    return lambda rows: minimise(whole.take(rows), state[:, rows])


def expand(
    model: BinnedFamily, terms: Callable[[np.ndarray], np.ndarray], total: np.ndarray, exposure: np.ndarray
) -> Frame:
    """Fit a spectrum (1, n_bins), expanding the bin integrals again about each result until nothing moves."""
    frame = Frame.around(model.middle(terms), total[0] + 0.5 * (exposure > 0))
    previous = np.inf
    for _ in range(20):
        problem = LogLinearProblem(frame.basis, frame.linear.offset, total, exposure)
        minimum = minimise(problem, starting_state(problem))
        if not minimum.determined[0]:
            raise undetermined(model, total[0], converged=bool(minimum.converged[0]))
        frame = Frame.around(
            model.linearise(frame.rotation @ minimum.state[:, 0]), problem.background(minimum.state)[0]
        )
        if abs(minimum.value[0] - previous) < 1e-9:
            return frame
        previous = minimum.value[0]
    raise StatisticsError(f"The bin integrals of {model.family.name} do not settle: use narrower bins.")
