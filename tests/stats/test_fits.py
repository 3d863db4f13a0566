from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest, poisson

from stats import (
    BinnedFamily,
    Family,
    Spectrum,
    StatisticsError,
    dijet,
    effective,
    fit_background,
    fit_signal,
    gaussian_template,
    symmetric,
)
from stats.loglinear import LogLinearProblem, LogLinearSolver
from tests.stats.conftest import EDGES, SQRT_S


def problem_and_state(shape: np.ndarray, model: BinnedFamily) -> tuple[LogLinearProblem, np.ndarray]:
    rng = np.random.default_rng(11)
    counts = rng.poisson(800 * shape, size=(3, shape.size)).astype(float)
    fits = fit_background(model, counts)
    template = gaussian_template(EDGES, 3500.0, width=0.05)
    assert isinstance(fits.solver, LogLinearSolver)
    frame = fits.solver.frame
    problem = LogLinearProblem(frame.basis, frame.linear.offset, counts, None, template, np.full(3, -1e9))
    return problem, np.concatenate([fits.minimum.state + 0.05, [[10.0, -2.0, 30.0]]])


@pytest.mark.parametrize("with_signal", [False, True])
def test_derivatives_are_the_numeric_ones(shape: np.ndarray, model: BinnedFamily, with_signal: bool) -> None:
    problem, state = problem_and_state(shape, model)
    if not with_signal:
        problem, state = LogLinearProblem(problem.basis, problem.offset, problem.counts), state[:-1]
    _, gradient, hessian = problem.derivatives(state)
    step = 1e-5
    for k in range(state.shape[0]):
        shift = step * np.eye(state.shape[0])[:, [k]]
        up, down = problem.derivatives(state + shift), problem.derivatives(state - shift)
        np.testing.assert_allclose(gradient[k], (up[0] - down[0]) / (2 * step), rtol=1e-5, atol=1e-4)
        for j in range(k + 1):
            numeric = (up[1][j] - down[1][j]) / (2 * step)
            np.testing.assert_allclose(hessian[symmetric.place(k, j)], numeric, rtol=1e-5, atol=1e-4)


def test_small_systems_are_those_of_lapack() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(20, 5, 5))
    matrices = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(5)
    packed = np.stack([matrices[:, i, j] for i, j in symmetric.pairs(5)])
    right = rng.normal(size=(5, 20))
    factor, good = symmetric.factorise(packed)
    assert good.all()
    np.testing.assert_allclose(symmetric.solve(factor, right).T, np.linalg.solve(matrices, right.T[..., None])[..., 0])
    np.testing.assert_allclose(symmetric.inverse(factor, 5), np.linalg.inv(matrices), rtol=1e-8)
    assert not symmetric.factorise(-packed)[1].any()


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_minimum_is_that_of_a_general_minimiser(n: int, shape: np.ndarray) -> None:
    model = BinnedFamily(dijet(n, sqrt_s=SQRT_S), EDGES)
    counts = np.random.default_rng(n).poisson(5000 * shape)
    fits = fit_background(model, counts)
    transform = np.linalg.cholesky(fits.covariance[0])

    def nll(z: np.ndarray) -> float:
        return -float(poisson.logpmf(counts, model.expected(fits.parameters[0] + transform @ z)).sum())

    found = minimize(nll, np.full(n, 0.3), method="BFGS", options={"gtol": 1e-6})
    assert fits.converged[0]
    assert fits.determined[0]
    assert fits.nll[0] == pytest.approx(found.fun, abs=1e-6)
    np.testing.assert_allclose(found.x, 0.0, atol=2e-3)
    step = 0.05 * np.eye(n)
    for j in range(n):
        for k in range(n):
            corners = [nll(a * step[j] + b * step[k]) * a * b for a in (1, -1) for b in (1, -1)]
            assert sum(corners) / 0.01 == pytest.approx(float(j == k), abs=0.01)


