"""Fits of one HistFactory model to many data sets at once.

The steps are those of ``stats.histfactory`` with all data sets side by side in every array operation: scoring steps
(the expected information first, then the observed one without the curvature of the expectations), halved until
−log L falls, parameters held at a bound that they are pushed against. What has not converged is left
to the fit of one data set at a time, so only speed depends on this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from stats.histfactory.interpolation import KINKED, Factors, additive_weights
from stats.histfactory.specification import Specification, UnsupportedModel, read

TOLERANCE = 1e-11  # of −log L, promised by the quadratic model
MAX_ITERATIONS = 60
MAX_HALVINGS = 8
SCORING = 2  # first steps with the expected information
RIDGE = 1e-12
TINY = 1e-75  # in place of a factor that is zero, by which the derivatives divide
CELLS = 2_000_000  # numbers in the largest array


@dataclass(frozen=True)
class _Yields:
    """Expectations of N parameter points: (N, B) and what their derivatives need."""

    expected: np.ndarray
    additive: np.ndarray
    factors: np.ndarray
    norm_slopes: np.ndarray
    shift_slopes: np.ndarray


class BatchFits:
    """Fits of a ``pyhf.Model`` to N data sets.

    Attributes:
        size: data sets that fit into one call.

    Raises:
        UnsupportedModel: for models ``stats.histfactory`` does not know, kinked interpolation and clipped expectations.
    """

    def __init__(self, pdf: Any) -> None:
        self.spec: Specification = read(pdf)
        spec = self.spec
        kinked = [spec.norm_code] * bool(spec.norm_parameters.size) + [spec.shift_code] * bool(
            spec.shift_parameters.size
        )
        if spec.clip_sample is not None or spec.clip_bin is not None or any(code in KINKED for code in kinked):
            raise UnsupportedModel("its likelihood has kinks")
        self.norms = Factors.of(spec.norm_code, spec.norm_down, spec.norm_up)
        self.shifts = np.stack([spec.shift_up, spec.shift_down])
        self.size = max(20, min(500, CELLS // max(1, spec.n_parameters * spec.nominal.size)))

    def minimise(
        self, data: np.ndarray, start: np.ndarray, free: np.ndarray, bounds: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best points, −2 log L with pyhf's constants, and whether each fit converged.

        Args:
            data: observations and auxiliary data, shape (N, n_data).
            start: parameters within bounds, those that are held at their values, shape (N, P).
            free: indices of the others.
            bounds: shape (P, 2).
        """
        points = start.copy()
        values, yields = self._values(points, data)
        converged = np.zeros(points.shape[0], dtype=bool)
        active = np.flatnonzero(np.isfinite(values))
        for iteration in range(MAX_ITERATIONS):
            if not active.size:
                break
            here, there = points[active], data[active]
            yields = self._evaluate(here)
            gradient, hessian = self._derivatives(here, there, yields, scoring=iteration < SCORING)
            step, promise = _step(here[:, free], gradient[:, free], hessian[:, free[:, None], free], bounds[free])
            done = promise < TOLERANCE
            converged[active[done]] = True
            going = ~done & np.isfinite(promise)
            active, step, slope = active[going], step[going], -2.0 * promise[going]
            moved = self._descend(points, values, data, active, step, slope, free, bounds)
            active = active[moved]
        return points, 2.0 * (values + self._constants(data)), converged

    def _descend(
        self,
        points: np.ndarray,
        values: np.ndarray,
        data: np.ndarray,
        active: np.ndarray,
        step: np.ndarray,
        slope: np.ndarray,
        free: np.ndarray,
        bounds: np.ndarray,
    ) -> np.ndarray:
        """Move ``points[active]`` along their steps, in place; returns which of them fell."""
        moved = np.zeros(active.size, dtype=bool)
        waiting, fraction = np.arange(active.size), 1.0
        for _ in range(MAX_HALVINGS):
            rows = active[waiting]
            trial = points[rows]
            trial[:, free] = np.clip(trial[:, free] + fraction * step[waiting], bounds[free, 0], bounds[free, 1])
            value = self._values(trial, data[rows])[0]
            # rounding: the last steps promise less than the sum's last digits
            fell = value <= values[rows] + 1e-4 * fraction * slope[waiting] + 1e-14 * np.abs(values[rows])
            points[rows[fell]], values[rows[fell]] = trial[fell], value[fell]
            moved[waiting[fell]] = True
            waiting, fraction = waiting[~fell], 0.4 * fraction
            if not waiting.size:
                break
        return moved

    def _evaluate(self, points: np.ndarray) -> _Yields:
        spec, count = self.spec, points.shape[0]
        alpha = points[:, spec.norm_parameters]
        norm, norm_slopes = self._norms(alpha)
        additive = np.broadcast_to(spec.nominal, (count, spec.nominal.size))
        shift_slopes = np.zeros((2, count, 0))
        if spec.shift_parameters.size:
            alpha = points[:, spec.shift_parameters]
            weights = additive_weights(spec.shift_code, alpha.ravel(), alpha.ravel() >= 0)
            weights = weights.reshape(3, 2, *alpha.shape)
            additive = additive + weights[0, 0] @ self.shifts[0] + weights[0, 1] @ self.shifts[1]
            shift_slopes = weights[1]
        factors = np.concatenate([points, norm, np.ones((count, 1))], axis=1)
        entries = additive * np.multiply.reduce(factors[:, spec.layers], axis=1)
        return _Yields(self._by_bin(entries), additive, factors, norm_slopes, shift_slopes)

    def _norms(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Factors of the normsys and their slopes, (N, n) each."""
        rate = np.where(alpha >= 0, self.norms.log_up, -self.norms.log_down)
        power = np.exp(rate * alpha)
        found = np.stack([power, rate * power])
        inside = np.repeat(self.norms.coefficients[:2, 0][:, None], alpha.shape[0], axis=1)
        for row in range(1, 7):
            inside = inside * alpha + self.norms.coefficients[:2, row][:, None]
        found = np.where(np.abs(alpha) < 1.0, inside, found)
        return found[0], found[1]

    def _derivatives(
        self, points: np.ndarray, data: np.ndarray, yields: _Yields, *, scoring: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient of −log L, (N, P), and a positive semidefinite Hessian, (N, P, P)."""
        spec, count, n = self.spec, points.shape[0], points.shape[1]
        factors = np.where(yields.factors == 0, TINY, yields.factors)
        product = np.multiply.reduce(factors[:, spec.layers], axis=1)
        slopes = np.concatenate([np.ones((count, n)), yields.norm_slopes], axis=1) / factors[:, :-1]
        parameter, entry, source = spec.pairs
        moved = np.zeros((count, n, spec.nominal.size))
        moved[:, parameter, entry] = slopes[:, source] * yields.additive[:, entry]
        if spec.shift_parameters.size:
            up, down = yields.shift_slopes
            moved[:, spec.shift_parameters] += up[:, :, None] * self.shifts[0] + down[:, :, None] * self.shifts[1]
        jacobian = self._by_bin(moved * product[:, None])
        counts, expected = data[:, : spec.starts.size], yields.expected
        inverse = np.divide(1.0, expected, out=np.zeros_like(expected), where=expected > 0)
        weights = inverse if scoring else counts * inverse**2
        gradient = (jacobian @ (1.0 - counts * inverse)[:, :, None])[:, :, 0]
        hessian = (jacobian * weights[:, None]) @ jacobian.transpose(0, 2, 1)
        normal, poisson = spec.normal, spec.poisson
        gradient[:, normal.parameters] += (points[:, normal.parameters] - data[:, normal.data]) * normal.scales**-2.0
        hessian[:, normal.parameters, normal.parameters] += normal.scales**-2.0
        inside = np.maximum(points[:, poisson.parameters], 1e-150)
        gradient[:, poisson.parameters] += poisson.scales - data[:, poisson.data] / inside
        hessian[:, poisson.parameters, poisson.parameters] += data[:, poisson.data] / inside**2
        return gradient, hessian

    def _values(self, points: np.ndarray, data: np.ndarray) -> tuple[np.ndarray, _Yields]:
        """−log L less that of expectations equal to the data, infinite where it is not defined, shape (N,)."""
        spec = self.spec
        yields = self._evaluate(points)
        rates = points[:, spec.poisson.parameters] * spec.poisson.scales
        pulls = (data[:, spec.normal.data] - points[:, spec.normal.parameters]) / spec.normal.scales
        value = _poisson(yields.expected, data[:, : spec.starts.size]) + _poisson(rates, data[:, spec.poisson.data])
        value = value + 0.5 * (pulls**2).sum(axis=1)
        return np.where(np.isnan(value), np.inf, value), yields

    def _constants(self, data: np.ndarray) -> np.ndarray:
        spec = self.spec
        counts = np.concatenate([data[:, : spec.starts.size], data[:, spec.poisson.data]], axis=1)
        logs = np.log(np.where(counts > 0, counts, 1.0))
        widths = np.log(spec.normal.scales * np.sqrt(2.0 * np.pi)).sum()
        return (counts - counts * logs + gammaln(counts + 1.0)).sum(axis=1) + widths

    def _by_bin(self, entries: np.ndarray) -> np.ndarray:
        single = self.spec.starts.size == self.spec.nominal.size
        return entries if single else np.add.reduceat(entries, self.spec.starts, axis=-1)


def _poisson(expected: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Σ E − n − n log(E/n), infinite for negative E and for events where none are expected; (N, B) to (N,)."""
    filled = counts > 0
    excess = expected - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = excess - np.where(filled, counts * np.log1p(excess / np.where(filled, counts, 1.0)), 0.0)
    return np.where(expected < 0, np.inf, terms).sum(axis=1)


def _step(
    points: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Steps within bounds, (N, n), and what they promise, (N,); NaN where there is none."""
    if not points.shape[1]:
        return np.zeros_like(points), np.zeros(points.shape[0])
    held = ((points <= bounds[:, 0]) & (gradient > 0)) | ((points >= bounds[:, 1]) & (gradient < 0))
    places = np.arange(points.shape[1])
    diagonal = hessian[:, places, places]
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0)) * ~held
    scaled = hessian * scale[:, :, None] * scale[:, None]
    scaled[:, places, places] = 1.0 + RIDGE
    slope = np.where(np.isfinite(gradient), gradient, 0.0) * scale
    try:
        step = -np.linalg.solve(scaled, slope[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:
        step = np.full_like(slope, np.nan)
    promise = -0.5 * (slope * step).sum(axis=1)
    return step * scale, np.where(promise >= 0, promise, np.nan)
