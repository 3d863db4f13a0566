"""The minimiser behind pyhf's interface: as low as pyhf's own, and as pyhf's own to use."""

from __future__ import annotations

import gc
import importlib.util
import logging
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyhf
import pytest
from pyhf.infer.mle import twice_nll

from stats.histfactory import UnsupportedModel
from stats.minimiser import NewtonOptimizer, compiled, pyhf_session
from tests.stats.histfactory.randommodels import random_model

COMPARED = 12  # random models; tests.benchmarks.limits compares 420 others


@pytest.fixture
def optimizer() -> Iterator[NewtonOptimizer]:
    with pyhf_session() as newton:
        yield newton


@pytest.fixture
def counting() -> tuple[Any, list[float]]:
    """Three bins with a Poisson-constrained background each, and an excess."""
    pdf = pyhf.simplemodels.uncorrelated_background(
        [5.0, 8.0, 4.0], [50.0, 60.0, 40.0], [5.0, 6.0, 4.0], validate=False
    )
    return pdf, [56.0, 71.0, 43.0, *pdf.config.auxdata]


def with_pyhfs(optimizer: Any, *arguments: Any, poi: float | None = None, **options: Any) -> Any:
    previous = pyhf.get_backend()
    pyhf.set_backend("numpy", optimizer)
    try:
        if poi is None:
            return pyhf.infer.mle.fit(*arguments, **options)
        return pyhf.infer.mle.fixed_poi_fit(poi, *arguments, **options)
    finally:
        pyhf.set_backend(*previous)


@pytest.mark.parametrize("poi", [None, 0.7])
@pytest.mark.parametrize("seed", range(COMPARED))
def test_never_above_pyhfs_best(seed: int, poi: float | None) -> None:
    """−log L at most 10⁻⁶ above the lower one of SLSQP's and, where iminuit is installed, minuit's."""
    pdf, data = random_model(np.random.default_rng([1, seed]), channels=2, bins=4)
    newton = NewtonOptimizer()
    _, ours = with_pyhfs(newton, data, pdf, poi=poi, return_fitted_val=True)
    peers = [pyhf.optimize.scipy_optimizer()]
    if importlib.util.find_spec("iminuit") is not None and seed < 3:
        peers.append(pyhf.optimize.minuit_optimizer())
    for peer in peers:
        try:
            with np.errstate(all="ignore"):
                _, theirs = with_pyhfs(peer, data, pdf, poi=poi, return_fitted_val=True)
        except (pyhf.exceptions.FailedMinimization, AttributeError):
            continue  # pyhf's minuit raises the latter when its errors fail
        assert 0.5 * float(ours) <= 0.5 * float(theirs) + 1e-6
    assert newton.fallbacks == 0


def test_the_lower_of_two_minima_on_one_side_of_zero_is_found() -> None:
    """A model with minima at −1.0 and −0.4 of one nuisance: SLSQP ends in the lower one, minuit does not."""
    pdf, data = random_model(np.random.default_rng([2, 27]), channels=2, bins=6)
    _, ours = with_pyhfs(NewtonOptimizer(), data, pdf, poi=0.7, return_fitted_val=True)
    _, theirs = with_pyhfs(pyhf.optimize.scipy_optimizer(), data, pdf, poi=0.7, return_fitted_val=True)
    assert float(ours) <= float(theirs) + 2e-6


@pytest.mark.parametrize(
    ("seed", "poi"),
    [([777, 103], 0.7), ([4242, 79], None), ([4242, 198], 0.7), ([4242, 642], 0.7), ([60601, 185], 0.7)],
    ids=["kinks", "slightly even", "slightly even, far", "scale factors change places", "one held meanwhile"],
)
def test_lower_minima_that_were_missed(seed: list[int], poi: float | None) -> None:
    """Fits that ended 0.02, 0.001, 0.002, 0.3 and 0.008 above SLSQP's: of 2400 models that were looked through."""
    pdf, data = random_model(np.random.default_rng(seed), channels=2, bins=6)
    _, ours = with_pyhfs(NewtonOptimizer(), data, pdf, poi=poi, return_fitted_val=True)
    _, theirs = with_pyhfs(pyhf.optimize.scipy_optimizer(), data, pdf, poi=poi, return_fitted_val=True)
    assert float(ours) <= float(theirs) + 2e-6


