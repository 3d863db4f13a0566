"""Polynomials in the mass, linear in their coefficients, and exponentials of polynomials."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np

from stats.errors import StatisticsError
from stats.functions import LinearFamily, LogLinearFamily
from stats.values import as_floats

MOST = 7  # parameters


def polynomial(n_parameters: int, *, mass_range: tuple[float, float]) -> LinearFamily:
    """f = Σ_k c_k t^k with t from −1 to 1 over ``mass_range``; four parameters make the third degree.

    The third degree is the background of Tag N' Train's bump hunt (arXiv:2002.12376). A fit keeps the
    content of every bin positive; the function may still be negative inside a bin, or outside the spectrum.

    Args:
        n_parameters: degree + 1, 2 to 7.
        mass_range: lowest and highest edge in GeV.
    """
    low, high = _range("polynomial", n_parameters, mass_range)
    return LinearFamily(
        name=f"polynomial{n_parameters}",
        parameter_names=tuple(f"c{k}" for k in range(n_parameters)),
        domain=(0.0, math.inf),
        formula=_sum([f"c{k}{_power(k)}" for k in range(n_parameters)]) + f", {_t(low, high)}",
        source="arXiv:2002.12376" if n_parameters == 4 else "plain polynomial",
        terms=lambda mass: _powers(mass, low, high, n_parameters),
    )


def bernstein(n_parameters: int, *, mass_range: tuple[float, float]) -> LinearFamily:
    """f = Σ_k b_k C(n, k) u^k (1−u)^(n−k) with every b_k ≥ 0 and u from 0 to 1 over ``mass_range``.

    Coefficients that are not negative make f positive everywhere (S. N. Bernstein, 1912); those of degree n lie within
    those of degree n + 1. CMS's background of H → γγ (arXiv:1207.7235).

    Args:
        n_parameters: degree n + 1, 2 to 7.
        mass_range: lowest and highest edge in GeV; outside f is not defined.
    """
    low, high = _range("Bernstein", n_parameters, mass_range)
    degree = n_parameters - 1
    margin = 1e-9 * (high - low)

    def terms(mass: np.ndarray) -> np.ndarray:
        u = (mass - low) / (high - low)
        columns = [math.comb(degree, k) * u**k * (1.0 - u) ** (degree - k) for k in range(n_parameters)]
        return np.stack(columns, axis=-1)

    return LinearFamily(
        name=f"bernstein{n_parameters}",
        parameter_names=tuple(f"b{k}" for k in range(n_parameters)),
        domain=(low - margin, high + margin),
        formula=f"Σ b_k C({degree}, k) u^k (1 − u)^({degree} − k), b_k ≥ 0, u = (m − {low:g})/{high - low:g}",
        source="arXiv:1207.7235",
        terms=terms,
        non_negative=True,
    )


def exponential_polynomial(n_parameters: int, *, mass_range: tuple[float, float]) -> LogLinearFamily:
    """f = exp(Σ_k c_k t^k) with t from −1 to 1 over ``mass_range``: with two parameters a falling exponential.

    Log-linear, always positive, whatever the coefficients.

    Args:
        n_parameters: 2 to 7.
        mass_range: lowest and highest edge in GeV.
    """
    low, high = _range("exponential-polynomial", n_parameters, mass_range)
    return LogLinearFamily(
        name=f"exponential_polynomial{n_parameters}",
        parameter_names=tuple(f"c{k}" for k in range(n_parameters)),
        domain=(0.0, math.inf),
        formula=f"exp({_sum([f'c{k}{_power(k)}' for k in range(n_parameters)])}), {_t(low, high)}",
        source="exponential of a polynomial",
        terms=lambda mass: _powers(mass, low, high, n_parameters),
    )


def _powers(mass: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
    t = (2.0 * mass - low - high) / (high - low)
    return np.stack([t**k for k in range(count)], axis=-1)


def _range(name: str, n_parameters: int, mass_range: tuple[float, float]) -> tuple[float, float]:
    if not isinstance(n_parameters, Integral) or n_parameters not in range(2, MOST + 1):
        raise StatisticsError(f"The {name} family has 2 to {MOST} parameters, not {n_parameters!r}.")
    return checked_range(mass_range)


def checked_range(mass_range: tuple[float, float]) -> tuple[float, float]:
    """``mass_range`` as floats; StatisticsError where it is no range of masses in GeV."""
    edges = as_floats(mass_range, "The mass range of a family")
    if edges.shape != (2,):
        raise StatisticsError(f"The mass range of a family is a lowest and a highest edge in GeV, got {mass_range!r}.")
    low, high = edges.tolist()
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low < high):
        raise StatisticsError(f"The mass range of a family must be 0 < low < high in GeV, got [{low:g}, {high:g}].")
    return low, high


def _sum(parts: list[str]) -> str:
    return " + ".join(parts)


def _power(k: int) -> str:
    return ("", " t", " t²", " t³", " t⁴", " t⁵", " t⁶")[k]


def _t(low: float, high: float) -> str:
    return f"t = (2m − {low + high:g})/{high - low:g}"