def test_uncertainty_of_the_prediction_is_the_spread_over_toys(shape: np.ndarray, model: BinnedFamily) -> None:
    fits = fit_background(model, np.random.default_rng(12).poisson(20000 * shape, size=(2000, shape.size)))
    spread = fits.expected.std(axis=0)
    np.testing.assert_allclose(fits.expected_errors.mean(axis=0)[:40], spread[:40], rtol=0.1)


def test_iminuit_finds_the_same_minimum(shape: np.ndarray, model: BinnedFamily) -> None:
    iminuit = pytest.importorskip("iminuit")
    counts = np.random.default_rng(5).poisson(20000 * shape)
    fits = fit_background(model, counts)

    def nll(theta: np.ndarray) -> float:
        return -float(poisson.logpmf(counts, model.expected(theta)).sum())

    minuit = iminuit.Minuit(nll, fits.parameters[0] + 0.01)
    minuit.errordef, minuit.strategy, minuit.tol = 0.5, 2, 1e-4
    minuit.migrad()
    minuit.hesse()
    assert minuit.valid
    assert fits.nll[0] == pytest.approx(minuit.fval, abs=1e-6)
    np.testing.assert_allclose(np.sqrt(np.diag(fits.covariance[0])), minuit.errors, rtol=0.03)


def test_signal_fit_is_that_of_a_general_minimiser(shape: np.ndarray, model: BinnedFamily) -> None:
    template = gaussian_template(EDGES, 3500.0, width=0.05)
    counts = np.random.default_rng(8).poisson(2000 * shape + 60 * template)
    background = fit_background(model, counts)
    signal = fit_signal(background, template)
    transform = np.linalg.cholesky(background.covariance[0])

    def nll(z: np.ndarray) -> float:
        expected = model.expected(background.parameters[0] + transform @ z[:-1]) + 10 * z[-1] * template
        return -float(poisson.logpmf(counts, expected).sum()) if (expected > 0).all() else 1e9

    found = minimize(nll, np.array([0.0, 0.0, 0.0, 3.0]), method="BFGS", options={"gtol": 1e-5})
    assert signal.nll[0] == pytest.approx(found.fun, abs=2e-5)
    assert signal.yields[0] == pytest.approx(10 * found.x[-1], rel=2e-3)
    assert signal.significance[0] == pytest.approx(np.sqrt(2 * (background.nll[0] - found.fun)), abs=1e-3)


def test_toys_of_the_background_have_unit_pulls(shape: np.ndarray, model: BinnedFamily) -> None:
    toys = np.random.default_rng(2).poisson(5000 * shape, size=(3000, shape.size))
    fits = fit_background(model, toys)
    assert fits.converged.all()
    truth = np.array([np.log(5000 / model.expected(np.array([0.0, 10.0, 5.0])).sum()), 10.0, 5.0])
    pulls = (fits.parameters - truth) / np.sqrt(np.einsum("nii->ni", fits.covariance))
    np.testing.assert_allclose(pulls.mean(axis=0), 0.0, atol=4 / np.sqrt(3000))
    np.testing.assert_allclose(pulls.std(axis=0), 1.0, atol=0.05)


@pytest.mark.parametrize("strength", [0.0, 2.0, 5.0])
def test_injected_signals_come_back(strength: float, shape: np.ndarray, model: BinnedFamily) -> None:
    """|mean pull| < 0.1 over 2000 toys for signals of 0, 2 and 5 standard deviations."""
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    rng = np.random.default_rng(21)
    error = fit_signal(fit_background(model, 20000 * shape), template).errors[0]
    toys = rng.poisson(20000 * shape + strength * error * template, size=(2000, shape.size))
    fits = fit_signal(fit_background(model, toys), template)
    assert fits.converged.all()
    pulls = (fits.yields - strength * error) / fits.errors
    assert abs(pulls.mean()) < 0.1
    assert pulls.std() == pytest.approx(1.0, abs=0.06)


