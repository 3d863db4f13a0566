"""A minimiser for pyhf models, used through pyhf's own optimiser interface.

−log L = Σ E − n log E + Σ (a − θ)²/2σ² is minimised by Newton steps on the expectations' first derivatives, inside
the parameters' bounds, until the quadratic model promises nothing more: it cannot stop short without saying so.
Models with constraints other than normal ones, and objectives other than pyhf's likelihood, go to pyhf's SciPy
optimiser.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyhf
from pyhf.exceptions import FailedMinimization
from pyhf.infer.mle import twice_nll
from pyhf.optimize.opt_scipy import scipy_optimizer
from scipy.optimize import OptimizeResult

logger = logging.getLogger(__name__)

TOLERANCE = 1e-9
MAX_ITERATIONS = 200
PATIENCE = 6  # iterations before mixed second derivatives are worth their price


@contextmanager
def pyhf_session() -> Iterator[NewtonOptimizer]:
    """pyhf on NumPy with this minimiser, and afterwards as it was. pyhf's backend is global: not for threads."""
    previous = pyhf.get_backend()
    optimizer = NewtonOptimizer()
    pyhf.set_backend("numpy", optimizer)
    try:
        yield optimizer
    finally:
        pyhf.set_backend(*previous)


class NewtonOptimizer(scipy_optimizer):
    """``pyhf.set_backend("numpy", NewtonOptimizer())`` makes pyhf's inference use it.

    Attributes:
        fits: minimisations so far.
        fallbacks: those handed to pyhf's SciPy optimiser, from the best point found.
    """

    __slots__ = ["fallbacks", "fits"]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fits = 0
        self.fallbacks = 0

    def minimize(
        self,
        objective: Any,
        data: Any,
        pdf: Any,
        init_pars: Any,
        par_bounds: Any,
        fixed_vals: Any = None,
        *,
        return_fitted_val: bool = False,
        return_result_obj: bool = False,
        return_uncertainties: bool = False,
        return_correlations: bool = False,
        **kwargs: Any,
    ) -> Any:
        """As ``pyhf.optimize.mixins.OptimizerMixin.minimize``.

        Raises:
            pyhf.exceptions.FailedMinimization: when neither minimiser reaches a minimum.
        """
        self.fits += 1
        flags = {
            "return_fitted_val": return_fitted_val,
            "return_result_obj": return_result_obj,
            "return_uncertainties": return_uncertainties,
            "return_correlations": return_correlations,
        }
        start = np.array(init_pars, dtype=float)
        asked = return_uncertainties or return_correlations or kwargs.get("method") is not None
        if objective is twice_nll and not asked and _normal_only(pdf):
            likelihood = _Likelihood(pdf, np.asarray(data, dtype=float))
            found, converged = _minimise(likelihood, start, np.asarray(par_bounds, dtype=float), fixed_vals or [])
            if converged:
                return _returns(objective, found, data, pdf, flags)
            start = found
        logger.info("a fit goes to pyhf's own optimiser")
        self.fallbacks += 1
        return super().minimize(objective, data, pdf, list(start), par_bounds, fixed_vals, **flags, **kwargs)


def _returns(objective: Any, found: np.ndarray, data: Any, pdf: Any, flags: dict[str, bool]) -> Any:
    value = pyhf.tensorlib.astensor(np.asarray(objective(found, data, pdf)).item())
    if not np.isfinite(value):
        raise FailedMinimization(OptimizeResult(x=found, fun=value, success=False, message="likelihood is not finite"))
    results: list[Any] = [found]
    if flags["return_fitted_val"]:
        results.append(value)
    if flags["return_result_obj"]:
        results.append(OptimizeResult(x=found, fun=value, success=True, message="converged"))
    return tuple(results) if len(results) > 1 else results[0]


def _normal_only(pdf: Any) -> bool:
    """Whether the backend is NumPy and every constraint a normal one."""
    if pyhf.tensorlib.name != "numpy" or not isinstance(pdf, pyhf.Model):
        return False
    config = pdf.config
    return all(config.param_set(name).pdf_type == "normal" for name in config.auxdata_order)


