"""A minimiser for pyhf models, used through pyhf's own optimiser interface.

``pyhf.set_backend("numpy", NewtonOptimizer())`` makes pyhf's fits, hypothesis tests, limits and toys use it. The
likelihood is compiled from the model's specification (``stats.histfactory``) and minimised by Newton's method with
its own gradient and Hessian, within the bounds, until the quadratic model promises nothing more. What it does not
know goes to pyhf's SciPy optimiser, then to minuit where that is installed; a warning names the reason, once per model.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyhf
from pyhf.exceptions import FailedMinimization
from pyhf.infer.mle import twice_nll
from pyhf.optimize.opt_scipy import scipy_optimizer
from scipy.optimize import OptimizeResult

from stats.errors import StatisticsError
from stats.histfactory import CompiledModel, UnsupportedModel
from stats.histfactory.newton import MAX_ITERATIONS, TOLERANCE

logger = logging.getLogger(__name__)

_COMPILED: WeakKeyDictionary[Any, CompiledModel | str] = WeakKeyDictionary()  # or why there is none
_WARNED: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


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


def compiled(pdf: Any) -> CompiledModel:
    """The compiled form of a ``pyhf.Model``, made once per model and kept for as long as the model lives.

    Raises:
        UnsupportedModel: naming what is not evaluated.
    """
    known = _COMPILED.get(pdf)
    if known is None:
        try:
            known = CompiledModel(pdf)
        except UnsupportedModel as reason:
            known = str(reason)
        _COMPILED[pdf] = known
    if isinstance(known, str):
        raise UnsupportedModel(known)
    return known


class NewtonOptimizer(scipy_optimizer):
    """``pyhf.set_backend("numpy", NewtonOptimizer())`` makes pyhf's inference use it.

    Args:
        maxiter: of Newton's method, by default 300.
        tolerance: promised decrease of −log L at which a fit is done, by default 10⁻⁹.
        verbose, solver_options: handed to pyhf's SciPy optimiser where that takes over.

    Attributes:
        fits: minimisations so far.
        fallbacks: those handed to pyhf's SciPy optimiser, from the best point found.
    """

    __slots__ = ["fallbacks", "fits", "newton_iterations", "newton_tolerance"]

    def __init__(self, **kwargs: Any) -> None:
        self.newton_iterations = int(kwargs.pop("maxiter", MAX_ITERATIONS))
        self.newton_tolerance = float(kwargs.pop("tolerance", TOLERANCE))
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
        return_fitted_val: bool = False,
        return_result_obj: bool = False,
        return_uncertainties: bool = False,
        return_correlations: bool = False,
        **options: Any,
    ) -> Any:
        """As ``pyhf.optimize.mixins.OptimizerMixin.minimize``.

        Uncertainties and correlations come from the inverse Hessian of −log L at the minimum over all parameters that
        are not fixed, whether or not they rest on a bound; those of fixed ones are zero.

        Raises:
            pyhf.exceptions.FailedMinimization: when no minimiser reaches a minimum.
        """
        self.fits += 1
        fixed = {int(index): float(value) for index, value in fixed_vals or []}
        model, reason = _compiled_for(objective, pdf, options)
        result: OptimizeResult | None = None
        if model is not None:
            result = self._newton(model, objective, data, pdf, init_pars, par_bounds, fixed)
            reason = result.message
        if result is None or not result.success:
            self.fallbacks += 1
            _warn(pdf, reason)
            result = self._fall_back(objective, data, pdf, init_pars, par_bounds, fixed_vals, options, result)
        if return_uncertainties or return_correlations:
            _add_covariance(result, model, np.asarray(data, dtype=float), fixed)
        if return_uncertainties and result.unc is not None:
            result.x = pyhf.tensorlib.stack([result.x, result.unc], axis=1)
        asked = [(True, result.x), (return_correlations, result.corr), (return_fitted_val, result.fun)]
        answers = [answer for wanted, answer in [*asked, (return_result_obj, result)] if wanted]
        return tuple(answers) if len(answers) > 1 else answers[0]

    def _newton(
        self,
        model: CompiledModel,
        objective: Any,
        data: Any,
        pdf: Any,
        init_pars: Any,
        par_bounds: Any,
        fixed: Mapping[int, float],
    ) -> OptimizeResult:
        """The fit by the compiled model; ``success`` is false where it did not converge."""
        try:
            found = model.minimise(
                np.asarray(data, dtype=float),
                fixed=fixed,
                start=np.asarray(init_pars, dtype=float),
                bounds=np.asarray(par_bounds, dtype=float),
                tolerance=self.newton_tolerance,
                max_iterations=self.newton_iterations,
            )
        except StatisticsError as error:
            return OptimizeResult(x=None, fun=np.inf, success=False, message=str(error), unc=None, corr=None)
        value = pyhf.tensorlib.astensor(np.asarray(objective(found.point, data, pdf)).item())
        message, success = "converged", found.converged and bool(np.isfinite(value))
        if not success:
            message = f"Newton's method did not converge in {found.iterations} iterations"
        return OptimizeResult(
            x=found.point, fun=value, success=success, message=message, nit=found.iterations, unc=None, corr=None
        )

    def _fall_back(
        self,
        objective: Any,
        data: Any,
        pdf: Any,
        init_pars: Any,
        par_bounds: Any,
        fixed_vals: Any,
        options: dict[str, Any],
        best: OptimizeResult | None,
    ) -> OptimizeResult:
        """pyhf's SciPy optimiser, else minuit, from the best point known; the better of theirs and that one."""
        known = best is not None and best.x is not None and np.isfinite(best.fun)
        start = [*(best.x if known and best is not None else init_pars)]
        arguments = (objective, data, pdf, start, par_bounds, fixed_vals)
        try:
            _, result = super().minimize(*arguments, return_result_obj=True, **options)
        except FailedMinimization:
            if options or importlib.util.find_spec("iminuit") is None:
                raise
            _, result = pyhf.optimize.minuit_optimizer().minimize(*arguments, return_result_obj=True)
        if known and best is not None and best.fun < result.fun:
            result.x, result.fun = pyhf.tensorlib.astensor(best.x), best.fun
        return result


