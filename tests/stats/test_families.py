"""Every family of the registry: formulas, derivatives, nesting, and fits by one call."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import poisson

from stats import FAMILIES, BinnedFamily, Spectrum, StatisticsError, choose_order, family, fit_background, orders
from stats.families.exponentials import box_cox
from tests.stats.conftest import EDGES, SQRT_S

EVERY = [(name, n) for name in FAMILIES for n in orders(name)]
RANGE = (2000.0, 7000.0)


def binned(name: str, n: int, edges: np.ndarray = EDGES) -> BinnedFamily:
    return BinnedFamily(family(name, n, sqrt_s=SQRT_S, mass_range=(edges[0], edges[-1])), edges)


def gentle() -> np.ndarray:
    """Expected events that every family describes well enough: falling by a factor of seven."""
    t = (0.5 * (EDGES[1:] + EDGES[:-1]) - 2000) / 5000
    return 400.0 * np.exp(-2.0 * t)


def point(name: str, n: int) -> np.ndarray:
    """Parameters of a fit to the gentle spectrum, moved a little so that no coefficient is special."""
    parameters = fit_background(binned(name, n), gentle()).parameters[0]
    return parameters * (1 + 0.003 * np.arange(n))


def by_hand(name: str, n: int, m: float, p: np.ndarray) -> float:
    """The published formulas, written out once more."""
    x, t, u, y = m / SQRT_S, (2 * m - 9000) / 5000, (m - 2000) / 5000, m / (2000**0.75 * 7000**0.25)
    logs = np.log(x) ** np.arange(6)
    match name:
        case "dijet":
            first = 1 if n == 2 else 2
            numerator = 1.0 if n == 2 else (1 - x) ** p[1]
            return np.exp(p[0]) * numerator / x ** (p[first:] @ logs[: n - first])
        case "atlas":
            return np.exp(p[0]) * (1 - x) ** p[1] * x ** (p[2:] @ logs[: n - 2])
        case "diphoton":
            return np.exp(p[0]) * (1 - x ** (1 / 3)) ** p[1] * x ** (p[2:] @ logs[: n - 2])
        case "ua2":
            return np.exp(p[0]) * x ** -p[1] * np.exp(-sum(c * x ** (k + 1) for k, c in enumerate(p[2:])))
        case "exponential_polynomial":
            return np.exp(p @ t ** np.arange(n))
        case "polynomial":
            return p @ t ** np.arange(n)
        case "bernstein":
            return sum(b * comb(n - 1, k) * u**k * (1 - u) ** (n - 1 - k) for k, b in enumerate(p))
        case "modified_exponential":
            b = 1.0 if n == 2 else p[2]
            return np.exp(p[0] - p[1] * (y**b - 1) / b)
    raise AssertionError(name)


@pytest.mark.parametrize(("name", "n"), EVERY)
def test_density_is_the_published_formula(name: str, n: int) -> None:
    model, p = binned(name, n), point(name, n)
    for m in (2100.0, 3456.0, 6900.0):
        assert model.family.density(np.array(m), p) == pytest.approx(by_hand(name, n, m, p), rel=1e-10)


@pytest.mark.parametrize(("name", "n"), EVERY)
def test_log_derivatives_are_the_numeric_ones(name: str, n: int) -> None:
    model, p = binned(name, n), point(name, n)
    analytic = model.log_derivatives(np.stack([p, p]))
    at_mass = model.family.log_derivatives(np.array([2500.0, 5000.0]), p)
    for k in range(n):
        shift = 1e-5 * max(1.0, abs(p[k])) * np.eye(n)[k]
        numeric = np.log(model.expected(p + shift) / model.expected(p - shift)) / (2 * shift[k])
        np.testing.assert_allclose(analytic[1, :, k], numeric, rtol=1e-6, atol=1e-7)
        densities = [model.family.density(np.array([2500.0, 5000.0]), p + s) for s in (shift, -shift)]
        numeric = np.log(densities[0] / densities[1]) / (2 * shift[k])
        np.testing.assert_allclose(at_mass[:, k], numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_wide_bins_hold_the_integral(name: str) -> None:
    n = orders(name)[-1]
    edges = 2000.0 * 1.15 ** np.arange(9)
    f, p = binned(name, n).family, point(name, n)
    edges[-1] = min(edges[-1], 7000.0)
    for low, high, events in zip(edges, edges[1:], BinnedFamily(f, edges).expected(p), strict=False):
        integral = quad(lambda m: float(f.density(np.array(m), p)), low, high, epsrel=1e-11)[0]
        assert events == pytest.approx(integral, rel=1e-7)


@pytest.mark.parametrize("name", FAMILIES)
def test_richer_families_contain_simpler_ones(name: str) -> None:
    """Fitting the expectation of an order with the next one gives it back."""
    for simple, rich in zip(orders(name), orders(name)[1:], strict=False):
        truth = binned(name, simple).expected(fit_background(binned(name, simple), gentle()).parameters[0])
        fits = fit_background(binned(name, rich), truth)
        np.testing.assert_allclose(fits.expected[0], truth, rtol=2e-4)
        assert fits.deviance[0] < 1e-4


@pytest.mark.parametrize(("name", "n"), EVERY)
def test_fits_reach_the_minimum_of_a_general_minimiser(name: str, n: int) -> None:
    model = binned(name, n)
    counts = np.random.default_rng(n).poisson(gentle())
    fits = fit_background(model, counts)
    assert fits.converged[0]
    assert fits.determined[0]
    transform = np.linalg.cholesky(fits.covariance[0])

    def nll(z: np.ndarray) -> float:
        theta = fits.parameters[0] + transform @ z
        expected = model.expected(theta)
        allowed = (expected > 0).all() and (name != "bernstein" or (theta >= 0).all())
        return -float(poisson.logpmf(counts, expected).sum()) if allowed else 1e9

    assert fits.nll[0] == pytest.approx(nll(np.zeros(n)), abs=1e-6)
    assert fits.nll[0] < minimize(nll, np.full(n, 0.1), method="Powell").fun + 2e-6


@pytest.mark.parametrize(("name", "n"), [("polynomial", 4), ("bernstein", 4), ("modified_exponential", 3), ("ua2", 4)])
def test_toys_have_unit_pulls(name: str, n: int) -> None:
    """Predictions of 600 toys: mean pull below 0.15 and spread within 10% of one, in every tenth bin."""
    model = binned(name, n)
    truth = fit_background(model, gentle()).expected[0]
    fits = fit_background(model, np.random.default_rng(7).poisson(truth, size=(600, 50)))
    assert fits.converged.all()
    pulls = ((fits.expected - truth) / fits.expected_errors)[:, 5::10]
    np.testing.assert_allclose(pulls.mean(axis=0), 0.0, atol=0.15)
    np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=0.1)


@pytest.mark.parametrize("name", ["polynomial", "bernstein", "exponential_polynomial", "modified_exponential"])
def test_f_test_runs_over_any_nested_family(name: str) -> None:
    families = [family(name, n, sqrt_s=SQRT_S, mass_range=RANGE) for n in orders(name)]
    truth = 50 * BinnedFamily(families[0], EDGES).expected(fit_background(binned(name, 2), gentle()).parameters[0])
    rng = np.random.default_rng(3)
    chosen = [
        choose_order(Spectrum.from_counts(EDGES, rng.poisson(truth)), families).family.n_parameters for _ in range(20)
    ]
    assert chosen.count(2) >= 15


def test_powers_are_smooth_through_zero() -> None:
    log_y, powers = np.array([-1.5, 0.0, 0.7]), np.array([0.0, 1e-9, 0.1, 0.3, 2.0, -1.0])[:, None]
    value, slope = box_cox(log_y, powers)
    np.testing.assert_allclose(value[0], log_y)
    np.testing.assert_allclose(value[4], (np.exp(2 * log_y) - 1) / 2, rtol=1e-13)
    numeric = (box_cox(log_y, powers + 1e-5)[0] - box_cox(log_y, powers - 1e-5)[0]) / 2e-5
    np.testing.assert_allclose(slope, numeric, rtol=1e-8, atol=1e-9)


def test_names_and_orders_are_checked() -> None:
    with pytest.raises(StatisticsError, match="did you mean bernstein"):
        family("bernstien", 3, sqrt_s=SQRT_S, mass_range=RANGE)
    with pytest.raises(StatisticsError, match="Known are dijet"):
        orders("xyz")
    with pytest.raises(StatisticsError, match="2, 3, 4 parameters, not with 5"):
        family("ua2", 5, sqrt_s=SQRT_S, mass_range=RANGE)
    for bad in ((2000.0, 1000.0), (0.0, 1000.0), (1000.0, np.nan)):
        with pytest.raises(StatisticsError, match="0 < low < high"):
            family("polynomial", 3, sqrt_s=SQRT_S, mass_range=bad)
    with pytest.raises(StatisticsError, match="positive energy"):
        family("ua2", 3, sqrt_s=np.nan, mass_range=RANGE)


@pytest.mark.parametrize(("name", "n"), EVERY)
def test_families_describe_themselves(name: str, n: int) -> None:
    found = family(name, n, sqrt_s=SQRT_S, mass_range=RANGE)
    assert found.n_parameters == n == len(set(found.parameter_names))
    assert found.source
    assert found.formula
    assert found.domain[0] < 2000.0 < 7000.0 < found.domain[1]
