"""Three definitions of a pull agree where statistics are plentiful and differ as they should where not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln

from stats import BinnedFamily, StatisticsError, fit_background, fit_signal, gaussian_template
from stats.validation.pulls import PULLS, check_pull, held_nll, joint_verdict, pull_point, pulls
from tests.stats.conftest import EDGES


@pytest.mark.parametrize("exposed", [False, True])
def test_held_likelihood_is_the_minimum_over_the_background(
    shape: np.ndarray, model: BinnedFamily, exposed: bool
) -> None:
    """Against a simplex search over the exact integrals; counts and exposures of a weighted spectrum, too."""
    exposure = np.linspace(0.5, 1.5, 50) if exposed else None
    factor = np.ones(50) if exposure is None else exposure
    signal = 40 * gaussian_template(EDGES, 3500.0, width=0.05)
    counts = np.random.default_rng(1).poisson((2000 * shape + signal) * factor, size=(3, 50)).astype(float)
    reference = fit_background(model, 2000 * shape * factor, exposure=exposure)
    fits = fit_background(model, counts, exposure=exposure, reference=reference)
    held = held_nll(fits, signal)
    for row, start in enumerate(fits.parameters):

        def nll(theta: np.ndarray, row: int = row) -> float:
            expected = (model.expected(theta) + signal) * factor
            return float(np.sum(expected - counts[row] * np.log(expected) + gammaln(counts[row] + 1)))

        best = minimize(nll, start, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxiter": 4000})
        assert held[row] == pytest.approx(best.fun, abs=2e-4)
        assert held[row] >= fit_signal(fits, gaussian_template(EDGES, 3500.0, width=0.05)).nll[row] - 1e-6


def test_definitions_agree_for_many_events(shape: np.ndarray, model: BinnedFamily) -> None:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    reference = fit_background(model, 1e7 * shape)
    error = float(fit_signal(reference, template).errors[0])
    counts = np.random.default_rng(2).poisson(1e7 * shape + 2 * error * template, size=(50, 50)).astype(float)
    fits = fit_background(model, counts, reference=reference)
    signal = fit_signal(fits, template)
    values = [pulls(kind, fits, signal, template, injected=2 * error, expected_error=error) for kind in PULLS]
    np.testing.assert_allclose(values[0], values[1], atol=0.02)
    np.testing.assert_allclose(values[0], values[2], atol=0.02)


def test_likelihood_pull_without_signal_is_the_significance(shape: np.ndarray, model: BinnedFamily) -> None:
    template = gaussian_template(EDGES, 4500.0, width=0.05)
    fits = fit_background(model, np.random.default_rng(3).poisson(500 * shape, size=(200, 50)))
    signal = fit_signal(fits, template)
    values = pulls("likelihood", fits, signal, template, injected=0.0, expected_error=1.0)
    np.testing.assert_array_equal(values, signal.significance)
    assert signal.bounded.any()
    assert np.isfinite(values).all()
    curvature = pulls("curvature", fits, signal, template, injected=0.0, expected_error=1.0)
    np.testing.assert_array_equal(np.isnan(curvature), signal.bounded)


def point(values: list[float], *, bounded: bool = False):
    """A point whose toys have these pulls, NaN for failed fits, with an error of one event."""
    array = np.array(values)
    flags = np.full(array.size, bounded)
    return pull_point(array, array, flags, mass=1.0, strength=0.0, injected=0.0, expected_error=1.0)


def test_verdict_waits_for_enough_toys_and_enough_fits() -> None:
    few, many = [0.5, -0.7, 0.3, -0.1], [1.0, -1.0] * 500
    assert point(many).verdict(0.2) == "unbiased"
    assert point([value + 0.5 for value in many]).verdict(0.2) == "biased"
    assert point([value + 0.21 for value in many]).verdict(0.2) == "undecided"
    assert point(few).verdict(0.2) == "undecided"
    assert point([*many, *[np.nan] * 20]).verdict(0.2) == "undecided"
    assert point([np.nan, np.nan]).verdict(0.2) == "undecided"
    assert joint_verdict(["unbiased", "undecided"]) == "undecided"
    assert joint_verdict(["undecided", "biased"]) == "biased"
    assert joint_verdict(["unbiased"]) == "unbiased"


def test_point_counts_what_failed() -> None:
    summary = point([1.0, np.nan, 3.0], bounded=True)
    assert (summary.toys, summary.failed, summary.bounded, summary.undefined) == (3, 1, 2, 1)
    assert (summary.mean, summary.median, summary.bias) == (2.0, 2.0, 2.0)
    assert point([np.nan, np.nan]).to_dict()["mean"] is None


def test_unknown_definition_is_refused() -> None:
    with pytest.raises(StatisticsError, match="curvature, expected, likelihood"):
        check_pull("minos", 0.2)
    with pytest.raises(StatisticsError, match="threshold"):
        check_pull("expected", 0.0)
