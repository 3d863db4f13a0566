"""Normal scores with one direction that stands for anomalies."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from ml import TrainingError
from ml.metrics import auc
from ml.whitening import OrientedScores

NAMES = ("j1_m", "j1_tau21", "j2_m")
ORIENTATION = ("j1_m", "-j1_tau21", "j2_m")
KNOWN: dict[str, Any] = {"names": NAMES, "orientation": ORIENTATION, "stretch": 3.0}
DELTA = np.array([1.0, -1.0, 1.0])


def correlated(events: int = 40_000, seed: int = 0) -> np.ndarray:
    """Gaussian features of unequal widths, the third one mostly a copy of the first."""
    x = np.random.default_rng(seed).standard_normal((events, 3))
    x[:, 2] = 0.9 * x[:, 0] + np.sqrt(1 - 0.81) * x[:, 2]
    return x * [30.0, 0.1, 20.0] + [200.0, 0.5, 100.0]


@pytest.fixture(scope="module")
def fitted() -> OrientedScores:
    x = correlated()
    return OrientedScores.fit(x, np.ones(len(x)), **KNOWN)


@pytest.mark.parametrize("stretch", [1.5, 3.0])
def test_one_direction_is_wider_and_all_others_are_equally_wide(stretch: float) -> None:
    x = correlated()
    fitted = OrientedScores.fit(x, np.ones(len(x)), names=NAMES, orientation=ORIENTATION, stretch=stretch)
    values, vectors = np.linalg.eigh(np.cov(fitted.apply(x), rowvar=False))
    np.testing.assert_allclose(values, [1, 1, stretch**2], rtol=0.01)
    assert abs(vectors[:, -1] @ fitted.direction) == pytest.approx(1, abs=1e-3)


def test_it_is_the_most_powerful_linear_direction(fitted: OrientedScores) -> None:
    """Signal shifted by half a width in every feature: no direction in the scores separates it better."""
    background, signal = correlated(seed=1), correlated(seed=2) + 0.5 * DELTA * [30.0, 0.1, 20.0]
    truth = np.repeat([0, 1], len(background))
    both = np.concatenate([fitted.apply(background), fitted.apply(signal)]).astype(float)
    best = auc(both @ fitted.direction, truth).value
    rng = np.random.default_rng(3)
    others = [auc(both @ d, truth).value for d in rng.standard_normal((30, 3))]
    assert max(others) < best + 1e-3
    # of Gaussian features: Φ(√(δᵀC⁻¹δ)/√2), where a plain sum has Φ(δᵀδ/√(δᵀCδ)/√2) = 0.686
    covariance = np.array([[1, 0, 0.9], [0, 1, 0], [0.9, 0, 1]])
    distance = 0.5 * np.sqrt(DELTA @ np.linalg.solve(covariance, DELTA))
    assert best == pytest.approx(norm.cdf(distance / np.sqrt(2)), abs=0.004)
    assert best > 0.689


def test_features_come_back(fitted: OrientedScores) -> None:
    x = correlated(1000)
    low, high = np.quantile(correlated(), [0.001, 0.999], axis=0)
    inside = ((x > low) & (x < high)).all(axis=1)
    np.testing.assert_allclose(fitted.invert(fitted.apply(x))[inside], x[inside], rtol=1e-3, atol=1e-3)
    again = OrientedScores.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert np.array_equal(again.apply(x), fitted.apply(x))


def test_a_feature_without_direction_helps_by_its_correlation() -> None:
    """The third feature, not oriented, still tells what of the first is common to both."""
    x = correlated()
    found = OrientedScores.fit(x, np.ones(len(x)), names=NAMES, orientation=("j1_m",), stretch=3.0)
    weights = found.matrix @ found.direction  # of the normal scores
    np.testing.assert_allclose(weights / weights[0], [1, 0, -0.9], atol=0.02)


def test_weights_count_as_copies() -> None:
    x = correlated(4000)
    twice = OrientedScores.fit(np.concatenate([x, x[:1000]]), np.ones(5000), **KNOWN)
    weight = np.where(np.arange(4000) < 1000, 2.0, 1.0)
    weighted = OrientedScores.fit(x, weight, **KNOWN)
    np.testing.assert_allclose(weighted.matrix, twice.matrix, rtol=0.02, atol=0.02)
    assert np.abs(weighted.apply(x) - twice.apply(x)).mean() < 0.01
    plain = OrientedScores.fit(x, np.ones(4000), **KNOWN)
    assert np.abs(plain.apply(x) - twice.apply(x)).mean() > 0.01


def test_what_cannot_be_whitened_is_refused() -> None:
    x = correlated(2000)
    weight = np.ones(len(x))
    with pytest.raises(TrainingError, match="name some under `orientation`"):
        OrientedScores.fit(x, weight, names=NAMES, orientation=(), stretch=3.0)
    x[:, 2] = 2 * x[:, 0] + 1
    with pytest.raises(TrainingError, match=r"\['j1_m', 'j2_m'\] determine one another"):
        OrientedScores.fit(x, weight, **KNOWN)
    x[:, 1] = 3.0
    with pytest.raises(TrainingError, match="'j1_tau21' is constant"):
        OrientedScores.fit(x, weight, **KNOWN)
