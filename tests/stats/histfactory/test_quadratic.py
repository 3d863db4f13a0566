from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stats.histfactory.quadratic import bounded_minimum


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12))
def test_the_minimum_satisfies_the_kkt_conditions(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n, n))
    hessian = root @ root.T + 0.05 * np.eye(n)
    gradient = rng.normal(size=n) * 3
    low, high = -rng.exponential(size=n), rng.exponential(size=n)
    low[rng.random(n) < 0.3] = 0.0
    high[rng.random(n) < 0.2] = np.inf
    step = bounded_minimum(hessian, gradient, low, high)
    assert step is not None
    assert np.all(step >= low - 1e-9)
    assert np.all(step <= high + 1e-9)
    pull = hessian @ step + gradient
    at_low, at_high = step <= low + 1e-9, step >= high - 1e-9
    np.testing.assert_allclose(pull[~at_low & ~at_high], 0.0, atol=1e-6)
    assert np.all(pull[at_low & ~at_high] >= -1e-6)
    assert np.all(pull[at_high & ~at_low] <= 1e-6)


def test_an_indefinite_form_has_no_minimum() -> None:
    bounds = np.full(2, np.inf)
    assert bounded_minimum(np.diag([1.0, -1.0]), np.ones(2), -bounds, bounds) is None
    assert bounded_minimum(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2), -bounds, bounds) is None


def test_a_parameter_without_effect_stays() -> None:
    bounds = np.full(2, 5.0)
    step = bounded_minimum(np.diag([2.0, 0.0]), np.array([1.0, 0.0]), -bounds, bounds)
    np.testing.assert_allclose(step, [-0.5, 0.0], atol=1e-9)
