"""Fits of backgrounds exp(g(m; θ)) with any smooth g, by Fisher scoring from starting values found automatically."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stats import symmetric
from stats.functions import BinnedFamily, NonLinearFamily
from stats.loglinear import (
    Frame,
    LogLinearProblem,
    from_background,
    orthonormal,
    starting_state,
    taken,
)
from stats.newton import SMALLEST_EVENTS, Expectation, Minimum, Problem, along, minimise
from stats.solvers import CELLS, Signal, Solver, in_blocks, summed, undetermined

STEP = 1e-3  # standard deviations, for second derivatives


@dataclass(frozen=True)
class NonLinearProblem(Problem):
    """Spectra and a family with θ = rotation · u. Hessians are differences of the gradient.

    Attributes:
        model, rotation: the family on its bins, and its coordinates.
        counts, exposure, template, lower: see ``Problem``.
    """

    model: BinnedFamily
    rotation: np.ndarray
    counts: np.ndarray
    exposure: np.ndarray | None = None
    template: np.ndarray | None = None
    lower: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of parameters u."""
        return self.model.n_parameters

    def take(self, rows: np.ndarray) -> NonLinearProblem:
        """The same problem for some of the spectra."""
        return replace(self, **taken(self, rows))

    def with_signal(self, template: np.ndarray, lower: np.ndarray) -> NonLinearProblem:
        """The same spectra with a signal on the background."""
        return replace(self, template=template, lower=lower)

    def value(self, parameters: np.ndarray) -> np.ndarray:
        """Σ E − n log E without signal at θ, shape (n_spectra, p)."""
        events = self.model.expected(parameters) * (1.0 if self.exposure is None else self.exposure)
        return events.sum(axis=1) - (self.counts * np.log(np.maximum(events, SMALLEST_EVENTS))).sum(axis=1)

    @property
    def convex(self) -> bool:
        """Never known."""
        return False

    def derivatives(self, state: np.ndarray, *, fisher: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """−log L, gradient and packed Hessian; see ``Problem``."""
        value, gradient, hessian = self._expected_information(state)
        if fisher:
            return value, gradient, hessian
        observed = np.empty_like(hessian)
        for k, step in enumerate(STEP / np.sqrt(np.maximum(_diagonal(hessian, state.shape[0]), 1e-300))):
            moved = state.copy()
            moved[k] += step
            change = (self._expected_information(moved)[1] - gradient) / step
            for j in range(k, state.shape[0]):
                observed[symmetric.place(j, k)] = change[j]
        return value, gradient, observed

    def _expected_information(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parameters = state[: self.size].T @ self.rotation.T
        background, slopes = self.model.expected_and_slopes(parameters)
        slopes = np.moveaxis(slopes @ self.rotation, -1, 0)
        if self.exposure is not None:
            background = background * self.exposure
        if self.template is None:
            return self._alone(background, slopes)
        now = Expectation.of(self, background, state[-1], fisher=True)
        parts = now.background * slopes
        gradient = np.concatenate([(parts * now.rest).sum(axis=-1), along(now.template, now.rest)[None]])
        hessian = np.concatenate(
            [
                _packed(parts, now.weight),
                np.stack([along(now.template, part * now.weight) for part in parts]),
                along(now.template * now.template, now.weight)[None],
            ]
        )
        return now.value, gradient, hessian

    def _alone(self, background: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        safe = np.maximum(background, SMALLEST_EVENTS)
        value = background.sum(axis=1) - (self.counts * np.log(safe)).sum(axis=1)
        gradient = (slopes * (background - self.counts)).sum(axis=-1)
        return value, gradient, _packed(slopes, background)


def _diagonal(packed: np.ndarray, size: int) -> np.ndarray:
    return packed[[symmetric.place(k, k) for k in range(size)]]


def _packed(parts: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.stack([(parts[j] * parts[k] * weight).sum(axis=-1) for j, k in symmetric.pairs(parts.shape[0])])


class NonLinearSolver(Solver):
    """Every spectrum starts from the seed of its family, or the fit to the sum of spectra, that describes it best.

    Raises:
        StatisticsError: for a sum of spectra that does not determine the parameters.
    """

    def __init__(self, model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None) -> None:
        self.model = model
        self.rotation = np.eye(model.n_parameters)
        self.reference: np.ndarray | None = None
        total, exposed = summed(counts, exposure)
        best, lowest = None, np.inf
        for point in self._seeds(total, exposed):
            found, value = self._settle(point, total, exposed)
            if value < lowest - 1e-6:
                best, lowest = found, value
        if best is None:
            raise undetermined(model, total[0])
        self.reference = best
        self._turn(best, total, exposed)

    def _settle(self, point: np.ndarray, total: np.ndarray, exposed: np.ndarray) -> tuple[np.ndarray, float]:
        """The minimum that a start (1, p) leads to, and −log L there; ∞ where there is none."""
        for _ in range(2):
            self._turn(point[0], total, exposed)
            problem = NonLinearProblem(self.model, self.rotation, total, exposed)
            minimum = minimise(problem, np.linalg.solve(self.rotation, point.T))
            point = self.parameters(minimum.state)
            if minimum.iterations < 3:
                break
        return point[0], float(minimum.value[0]) if minimum.determined[0] else np.inf

    def _turn(self, parameters: np.ndarray, total: np.ndarray, exposed: np.ndarray) -> None:
        """Take coordinates that are orthonormal under the expected events at ``parameters``, shape (p,)."""
        events = exposed * self.model.expected(parameters)
        weight = (events + 1e-3 * events.mean()) / events.sum()
        self.rotation = orthonormal(self.model.log_derivatives(parameters), weight)

    def _seeds(self, counts: np.ndarray, exposure: np.ndarray | None) -> list[np.ndarray]:
        """Starting values of every spectrum from every seed by least squares on log counts, (N, p) each."""
        family = self.model.family
        assert isinstance(family, NonLinearFamily)
        points = []
        for seed in family.seeds:
            frame = Frame.around(self.model.middle(seed.terms), counts.sum(axis=0) + 0.5)
            state = starting_state(LogLinearProblem(frame.basis, frame.linear.offset, counts, exposure))
            points.append(seed.complete(state.T @ frame.rotation.T))
        return points

    @np.errstate(all="ignore")
    def _start(self, problem: NonLinearProblem) -> np.ndarray:
        """Of all starting values of each spectrum the best, shape (p, N)."""
        points = self._seeds(problem.counts, problem.exposure)
        if self.reference is not None:
            seen = self.model.expected(self.reference) * (1.0 if problem.exposure is None else problem.exposure)
            point = np.tile(self.reference, (problem.counts.shape[0], 1))
            point[:, 0] += np.log((problem.counts.sum(axis=1) + 0.5) / seen.sum(axis=-1))
            points.append(point)
        states = np.stack([np.linalg.solve(self.rotation, point.T) for point in points])
        values = np.stack([problem.value(point) for point in points])
        best = np.argmin(np.where(np.isfinite(values), values, np.inf), axis=0)
        return states[best, :, np.arange(best.size)].T

    def fit(self, counts: np.ndarray, exposure: np.ndarray | None) -> Minimum:
        """Background-only fits."""
        problem = NonLinearProblem(self.model, self.rotation, counts, exposure)

        def fit(rows: np.ndarray) -> Minimum:
            part = problem.take(rows)
            return minimise(part, self._start(part))

        return in_blocks(counts.shape[0], self.block, fit)

    def with_signal(
        self, start: Minimum, counts: np.ndarray, exposure: np.ndarray | None, signal: Signal
    ) -> Callable[[np.ndarray], Minimum]:
        """See ``Solver``."""
        return from_background(self, NonLinearProblem(self.model, self.rotation, counts, exposure), start, signal)

    def expected(self, state: np.ndarray) -> np.ndarray:
        """Events per bin before exposure, shape (N, n_bins)."""
        return self.model.expected(self.parameters(state))

    def log_derivatives(self, state: np.ndarray) -> np.ndarray:
        """∂ log E_i/∂θ_k at each fit, shape (N, n_bins, p)."""
        return self.model.log_derivatives(self.parameters(state))

    @property
    def block(self) -> int:
        """Spectra that are fitted together: every node of their bins is computed."""
        return max(CELLS // self.model.weights.size, 1)
