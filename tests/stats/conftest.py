"""Falling spectra that the statistics tests share."""

from __future__ import annotations

import numpy as np
import pytest

from stats import BinnedFamily, Family, dijet

SQRT_S = 13000.0
EDGES = np.linspace(2000.0, 7000.0, 51)


@pytest.fixture(scope="session")
def family() -> Family:
    return dijet(3, sqrt_s=SQRT_S)


@pytest.fixture(scope="session")
def model(family: Family) -> BinnedFamily:
    return BinnedFamily(family, EDGES)


@pytest.fixture(scope="session")
def shape(model: BinnedFamily) -> np.ndarray:
    """Expected events per bin, normalised to one."""
    expected = model.expected(np.array([0.0, 10.0, 5.0]))
    return expected / expected.sum()
