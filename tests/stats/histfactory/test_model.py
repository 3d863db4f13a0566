"""The compiled likelihood is pyhf's, with its derivatives; fits end at minima."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyhf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhf.infer.mle import twice_nll

from stats import StatisticsError
from stats.histfactory import CompiledModel, UnsupportedModel
from tests.stats.histfactory.randommodels import random_model, random_specification

MU = {"name": "mu", "type": "normfactor", "data": None}


def random_point(model: CompiledModel, rng: np.random.Generator) -> np.ndarray:
    """Somewhere within the bounds, away from kinks."""
    spread = np.where(model.bounds[:, 0] < 0, 1.5, 0.15)
    low, high = model.bounds.T
    return np.clip(model.initial + spread * rng.normal(size=low.size), low + 0.01, high - 0.01)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_expectations_and_likelihood_are_pyhfs(seed: int) -> None:
    """To 10⁻¹⁰ of the value, over random models of all modifiers."""
    rng = np.random.default_rng(seed)
    pdf, data = random_model(rng)
    model = CompiledModel(pdf)
    point = random_point(model, rng)
    np.testing.assert_allclose(model.expected(point), pdf.expected_actualdata(point), rtol=1e-10, atol=1e-10)
    with np.errstate(all="ignore"):
        theirs = float(twice_nll(point, data, pdf).item())
    if np.isfinite(theirs):
        assert model.twice_nll(point, data) == pytest.approx(theirs, rel=1e-10, abs=1e-10)
    else:
        assert model.twice_nll(point, data) == np.inf


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_derivatives_are_numerical_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pdf, data = random_model(rng)
    model = CompiledModel(pdf)
    point = random_point(model, rng)
    if model.expected(point).min() < 1e-2:
        return  # log E bends too much for a difference quotient
    hessian = model.hessian(point, data)
    scale = 1.0 / np.sqrt(np.maximum(np.abs(hessian.diagonal()), 1.0))
    gradients, rows = [], []
    for k in range(point.size):
        up, down = (np.where(np.arange(point.size) == k, point + shift, point) for shift in (1e-5, -1e-5))
        gradients.append((model.twice_nll(up, data) - model.twice_nll(down, data)) / 4e-5)
        rows.append((model.gradient(up, data) - model.gradient(down, data)) / 2e-5)
    size = max(1.0, float(np.abs(model.gradient(point, data) * scale).max()))
    np.testing.assert_allclose(model.gradient(point, data) * scale, gradients * scale, atol=1e-4 * size)
    np.testing.assert_allclose(hessian * scale * scale[:, None], rows * scale * scale[:, None], atol=1e-4 * size)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12)


def test_derivatives_hold_at_a_signal_strength_of_zero() -> None:
    """Where a factor is zero, and twice in one sample."""
    spec = {
        "channels": [
            {
                "name": "c",
                "samples": [
                    {
                        "name": "signal",
                        "data": [5.0, 3.0],
                        "modifiers": [
                            MU,
                            {"name": "other", "type": "normfactor", "data": None},
                            {"name": "scale", "type": "normsys", "data": {"hi": 1.2, "lo": 0.9}},
                        ],
                    },
                    {"name": "background", "data": [20.0, 10.0], "modifiers": []},
                ],
            }
        ]
    }
    model = CompiledModel(pyhf.Model(spec, validate=False))
    data = np.array([25.0, 8.0, 0.0])
    names = pyhf.Model(spec, validate=False).config.par_names
    for values in ({"mu": 0.0, "other": 2.0}, {"mu": 0.0, "other": 0.0}):
        point = np.array([values.get(name, 0.3) for name in names])
        for k in range(3):
            up, down = (np.where(np.arange(3) == k, point + shift, point) for shift in (1e-6, -1e-6))
            numerical = (model.gradient(up, data) - model.gradient(down, data)) / 2e-6
            np.testing.assert_allclose(model.hessian(point, data)[k], numerical, rtol=1e-6, atol=1e-6)


def simple(**kwargs: Any) -> Any:
    return pyhf.simplemodels.uncorrelated_background([5.0, 4.0], [50.0, 60.0], [5.0, 6.0], validate=False, **kwargs)


def test_clipped_models_are_evaluated_as_pyhf_does() -> None:
    spec = random_specification(np.random.default_rng(5))
    for name in ("clip_sample_data", "clip_bin_data"):
        pdf = pyhf.Model(spec, validate=False, **{name: 0.5})
        model = CompiledModel(pdf)
        point = random_point(model, np.random.default_rng(2))
        point[pdf.config.poi_index] = 0.0
        np.testing.assert_allclose(model.expected(point), pdf.expected_actualdata(point), rtol=1e-12)
        data = np.concatenate([np.round(model.expected(point)), pdf.config.auxdata])
        numerical = [
            (model.twice_nll(point + shift, data) - model.twice_nll(point - shift, data)) / 4e-6
            for shift in 1e-6 * np.eye(point.size)
        ]
        chosen = np.arange(point.size) != pdf.config.poi_index  # which stands where the clipping starts
        np.testing.assert_allclose(model.gradient(point, data)[chosen], np.array(numerical)[chosen], atol=1e-3)


def test_the_best_fit_of_two_poisson_counts_is_known() -> None:
    """One bin, background b measured with auxiliary count: θ̂ = 1, μ̂ = (n − b)/s."""
    pdf = pyhf.simplemodels.uncorrelated_background([10.0], [50.0], [5.0], validate=False)
    fit = CompiledModel(pdf).fit(np.array([72.0, *pdf.config.auxdata]))
    assert fit.converged
    np.testing.assert_allclose(fit.point, [2.2, 1.0], atol=1e-6)
    assert fit.twice_nll == pytest.approx(twice_nll(fit.point, [72.0, *pdf.config.auxdata], pdf).item(), rel=1e-12)


def test_fixed_parameters_stay_and_bounds_hold() -> None:
    pdf = simple()
    model = CompiledModel(pdf)
    data = np.array([30.0, 40.0, *pdf.config.auxdata])
    point, value, converged = model.fit(data, fixed={0: 0.4})
    assert converged
    assert point[0] == 0.4
    assert value >= model.fit(data).twice_nll
    free = model.fit(data)
    assert free.point[0] == 0.0  # a deficit
    assert model.gradient(free.point, data)[0] > 0
    np.testing.assert_allclose(model.gradient(free.point, data)[1:], 0.0, atol=1e-4)
    wider = model.fit(data, bounds=np.array([[-10.0, 10.0], *model.bounds[1:]]))
    assert wider.point[0] < -1.0
    assert wider.twice_nll < free.twice_nll


def test_a_fit_of_nothing_is_an_evaluation() -> None:
    pdf = simple()
    model = CompiledModel(pdf)
    data = np.array([30.0, 40.0, *pdf.config.auxdata])
    point, value, converged = model.fit(data, fixed={0: 0.4, 1: 1.1, 2: 0.9})
    assert converged
    np.testing.assert_array_equal(point, [0.4, 1.1, 0.9])
    assert value == pytest.approx(twice_nll(point, data, pdf).item(), rel=1e-12)


def test_the_lower_of_two_minima_is_found_from_either_side() -> None:
    """Both variations add the same events: the likelihood is even in the nuisance but for its constraint."""
    spec = {
        "channels": [
            {
                "name": "c",
                "samples": [
                    {
                        "name": "background",
                        "data": [100.0, 100.0],
                        "modifiers": [
                            {
                                "name": "shape",
                                "type": "histosys",
                                "data": {"hi_data": [130.0, 100.0], "lo_data": [130.0, 99.0]},
                            },
                        ],
                    },
                    {
                        "name": "s",
                        "data": [1.0, 1.0],
                        "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                    },
                ],
            }
        ]
    }
    pdf = pyhf.Model(spec, validate=False)
    model = CompiledModel(pdf)
    shape = pdf.config.par_names.index("shape")
    for measured in (-0.3, 0.3):
        data = np.array([135.0, 100.0, measured])
        for begin in (-1.0, 1.0):
            start = np.where(np.arange(2) == shape, begin, model.initial)
            fit = model.fit(data, start=start)
            assert fit.converged
            assert np.sign(fit.point[shape]) == np.sign(measured)


def test_a_minimum_at_a_kink_is_a_minimum() -> None:
    """Piecewise linear interpolation, both variations harmful: the nuisance stays at zero, exactly."""
    spec = {
        "channels": [
            {
                "name": "c",
                "samples": [
                    {
                        "name": "background",
                        "data": [100.0],
                        "modifiers": [
                            {"name": "shape", "type": "histosys", "data": {"hi_data": [130.0], "lo_data": [120.0]}}
                        ],
                    },
                    {"name": "s", "data": [1.0], "modifiers": [MU]},
                ],
            }
        ]
    }
    pdf = pyhf.Model(spec, validate=False, modifier_settings={"histosys": {"interpcode": "code0"}})
    model = CompiledModel(pdf)
    shape = pdf.config.par_names.index("shape")
    for begin in (-2.0, 0.0, 1.0):
        fit = model.fit(np.array([90.0, 0.0]), start=np.where(np.arange(2) == shape, begin, 0.5))
        assert fit.converged
        assert fit.point[shape] == 0.0


def test_empty_and_nearly_empty_bins_are_fitted() -> None:
    pdf = pyhf.simplemodels.uncorrelated_background([1.0, 2.0, 0.0], [0.5, 1e-3, 0.0], [0.2, 1e-3, 0.0], validate=False)
    model = CompiledModel(pdf)
    for counts in ([0, 0, 0], [1, 0, 0], [0, 5, 0], [50, 0, 0]):
        fit = model.fit(np.array([*counts, *pdf.config.auxdata]))
        assert fit.converged
        assert np.isfinite(fit.twice_nll)
    impossible = model.fit(np.array([0, 0, 1, *pdf.config.auxdata]))
    assert not impossible.converged
    assert impossible.twice_nll == np.inf


def test_models_that_are_not_evaluated_are_named() -> None:
    spec = random_specification(np.random.default_rng(1))
    settings_2 = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code2"}}
    with pytest.raises(UnsupportedModel, match="code2, which is not continuous"):
        CompiledModel(pyhf.Model(spec, validate=False, modifier_settings=settings_2))
    with pytest.raises(UnsupportedModel, match="batched"):
        CompiledModel(simple(batch_size=2))
    with pytest.raises(UnsupportedModel, match="object is not a"):
        CompiledModel(object())


def test_a_model_evaluated_otherwise_by_pyhf_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pdf = simple()
    theirs = pdf.expected_actualdata
    monkeypatch.setattr(pdf, "expected_actualdata", lambda point: 1.001 * theirs(point))
    with pytest.raises(UnsupportedModel, match="differently"):
        CompiledModel(pdf)


def test_data_of_another_model_are_refused() -> None:
    model = CompiledModel(simple())
    with pytest.raises(StatisticsError, match="takes 4 finite numbers"):
        model.fit(np.ones(3))
    with pytest.raises(StatisticsError, match="takes 4 finite numbers"):
        model.fit(np.array([1.0, np.nan, 100.0, 100.0]))
    with pytest.raises(StatisticsError, match="0 or more"):
        model.fit(np.array([-1.0, 1.0, 100.0, 100.0]))
    with pytest.raises(StatisticsError, match="cannot be fixed"):
        model.fit(np.array([1.0, 1.0, 100.0, 100.0]), fixed={7: 1.0})
    with pytest.raises(StatisticsError, match="3 parameters"):
        model.fit(np.array([1.0, 1.0, 100.0, 100.0]), start=np.ones(2))
