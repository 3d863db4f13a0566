from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from stats import BinnedFamily, StatisticsError, dijet, family
from tests.stats.conftest import EDGES, SQRT_S

RANGE = (2000.0, 7000.0)
PARAMETERS = np.array([-3.0, 9.0, 4.5, -0.3, 0.05])


def parameters(n: int) -> np.ndarray:
    return np.array([-3.0, 5.0]) if n == 2 else PARAMETERS[:n]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_density_is_the_published_formula(n: int) -> None:
    theta = parameters(n)
    x = 3456.0 / SQRT_S
    if n == 2:
        expected = np.exp(theta[0]) / x ** theta[1]
    else:
        exponent = sum(p * np.log(x) ** k for k, p in enumerate(theta[2:]))
        expected = np.exp(theta[0]) * (1 - x) ** theta[1] / x**exponent
    assert dijet(n, sqrt_s=SQRT_S).density(np.array(3456.0), theta) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_wide_bins_hold_the_integral(n: int) -> None:
    family = dijet(n, sqrt_s=SQRT_S)
    edges = 2000.0 * 1.15 ** np.arange(9)
    events = BinnedFamily(family, edges).expected(parameters(n))
    for low, high, number in zip(edges, edges[1:], events, strict=False):
        integral = quad(lambda m: float(family.density(np.array(m), parameters(n))), low, high, epsrel=1e-11)[0]
        assert number == pytest.approx(integral, rel=1e-8)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_log_derivatives_is_the_numeric_one(n: int) -> None:
    binned = BinnedFamily(dijet(n, sqrt_s=SQRT_S), EDGES)
    theta, step = parameters(n), 1e-5
    analytic = binned.log_derivatives(theta)
    for k in range(n):
        shift = step * np.eye(n)[k]
        numeric = np.log(binned.expected(theta + shift) / binned.expected(theta - shift)) / (2 * step)
        np.testing.assert_allclose(analytic[:, k], numeric, rtol=1e-7, atol=1e-8)


def test_expansion_is_exact_at_its_reference_and_close_around_it() -> None:
    binned = BinnedFamily(dijet(3, sqrt_s=SQRT_S), EDGES)
    linear = binned.linearise(parameters(3))
    np.testing.assert_allclose(linear.expected(parameters(3)), binned.expected(parameters(3)), rtol=1e-12)
    near = parameters(3) + np.array([0.1, 1.0, 0.3])
    np.testing.assert_allclose(linear.expected(near), binned.expected(near), rtol=5e-5)


def test_domain_and_order_are_checked() -> None:
    with pytest.raises(StatisticsError, match="2 to 6"):
        dijet(7, sqrt_s=SQRT_S)
    with pytest.raises(StatisticsError, match="positive energy"):
        dijet(3, sqrt_s=-1.0)
    with pytest.raises(StatisticsError, match="defined between 0 and 13000"):
        BinnedFamily(dijet(3, sqrt_s=SQRT_S), np.linspace(2000, 13500, 50))
    with pytest.raises(StatisticsError, match="use more bins"):
        BinnedFamily(dijet(3, sqrt_s=SQRT_S), np.linspace(2000, 3000, 4))


def test_what_is_no_family_is_refused() -> None:
    for call, match in (
        (lambda: dijet(3.0, sqrt_s=SQRT_S), "2 to 6 parameters, not 3.0"),  # type: ignore[arg-type]
        (lambda: dijet("3", sqrt_s=SQRT_S), "not '3'"),  # type: ignore[arg-type]
        (lambda: dijet(3, sqrt_s="13"), "positive energy in GeV, got '13'"),  # type: ignore[arg-type]
        (lambda: family("dijet", 3.0, sqrt_s=SQRT_S, mass_range=RANGE), "not with 3.0"),  # type: ignore[arg-type]
        (lambda: family("dijet", 9, sqrt_s=SQRT_S, mass_range=RANGE), "x = m/√s, exists with"),
        (lambda: family(["dijet"], 3, sqrt_s=SQRT_S, mass_range=RANGE), "no background family"),  # type: ignore
        (lambda: family("polynomial", 3, sqrt_s="13", mass_range=RANGE), "positive energy"),  # type: ignore[arg-type]
        (lambda: family("bernstein", 3, sqrt_s=SQRT_S, mass_range=2000.0), "lowest and a highest"),  # type: ignore
        (lambda: family("bernstein", 3, sqrt_s=SQRT_S, mass_range=("a", "b")), "mass range"),  # type: ignore
        (lambda: BinnedFamily("dijet3", EDGES), "Expected a background family"),  # type: ignore[arg-type]
        (lambda: BinnedFamily(dijet(3, sqrt_s=SQRT_S), EDGES[::-1]), "rise"),
        (lambda: BinnedFamily(dijet(3, sqrt_s=SQRT_S), ["a", "b"]), "Bin edges"),  # type: ignore[arg-type]
    ):
        with pytest.raises(StatisticsError, match=match):
            call()
