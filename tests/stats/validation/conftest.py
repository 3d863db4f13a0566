"""Spectra for doubting a model: plenty of events, few, and a background that two parameters cannot describe."""

from __future__ import annotations

import numpy as np
import pytest

from stats import BinnedFamily, Family, Spectrum, dijet
from tests.stats.conftest import EDGES, SQRT_S


@pytest.fixture(scope="session")
def two() -> Family:
    return dijet(2, sqrt_s=SQRT_S)


@pytest.fixture(scope="session")
def curved() -> np.ndarray:
    """Expected events per bin of a three-parameter function with strong curvature, 20,000 in all."""
    expected = BinnedFamily(dijet(3, sqrt_s=SQRT_S), EDGES).expected(np.array([0.0, 25.0, 1.0]))
    return 20_000 * expected / expected.sum()


@pytest.fixture(scope="session")
def plenty(shape: np.ndarray) -> Spectrum:
    return Spectrum.from_counts(EDGES, np.random.default_rng(11).poisson(100_000 * shape))


@pytest.fixture(scope="session")
def sparse(shape: np.ndarray) -> Spectrum:
    return Spectrum.from_counts(EDGES, np.random.default_rng(12).poisson(300 * shape))
