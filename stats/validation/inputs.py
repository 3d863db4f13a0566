"""What the tests of a background model have in common: checked input, peaks, and toys in blocks on threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from stats.errors import StatisticsError
from stats.fits import CELLS
from stats.functions import Family
from stats.signals import Gaussian, SignalShape, scan_templates
from stats.signals.base import check_inside

Job = TypeVar("Job")
Result = TypeVar("Result")


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
    grid = np.atleast_1d(np.asarray(masses, dtype=float))
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)) or grid[0] <= 0 or (np.diff(grid) <= 0).any():
        raise StatisticsError(f"The masses of a test must be positive, finite and rising, got {masses!r}.")
    return grid


def checked_strengths(strengths: Sequence[float] | np.ndarray, *, least: int = 1) -> np.ndarray:
    """Injected strengths in expected errors; StatisticsError unless finite, not negative, distinct and enough."""
    values = np.atleast_1d(np.asarray(strengths, dtype=float))
    fine = values.ndim == 1 and np.all(np.isfinite(values)) and (values >= 0).all()
    if not fine or np.unique(values).size != values.size or values.size < least:
        raise StatisticsError(
            f"Expected at least {least} different injected strengths, finite and not negative, in units of the "
            f"expected error, got {strengths!r}."
        )
    return values


def check_toys(toys: int, rng: Any, *, least: int) -> None:
    """StatisticsError for too few toys or no random numbers."""
    if toys < least:
        raise StatisticsError(f"This test needs at least {least} toys, got {toys}: a few thousand are usual.")
    if not isinstance(rng, np.random.Generator):
        raise StatisticsError("Toys need random numbers: pass rng=numpy.random.default_rng(seed).")


def check_families(families: Sequence[Family], role: str) -> None:
    """StatisticsError unless there is one family at least and all have names of their own."""
    names = [family.name for family in families]
    if not names or len(set(names)) < len(names):
        raise StatisticsError(f"The {role} families must be one or more with different names, got {names}.")


def block_sizes(toys: int, n_bins: int) -> list[int]:
    """Numbers of toys per block: what stays in a core's cache, whatever the number of workers."""
    size = max(CELLS // n_bins, 1)
    return [min(size, toys - first) for first in range(0, toys, size)]


def on_threads(work: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> list[Result]:
    """``work`` of every job, in the order of the jobs."""
    with ThreadPoolExecutor(max_workers=max(workers, 1)) as pool:
        return list(pool.map(work, jobs))


def or_none(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return float(value) if np.isfinite(value) else None
