"""Modified exponentials, which are not linear in any logarithm of their parameters."""

from __future__ import annotations

import numpy as np

from stats.errors import StatisticsError
from stats.functions import NonLinearFamily, Seed

SHAPES = (0.0, 0.5, 1.0, 1.5, 2.5)  # exponents from which fits of three parameters may start
SERIES = 1e-3  # |d ln y| below which powers are series


def modified_exponential(n_parameters: int, *, sqrt_s: float) -> NonLinearFamily:
    """f = p0 exp(p1 x^p2), with four parameters f = p0 exp(p1 x^p2 + p1 (1−x)^p3), x = m/√s.

    Alternatives to the dijet function in CMS's searches for narrow dijet resonances (arXiv:1802.06149). In these
    letters p0 and p1 run away where the spectrum is a power law, p2 → 0. The parameters here stay finite there:

        f = p0 exp(−a (x^b − 1)/b),                        p2 = b, p1 = −a/b
        f = p0 exp(−a (x^b − 1)/b + c ((1−x)^d − 1)/d),    d = p3 = −c b/a

    (y^d − 1)/d is ln y for d = 0: there the functions are those of ``dijet`` with two and three parameters.

    Args:
        n_parameters: 3 or 4.
        sqrt_s: centre-of-mass energy in GeV.
    """
    if n_parameters not in (3, 4):
        raise StatisticsError(f"The modified exponential has 3 or 4 parameters, not {n_parameters}.")
    if not (np.isfinite(sqrt_s) and sqrt_s > 0):
        raise StatisticsError(f"sqrt_s must be a positive energy in GeV, got {sqrt_s!r}.")
    three = n_parameters == 3
    return NonLinearFamily(
        name=f"modified_exponential{n_parameters}",
        parameter_names=("log_p0", "a", "b") if three else ("log_p0", "a", "c", "b"),
        domain=(0.0, float(sqrt_s)),
        formula=("p0 exp(p1 x^p2)" if three else "p0 exp(p1 x^p2 + p1 (1 − x)^p3)") + ", x = m/√s",
        source="arXiv:1802.06149",
        log_density=lambda mass, theta: (_three if three else _four)(mass / sqrt_s, theta)[0],
        gradient=lambda mass, theta: (_three if three else _four)(mass / sqrt_s, theta)[1],
        seeds=tuple(_seed_of_three(shape, sqrt_s) for shape in SHAPES) if three else (_seed_of_four(sqrt_s),),
    )


def _three(x: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_p0, a, b = _columns(theta, x)
    power, by_shape = box_cox(np.log(x), b)
    slopes = [np.ones_like(power), -power, -a * by_shape]
    return log_p0 - a * power, np.stack(slopes, axis=-1)


def _four(x: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_p0, a, c, b = _columns(theta, x)
    a = np.where(np.abs(a) < 1e-12, 1e-12, a)
    power, by_b = box_cox(np.log(x), b)
    rest, by_d = box_cox(np.log1p(-x), -c * b / a)
    slopes = [
        np.ones_like(power),
        -power + c * by_d * c * b / a**2,
        rest - c * by_d * b / a,
        -a * by_b - c * by_d * c / a,
    ]
    return log_p0 - a * power + c * rest, np.stack(slopes, axis=-1)


def _columns(theta: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Parameters one by one, shaped so that they broadcast against ``x``."""
    theta = np.asarray(theta, dtype=float)
    return [theta[..., k].reshape(theta.shape[:-1] + (1,) * x.ndim) for k in range(theta.shape[-1])]


def box_cox(log_y: np.ndarray, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(y^d − 1)/d and its derivative in d, smooth through d = 0."""
    grow = power * log_y
    small = np.abs(grow) < SERIES
    safe = np.where(small, 1.0, grow)
    ratio = np.where(small, 1 + grow / 2 + grow**2 / 6 + grow**3 / 24, np.expm1(safe) / safe)
    slope = np.where(
        small, 1 / 2 + grow / 3 + grow**2 / 8 + grow**3 / 30, (safe * np.exp(safe) - np.expm1(safe)) / safe**2
    )
    return log_y * ratio, log_y**2 * slope


def _seed_of_three(shape: float, sqrt_s: float) -> Seed:
    def terms(mass: np.ndarray) -> np.ndarray:
        power, _ = box_cox(np.log(mass / sqrt_s), np.array(shape))
        return np.stack([np.ones_like(power), -power], axis=-1)

    def complete(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([theta, np.full((*theta.shape[:-1], 1), shape)], axis=-1)

    return Seed(terms, complete)


def _seed_of_four(sqrt_s: float) -> Seed:
    def terms(mass: np.ndarray) -> np.ndarray:
        x = mass / sqrt_s
        return np.stack([np.ones_like(x), -np.log(x), np.log1p(-x)], axis=-1)

    def complete(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([theta, np.zeros((*theta.shape[:-1], 1))], axis=-1)

    return Seed(terms, complete)