def _compiled_for(objective: Any, pdf: Any, options: Mapping[str, Any]) -> tuple[CompiledModel | None, str]:
    """The compiled model, or None and the reason why pyhf's own optimiser has to do the fit."""
    if pyhf.tensorlib.name != "numpy" or pyhf.tensorlib.precision != "64b":
        return None, f"pyhf computes with {pyhf.tensorlib.name} in {pyhf.tensorlib.precision}"
    if objective is not twice_nll:
        return None, f"the objective {getattr(objective, '__name__', objective)} is not pyhf's twice_nll"
    unknown = sorted(name for name, value in options.items() if name != "do_stitch" and value not in (None, False))
    if unknown:
        return None, f"options of another minimiser were asked for ({', '.join(unknown)})"
    try:
        return compiled(pdf), ""
    except UnsupportedModel as reason:
        return None, str(reason)


def _add_covariance(
    result: OptimizeResult, model: CompiledModel | None, data: np.ndarray, fixed: Mapping[int, float]
) -> None:
    """Uncertainties and correlations, where the model is compiled; as pyhf's SciPy optimiser, none elsewhere."""
    if model is None:
        return
    try:
        covariance = model.covariance(np.asarray(result.x), data, fixed=fixed)
    except StatisticsError as error:
        raise FailedMinimization(result) from error
    errors = np.sqrt(covariance.diagonal())
    safe = np.where(errors > 0, errors, 1.0)
    result.unc = pyhf.tensorlib.astensor(errors)
    result.hess_inv = covariance
    result.corr = pyhf.tensorlib.astensor(covariance / safe / safe[:, None])


def _warn(pdf: Any, reason: str) -> None:
    try:
        said = _WARNED.setdefault(pdf, set())
    except TypeError:  # not a class that can be remembered
        said = set()
    if reason not in said:
        said.add(reason)
        logger.warning("fits of this model go to pyhf's own optimiser: %s", reason)
