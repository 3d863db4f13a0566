"""−log L of a HistFactory model on one set of data, with gradient and Hessian.

Poisson terms enter as E − n − n log(E/n), which is zero at E = n: differences of large numbers would drown the last
digits that a minimiser needs. ``Likelihood.constant`` restores pyhf's value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from stats.histfactory.expectation import Expectation, Yields


@dataclass(frozen=True)
class Curvatures:
    """Gradient of −log L, shape (P,), and two Hessians, shape (P, P)."""

    gradient: np.ndarray
    hessian: np.ndarray
    fisher: np.ndarray  # expectation of the Hessian over data


class Likelihood:
    """−log L as a function of all parameters.

    A bin without events may have a negative expectation, as in pyhf; elsewhere −log L is infinite there.

    Attributes:
        constant: to be added to ``value`` for −log L with all of pyhf's constants.
    """

    def __init__(self, expectation: Expectation, data: np.ndarray) -> None:
        self.expectation = expectation
        spec = expectation.spec
        self.counts = data[: spec.starts.size]
        self.normal, self.poisson = spec.normal, spec.poisson
        self.measured = data[self.normal.data]
        self.auxiliary = data[self.poisson.data]
        poissons = np.concatenate([self.counts, self.auxiliary])
        positive = np.where(poissons > 0, poissons, 1.0)
        self.constant = float(
            np.sum(poissons - poissons * np.log(positive) + gammaln(poissons + 1.0))
            + np.sum(np.log(self.normal.scales * np.sqrt(2.0 * np.pi)))
        )
        self.filled = self.counts > 0
        self.safe_counts = np.where(self.filled, self.counts, 1.0)
        self.safe_auxiliary = np.where(self.auxiliary > 0, self.auxiliary, 1.0)

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
        fisher = (slopes * inverse) @ slopes.T
        self._constrain(yields.parameters, gradient, hessian, fisher)
        return Curvatures(gradient, hessian, fisher)

    def _constrain(self, parameters: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, fisher: np.ndarray) -> None:
        if self.measured.size:
            places, precision = self.normal.parameters, self.normal.scales**-2.0
            gradient[places] += (parameters[places] - self.measured) * precision
            hessian[places, places] += precision
            fisher[places, places] += precision
        if self.auxiliary.size:
            places = self.poisson.parameters
            # the lower bound of such parameters is above zero, but a user may fix them there
            inside = np.maximum(parameters[places], 1e-150)
            gradient[places] += self.poisson.scales - self.auxiliary / inside
            hessian[places, places] += self.auxiliary / inside**2
            fisher[places, places] += self.poisson.scales / inside
