"""Directions that need no network, against what is known by hand, and blind to the events they are not taken from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml import Sample
from ml.latent_baselines import BASELINES, baselines
from ml.latent_settings import LatentVAESettings

EVENTS = 20_000


def sample_of(columns: dict[str, np.ndarray], weight: np.ndarray | None = None) -> Sample:
    events = len(next(iter(columns.values())))
    return Sample(
        columns=columns,
        mass=np.full(events, 3000.0),
        weight=np.ones(events) if weight is None else weight,
        fold=np.arange(events, dtype=np.uint32),
        event_id=np.arange(events),
    )


def found(columns: dict[str, np.ndarray], orientation: tuple[str, ...] | None = None, **more: Any) -> dict[str, Any]:
    """Baselines of the columns; all events are fitted unless told."""
    settings = LatentVAESettings(features=tuple(columns), orientation=orientation)
    sample = sample_of(columns, more.get("weight"))
    return baselines(sample, settings, fitted=more.get("fitted", np.ones(len(sample), bool)))


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    """Two features that share a part, the first one wider in units of its largest value."""
    random = np.random.default_rng(0)
    common, own = random.normal(size=(2, EVENTS))
    return {"j1_m": 200 + 40 * common, "j1_tau21": 0.5 + 0.02 * (0.6 * common + 0.8 * own)}


def test_events_that_are_not_fitted_change_no_others_score(columns: dict[str, np.ndarray]) -> None:
    fitted = np.arange(EVENTS) < EVENTS // 2
    strange = {name: np.where(fitted, values, 3 * values + 1) for name, values in columns.items()}
    alone, before, after = (
        found({name: values[fitted] for name, values in columns.items()}),
        found(columns, fitted=fitted),
        found(strange, fitted=fitted),
    )
    everything = found(strange)
    assert tuple(before) == BASELINES
    for name in BASELINES:
        np.testing.assert_allclose(after[name][fitted], before[name][fitted], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(after[name][fitted], alone[name], rtol=1e-6, atol=1e-6)
        assert not np.allclose(everything[name][fitted], before[name][fitted], rtol=1e-2), "they would matter"
        assert np.isfinite(after[name]).all()


def test_weights_count_as_copies(columns: dict[str, np.ndarray]) -> None:
    twice = {name: np.concatenate([values, values[:5000]]) for name, values in columns.items()}
    weight = np.where(np.arange(EVENTS) < 5000, 2.0, 1.0)
    weighted, copied = found(columns, weight=weight), found(twice)
    for name in ("oriented_sum", "principal_component"):
        np.testing.assert_allclose(weighted[name], copied[name][:EVENTS], rtol=1e-4, atol=1e-4)


def test_signs_follow_the_orientation(columns: dict[str, np.ndarray]) -> None:
    up, down = found(columns, ("j1_m", "j1_tau21")), found(columns, ("-j1_m", "-j1_tau21"))
    for name in BASELINES:
        np.testing.assert_allclose(down[name], -up[name], rtol=1e-9, atol=1e-9)
        assert np.corrcoef(up[name], columns["j1_m"])[0, 1] > 0.5


def test_the_principal_component_is_that_of_features_in_units_of_their_largest_value() -> None:
    """s + t and s − t, with s twice as wide as t, vary most along (1, 1)/√2; in other units as well."""
    s, t = np.random.default_rng(1).uniform(-1, 1, (2, EVENTS)) * [[1.0], [0.5]]
    x = np.stack([s + t, s - t], axis=1) / 1.5
    component = found({"j1_m": 300 * x[:, 0], "j2_m": 70 * x[:, 1]})["principal_component"]
    weights, *_ = np.linalg.lstsq(x, component, rcond=None)
    np.testing.assert_allclose(weights, np.sqrt([0.5, 0.5]), atol=0.02)
    alone = found({"j1_m": 300 * x[:, 0], "j2_m": 0.01 * x[:, 1] + 1})["principal_component"]
    assert np.corrcoef(alone, x[:, 0])[0, 1] > 0.999


def test_the_linear_direction_is_the_one_of_fisher() -> None:
    """Of Gaussian features with correlation ρ = 0.6 and δ = (1, −1): C⁻¹δ ∝ (1, −1); with δ = (1, 0): (1, −ρ)."""
    random = np.random.default_rng(2)
    x = random.normal(size=(EVENTS, 2)) @ np.linalg.cholesky([[1, 0.6], [0.6, 1]]).T
    columns = {"j1_m": 200 + 30 * x[:, 0], "j1_tau21": 0.5 + 0.1 * x[:, 1]}
    for orientation, expected in ((("j1_m", "-j1_tau21"), [1, -1]), (("j1_m",), [1, -0.6])):
        score = found(columns, orientation)["linear_direction"]
        weights, *_ = np.linalg.lstsq(x, score - score.mean(), rcond=None)
        np.testing.assert_allclose(weights / weights[0], expected, atol=0.03)


def test_what_has_no_direction_is_left_out(columns: dict[str, np.ndarray]) -> None:
    assert found(columns, ()) == {}
    doubled = {**columns, "j2_m": 2 * columns["j1_m"] + 1}
    assert tuple(found(doubled)) == ("oriented_sum", "principal_component")
