"""A pyhf model compiled for fast fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from stats.errors import StatisticsError
from stats.histfactory.basins import lowest, scales, two_sided, unrest
from stats.histfactory.expectation import Expectation
from stats.histfactory.likelihood import Likelihood
from stats.histfactory.newton import MAX_ITERATIONS, TOLERANCE, Minimum, Search
from stats.histfactory.specification import UnsupportedModel, read

logger = logging.getLogger(__name__)

AGREEMENT = 1e-9  # relative, between pyhf's evaluation and the compiled one


class Fit(NamedTuple):
    """A maximum-likelihood fit: all parameters, shape (P,); −2 log L as pyhf has it; whether it is a minimum."""

    point: np.ndarray
    twice_nll: float
    converged: bool


class CompiledModel:
    """The likelihood of a ``pyhf.Model`` with analytic derivatives; keeps no reference to the model.

    Args:
        pdf: a ``pyhf.Model``. Compiling compares with pyhf's own evaluation at three points: use pyhf's NumPy backend.

    Attributes:
        initial: suggested values of the parameters, shape (P,).
        bounds: suggested bounds, shape (P, 2).
        fixed: parameters that the model itself holds constant → their values.
        n_data: observations and auxiliary data.

    Raises:
        UnsupportedModel: for models that this package does not evaluate as pyhf does.
    """

    def __init__(self, pdf: Any) -> None:
        specification = read(pdf)
        self._expectation = Expectation(specification)
        self.initial = np.asarray(pdf.config.suggested_init(), dtype=float)
        self.bounds = np.asarray(pdf.config.suggested_bounds(), dtype=float)
        held = np.flatnonzero(pdf.config.suggested_fixed())
        self.fixed: dict[int, float] = {int(index): float(self.initial[index]) for index in held}
        self.n_data = specification.n_data
        self._two_sided, self._scales = two_sided(specification), scales(specification)
        self.n_bins = specification.starts.size
        self._upper = np.ones(self.initial.size, dtype=bool)
        self._compare(pdf)

    def expected(self, parameters: np.ndarray) -> np.ndarray:
        """Expected events per bin, shape (n_bins,), without auxiliary data."""
        return self._expectation.evaluate(np.asarray(parameters, dtype=float), self._upper).expected

    def twice_nll(self, parameters: np.ndarray, data: np.ndarray) -> float:
        """−2 log L with pyhf's constants."""
        likelihood = self._likelihood(data)
        return 2.0 * (likelihood.at(np.asarray(parameters, dtype=float), self._upper)[0] + likelihood.constant)

    def gradient(self, parameters: np.ndarray, data: np.ndarray) -> np.ndarray:
        """∂(−log L)/∂θ, shape (P,)."""
        return self._curvatures(parameters, data).gradient

    def hessian(self, parameters: np.ndarray, data: np.ndarray) -> np.ndarray:
        """∂²(−log L)/∂θ∂θ, shape (P, P)."""
        return self._curvatures(parameters, data).hessian

    def fit(
        self,
        data: np.ndarray,
        *,
        fixed: Mapping[int, float] | None = None,
        start: np.ndarray | None = None,
        bounds: np.ndarray | None = None,
    ) -> Fit:
        """Maximise the likelihood.

        Args:
            data: observations, then auxiliary data, as ``workspace.data(model)``; shape (n_data,).
            fixed: values by parameter index to hold constant, beside those that the model holds itself.
            start: all parameters, shape (P,); by default the suggested ones.
            bounds: shape (P, 2); by default the suggested ones.

        Raises:
            StatisticsError: for data or parameters that do not belong to the model.
        """
        likelihood = self._likelihood(data)
        held = {**self.fixed, **(fixed or {})}
        found = self._minimise(likelihood, held, start, self.bounds if bounds is None else np.asarray(bounds, float))
        return Fit(found.point, 2.0 * (found.value + likelihood.constant), found.converged)

    def minimise(
        self,
        data: np.ndarray,
        *,
        fixed: Mapping[int, float],
        start: np.ndarray,
        bounds: np.ndarray,
        tolerance: float = TOLERANCE,
        max_iterations: int = MAX_ITERATIONS,
    ) -> Minimum:
        """As ``fit``, with exactly the parameters in ``fixed`` held, and the number of iterations in the answer."""
        likelihood = self._likelihood(data)
        return self._minimise(likelihood, fixed, start, bounds, tolerance=tolerance, max_iterations=max_iterations)

    def covariance(self, parameters: np.ndarray, data: np.ndarray, *, fixed: Mapping[int, float]) -> np.ndarray:
        """Inverse Hessian of the parameters that are not fixed, shape (P, P), rows of fixed ones zero.

        Raises:
            StatisticsError: where the Hessian is not positive definite.
        """
        free = self._free(fixed)
        hessian = self.hessian(parameters, data)[np.ix_(free, free)]
        covariance = np.zeros((self.initial.size, self.initial.size))
        scale = 1.0 / np.sqrt(np.maximum(hessian.diagonal(), 1e-300))
        scaled = hessian * scale[:, None] * scale
        if free.size and np.linalg.eigvalsh(scaled)[0] < 1e-12:
            raise StatisticsError(
                "The likelihood has no curvature in some direction at this point: its parameters have no covariance "
                "matrix. Fix those that the data do not determine."
            )
        covariance[np.ix_(free, free)] = scale[:, None] * np.linalg.inv(scaled) * scale
        return covariance

    def _minimise(
        self,
        likelihood: Likelihood,
        fixed: Mapping[int, float],
        start: np.ndarray | None,
        bounds: np.ndarray,
        **settings: Any,
    ) -> Minimum:
        begin = np.array(self.initial if start is None else start, dtype=float)
        if begin.shape != self.initial.shape or bounds.shape != self.bounds.shape or not np.isfinite(begin).all():
            raise StatisticsError(
                f"The model has {self.initial.size} parameters: start and bounds have to be finite and of that length, "
                f"got shapes {begin.shape} and {bounds.shape}."
            )
        begin = np.clip(begin, bounds[:, 0], bounds[:, 1])
        free = self._free(fixed)
        for index, value in fixed.items():
            begin[index] = value
        search = Search(likelihood, free, bounds)
        found = search.run(begin, **settings)
        if not np.isfinite(found.value):  # no events expected where some were seen: another start may do
            begin[free] = np.clip(self.initial, bounds[:, 0], bounds[:, 1])[free]
            found = search.run(begin, **settings)
        found = unrest(search, found, self._scales, self.initial, **settings)
        return lowest(search, found, self._two_sided, **settings)

    def _free(self, fixed: Mapping[int, float]) -> np.ndarray:
        free = np.ones(self.initial.size, dtype=bool)
        for index, value in fixed.items():
            if not 0 <= index < free.size or not np.isfinite(value):
                raise StatisticsError(f"Parameter {index} cannot be fixed at {value}: the model has {free.size}.")
            free[index] = False
        return np.flatnonzero(free)

    def _likelihood(self, data: np.ndarray) -> Likelihood:
        data = np.asarray(data, dtype=float)
        if data.shape != (self.n_data,) or not np.isfinite(data).all():
            raise StatisticsError(
                f"The model takes {self.n_data} finite numbers ({self.n_bins} bins, then auxiliary data), got an array "
                f"of shape {data.shape}."
            )
        likelihood = Likelihood(self._expectation, data)
        if (likelihood.counts < 0).any() or (likelihood.auxiliary < 0).any():
            raise StatisticsError("Observed event counts have to be 0 or more: a Poisson likelihood has no other.")
        return likelihood

    def _curvatures(self, parameters: np.ndarray, data: np.ndarray) -> Any:
        likelihood = self._likelihood(data)
        return likelihood.derivatives(likelihood.at(np.asarray(parameters, dtype=float), self._upper)[1])

    def _compare(self, pdf: Any) -> None:
        """Refuse a model whose compiled form is not pyhf's, whatever the reason."""
        low = np.maximum(self.bounds[:, 0], self.initial - 2.0)
        high = np.minimum(self.bounds[:, 1], self.initial + 2.0)
        shares = (np.arange(1, self.initial.size + 1) * 0.6180339887498949) % 1.0
        for point in (self.initial, low + shares * (high - low), high - shares * (high - low)):
            theirs = np.asarray(pdf.expected_actualdata(point), dtype=float)
            data = np.concatenate([np.round(np.abs(theirs)), pdf.config.auxdata])
            with np.errstate(all="ignore"):
                nll = float(np.asarray(pdf.logpdf(point, data)).item()) * -2.0
            agree = np.allclose(self.expected(point), theirs, rtol=AGREEMENT, atol=AGREEMENT, equal_nan=True)
            if np.isfinite(nll):  # pyhf sums terms of the size of n log n, and rounds like them
                rounding = 1e-14 * float(np.sum(np.abs(data) * np.log(np.abs(data) + 3.0)))
                agree &= abs(self.twice_nll(point, data) - nll) <= AGREEMENT * max(1.0, abs(nll)) + rounding
            if not agree:
                raise UnsupportedModel("pyhf evaluates the model differently")
