"""Arrays and numbers as callers give them, turned into floats or refused."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from stats.errors import StatisticsError


def as_floats(values: Any, what: str) -> np.ndarray:
    """A copy of ``values`` as an array of floats; StatisticsError, which calls them ``what``, where they are none."""
    try:
        return np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise StatisticsError(f"{what} must be an array of numbers: {error}.") from error


def positive(value: Any, what: str) -> float:
    """``value`` as a float; StatisticsError, which calls it ``what``, unless it is one finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < np.inf:
        raise StatisticsError(f"{what}, got {value!r}.")
    return float(value)
