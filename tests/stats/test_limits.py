from __future__ import annotations

import json

import numpy as np
import pyhf
import pytest
from scipy.stats import norm

from stats import (
    Family,
    Spectrum,
    StatisticsError,
    bump_hunt,
    gaussian_template,
    resonance_limits,
    resonance_workspace,
    upper_limit,
)
from stats.asymptotics import AsymptoticTest, log_cls, open_workspace
from stats.minimiser import NewtonOptimizer, pyhf_session
from tests.stats.conftest import EDGES


def spectrum_of(shape: np.ndarray, *, events: float, signal: float, seed: int) -> Spectrum:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    return Spectrum.from_counts(EDGES, np.random.default_rng(seed).poisson(events * shape + signal * template))


@pytest.mark.parametrize(("events", "signal"), [(20000.0, 0.0), (20000.0, 120.0), (1000.0, 0.0), (300.0, 10.0)])
def test_cls_at_the_limit_is_the_level(events: float, signal: float, shape: np.ndarray, family: Family) -> None:
    """0.05 ± 0.001 by pyhf's own hypothesis test, for the observed limit and all five expected ones."""
    spec = resonance_workspace(
        spectrum_of(shape, events=events, signal=signal, seed=1), family, mass=3500.0, width=0.03
    )
    limit = upper_limit(spec)
    pdf, data = open_workspace(spec)
    assert limit.failed_fits == 0
    assert list(limit.expected) == sorted(limit.expected)
    bounds = [list(bound) for bound in pdf.config.suggested_bounds()]
    bounds[pdf.config.poi_index][1] = 1e5
    with pyhf_session():
        for index, mu in enumerate((limit.observed, *limit.expected)):
            result = pyhf.infer.hypotest(mu, data, pdf, par_bounds=bounds, return_expected_set=True)
            cls = result[0] if index == 0 else result[1][index - 1]
            assert float(cls) == pytest.approx(0.05, abs=1e-3)


def test_every_scanned_point_is_kept(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=20000, signal=0, seed=2)
    limit = upper_limit(resonance_workspace(spectrum, family, mass=3500.0, width=0.03))
    strengths = [mu for mu, _, _ in limit.scan]
    assert strengths == sorted(strengths)
    assert limit.observed in strengths
    assert all(b <= a + 1e-6 for (_, a, _), (_, b, _) in zip(limit.scan, limit.scan[1:], strict=False))
    result = json.loads(json.dumps(limit.to_dict(), allow_nan=False))
    assert result["unit"] == "selected events"
    assert len(result["expected"]) == 5
    assert len(result["scan"]) == len(strengths)


def test_the_bound_of_the_signal_strength_moves_where_it_must(shape: np.ndarray, family: Family) -> None:
    spec = resonance_workspace(spectrum_of(shape, events=20000, signal=0, seed=3), family, mass=3500.0, width=0.03)
    limit = upper_limit(spec)
    spec["measurements"][0]["config"]["parameters"][0]["bounds"] = [[0.0, 0.2 * limit.observed]]
    narrow = upper_limit(spec)
    assert narrow.observed == pytest.approx(limit.observed, rel=0.02)


def test_a_best_fit_beyond_the_bound_is_followed(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=20000, signal=150, seed=3)
    spec = resonance_workspace(spectrum, family, mass=3500.0, width=0.03)
    limit = upper_limit(spec)
    spec["measurements"][0]["config"]["parameters"][0]["bounds"] = [[0.0, 20.0]]
    narrow = upper_limit(spec)
    assert narrow.best_fit == pytest.approx(limit.best_fit, rel=1e-3)
    assert narrow.observed == pytest.approx(limit.observed, rel=0.02)


def test_discovery_p_value_is_that_of_the_bump_hunt(shape: np.ndarray, family: Family) -> None:
    """Capped for a deficit; within 0.15σ of the free fit for an excess."""
    masses = np.array([2900.0, 3500.0])
    spectrum = spectrum_of(shape, events=20000, signal=100, seed=4)
    hunt = bump_hunt(spectrum, family, masses=masses)
    limits = resonance_limits(spectrum, family, masses=masses, width=0.03)
    assert [limit.mass for limit in limits] == masses.tolist()
    for limit, z in zip(limits, hunt.significance[0], strict=True):
        assert norm.isf(limit.local_p0) == pytest.approx(max(z, 0.0), abs=0.15)