def test_uncertainties_and_correlations_are_minuits(counting: tuple[Any, list[float]]) -> None:
    pytest.importorskip("iminuit")
    pdf, data = counting
    options: dict[str, Any] = {"return_uncertainties": True, "return_correlations": True, "return_fitted_val": True}
    # minuit maps bounded parameters: far bounds leave its errors alone
    options["par_bounds"] = [(-100.0, 100.0), *pdf.config.suggested_bounds()[1:]]
    for poi in (None, 0.7):
        ours, correlations, value = with_pyhfs(NewtonOptimizer(), data, pdf, poi=poi, **options)
        theirs, their_correlations, their_value = with_pyhfs(
            pyhf.optimize.minuit_optimizer(), data, pdf, poi=poi, **options
        )
        assert ours.shape == (4, 2)
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(correlations, their_correlations, atol=2e-3)
        assert value == pytest.approx(their_value, abs=1e-4)


def test_answers_come_in_pyhfs_order(optimizer: NewtonOptimizer, counting: tuple[Any, list[float]]) -> None:
    pdf, data = counting
    best = pyhf.infer.mle.fit(data, pdf)
    assert best.shape == (4,)
    point, value, result = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True, return_result_obj=True)
    np.testing.assert_array_equal(point, best)
    assert float(value) == pytest.approx(twice_nll(point, data, pdf).item(), rel=1e-12)
    assert result.success
    assert result.fun == value
    both, correlations = pyhf.infer.mle.fit(data, pdf, return_uncertainties=True, return_correlations=True)
    np.testing.assert_array_equal(both[:, 0], best)
    np.testing.assert_allclose(np.diag(correlations), 1.0)
    fixed, errors = pyhf.infer.mle.fixed_poi_fit(0.5, data, pdf, return_uncertainties=True).T
    assert fixed[0] == 0.5
    assert errors[0] == 0.0
    assert np.all(errors[1:] > 0)


def test_fixed_parameters_and_bounds_are_pyhfs(optimizer: NewtonOptimizer, counting: tuple[Any, list[float]]) -> None:
    pdf, data = counting
    bounds = [(0.0, 0.2), *pdf.config.suggested_bounds()[1:]]
    start = [0.1, 1.0, 1.05, 1.0]
    point = pyhf.infer.mle.fit(data, pdf, start, bounds, [False, False, True, False])
    assert point[0] == 0.2
    assert point[2] == 1.05
    assert optimizer.fallbacks == 0


def test_hypothesis_tests_and_limits_use_it(optimizer: NewtonOptimizer, counting: tuple[Any, list[float]]) -> None:
    """CLs from hypotest at the limit that upper_limit finds is 0.05."""
    pdf, data = counting
    limit, _ = pyhf.infer.intervals.upper_limits.upper_limit(data, pdf, level=0.05, rtol=1e-5)
    assert float(pyhf.infer.hypotest(float(limit), data, pdf)) == pytest.approx(0.05, abs=1e-4)
    assert optimizer.fallbacks == 0
    assert optimizer.fits > 100


def test_toys_use_it(optimizer: NewtonOptimizer, counting: tuple[Any, list[float]]) -> None:
    """pyhf's calculator by itself: its ``hypotest`` with toys does not work with NumPy 2."""
    pdf, data = counting
    np.random.seed(1)  # noqa: NPY002  pyhf's NumPy backend draws from the global state
    calculator = pyhf.infer.calculators.ToyCalculator(data, pdf, ntoys=30, track_progress=False)
    signal, background = calculator.distributions(3.0)
    assert signal.samples.shape == background.samples.shape == (30,)
    assert np.median(signal.samples) < np.median(background.samples)
    assert optimizer.fallbacks == 0
    assert optimizer.fits >= 120