def test_uncapped_p0_is_uniform_without_signal(shape: np.ndarray, model: BinnedFamily) -> None:
    """Kolmogorov–Smirnov p > 0.001 at three masses, 4000 toys of 20,000 events."""
    toys = np.random.default_rng(4).poisson(20000 * shape, size=(4000, shape.size))
    background = fit_background(model, toys)
    for mass in (2600.0, 3300.0, 4000.0):
        z = fit_signal(background, gaussian_template(EDGES, mass, width=0.03)).significance
        assert kstest(z, "norm").pvalue > 1e-3


def test_blinded_bins_do_not_matter(shape: np.ndarray, model: BinnedFamily) -> None:
    counts = np.random.default_rng(3).poisson(5000 * shape).astype(float)
    mask = np.ones(counts.size, dtype=bool)
    mask[13:18] = False
    spoiled = counts.copy()
    spoiled[13:18] += 500
    fits = []
    for values in (counts, spoiled):
        numbers, exposure = effective(Spectrum.from_counts(EDGES, values), mask)
        fits.append(fit_background(model, numbers, exposure=exposure))
    np.testing.assert_allclose(fits[0].parameters, fits[1].parameters, rtol=1e-9)
    assert fits[0].nll[0] == pytest.approx(fits[1].nll[0])
    assert fits[0].ndof[0] == 42
    assert (fits[0].expected[0][13:18] > 0).all()


def test_each_row_may_have_its_own_mask(shape: np.ndarray, model: BinnedFamily) -> None:
    counts = np.random.default_rng(3).poisson(5000 * shape).astype(float)
    exposure = np.ones((2, counts.size))
    exposure[1, 20:25] = 0.0
    both = fit_background(model, np.stack([counts, counts]), exposure=exposure)
    alone = fit_background(model, counts, exposure=exposure[1])
    np.testing.assert_allclose(both.parameters[1], alone.parameters[0], rtol=1e-4)


def test_weights_scale_the_yield_and_its_error(shape: np.ndarray, model: BinnedFamily) -> None:
    """Events of one weight w are the unweighted fit times w, with the same significance."""
    template = gaussian_template(EDGES, 3500.0, width=0.05)
    counts = np.random.default_rng(6).poisson(3000 * shape + 50 * template).astype(float)
    plain = fit_signal(fit_background(model, counts), template)
    weighted = Spectrum(EDGES, 0.25 * counts, 0.0625 * counts)
    numbers, exposure = effective(weighted)
    scaled = fit_signal(fit_background(model, numbers, exposure=exposure), template)
    assert scaled.yields[0] == pytest.approx(0.25 * plain.yields[0], rel=1e-6)
    assert scaled.errors[0] == pytest.approx(0.25 * plain.errors[0], rel=1e-6)
    assert scaled.significance[0] == pytest.approx(plain.significance[0], rel=1e-6)