def test_limits_cover(shape: np.ndarray, family: Family) -> None:
    """A true signal of 40 events is excluded (CLs < 0.05) in at most 5% of 100 experiments, plus two binomial σ."""
    excluded = 0
    for seed in range(100):
        spectrum = spectrum_of(shape, events=3000, signal=40.0, seed=100 + seed)
        spec = resonance_workspace(spectrum, family, mass=3500.0, width=0.03)
        with pyhf_session():
            values = AsymptoticTest(*open_workspace(spec)).log_cls(40.0)
        assert values is not None
        excluded += bool(values[0] < np.log(0.05))
    assert excluded <= 100 * 0.05 + 2 * np.sqrt(100 * 0.05 * 0.95)


def test_a_mass_without_a_limit_is_named(shape: np.ndarray, family: Family) -> None:
    spectrum = spectrum_of(shape, events=30, signal=0, seed=5)
    with pytest.raises(StatisticsError, match="No limit at 3500 GeV"):
        resonance_limits(spectrum, family, masses=[3500.0], width=0.15)


def test_broken_workspaces_are_refused(shape: np.ndarray, family: Family) -> None:
    spec = resonance_workspace(spectrum_of(shape, events=20000, signal=0, seed=6), family, mass=3500.0, width=0.03)
    with pytest.raises(StatisticsError, match="between 0 and 1"):
        upper_limit(spec, level=1.5)
    with pytest.raises(StatisticsError, match="does not accept"):
        upper_limit({"channels": []})


def test_cls_of_a_perfect_background_is_that_of_the_median() -> None:
    values = log_cls(4.0, 4.0)
    assert values[0] == pytest.approx(values[3])
    assert np.all(np.diff(values[1:]) > 0)
    np.testing.assert_allclose(np.exp(log_cls(0.0, 0.0)), 1.0)


def random_model(rng: np.random.Generator) -> tuple:
    n = int(rng.integers(3, 15))
    background = rng.uniform(1, 200, n)
    modifiers = [
        {
            "name": f"shape_{k}",
            "type": "histosys",
            "data": {
                "hi_data": (background * rng.uniform(0.85, 1.2, n)).tolist(),
                "lo_data": (background * rng.uniform(0.85, 1.2, n)).tolist(),
            },
        }
        for k in range(int(rng.integers(1, 4)))
    ]
    modifiers.append({"name": "scale", "type": "normsys", "data": {"hi": 1.1, "lo": 0.92}})
    signal = {"name": "mu", "type": "normfactor", "data": None}
    pdf = pyhf.Model(
        {
            "channels": [
                {
                    "name": "c",
                    "samples": [
                        {"name": "s", "data": rng.uniform(0, 20, n).tolist(), "modifiers": [signal]},
                        {"name": "b", "data": background.tolist(), "modifiers": modifiers},
                    ],
                }
            ]
        },
        validate=False,
    )
    return pdf, np.concatenate([rng.poisson(background * 1.05), pdf.config.auxdata]).astype(float)


def test_the_minimiser_is_never_above_pyhfs() -> None:
    rng = np.random.default_rng(7)
    for _ in range(25):
        pdf, data = random_model(rng)
        with pyhf_session() as optimizer:
            _, ours = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
            _, fixed = pyhf.infer.mle.fixed_poi_fit(0.7, data, pdf, return_fitted_val=True)
            assert optimizer.fallbacks == 0
        _, theirs = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
        _, their_fixed = pyhf.infer.mle.fixed_poi_fit(0.7, data, pdf, return_fitted_val=True)
        assert float(ours) <= float(theirs) + 1e-6
        assert float(fixed) <= float(their_fixed) + 1e-6


def test_unknown_constraints_go_to_pyhf() -> None:
    pdf = pyhf.simplemodels.uncorrelated_background([5.0, 4.0], [50.0, 60.0], [5.0, 6.0], validate=False)
    with pyhf_session() as optimizer:
        pyhf.infer.mle.fit([52.0, 63.0, *pdf.config.auxdata], pdf)
        assert optimizer.fallbacks == optimizer.fits == 1


def test_pyhf_is_left_as_it_was() -> None:
    before = pyhf.get_backend()

    def fail() -> None:
        with pyhf_session():
            assert isinstance(pyhf.get_backend()[1], NewtonOptimizer)
            raise RuntimeError("a fit went wrong")

    with pytest.raises(RuntimeError, match="went wrong"):
        fail()
    assert pyhf.get_backend() == before
