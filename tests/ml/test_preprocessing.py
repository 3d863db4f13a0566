"""Scaling and weighting: fitted once, exact, and refused where it makes no sense."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ml import Sample, TrainingError, Window
from ml.cwola import class_weights, training_groups
from ml.preprocessing import MaxAbs, NormalScores, SliceQuantiles, Standardiser


def test_standardised_training_data_have_mean_zero_and_width_one() -> None:
    random = np.random.default_rng(0)
    x, weights = random.exponential(size=(500, 2)) * [1, 1000], random.random(500)
    scaler = Standardiser.fit(x, weights, names=["a", "b"])
    scaled = scaler.apply(x).astype(float)
    assert np.average(scaled, axis=0, weights=weights) == pytest.approx([0, 0], abs=1e-5)
    assert np.average(scaled**2, axis=0, weights=weights) == pytest.approx([1, 1], abs=1e-5)
    back = Standardiser.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert np.array_equal(back.apply(x), scaler.apply(x))


def test_a_constant_feature_is_named() -> None:
    with pytest.raises(TrainingError, match=r"feature 'b' is constant \(3\) over the 4 training events"):
        Standardiser.fit(np.array([[1, 3], [2, 3], [4, 3], [8, 3.0]]), np.ones(4), names=["a", "b"])


def test_the_largest_absolute_value_scales_as_in_scikit_learn() -> None:
    from sklearn.preprocessing import MaxAbsScaler

    random = np.random.default_rng(0)
    x = random.normal(size=(300, 3)) * [1, 1000, 1e-3] - [0, 5000, 0]
    scaler = MaxAbs.fit(x, random.random(300), names=["a", "b", "c"])
    fresh = random.normal(size=(50, 3)) * 2000  # beyond the training events nothing is cut
    reference = MaxAbsScaler().fit(x)
    for values in (x, fresh):
        np.testing.assert_allclose(scaler.apply(values), reference.transform(values), rtol=1e-6)
    assert np.abs(scaler.apply(x)).max(axis=0) == pytest.approx([1, 1, 1])
    assert MaxAbs.fit(x, np.eye(1, 300)[0] + 1, names=["a", "b", "c"]).scale.tolist() == scaler.scale.tolist()
    back = MaxAbs.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert np.array_equal(back.apply(fresh), scaler.apply(fresh))
    with pytest.raises(TrainingError, match="feature 'b' is constant"):
        MaxAbs.fit(np.column_stack([x[:, 0], np.full(300, 2.0)]), np.ones(300), names=["a", "b"])


@pytest.mark.parametrize("kind", [Standardiser, MaxAbs, NormalScores])
def test_scaling_can_be_undone(kind: type[Standardiser] | type[MaxAbs] | type[NormalScores]) -> None:
    """Also for arrays with a leading member axis, as decoders return them."""
    random = np.random.default_rng(0)
    x = np.column_stack([50 + random.exponential(200, size=4000), random.beta(4, 6, size=4000)])
    scaler = kind.fit(x, np.ones(len(x)), names=["j1_m", "j1_tau21"])
    inner = np.all((x > np.quantile(x, 0.01, axis=0)) & (x < np.quantile(x, 0.99, axis=0)), axis=1)
    scaled = scaler.apply(x[inner])
    np.testing.assert_allclose(scaler.invert(scaled), x[inner], rtol=1e-4)
    assert np.array_equal(scaler.invert(np.stack([scaled, scaled]))[1], scaler.invert(scaled))


def test_normal_scores_are_normal_whatever_the_feature_and_level_beyond_it() -> None:
    random = np.random.default_rng(0)
    x = np.column_stack([random.exponential(size=20000) ** 3, random.normal(size=20000)])
    scaler = NormalScores.fit(x, np.ones(len(x)), names=["a", "b"])
    scores = scaler.apply(x).astype(float)
    assert np.quantile(scores, [0.16, 0.5, 0.84], axis=0) == pytest.approx(
        np.array([[-1] * 2, [0] * 2, [1] * 2]), abs=0.03
    )
    assert np.all(np.diff(scores[np.argsort(x[:, 0]), 0]) >= 0)
    edges = scaler.apply(np.array([[-1e9, -1e9], [1e9, 1e9]]))
    assert np.isfinite(edges).all()
    assert np.array_equal(edges[0], scores.min(axis=0).astype(np.float32))
    back = NormalScores.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert np.array_equal(back.apply(x), scaler.apply(x))


def test_normal_scores_count_weights() -> None:
    x = np.linspace(0, 1, 10001)[:, None]
    scaler = NormalScores.fit(x, np.where(x[:, 0] < 0.5, 3.0, 1.0), names=["a"])  # the median lies at 1/3
    assert float(scaler.apply(np.array([[1 / 3]]))[0, 0]) == pytest.approx(0, abs=0.01)


def test_normal_scores_name_a_constant_feature() -> None:
    with pytest.raises(TrainingError, match="feature 'a' is constant"):
        NormalScores.fit(np.ones((5, 1)), np.ones(5), names=["a"])


def test_window_counts_as_much_as_the_sidebands_and_each_sideband_the_same(
    tiny: tuple[Sample, np.ndarray], window: Window
) -> None:
    groups = training_groups(tiny[0].mass, window)
    rows = groups >= 0
    random = np.random.default_rng(0)
    balanced = class_weights(random.random(rows.sum()), groups[rows], sidebands=2)
    sums = [balanced[groups[rows] == i].sum() for i in range(3)]
    assert sums == pytest.approx([rows.sum() / 2, rows.sum() / 4, rows.sum() / 4])
    assert balanced.mean() == pytest.approx(1)


def test_slices_remove_the_drift_with_mass_but_not_an_excess_in_the_window() -> None:
    random = np.random.default_rng(1)
    mass = random.uniform(2000, 5000, 40000)
    x = (mass / 1000 * random.exponential(size=40000))[:, None]
    side = np.where(mass < 3300, 0, np.where(mass > 3700, 1, -1))
    rows = side >= 0
    slices = SliceQuantiles.fit(x[rows], mass[rows], np.ones(rows.sum()), slices=5, groups=side[rows])
    flat = slices.apply(x, mass)[:, 0]
    assert abs(np.corrcoef(x[:, 0], mass)[0, 1]) > 0.2
    assert abs(np.corrcoef(flat, mass)[0, 1]) < 0.02
    assert flat[~rows].mean() == pytest.approx(0, abs=0.04)
    high = slices.apply(np.full((100, 1), 12.0), np.full(100, 3500.0))
    assert (high > 1.5).all()
    back = SliceQuantiles.from_dict(json.loads(json.dumps(slices.to_dict())))
    assert np.array_equal(back.apply(x, mass)[:, 0], flat)


def test_slices_need_events() -> None:
    with pytest.raises(TrainingError, match="a mass slice of 5 events is too small"):
        SliceQuantiles.fit(np.ones((10, 1)), np.arange(10.0), np.ones(10), slices=2, groups=np.zeros(10))
