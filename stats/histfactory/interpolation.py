"""Interpolation between the variations of a systematic uncertainty, with first and second derivatives.

The codes are those of Cranmer et al., HistFactory (CERN-OPEN-2012-016), as pyhf implements them. Codes 0 and 1 have a
kink at α = 0: ``upper`` says which side's derivatives are meant there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ADDITIVE = ("code0", "code4p")  # of histosys; pyhf's code2 jumps at |α| = 1
MULTIPLICATIVE = ("code1", "code4")  # of normsys
KINKED = ("code0", "code1")

# Inverse of the conditions on the sixth-order polynomial of code 4 at α = ±1: value, slope and curvature there.
_CODE4 = np.array(
    [
        [15, -15, -7, -7, 1, -1],
        [24, 24, -9, 9, 1, 1],
        [-10, 10, 10, 10, -2, 2],
        [-24, -24, 14, -14, -2, -2],
        [3, -3, -3, -3, 1, -1],
        [8, 8, -5, 5, 1, 1],
    ]
) / np.array([[16.0], [16.0], [16.0], [16.0], [16.0], [16.0]])


def additive_weights(code: str, alpha: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Weights of (up − nominal) and (nominal − down) in the shift of a histogram.

    Args:
        alpha: nuisance parameters, shape (n,).
        upper: where ``alpha`` counts as positive, shape (n,).

    Returns:
        shape (3, 2, n): value, first and second derivative; of up, of down.
    """
    weights = np.zeros((3, 2, alpha.size))
    inside = np.abs(alpha) <= 1.0
    if code != "code4p" or not inside.all():
        weights[0, 0], weights[1, 0] = upper * alpha, upper
        weights[0, 1], weights[1, 1] = ~upper * alpha, ~upper
    if code == "code4p" and inside.any():
        weights[:, :, inside] = _inner_weights(alpha[inside])
    return weights


def _inner_weights(a: np.ndarray) -> np.ndarray:
    """The polynomial of code 4p: α/2 ± (15α² − 10α⁴ + 3α⁶)/16, with derivatives; shape (3, 2, n)."""
    square = a * a
    bend = square * (15.0 + square * (3.0 * square - 10.0)) / 16.0
    slope = a * (30.0 + square * (18.0 * square - 40.0)) / 16.0
    curvature = (30.0 + square * (90.0 * square - 120.0)) / 16.0
    half = 0.5 * a
    return np.array([[half + bend, half - bend], [0.5 + slope, 0.5 - slope], [curvature, -curvature]])


@dataclass(frozen=True)
class Factors:
    """Multiplicative variations: factors ``down`` and ``up`` at α = −1 and +1, positive, shape (n,)."""

    code: str
    down: np.ndarray
    up: np.ndarray
    log_down: np.ndarray
    log_up: np.ndarray
    coefficients: np.ndarray  # of the polynomial of code 4, highest power first, then derivatives: (3, 7, n)

    @staticmethod
    def of(code: str, down: np.ndarray, up: np.ndarray) -> Factors:
        """Factors ``down`` and ``up``, shape (n,), ready to be evaluated with that code."""
        log_down, log_up = np.log(down), np.log(up)
        conditions = np.stack([up - 1, down - 1, log_up * up, -log_down * down, log_up**2 * up, log_down**2 * down])
        rising = np.concatenate([np.ones((1, up.size)), _CODE4 @ conditions])
        powers = np.arange(7.0)[:, None]
        slopes = np.concatenate([(powers * rising)[1:], np.zeros((1, up.size))])
        bends = np.concatenate([(powers * slopes)[1:], np.zeros((1, up.size))])
        return Factors(code, down, up, log_down, log_up, np.stack([rising, slopes, bends])[:, ::-1])

    def evaluate(self, alpha: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Value, first and second derivative at ``alpha``, shape (3, n)."""
        rate = np.where(upper, self.log_up, -self.log_down)
        power = np.exp(rate * alpha)
        outside = np.stack([power, rate * power, rate * rate * power])
        if self.code == "code1":
            return outside
        inside = self.coefficients[:, 0]
        for row in range(1, 7):
            inside = inside * alpha + self.coefficients[:, row]
        return np.where(np.abs(alpha) < 1.0, inside, outside)
