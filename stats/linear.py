"""The solver for backgrounds linear in their parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stats.errors import StatisticsError
from stats.functions import BinnedFamily, LinearFamily
from stats.interior import LinearProblem, minimise
from stats.loglinear import orthonormal
from stats.newton import FLOOR, Minimum
from stats.solvers import DEEPEST, Signal, Solver, in_blocks, summed, undetermined

INSIDE = 0.1  # share of a flat background in the start, so that it keeps away from the constraints
FAR = 1e3  # of all events: a bound of the yield that never binds


class LinearSolver(Solver):
    """E = A θ: bins hold exact integrals, and every bin must expect events (or every θ be positive, if the family says
    so).

    Raises:
        StatisticsError: for a family without a positive member near a flat spectrum, or a sum of spectra that does
            not determine the parameters.
    """

    def __init__(self, model: BinnedFamily, counts: np.ndarray, exposure: np.ndarray | None) -> None:
        family = model.family
        assert isinstance(family, LinearFamily)
        self.model = model
        total, exposed = summed(counts, exposure)
        matrix, widths = model.averages(family.terms)
        rate = np.where(exposed > 0, total[0] / np.where(exposed > 0, exposed, 1.0), 0.0)
        smooth = rate + 0.1 * rate.mean() + widths / widths.sum() * rate.sum() / total.sum()
        self.rotation = orthonormal(matrix, 1.0 / smooth)
        self.basis = matrix @ self.rotation
        self.positive = self.rotation if family.non_negative else self.basis
        self.flat = np.linalg.lstsq(self.basis, widths / widths.sum(), rcond=None)[0]
        if not (self.positive @ self.flat > 0).all():
            raise StatisticsError(f"{family.name} has no positive function near a flat one, where its fits start.")
        minimum = self.fit(total, exposed)
        if not minimum.determined[0]:
            raise undetermined(model, total[0], converged=bool(minimum.converged[0]))

    def fit(self, counts: np.ndarray, exposure: np.ndarray | None) -> Minimum:
        """Background-only fits, from a flat background of as many events."""
        problem = LinearProblem(self.basis, self.positive, counts, exposure)
        seen = self.basis @ self.flat if exposure is None else exposure * (self.basis @ self.flat)
        events = (counts.sum(axis=1) + 0.5) / seen.sum(axis=-1)
        start = self.flat[:, None] * events
        return in_blocks(counts.shape[0], self.block, lambda rows: minimise(problem.take(rows), start[:, rows]))

    def with_signal(
        self, start: Minimum, counts: np.ndarray, exposure: np.ndarray | None, signal: Signal
    ) -> Callable[[np.ndarray], Minimum]:
        """See ``Solver``.

        A signed yield may take nine tenths of the background *of the same fit* in bins of the peak.
        """
        rows = counts.shape[0]
        state = np.where(start.converged, start.state, 0.0)
        events = (state.T @ self.basis.T).sum(axis=1) + 0.5
        state = (1.0 - INSIDE) * state + INSIDE * self.flat[:, None] * events
        unit = 1.0 / np.broadcast_to(signal.template, counts.shape).sum(axis=1)
        first = 0.01 * events * unit if signal.non_negative else np.zeros(rows)
        lower = np.zeros(rows) if signal.non_negative else -FAR * events * unit
        state = np.concatenate([np.broadcast_to(state, (state.shape[0], rows)), first[None]])
        depth = np.where(signal.peak, DEEPEST, 1.0 - FLOOR)
        problem = LinearProblem(self.basis, self.positive, counts, exposure, signal.template, lower, depth)
        return lambda part: minimise(problem.take(part), state[:, part])

    def expected(self, state: np.ndarray) -> np.ndarray:
        """Events per bin before exposure, shape (N, n_bins)."""
        return state[: self.model.n_parameters].T @ self.basis.T

    def log_derivatives(self, state: np.ndarray) -> np.ndarray:
        """A / E, shape (N, n_bins, p)."""
        matrix = self.basis @ np.linalg.inv(self.rotation)
        return matrix / np.maximum(self.expected(state), 1e-300)[:, :, None]