class _Likelihood:
    """−log L of a model on data, without constants; derivatives from central differences of the expectations."""

    def __init__(self, pdf: Any, data: np.ndarray) -> None:
        config = pdf.config
        self.pdf = pdf
        self.counts = data[: config.nmaindata]
        self.measured = data[config.nmaindata :]
        slices = [config.par_slice(name) for name in config.auxdata_order]
        places = [np.arange(s.start, s.stop) for s in slices]
        self.constrained = np.concatenate(places) if places else np.zeros(0, dtype=int)
        widths = [np.asarray(config.param_set(name).width(), dtype=float) for name in config.auxdata_order]
        self.widths = np.concatenate(widths) if widths else np.zeros(0)

    def expected(self, parameters: np.ndarray) -> np.ndarray:
        return np.asarray(self.pdf.expected_actualdata(parameters))

    def value(self, parameters: np.ndarray) -> float:
        events = self.expected(parameters)
        filled = self.counts > 0
        if not np.all(np.isfinite(events)) or (events < 0).any() or (events[filled] <= 0).any():
            return np.inf
        pulls = (self.measured - parameters[self.constrained]) / self.widths
        return float(events.sum() - self.counts[filled] @ np.log(events[filled]) + 0.5 * pulls @ pulls)

    def derivatives(
        self, parameters: np.ndarray, free: np.ndarray, *, mixed: bool
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Gradient over ``free``, and two Hessians: with second derivatives of the expectations, and its expectation.

        The mixed ones among them, which vanish for shapes that add up, cost an evaluation each: only if ``mixed``.
        """
        events = np.maximum(self.expected(parameters), 1e-12)
        shifts = 1e-4 * np.maximum(1.0, np.abs(parameters))
        ratio = self.counts / events
        rest = 1.0 - ratio
        ups = np.stack([self.expected(_moved(parameters, shifts, [k])) for k in free], axis=1)
        downs = np.stack([self.expected(_moved(parameters, -shifts, [k])) for k in free], axis=1)
        slopes = (ups - downs) / (2.0 * shifts[free])
        bends = np.diag(rest @ (ups + downs - 2.0 * events[:, None]) / shifts[free] ** 2)
        for j in range(free.size if mixed else 0):
            for k in range(j):
                both = self.expected(_moved(parameters, shifts, [free[j], free[k]]))
                bend = (both - ups[:, j] - ups[:, k] + events) / (shifts[free[j]] * shifts[free[k]])
                bends[j, k] = bends[k, j] = rest @ bend
        precision, pull = np.zeros(parameters.size), np.zeros(parameters.size)
        precision[self.constrained] = 1.0 / self.widths**2
        pull[self.constrained] = (parameters[self.constrained] - self.measured) / self.widths**2
        constraint = np.diag(precision[free])
        observed = slopes.T @ (slopes * (ratio / events)[:, None]) + bends + constraint
        fisher = slopes.T @ (slopes / events[:, None]) + constraint
        return slopes.T @ rest + pull[free], (observed, fisher)


def _moved(parameters: np.ndarray, shifts: np.ndarray, places: list[int]) -> np.ndarray:
    moved = parameters.copy()
    moved[places] += shifts[places]
    return moved


def _minimise(
    likelihood: _Likelihood, start: np.ndarray, bounds: np.ndarray, fixed: list[tuple[int, float]]
) -> tuple[np.ndarray, bool]:
    """Projected Newton with step halving: the point reached, and whether it is a minimum."""
    point = np.clip(start, bounds[:, 0], bounds[:, 1])
    for index, number in fixed:
        point[index] = number
    free = np.setdiff1d(np.arange(point.size), [index for index, _ in fixed])
    value = likelihood.value(point)
    for iteration in range(MAX_ITERATIONS):
        if not np.isfinite(value):
            return point, False
        gradient, hessians = likelihood.derivatives(point, free, mixed=iteration >= PATIENCE)
        step, decrement = _bounded_step(point[free], bounds[free], gradient, hessians)
        if decrement < TOLERANCE:
            return point, True
        fraction = 1.0
        while True:
            trial = point.copy()
            trial[free] = np.clip(point[free] + fraction * step, bounds[free, 0], bounds[free, 1])
            new = likelihood.value(trial)
            if new <= value + 1e-13 * abs(value):
                break
            fraction *= 0.4
            if fraction < 1e-8:
                return point, decrement < 1e-5
        point, value = trial, new
    return point, False


def _bounded_step(
    point: np.ndarray, bounds: np.ndarray, gradient: np.ndarray, hessians: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, float]:
    """The Newton step with parameters held that would leave their bounds, cut at the first bound it meets."""
    held = np.zeros(point.size, dtype=bool)
    step = np.zeros(point.size)
    for _ in range(point.size + 1):
        move = ~held
        step = np.zeros(point.size)
        step[move] = -_solve(hessians, gradient, move)
        outward = move & (((point <= bounds[:, 0]) & (step < 0)) | ((point >= bounds[:, 1]) & (step > 0)))
        if not outward.any():
            break
        held |= outward
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(
            step > 0, (bounds[:, 1] - point) / step, np.where(step < 0, (bounds[:, 0] - point) / step, np.inf)
        )
    return step * min(1.0, float(room.min(initial=np.inf))), float(-gradient @ step)


def _solve(hessians: tuple[np.ndarray, np.ndarray], gradient: np.ndarray, move: np.ndarray) -> np.ndarray:
    chosen = np.ix_(move, move)
    for hessian in hessians:
        scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian)[move], 1e-300))
        scaled = hessian[chosen] * scale[:, None] * scale
        if np.all(np.isfinite(scaled)) and (not move.any() or np.linalg.eigvalsh(scaled)[0] > 1e-10):
            return scale * np.linalg.solve(scaled, scale * gradient[move])
    return gradient[move]