def code2_model() -> Any:
    shape = {"name": "shape", "type": "histosys", "data": {"hi_data": [110.0], "lo_data": [92.0]}}
    mu = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "b", "data": [100.0], "modifiers": [shape]},
        {"name": "s", "data": [10.0], "modifiers": [mu]},
    ]
    codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code2"}}
    return pyhf.Model({"channels": [{"name": "c", "samples": samples}]}, validate=False, modifier_settings=codes)


def test_unknown_models_go_to_pyhf_and_it_says_so_once(
    optimizer: NewtonOptimizer, caplog: pytest.LogCaptureFixture
) -> None:
    pdf = code2_model()
    with caplog.at_level(logging.WARNING, logger="stats.minimiser"):
        for _ in range(2):
            point, value = pyhf.infer.mle.fit([105.0, 0.0], pdf, return_fitted_val=True)
    assert optimizer.fallbacks == optimizer.fits == 2
    assert float(value) == pytest.approx(twice_nll(point, [105.0, 0.0], pdf).item())
    messages = [record.message for record in caplog.records if record.name == "stats.minimiser"]
    assert len(messages) == 1
    assert "code2" in messages[0]
    with pytest.raises(UnsupportedModel, match="code2"):
        compiled(pdf)


def test_other_objectives_and_methods_go_to_pyhf(
    optimizer: NewtonOptimizer, counting: tuple[Any, list[float]], caplog: pytest.LogCaptureFixture
) -> None:
    pdf, data = counting

    def halved(parameters: Any, data: Any, pdf: Any) -> Any:
        return 0.5 * twice_nll(parameters, data, pdf)

    start, bounds = pdf.config.suggested_init(), pdf.config.suggested_bounds()
    _, value = optimizer.minimize(halved, data, pdf, start, bounds, return_fitted_val=True)
    _, twice = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
    assert float(value) == pytest.approx(0.5 * float(twice), abs=1e-5)
    pyhf.infer.mle.fit(data, pdf, method="SLSQP")
    assert optimizer.fallbacks == 2
    assert "halved" in caplog.text
    assert "method" in caplog.text


def test_a_fit_that_stops_early_ends_with_the_better_of_two(
    counting: tuple[Any, list[float]], caplog: pytest.LogCaptureFixture
) -> None:
    pdf, data = counting
    impatient = NewtonOptimizer(maxiter=1)
    _, value = with_pyhfs(impatient, data, pdf, return_fitted_val=True)
    _, best = with_pyhfs(NewtonOptimizer(), data, pdf, return_fitted_val=True)
    assert impatient.fallbacks == 1
    assert "did not converge" in caplog.text
    assert float(value) == pytest.approx(float(best), abs=1e-4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_model_without_a_minimum_fails_loudly(optimizer: NewtonOptimizer) -> None:
    """Events seen where none are expected."""
    pdf = pyhf.simplemodels.uncorrelated_background([1.0, 0.0], [5.0, 0.0], [1.0, 0.0], validate=False)
    with pytest.raises(pyhf.exceptions.FailedMinimization):
        pyhf.infer.mle.fit([5.0, 3.0, *pdf.config.auxdata], pdf)


def test_compiled_models_live_as_long_as_their_models(
    optimizer: NewtonOptimizer, counting: tuple[Any, list[float]]
) -> None:
    pdf = pyhf.simplemodels.uncorrelated_background([5.0], [50.0], [5.0], validate=False)
    assert compiled(pdf) is compiled(pdf)
    pyhf.infer.mle.fit([52.0, *pdf.config.auxdata], pdf)
    alive, model = weakref.ref(pdf), weakref.ref(compiled(pdf))
    del pdf
    gc.collect()
    assert alive() is None
    assert model() is None


def test_pyhf_is_left_as_it_was() -> None:
    before = pyhf.get_backend()

    def fail() -> None:
        with pyhf_session():
            assert isinstance(pyhf.get_backend()[1], NewtonOptimizer)
            raise RuntimeError("a fit went wrong")

    with pytest.raises(RuntimeError, match="went wrong"):
        fail()
    assert pyhf.get_backend() == before
