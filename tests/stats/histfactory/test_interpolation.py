from __future__ import annotations

import numpy as np
import pyhf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats.histfactory.interpolation import Factors, additive_weights

ALPHA = st.floats(-4.0, 4.0).filter(lambda a: abs(a) > 1e-3 and abs(abs(a) - 1.0) > 1e-3)
VARIATION = st.floats(0.3, 3.0)


def pyhfs(code: str, down: float, up: float, alpha: float) -> float:
    interpolator = getattr(pyhf.interpolators, code)([[[[down], [1.0], [up]]]], subscribe=False)
    return float(interpolator(np.array([[alpha]])).item())


@pytest.mark.parametrize("code", ["code1", "code4"])
@given(alpha=ALPHA, down=VARIATION, up=VARIATION)
def test_factors_are_pyhfs_and_their_derivatives_numerical_ones(
    code: str, alpha: float, down: float, up: float
) -> None:
    factors = Factors.of(code, np.array([down]), np.array([up]))

    def at(value: float) -> np.ndarray:
        return factors.evaluate(np.array([value]), np.array([value > 0]))[:, 0]

    values, shift = at(alpha), 1e-5
    assert values[0] == pytest.approx(pyhfs(code, down, up, alpha), rel=1e-12)
    numerical = (at(alpha + shift) - at(alpha - shift))[:2] / (2 * shift)
    np.testing.assert_allclose(values[1:], numerical, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("code", ["code0", "code4p"])
@given(alpha=ALPHA, down=VARIATION, up=VARIATION)
def test_shifts_are_pyhfs_and_their_derivatives_numerical_ones(code: str, alpha: float, down: float, up: float) -> None:
    def at(value: float) -> np.ndarray:
        weights = additive_weights(code, np.array([value]), np.array([value > 0]))
        return weights[:, 0, 0] * (up - 1.0) + weights[:, 1, 0] * (1.0 - down)

    values, shift = at(alpha), 1e-5
    assert values[0] == pytest.approx(pyhfs(code, down, up, alpha), rel=1e-12, abs=1e-14)
    numerical = (at(alpha + shift) - at(alpha - shift))[:2] / (2 * shift)
    np.testing.assert_allclose(values[1:], numerical, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("code", ["code1", "code4"])
@pytest.mark.parametrize("edge", [-1.0, 1.0])
def test_code4_joins_smoothly_and_code1_passes_through_the_variations(code: str, edge: float) -> None:
    factors = Factors.of(code, np.array([0.8]), np.array([1.3]))
    below, above = (factors.evaluate(np.array([a]), np.array([a > 0])) for a in (edge - 1e-9, edge + 1e-9))
    np.testing.assert_allclose(below, above, atol=1e-6)
    assert below[0, 0] == pytest.approx(1.3 if edge > 0 else 0.8, abs=1e-6)


@pytest.mark.parametrize("code", ["code0", "code1"])
def test_kinks_have_the_derivative_of_the_side_that_is_asked_for(code: str) -> None:
    zero = np.zeros(1)
    slopes = []
    for upper in (np.array([True]), np.array([False])):
        if code == "code0":
            weights = additive_weights(code, zero, upper)
            slopes.append(0.3 * weights[1, 0, 0] + 0.1 * weights[1, 1, 0])
        else:
            slopes.append(Factors.of(code, np.array([0.9]), np.array([1.3])).evaluate(zero, upper)[1, 0])
    assert slopes == pytest.approx([0.3, 0.1] if code == "code0" else [np.log(1.3), -np.log(0.9)])
