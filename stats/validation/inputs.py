"""What the tests of a background model have in common: checked input and peaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.functions import Family
from stats.inputs import check_generator, check_number
from stats.signals import Gaussian, SignalShape, scan_templates
from stats.signals.base import check_inside
from stats.values import as_floats


def peaks(
    edges: np.ndarray, masses: np.ndarray, *, width: float, relative: bool, shape: SignalShape | None
) -> np.ndarray:
    """Templates of one event inside the spectrum, shape (n_masses, n_bins); Gaussian unless ``shape`` is given.

    Raises StatisticsError for a mass outside the spectrum or a width that is not positive.
    """
    for mass in masses:
        check_inside(edges, float(mass))
    return scan_templates(edges, masses, [Gaussian(width, relative=relative) if shape is None else shape])[0]


def checked_masses(masses: Sequence[float] | np.ndarray | float) -> np.ndarray:
    """Masses in GeV as an array; StatisticsError unless there is one, all are positive and they rise."""
    grid = np.atleast_1d(as_floats(masses, "Masses"))
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise StatisticsError(f"The masses of a test must be positive, finite and rising, got {masses!r}.")
    return grid


def checked_strengths(strengths: Sequence[float] | np.ndarray, *, least: int = 1) -> np.ndarray:
    """Injected strengths in expected errors; StatisticsError unless finite, not negative, distinct and enough."""
    values = np.atleast_1d(as_floats(strengths, "Injected strengths"))
    fine = values.ndim == 1 and np.all(np.isfinite(values)) and (values >= 0).all()
    if not fine or np.unique(values).size != values.size or values.size < least:
        raise StatisticsError(
            f"Expected at least {least} different injected strengths, finite and not negative, in units of the "
            f"expected error, got {strengths!r}."
        )
    return values


def check_toys(toys: int, rng: Any, workers: int, *, least: int) -> None:
    """StatisticsError for too few toys or threads, numbers that are not whole, or no random numbers."""
    check_number(toys, "toys", least=0)
    if toys < least:
        raise StatisticsError(f"This test needs at least {least} toys, got {toys}: a few thousand are usual.")
    check_number(workers, "workers", least=1)
    check_generator(rng)


def check_families(families: Sequence[Family], role: str) -> None:
    """StatisticsError unless there is one family at least and all have names of their own."""
    if isinstance(families, Family) or not all(isinstance(family, Family) for family in families):
        raise StatisticsError(f"The {role} families must be a sequence of background families, got {families!r:.80}.")
    names = [family.name for family in families]
    if not names or len(set(names)) < len(names):
        raise StatisticsError(f"The {role} families must be one or more with different names, got {names}.")


def or_none(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return float(value) if np.isfinite(value) else None
