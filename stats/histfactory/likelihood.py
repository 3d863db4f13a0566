"""−log L of a HistFactory model on one set of data, with gradient and Hessian.

Poisson terms enter as E − n − n log(E/n), which is zero at E = n: differences of large numbers would drown the last
digits that a minimiser needs. ``Likelihood.constant`` restores pyhf's value.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.special import gammaln

from stats.histfactory.expectation import Expectation, Yields


class Curvatures:
    """Derivatives of −log L at one point.

    Attributes:
        gradient: shape (P,).
        hessian: shape (P, P).
    """

    def __init__(
        self, gradient: np.ndarray, hessian: np.ndarray, slopes: np.ndarray, inverse: np.ndarray, constraint: np.ndarray
    ) -> None:
        self.gradient, self.hessian = gradient, hessian
        self._slopes, self._inverse, self._constraint = slopes, inverse, constraint

    @cached_property
    def fisher(self) -> np.ndarray:
        """The Hessian's expectation over data, shape (P, P)."""
        fisher = (self._slopes * self._inverse) @ self._slopes.T
        np.einsum("kk->k", fisher)[:] += self._constraint
        return fisher


class Likelihood:
    """−log L as a function of all parameters.

    A bin without events may have a negative expectation, as in pyhf; elsewhere −log L is infinite there.
    """

    def __init__(self, expectation: Expectation, data: np.ndarray) -> None:
        self.expectation = expectation
        spec = expectation.spec
        self.counts = data[: spec.starts.size]
        self.normal, self.poisson = spec.normal, spec.poisson
        self.measured = data[self.normal.data]
        self.auxiliary = data[self.poisson.data]
        self.precision = self.normal.scales**-2.0
        self.filled = self.counts > 0
        self.safe_counts = np.where(self.filled, self.counts, 1.0)
        self.safe_auxiliary = np.where(self.auxiliary > 0, self.auxiliary, 1.0)

    @cached_property
    def constant(self) -> float:
        """To be added to the value for −log L with all of pyhf's constants."""
        poissons = np.concatenate([self.counts, self.auxiliary])
        positive = np.where(poissons > 0, poissons, 1.0)
        return float(
            np.sum(poissons - poissons * np.log(positive) + gammaln(poissons + 1.0))
            + np.sum(np.log(self.normal.scales * np.sqrt(2.0 * np.pi)))
        )

    def at(self, parameters: np.ndarray, upper: np.ndarray) -> tuple[float, Yields]:
        """−log L, infinite where it is not defined, and the expectations it rests on."""
        yields = self.expectation.evaluate(parameters, upper)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            excess = yields.expected - self.counts
            value = np.sum(excess - self.counts * np.log1p(excess / self.safe_counts * self.filled))
            if self.measured.size:
                pulls = (self.measured - parameters[self.normal.parameters]) / self.normal.scales
                value += 0.5 * (pulls @ pulls)
            if self.auxiliary.size:
                over = parameters[self.poisson.parameters] * self.poisson.scales - self.auxiliary
                value += np.sum(over - self.auxiliary * np.log1p(over / self.safe_auxiliary * (self.auxiliary > 0)))
        return (float(value) if np.isfinite(value) else np.inf), yields

    def derivatives(self, yields: Yields) -> Curvatures:
        """Derivatives with respect to all parameters at the point of ``yields``."""
        expected = yields.expected
        ratio, inverse = np.zeros(expected.size), np.zeros(expected.size)
        np.divide(self.counts, expected, out=ratio, where=self.filled)
        np.divide(1.0, expected, out=inverse, where=expected > 0)
        rest = 1.0 - ratio
        slopes, parts = self.expectation.derivatives(yields)
        gradient = slopes @ rest
        hessian = (slopes * (ratio * inverse)) @ slopes.T + self.expectation.curvature(yields, parts, rest)
        constraint = self._constrain(yields.parameters, gradient, np.einsum("kk->k", hessian))
        return Curvatures(gradient, hessian, slopes, inverse, constraint)

    def _constrain(self, parameters: np.ndarray, gradient: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
        """Add the constraints to gradient and diagonal of the Hessian; returns what the Fisher information gains."""
        information = np.zeros(gradient.size)
        if self.measured.size:
            places = self.normal.parameters
            gradient[places] += (parameters[places] - self.measured) * self.precision
            diagonal[places] += self.precision
            information[places] += self.precision
        if self.auxiliary.size:
            places = self.poisson.parameters
            # the lower bound of such parameters is above zero, but a user may fix them there
            inside = np.maximum(parameters[places], 1e-150)
            gradient[places] += self.poisson.scales - self.auxiliary / inside
            diagonal[places] += self.auxiliary / inside**2
            information[places] += self.poisson.scales / inside
        return information
