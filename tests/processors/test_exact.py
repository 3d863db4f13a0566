"""Exact sums against math.fsum, for any order and partition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.exact import exact_sum, exact_sums, to_float, to_floats

finite = st.floats(min_value=-1e300, max_value=1e300, allow_nan=False, allow_infinity=False)


@given(st.lists(finite, max_size=50), st.integers(0, 50))
def test_any_partition_gives_the_correctly_rounded_sum(values: list[float], cut: int) -> None:
    assert to_float(exact_sum(values[:cut]) + exact_sum(values[cut:])) == math.fsum(values)


@pytest.mark.parametrize("values", [[5e-324], [2.2e-308, 5e-324], [1e16, 1.0, -1e16], [0.1] * 10, []])
def test_extreme_values(values: list[float]) -> None:
    assert to_float(exact_sum(values)) == math.fsum(values)


def test_sums_per_bin() -> None:
    rng = np.random.default_rng(3)
    values, bins = rng.normal(size=1000) * 10.0 ** rng.integers(-8, 8, 1000), rng.integers(0, 7, 1000)
    expected = [math.fsum(values[bins == i]) for i in range(8)]
    assert to_floats(exact_sums(values, bins, 8)).tolist() == expected
