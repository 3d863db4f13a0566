"""Expected events of a HistFactory model and their derivatives.

An entry is y = A·F with A = nominal + Σ shifts and F = Π factors. With d_k = ∂A/∂θ_k and u_k = ∂ log F/∂θ_k,

    ∂y/∂θ_k = F (d_k + A u_k),
    ∂²y/∂θ_k∂θ_l = F (d_k u_l + d_l u_k + A u_k u_l) for k ≠ l,
    ∂²y/∂θ_k² = F (∂²A/∂θ_k² + 2 d_k u_k + A f_k''/f_k),

because each parameter appears in one factor of an entry at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stats.histfactory.interpolation import KINKED, Factors, additive_weights
from stats.histfactory.specification import Specification

TINY = 1e-75  # in place of a factor that is zero, by which the derivatives divide


@dataclass(frozen=True)
class Yields:
    """What the evaluation at one point leaves for its derivatives."""

    parameters: np.ndarray
    expected: np.ndarray  # (B,)
    additive: np.ndarray  # A, (m,)
    entries: np.ndarray  # y before clipping, (m,)
    factors: np.ndarray  # sources of the layers
    norms: np.ndarray  # (3, n_norms)
    weights: np.ndarray  # (3, 2, n_shifts)


class Expectation:
    """Evaluates a ``Specification``.

    Attributes:
        kinked: parameters whose expectations have a kink at zero.
    """

    def __init__(self, specification: Specification) -> None:
        self.spec = spec = specification
        self.norms = Factors.of(spec.norm_code, spec.norm_down, spec.norm_up)
        self.shifts = np.concatenate([spec.shift_up, spec.shift_down])
        kinked = [spec.norm_parameters] if spec.norm_code in KINKED else []
        kinked += [spec.shift_parameters] if spec.shift_code in KINKED else []
        self.kinked = np.unique(np.concatenate(kinked)) if kinked else np.zeros(0, dtype=int)
        self.widths = np.diff(np.append(spec.starts, spec.nominal.size))
        self.uniform = bool((self.widths == self.widths[0]).all())
        self.bin_of = np.repeat(np.arange(spec.starts.size), self.widths)

    def evaluate(self, parameters: np.ndarray, upper: np.ndarray) -> Yields:
        """Expected events at ``parameters``; ``upper`` says where α = 0 counts as positive, both of shape (P,)."""
        spec = self.spec
        above = (parameters > 0) | ((parameters == 0) & upper)
        norms, weights = np.zeros((3, 0)), np.zeros((3, 2, 0))
        additive = spec.nominal
        if spec.norm_parameters.size:
            norms = self.norms.evaluate(parameters[spec.norm_parameters], above[spec.norm_parameters])
        if spec.shift_parameters.size:
            moving = spec.shift_parameters
            weights = additive_weights(spec.shift_code, parameters[moving], above[moving])
            additive = additive + weights[0].ravel() @ self.shifts
        factors = np.concatenate([parameters, norms[0], [1.0]])
        entries = additive * np.multiply.reduce(factors[spec.layers], axis=0)
        kept = entries if spec.clip_sample is None else np.maximum(entries, spec.clip_sample)
        expected = self._by_bin(kept)
        if spec.clip_bin is not None:
            expected = np.maximum(expected, spec.clip_bin)
        return Yields(parameters, expected, additive, entries, factors, norms, weights)

    def derivatives(self, yields: Yields) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """∂E/∂θ of shape (P, B), and what ``curvature`` needs."""
        spec = self.spec
        n = spec.n_parameters
        factors = np.where(yields.factors == 0, TINY, yields.factors)
        product = np.multiply.reduce(factors[spec.layers], axis=0) * self._unclipped(yields)
        slopes = np.concatenate([np.ones(n), yields.norms[1]]) / factors[:-1]
        parameter, entry, source = spec.pairs
        logarithmic = np.zeros((n, spec.nominal.size))
        logarithmic[parameter, entry] = slopes[source]
        shifting = self._shifts(yields.weights[1])
        moved = logarithmic * yields.additive
        if shifting is not None:
            moved[spec.shift_parameters] += shifting
        return self._by_bin(moved * product), (logarithmic, product, *(() if shifting is None else (shifting,)))

    def curvature(self, yields: Yields, parts: tuple[np.ndarray, ...], weights: np.ndarray) -> np.ndarray:
        """Σ over bins of ``weights`` · ∂²E/∂θ∂θ, shape (P, P)."""
        spec = self.spec
        n = spec.n_parameters
        logarithmic, product = parts[:2]
        scale = product * weights[self.bin_of]
        curvature = (logarithmic * (scale * yields.additive)) @ logarithmic.T
        diagonal = np.zeros(n)
        if yields.norms.size:
            bends = (
                np.concatenate([np.zeros(n), yields.norms[2]])
                / np.where(yields.factors == 0, TINY, yields.factors)[:-1]
            )
            parameter, entry, source = spec.pairs
            diagonal += np.bincount(parameter, (scale * yields.additive)[entry] * bends[source], minlength=n)
        if len(parts) > 2:
            moving = spec.shift_parameters
            scaled = parts[2] * scale
            mixed = scaled @ logarithmic.T
            curvature[moving] += mixed
            curvature[:, moving] += mixed.T
            bends = yields.weights[2] * (self.shifts @ scale).reshape(2, -1)
            diagonal[moving] += 2.0 * np.einsum("ke,ke->k", scaled, logarithmic[moving]) + bends[0] + bends[1]
        np.einsum("kk->k", curvature)[:] = diagonal
        return curvature

    def _shifts(self, weights: np.ndarray) -> np.ndarray | None:
        if not weights.size:
            return None
        return weights[0][:, None] * self.spec.shift_up + weights[1][:, None] * self.spec.shift_down

    def _by_bin(self, entries: np.ndarray) -> np.ndarray:
        width = self.widths[0]
        if not self.uniform:
            return np.add.reduceat(entries, self.spec.starts, axis=-1)
        total = entries[..., ::width]
        for place in range(1, width):
            total = total + entries[..., place::width]
        return total

    def _unclipped(self, yields: Yields) -> np.ndarray | float:
        """Zero where clipping takes an entry's derivatives away."""
        spec = self.spec
        kept: np.ndarray | float = 1.0
        if spec.clip_sample is not None:
            kept = kept * (yields.entries > spec.clip_sample)
        if spec.clip_bin is not None:
            kept = kept * (yields.expected > spec.clip_bin)[self.bin_of]
        return kept
