"""Checks of what callers hand in: something else than asked for is an error in plain words, not an AttributeError."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.spectrum import Spectrum


def check_spectrum(spectrum: Any) -> None:
    """StatisticsError for anything but a ``Spectrum``."""
    if not isinstance(spectrum, Spectrum):
        raise StatisticsError(
            f"Expected a Spectrum, got {_kind(spectrum)}: make one by Spectrum.from_counts(edges, counts), "
            "from_masses or from_hist."
        )


def check_number(value: Any, name: str, *, least: int) -> None:
    """StatisticsError unless ``value`` is a whole number of at least ``least`` (0 or 1)."""
    try:
        whole = not isinstance(value, bool) and operator.index(value) >= least
    except TypeError:
        whole = False
    if not whole:
        wanted = "a positive whole number" if least else "a whole number and must not be negative"
        raise StatisticsError(f"The number of {name} is {wanted}, got {value!r}.")


def check_generator(rng: Any) -> None:
    """StatisticsError for anything but a ``numpy.random.Generator``."""
    if not isinstance(rng, np.random.Generator):
        raise StatisticsError(f"Toys need random numbers, got {_kind(rng)}: pass rng=numpy.random.default_rng(seed).")


def _kind(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.60}"
