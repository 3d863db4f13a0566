"""Modified exponentials, which are not linear in any logarithm of their parameters."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np

from stats.errors import StatisticsError
from stats.families.polynomials import checked_range
from stats.functions import Family, LogLinearFamily, NonLinearFamily, Seed

SHAPES = (-0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # exponents b from which fits may start
SERIES = 0.2  # |d ln y| below which a derivative is a series, whose terms do not cancel
_SLOPE = [(k + 1.0) / math.factorial(k + 2) for k in range(8, -1, -1)]  # of the derivative of (e^g − 1)/g


def modified_exponential(n_parameters: int, *, mass_range: tuple[float, float]) -> Family:
    """f = p0 exp(p1 m^p2); with two parameters p2 = 1, an exponential.

    An exponential of a power of the mass, a plain alternative to the dijet function. Its parameters stay finite where
    the spectrum is a power law, p2 → 0, and are the slope and curvature where most events are:

        f = p0 exp(−a (y^b − 1)/b),   y = m/m0, m0 = low^¾ high^¼,   p2 = b, p1 = −a/(b m0^b)

    with (y^b − 1)/b = ln y at b = 0.

    Args:
        n_parameters: 2 or 3.
        mass_range: lowest and highest edge in GeV.
    """
    if not isinstance(n_parameters, Integral) or n_parameters not in (2, 3):
        raise StatisticsError(f"The modified exponential has 2 or 3 parameters, not {n_parameters!r}.")
    low, high = checked_range(mass_range)
    pivot = low**0.75 * high**0.25
    if n_parameters == 2:
        return LogLinearFamily(
            name="modified_exponential2",
            parameter_names=("log_p0", "a"),
            domain=(0.0, math.inf),
            formula=f"p0 exp(−a (y − 1)), y = m/{pivot:.6g}",
            source="exponential of a power",
            terms=lambda mass: np.stack([np.ones_like(mass), 1.0 - mass / pivot], axis=-1),
        )
    return NonLinearFamily(
        name="modified_exponential3",
        parameter_names=("log_p0", "a", "b"),
        domain=(0.0, math.inf),
        formula=f"p0 exp(−a (y^b − 1)/b), y = m/{pivot:.6g}",
        source="exponential of a power",
        log_density=lambda mass, theta: _evaluate(mass / pivot, theta)[0],
        gradient=lambda mass, theta: _evaluate(mass / pivot, theta)[1],
        seeds=tuple(_seed(shape, pivot) for shape in SHAPES),
    )


def _evaluate(y: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g and ∂g/∂θ."""
    log_p0, a, b = _columns(theta, y)
    power, by_b = box_cox(np.log(y), b)
    return log_p0 - a * power, np.stack([np.ones_like(power), -power, -a * by_b], axis=-1)


def _columns(theta: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Parameters one by one, shaped so that they broadcast against ``x``."""
    theta = np.asarray(theta, dtype=float)
    return [theta[..., k].reshape(theta.shape[:-1] + (1,) * x.ndim) for k in range(theta.shape[-1])]


def box_cox(log_y: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(y^d − 1)/d and its derivative in d, smooth through d = 0."""
    grow = power * log_y
    safe = np.where(grow == 0.0, 1e-30, grow)
    above = np.expm1(safe)
    ratio = above / safe
    small = np.abs(grow) < SERIES
    slope = np.where(small, np.polyval(_SLOPE, np.where(small, grow, 0.0)), (above + 1.0 - ratio) / safe)
    return log_y * ratio, log_y**2 * slope


def _seed(shape: float, pivot: float) -> Seed:
    """The log-linear functions with b = ``shape``."""

    def terms(mass: np.ndarray) -> np.ndarray:
        power, _ = box_cox(np.log(mass / pivot), np.array(shape))
        return np.stack([np.ones_like(power), -power], axis=-1)

    def complete(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([theta, np.full((*theta.shape[:-1], 1), shape)], axis=-1)

    return Seed(terms, complete)
