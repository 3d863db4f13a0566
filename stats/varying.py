"""Limits on a signal that changes with its strength, as what a detector trained on the data selects does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError
from stats.limits import UpperLimit, circumstances

CURVES = 6  # observed, and expected at −2 to 2 standard deviations
CLOSE = 5e-4  # in CLs: as near as a limit comes to its level
ROUNDS = 12


def varying_limit(
    make: Callable[[float], Mapping[str, Any] | None],
    strengths: Sequence[float],
    *,
    level: float = 0.05,
    unit: str = "fb",
) -> UpperLimit:
    """Observed and expected CLs limits (asymptotic q̃) where every tested strength has a workspace of its own.

    The hypothesis of a strength s is mu = 1 of ``make(s)``: a signal as large, and shared among channels, as it is at
    s. Strengths are added between the given ones until CLs is within 5·10⁻⁴ of ``level``; nothing is extrapolated:
    a limit beyond the given strengths is NaN, and a note says so. Where CLs passes ``level`` more than once, the
    largest crossing counts.

    Args:
        make: a pyhf workspace whose parameter of interest is 1 for the signal of a strength; None where nothing of
            that signal would be seen, so that it cannot be excluded.
        strengths: positive and rising, two at least; the range in which the signal is known.

    Raises:
        StatisticsError: for strengths that are none, and models that cannot be fitted.
    """
    given = np.asarray(strengths, dtype=float)
    if (
        given.ndim != 1
        or given.size < 2
        or not np.isfinite(given).all()
        or (np.diff(given) <= 0).any()
        or given[0] <= 0
    ):
        raise StatisticsError(f"A limit needs two or more positive, rising strengths to test, got {list(strengths)}.")
    if not 0 < level < 1:
        raise StatisticsError(f"CLs at the limit lies between 0 and 1, got {level}.")
    tested = _Tested(make)
    for strength in given.tolist():
        tested.at(strength)
    limits = [_crossing(tested, curve, level) for curve in range(CURVES)]
    nearest = min(tested.points, key=lambda s: abs(s - limits[0])) if np.isfinite(limits[0]) else float(given[-1])
    found = tested.points[nearest]
    return UpperLimit(
        observed=limits[0],
        expected=(limits[1], limits[2], limits[3], limits[4], limits[5]),
        scan=tuple(
            (strength, float(np.exp(point.log_cls[0])), tuple(np.exp(point.log_cls[1:]).tolist()))
            for strength, point in sorted(tested.points.items())
        ),
        level=level,
        best_fit=found.best * nearest,
        local_p0=found.p0,
        failed_fits=tested.failed_fits,
        unit=unit,
        scan_unit=unit,
        **{**found.circumstances, "notes": (*found.circumstances.get("notes", ()), *_notes(limits, given, unit))},
    )


@dataclass(frozen=True)
class _Point:
    """What the test of one strength gave; that of a signal which is not seen excludes nothing."""

    log_cls: np.ndarray = field(default_factory=lambda: np.zeros(CURVES))
    best: float = 0.0
    p0: float = 0.5
    circumstances: dict[str, Any] = field(default_factory=dict)


class _Tested:
    """CLs of mu = 1 at every strength asked for."""

    def __init__(self, make: Callable[[float], Mapping[str, Any] | None]) -> None:
        self._make = make
        self.points: dict[float, _Point] = {}
        self.failed_fits = 0

    def at(self, strength: float) -> np.ndarray:
        """Six log CLs; StatisticsError where the fits of a strength fail."""
        from stats.asymptotics import AsymptoticTest, open_workspace
        from stats.minimiser import pyhf_session

        if strength not in self.points:
            workspace = self._make(strength)
            if workspace is None:
                self.points[strength] = _Point()
                return self.points[strength].log_cls
            with pyhf_session():
                test = AsymptoticTest(*open_workspace(workspace))
                values = test.log_cls(1.0)
            self.failed_fits += test.failed_fits
            if values is None:
                raise StatisticsError(f"The fits at a signal strength of {strength:g} fail: no limit.")
            facts = circumstances(workspace, background=test.expected_background, events=test.observed_events)
            p0 = float(ndtr(-np.sqrt(test.discovery_q0)))
            self.points[strength] = _Point(values, test.best, p0, facts)
        return self.points[strength].log_cls


def _crossing(tested: _Tested, curve: int, level: float) -> float:
    """The largest strength at which one curve passes ``level``, NaN where none of the tested ones brackets it."""
    target = np.sqrt(-np.log(level))
    for _ in range(ROUNDS):
        points = [(s, float(np.sqrt(max(-p.log_cls[curve], 0.0)))) for s, p in sorted(tested.points.items())]
        below = [index for index, (_, value) in enumerate(points) if value < target]
        if not below or below[-1] == len(points) - 1:
            return float("nan")
        (low, first), (high, second) = points[below[-1]], points[below[-1] + 1]
        strength = low + (target - first) / (second - first) * (high - low)
        if abs(np.exp(tested.at(strength)[curve]) - level) < CLOSE:
            return float(strength)
    return float(strength)


def _notes(limits: list[float], given: np.ndarray, unit: str) -> tuple[str, ...]:
    names = ("observed", *(f"expected at {sigma:+d}σ" for sigma in range(-2, 3)))
    lost = [name for name, limit in zip(names, limits, strict=True) if not np.isfinite(limit)]
    if not lost:
        return ()
    return (
        f"The limits {', '.join(lost)} lie outside {given[0]:.3g} to {given[-1]:.3g} {unit}, "
        "where the signal is known.",
    )