def test_non_negative_yields_stop_at_zero(shape: np.ndarray, model: BinnedFamily) -> None:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    toys = np.random.default_rng(7).poisson(3000 * shape, size=(200, shape.size))
    background = fit_background(model, toys)
    signed, capped = fit_signal(background, template), fit_signal(background, template, non_negative=True)
    deficits = signed.yields < 0
    assert 50 < deficits.sum() < 150
    np.testing.assert_array_equal(capped.yields[deficits], 0.0)
    np.testing.assert_allclose(capped.yields[~deficits], signed.yields[~deficits], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(capped.bounded, deficits)


def test_an_empty_peak_leaves_a_bounded_deficit(shape: np.ndarray, model: BinnedFamily) -> None:
    counts = np.round(300 * shape)
    counts[13:18] = 0
    fits = fit_signal(fit_background(model, counts), gaussian_template(EDGES, 3550.0, width=0.02))
    assert fits.converged[0]
    assert fits.bounded[0]
    assert fits.yields[0] < 0
    assert fits.significance[0] < -1
    assert np.isnan(fits.errors[0])


def test_many_rows_are_the_same_as_one_by_one(shape: np.ndarray, model: BinnedFamily) -> None:
    template = gaussian_template(EDGES, 3000.0, width=0.05)
    toys = np.random.default_rng(9).poisson(500 * shape, size=(2000, shape.size)).astype(float)
    reference = fit_background(model, 500 * shape)
    together = fit_background(model, toys, reference=reference)
    signals = fit_signal(together, template)
    for row in (0, 1555, 1999):
        alone = fit_background(model, toys[row], reference=reference)
        assert alone.nll[0] == pytest.approx(together.nll[row], abs=1e-7)
        assert fit_signal(alone, template).significance[0] == pytest.approx(signals.significance[row], abs=1e-5)


def one_event() -> np.ndarray:
    counts = np.zeros(50)
    counts[7] = 1
    return counts


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros(50), "no events"),
        (one_event(), "do not determine"),
        (1000 * one_event(), "do not determine"),
        (np.full(50, -1.0), "not negative"),
        (np.full(50, np.nan), "finite"),
        (np.ones(49), "50 bins"),
    ],
)
def test_spectra_without_an_answer_are_refused(counts: np.ndarray, message: str, model: BinnedFamily) -> None:
    with pytest.raises(StatisticsError, match=message):
        fit_background(model, counts)


def test_masks_that_leave_too_little_are_refused(shape: np.ndarray, model: BinnedFamily) -> None:
    mask = np.zeros(50)
    mask[:2] = 1
    with pytest.raises(StatisticsError, match="Fewer bins"):
        fit_background(model, 100 * shape, exposure=mask)
    with pytest.raises(StatisticsError, match="one flag per bin"):
        effective(Spectrum.from_counts(EDGES, np.ones(50)), np.ones(3, dtype=bool))


def test_hopeless_toys_are_flagged_among_good_ones(shape: np.ndarray, model: BinnedFamily) -> None:
    toys = np.stack([1000 * shape, one_event(), np.zeros(50)])
    fits = fit_background(model, toys)
    assert fits.determined.tolist() == [True, False, False]


def test_practically_no_events_are_refused(shape: np.ndarray, model: BinnedFamily) -> None:
    """A global p-value of 1e-7 events would be computed from toys that are all empty."""
    for total in (1e-7, 0.5):
        with pytest.raises(StatisticsError, match="practically no events"):
            fit_background(model, total * shape)
    assert fit_background(model, 1.0 * shape).converged[0]


def test_deviance_of_very_many_events_is_that_of_their_fluctuations(shape: np.ndarray, model: BinnedFamily) -> None:
    """The terms E − n + n log(n/E) cancel to the twelfth digit."""
    counts = np.random.default_rng(13).poisson(1e12 * shape, size=(100, 50))
    assert fit_background(model, counts).deviance.mean() == pytest.approx(47.0, abs=4.0)
    exact = fit_background(model, np.round(1e12 * shape))
    assert 0.0 <= exact.deviance[0] < 0.1


def test_what_is_no_input_of_a_fit_is_refused(shape: np.ndarray, model: BinnedFamily, family: Family) -> None:
    fits = fit_background(model, 1000 * shape)
    for call, match in (
        (lambda: fit_background(model, ["a"] * 50), "Counts must be"),
        (lambda: fit_background(family, 1000 * shape), "BinnedFamily"),  # type: ignore[arg-type]
        (lambda: fit_background(model, 1000 * shape, exposure="all"), "Exposure must be"),  # type: ignore[arg-type]
        (lambda: fit_signal(fits, "peak"), "template must be"),  # type: ignore[arg-type]
        (lambda: effective(1000 * shape), "Expected a Spectrum"),  # type: ignore[arg-type]
    ):
        with pytest.raises(StatisticsError, match=match):
            call()
