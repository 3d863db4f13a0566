"""Profile likelihood of one parameter: 2 Δ log L against its value, and its intervals."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.modelfits import ModelFits
from stats.profiling import open_fits, post_fit

logger = logging.getLogger(__name__)

LEVELS = (1.0, 4.0)  # 2 Δ log L at one and two standard deviations of a single parameter
POINTS = 31
REACH = 3.0  # errors to either side that are scanned
ROOM = 10.0  # errors above the best signal strength that its bound leaves at least
PRECISION = 1e-4  # of 2 Δ log L at the ends of the intervals
MAX_STEPS = 40

Interval = tuple[float | None, float | None]


@dataclass(frozen=True, repr=False)
class NllScan:
    """Profiled likelihood of one parameter.

    Attributes:
        parameter: its name.
        values: shape (n,), rising.
        twice_delta_nll: −2 log L with all others fitted, less its minimum, shape (n,); NaN where the fit failed.
        best, error: best value, and its error from the Hessian (None at a bound).
        intervals: where 2 Δ log L reaches 1 and 4: (low, high) each; None for an end beyond the parameter's bounds.
        failed_fits: fits that failed.
    """

    parameter: str
    values: np.ndarray
    twice_delta_nll: np.ndarray
    best: float
    error: float | None
    intervals: tuple[Interval, Interval]
    failed_fits: int

    def __repr__(self) -> str:
        """Best value and its intervals, in one line."""
        ends = [
            " to ".join("beyond bounds" if end is None else f"{end:.4g}" for end in interval)
            for interval in self.intervals
        ]
        return (
            f"NllScan of {self.parameter}: best {self.best:.4g}, 1σ {ends[0]}, 2σ {ends[1]} "
            f"({len(self.values)} points, {self.failed_fits} failed fits)"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "parameter": self.parameter,
            "values": self.values.tolist(),
            "twice_delta_nll": [float(value) if np.isfinite(value) else None for value in self.twice_delta_nll],
            "best": self.best,
            "error": self.error,
            "intervals": {f"{level:g}": list(ends) for level, ends in zip(LEVELS, self.intervals, strict=True)},
            "failed_fits": self.failed_fits,
        }


def nll_scan(
    workspace: Mapping[str, Any],
    parameter: str | None = None,
    *,
    values: Sequence[float] | np.ndarray | None = None,
    signed: bool = True,
) -> NllScan:
    """Scan the profile likelihood of a parameter of a pyhf workspace.

    The ends of the intervals are found by fits of their own, to 10⁻⁴ in 2 Δ log L, also beyond the scanned values.

    Args:
        parameter: pyhf's name of it (``name[2]`` for one of several); the parameter of interest by default.
        values: to scan; by default 31 within three errors of the best one and within bounds.
        signed: whether the signal strength may be negative (see ``stats.profiling``).

    Raises:
        StatisticsError: for unknown or fixed parameters, values outside its bounds, and when the best fit fails.
    """
    fits = open_fits(workspace, signed=signed)
    index = _index(fits, parameter)
    with fits.session():
        profile = _Profile(fits, index)
        grid = profile.default_values() if values is None else _checked(values, fits, index)
        curve = np.array([profile(value) for value in grid])
        intervals = tuple((profile.end(level, -1.0), profile.end(level, 1.0)) for level in LEVELS)
    if profile.failed:
        logger.warning("%d fits of the scan of %s failed", profile.failed, fits.names[index])
    return NllScan(
        parameter=fits.names[index],
        values=grid,
        twice_delta_nll=curve - min(profile.deepest, 0.0),
        best=profile.best,
        error=profile.error,
        intervals=(intervals[0], intervals[1]),
        failed_fits=profile.failed,
    )


class _Profile:
    """2 Δ log L of one parameter, the others fitted."""

    def __init__(self, fits: ModelFits, index: int) -> None:
        self.fits, self.index, self.failed, self.deepest = fits, index, 0, 0.0
        found = fits.fit(fits.data)
        if found is None:
            raise StatisticsError("The model could not be fitted to the data.")
        self.point, self.minimum = found
        self.best = float(self.point[index])
        after = post_fit(fits)
        self.error = after.strength_error if index == fits.poi else _error(after.nuisances, fits.names[index])
        if index == fits.poi and self.error is not None:  # its upper bound limits the search, not the answer
            fits.bounds[index, 1] = max(fits.bounds[index, 1], self.best + ROOM * self.error)
        self.low, self.high = fits.bounds[index]

    def __call__(self, value: float) -> float:
        found = self.fits.fit(self.fits.data, fixed={self.index: float(value)}, start=self.point)
        if found is None:
            self.failed += 1
            return float("nan")
        difference = found[1] - self.minimum
        self.deepest = min(self.deepest, difference)
        return difference

    def default_values(self) -> np.ndarray:
        """31 values within three errors of the best one and within bounds."""
        reach = REACH * (self.error if self.error is not None else 0.1 * (self.high - self.low))
        return np.linspace(max(self.best - reach, self.low), min(self.best + reach, self.high), POINTS)

    def end(self, level: float, sign: float) -> float | None:
        """Where the profile reaches ``level`` on one side: secants in its root, which is nearly linear."""
        bound = self.high if sign > 0 else self.low
        step = np.sqrt(level) * (self.error if self.error is not None else 0.01 * (self.high - self.low))
        near, far, root = self.best, self.best, 0.0
        while root < np.sqrt(level):
            if far == bound:
                return None
            near, near_root = far, root
            far = float(np.clip(far + sign * step, self.low, self.high))
            step *= 1.5
            root = np.sqrt(max(self(far), 0.0))
            if np.isnan(root):
                return None
        return self._between(near, near_root, far, root, np.sqrt(level))

    def _between(self, near: float, near_root: float, far: float, far_root: float, target: float) -> float | None:
        for step in range(MAX_STEPS):
            share = (target - near_root) / (far_root - near_root) if step % 3 < 2 else 0.5
            trial = near + float(np.clip(share, 0.01, 0.99)) * (far - near)
            value = self(trial)
            if np.isnan(value):
                return None
            if abs(value - target**2) < PRECISION:
                return trial
            root = np.sqrt(max(value, 0.0))
            if root < target:
                near, near_root = trial, root
            else:
                far, far_root = trial, root
        return None


def _index(fits: ModelFits, parameter: str | None) -> int:
    if parameter is None:
        return fits.poi
    if f"{parameter}[0]" in fits.names and f"{parameter}[1]" not in fits.names:
        parameter = f"{parameter}[0]"
    if parameter not in fits.names:
        raise StatisticsError(f"The workspace has no parameter {parameter!r}; it has {', '.join(fits.names)}.")
    index = fits.names.index(parameter)
    if index in fits.held:
        raise StatisticsError(f"The workspace fixes {parameter!r} at {fits.held[index]:g}: there is nothing to scan.")
    return index


def _error(nuisances: Sequence[Any], name: str) -> float | None:
    return next(nuisance.error for nuisance in nuisances if nuisance.name == name)


def _checked(values: Sequence[float] | np.ndarray, fits: ModelFits, index: int) -> np.ndarray:
    grid = np.sort(np.asarray(values, dtype=float))
    low, high = fits.bounds[index]
    if grid.ndim != 1 or not grid.size or not np.all(np.isfinite(grid)) or grid[0] < low or grid[-1] > high:
        raise StatisticsError(
            f"The values of {fits.names[index]!r} to scan must be finite and within its bounds {low:g} to {high:g}, "
            f"got {values!r}."
        )
    return grid
