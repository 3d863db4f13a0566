"""Signal + background fits of every kind of family, and of weighted spectra."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import poisson

from stats import BinnedFamily, Spectrum, effective, family, fit_background, fit_signal, gaussian_template, symmetric
from stats.interior import LinearProblem
from stats.linear import LinearSolver
from stats.nonlinear import NonLinearProblem
from tests.stats.conftest import EDGES, SQRT_S

KINDS = [("dijet", 3), ("polynomial", 4), ("bernstein", 4), ("modified_exponential", 3)]
TEMPLATE = gaussian_template(EDGES, 3500.0, width=0.05)
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
kinds = pytest.mark.parametrize("kind", KINDS, ids=[name for name, _ in KINDS])


def binned(kind: tuple[str, int]) -> BinnedFamily:
    return BinnedFamily(family(*kind, sqrt_s=SQRT_S, mass_range=(EDGES[0], EDGES[-1])), EDGES)


def truth(kind: tuple[str, int], total: float) -> np.ndarray:
    """Events of a member of the family that falls by a factor of twenty."""
    shape = np.exp(-(CENTRES - 2000) / 1500)
    return fit_background(binned(kind), total * shape / shape.sum()).expected[0]


@kinds
def test_minimum_is_that_of_a_general_minimiser(kind: tuple[str, int]) -> None:
    model = binned(kind)
    counts = np.random.default_rng(8).poisson(truth(kind, 3000.0) + 60 * TEMPLATE)
    background = fit_background(model, counts)
    signal = fit_signal(background, TEMPLATE)
    transform = np.linalg.cholesky(background.covariance[0])

    def nll(z: np.ndarray) -> float:
        theta = background.parameters[0] + transform @ z[:-1]
        expected = model.expected(theta) + 10 * z[-1] * TEMPLATE
        allowed = (expected > 0).all() and (kind[0] != "bernstein" or (theta >= 0).all())
        return -float(poisson.logpmf(counts, expected).sum()) if allowed else 1e9

    found = minimize(nll, np.array([*np.zeros(kind[1]), 3.0]), method="Powell", options={"ftol": 1e-12, "xtol": 1e-7})
    assert signal.nll[0] == pytest.approx(found.fun, abs=3e-5)
    assert signal.yields[0] == pytest.approx(10 * found.x[-1], abs=0.02 * signal.errors[0])
    scan = [fit_at(counts, model, background, 10 * found.x[-1] + s * signal.errors[0]) for s in (-0.3, 0.0, 0.3)]
    curvature = (scan[0] - 2 * scan[1] + scan[2]) / 0.09
    assert curvature == pytest.approx(1.0, abs=0.05)


def fit_at(counts: np.ndarray, model: BinnedFamily, background: object, s: float) -> float:
    """−log L of background parameters fitted to ``counts`` at a fixed signal, by a general minimiser."""
    parameters, covariance = background.parameters[0], background.covariance[0]  # type: ignore[attr-defined]
    transform = np.linalg.cholesky(covariance)

    def nll(z: np.ndarray) -> float:
        expected = model.expected(parameters + transform @ z) + s * TEMPLATE
        return -float(poisson.logpmf(counts, expected).sum()) if (expected > 0).all() else 1e9

    return float(minimize(nll, np.zeros(parameters.size), method="BFGS", options={"gtol": 1e-5}).fun)


@kinds
@pytest.mark.parametrize("strength", [0.0, 2.0, 5.0])
def test_injected_signals_come_back(kind: tuple[str, int], strength: float) -> None:
    """|mean pull| < 0.1 over 600 toys of 20,000 events (two and a half standard errors; the seed is fixed)."""
    expected = truth(kind, 20000.0)
    error = fit_signal(fit_background(binned(kind), expected), TEMPLATE).errors[0]
    toys = np.random.default_rng(21).poisson(expected + strength * error * TEMPLATE, size=(600, 50))
    fits = fit_signal(fit_background(binned(kind), toys), TEMPLATE)
    assert fits.converged.all()
    pulls = (fits.yields - strength * error) / fits.errors
    assert abs(pulls.mean()) < 0.1
    assert pulls.std() == pytest.approx(1.0, abs=0.08)


@kinds
def test_many_rows_are_the_same_as_one_by_one(kind: tuple[str, int]) -> None:
    toys = np.random.default_rng(9).poisson(truth(kind, 2000.0), size=(40, 50))
    reference = fit_background(binned(kind), truth(kind, 2000.0))
    together = fit_background(binned(kind), toys, reference=reference)
    signals = fit_signal(together, TEMPLATE)
    grid = np.stack([gaussian_template(EDGES, m, width=0.05) for m in (3000.0, 3500.0, 4500.0)])
    for row in (0, 17, 39):
        alone = fit_background(binned(kind), toys[row], reference=reference)
        assert alone.nll[0] == pytest.approx(together.nll[row], abs=3e-7)
        np.testing.assert_allclose(alone.log_derivatives[0], together.log_derivatives[row], rtol=1e-3, atol=1e-3)
        assert fit_signal(alone, grid).significance[1] == pytest.approx(signals.significance[row], abs=1e-3)


@kinds
def test_an_empty_peak_leaves_a_bounded_deficit(kind: tuple[str, int]) -> None:
    counts = np.round(truth(kind, 600.0))
    counts[13:18] = 0
    signal = fit_signal(fit_background(binned(kind), counts), gaussian_template(EDGES, 3550.0, width=0.02))
    assert signal.converged[0]
    assert signal.bounded[0]
    assert signal.yields[0] < 0
    assert signal.significance[0] < -1
    assert np.isnan(signal.errors[0])


@kinds
def test_non_negative_yields_stop_at_zero(kind: tuple[str, int]) -> None:
    toys = np.random.default_rng(7).poisson(truth(kind, 5000.0), size=(100, 50))
    background = fit_background(binned(kind), toys)
    signed, capped = fit_signal(background, TEMPLATE), fit_signal(background, TEMPLATE, non_negative=True)
    deficits = signed.yields < 0
    assert 25 < deficits.sum() < 75
    np.testing.assert_allclose(capped.yields[deficits], 0.0, atol=1e-3)
    np.testing.assert_allclose(capped.yields[~deficits], signed.yields[~deficits], rtol=1e-2, atol=0.05)
    np.testing.assert_allclose(capped.significance[deficits], 0.0, atol=2e-3)


def test_derivatives_of_a_nonlinear_problem_are_the_numeric_ones() -> None:
    model, counts = binned(KINDS[3]), np.random.default_rng(1).poisson(truth(KINDS[3], 900.0), size=(3, 50))
    fits = fit_background(model, counts)
    exposure = np.linspace(0.5, 1.5, 50)
    problem = NonLinearProblem(model, fits.solver.rotation, counts, exposure, TEMPLATE, np.full(3, -1e9))
    check_derivatives(problem, np.concatenate([fits.minimum.state * 1.01, [[10.0, -2.0, 30.0]]]), 1e-3)


def test_derivatives_of_a_linear_problem_are_the_numeric_ones() -> None:
    model, counts = binned(KINDS[1]), np.random.default_rng(1).poisson(truth(KINDS[1], 900.0), size=(3, 50))
    fits = fit_background(model, counts)
    solver = fits.solver
    assert isinstance(solver, LinearSolver)
    problem = LinearProblem(solver.basis, solver.positive, counts, np.linspace(0.5, 1.5, 50), TEMPLATE)
    check_derivatives(problem, np.concatenate([fits.minimum.state * 1.01, [[10.0, -2.0, 30.0]]]), 1e-5)


def check_derivatives(problem: LinearProblem | NonLinearProblem, state: np.ndarray, precision: float) -> None:
    def value(at: np.ndarray) -> np.ndarray:
        return problem.value(at) if isinstance(problem, LinearProblem) else problem.derivatives(at)[0]

    gradient, hessian = problem.derivatives(state)[-2:]
    for k in range(state.shape[0]):
        shift = 1e-4 * np.maximum(np.abs(state[k]).max(), 0.1) * np.eye(state.shape[0])[:, [k]]
        size = 2 * shift.sum()
        numeric = (value(state + shift) - value(state - shift)) / size
        np.testing.assert_allclose(gradient[k], numeric, rtol=1e-5, atol=1e-4)
        slopes = (problem.derivatives(state + shift)[-2] - problem.derivatives(state - shift)[-2]) / size
        for j in range(k + 1):
            scale = np.sqrt(np.abs(hessian[symmetric.place(k, k)] * hessian[symmetric.place(j, j)]))
            np.testing.assert_allclose(hessian[symmetric.place(k, j)] / scale, slopes[j] / scale, atol=precision)


@kinds
def test_events_of_one_weight_are_the_unweighted_fit(kind: tuple[str, int]) -> None:
    counts = np.random.default_rng(6).poisson(truth(kind, 3000.0) + 50 * TEMPLATE).astype(float)
    plain = fit_signal(fit_background(binned(kind), counts), TEMPLATE)
    numbers, exposure = effective(Spectrum(EDGES, 0.25 * counts, 0.0625 * counts))
    scaled = fit_signal(fit_background(binned(kind), numbers, exposure=exposure), TEMPLATE)
    assert scaled.yields[0] == pytest.approx(0.25 * plain.yields[0], rel=1e-3)
    assert scaled.errors[0] == pytest.approx(0.25 * plain.errors[0], rel=1e-3)
    assert scaled.significance[0] == pytest.approx(plain.significance[0], rel=1e-3)


@pytest.mark.parametrize("total", [20000.0, 1000.0])
@pytest.mark.parametrize("draw", ["uniform", "exponential"])
def test_yields_of_weighted_spectra_have_the_errors_they_claim(draw: str, total: float) -> None:
    """Pulls over 600 toys whose events carry random weights: mean within 0.15, spread within 10% of one; the interval
    of one error holds the truth in 68.3% within three binomial deviations and one per cent of approximation."""
    model, expected, injected = binned(KINDS[0]), truth(KINDS[0], total), 0.0075 * total
    rng = np.random.default_rng(10)
    parts = []
    for _ in range(600):
        counts = rng.poisson(expected + injected * TEMPLATE)
        weights = rng.exponential(1.0, counts.sum()) if draw == "exponential" else rng.uniform(0.2, 1.8, counts.sum())
        spectrum = Spectrum.from_masses(np.repeat(CENTRES, counts), EDGES, weights=weights)
        parts.append((spectrum.counts * spectrum.scale, spectrum.scale))
    numbers, exposure = (np.stack(part) for part in zip(*parts, strict=True))
    fits = fit_signal(fit_background(model, numbers, exposure=exposure), TEMPLATE)
    pulls = (fits.yields - injected) / fits.errors
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=3 * np.sqrt(0.683 * 0.317 / 600) + 0.01)
