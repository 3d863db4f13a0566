"""Limits in selected events as limits on a cross section, for an efficiency that depends on the signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from stats.efficiency import CrossSection, InjectedEfficiency
from stats.errors import StatisticsError
from stats.limits import SELECTED

STEEP = 2.0  # ratio of two neighbouring efficiencies above which what lies between them is a guess
NAMES = ("observed", *(f"expected at {sigma:+d} sigma" for sigma in range(-2, 3)))

Limit = TypeVar("Limit")


@dataclass(frozen=True)
class CrossSections:
    """Numbers of selected events as cross sections.

    Attributes:
        found: one per number.
        notes: what a reader has to know of them.
    """

    found: tuple[CrossSection, ...]
    notes: tuple[str, ...]

    @property
    def values(self) -> tuple[float, ...]:
        """fb; NaN outside the cross sections that were injected."""
        return tuple(one.value for one in self.found)


def cross_sections(
    events: Sequence[float], efficiency: InjectedEfficiency, *, luminosity: float, names: Sequence[str] = NAMES
) -> CrossSections:
    """The largest cross section that selects as many events as each limit.

    Args:
        events: limits in selected events; NaN stays NaN, with the status "unknown".
        luminosity: fb⁻¹.
        names: of the limits in ``notes``, as many or more.

    Raises:
        StatisticsError: for numbers of events that are negative or infinite.
    """
    found = tuple(_solved(efficiency, float(n), luminosity) for n in events)
    notes, steep = [], dict[str, list[str]]()
    for name, one in zip(names, found, strict=False):
        if one.status == "unknown":
            continue  # the limit's own notes say why
        if one.status != "inside":
            edge = one.tested[0] if one.status == "below" else one.tested[1]
            notes.append(f"The limit {name} lies {one.status} {edge:g} fb, where no signal was injected.")
            continue
        if one.ambiguous:
            notes.append(f"Several cross sections select as many events as the limit {name}: the largest is given.")
        if what := _step(efficiency, one.value):
            steep.setdefault(what, []).append(name)
    notes += [
        f"{what}, where these limits lie: {', '.join(which)}. Inject more in between." for what, which in steep.items()
    ]
    return CrossSections(found, tuple(notes))


def _solved(efficiency: InjectedEfficiency, events: float, luminosity: float) -> CrossSection:
    if not np.isnan(events):
        return efficiency.cross_section(events, luminosity=luminosity)
    nan, tested = float("nan"), (float(efficiency.injected[0]), float(efficiency.injected[-1]))
    return CrossSection(nan, nan, nan, "unknown", False, tested)


def in_fb(limit: Limit, efficiency: InjectedEfficiency, *, luminosity: float) -> Limit:
    """A limit in selected events as one on the cross section, for an efficiency that depends on the signal.

    Every limit is turned into the largest cross section that would select as many events. Outside the cross sections
    that were injected there is no answer: the number is NaN (None in ``to_dict``) and ``notes`` say so. What the
    efficiency's error makes of the observed limit is its ``efficiency_interval``. That error is no nuisance parameter
    here: give the workspace a ``Normalisation`` of its size at the limit (``InjectedEfficiency.relative_error``).

    Args:
        limit: an ``UpperLimit``, a ``ToyLimit``, or any dataclass with ``observed``, ``expected``, ``unit`` and
            ``notes``; statistical errors (``observed_error``, ``expected_errors``) and an ``asymptotic`` limit in it
            are turned, too.
        luminosity: fb⁻¹.

    Raises:
        StatisticsError: for a limit that is not in selected events.
    """
    one: Any = limit
    known = {field.name for field in fields(one)}
    if not {"observed", "expected", "unit", "notes"} <= known:
        raise StatisticsError(
            f"A {type(one).__name__} has no unit or notes to say what it is in: turn its limits with `cross_sections`."
        )
    if one.unit != SELECTED:
        raise StatisticsError(
            f"Only limits in {SELECTED} can be turned into cross sections; this one is in {one.unit}."
        )
    made = cross_sections([one.observed, *(one.expected or ())], efficiency, luminosity=luminosity)
    first = made.found[0]
    changes: dict[str, Any] = {
        "observed": first.value,
        "expected": None if one.expected is None else made.values[1:],
        "unit": "fb",
        "scan_unit": SELECTED,
        "efficiency_interval": (first.low, first.high),
        "notes": (*one.notes, *made.notes, *_open_end(first), *_left(known)),
    }
    if "observed_error" in known:
        changes["observed_error"] = _error(efficiency, one.observed, one.observed_error, luminosity)
    if getattr(one, "expected_errors", None) is not None:
        pairs = zip(one.expected, one.expected_errors, strict=True)
        changes["expected_errors"] = tuple(_error(efficiency, n, error, luminosity) for n, error in pairs)
    if getattr(one, "asymptotic", None) is not None:
        changes["asymptotic"] = in_fb(one.asymptotic, efficiency, luminosity=luminosity)
    return replace(one, **{name: value for name, value in changes.items() if name in known})


def _left(known: set[str]) -> tuple[str, ...]:
    """Say what stays in events where the limit has no field for it."""
    if "scan" not in known or "scan_unit" in known:
        return ()
    return (f"The best fit and the scan are in {SELECTED}.",)


def _step(efficiency: InjectedEfficiency, cross_section: float) -> str:
    (low, first), (high, second) = efficiency.neighbours(cross_section)
    if max(first, second) <= STEEP * min(first, second):
        return ""
    return f"The efficiency goes from {first:.3g} at {low:g} fb to {second:.3g} at {high:g} fb"


def _open_end(observed: CrossSection) -> tuple[str, ...]:
    sides = {"up": observed.low, "down": observed.high}
    lost = [side for side, value in sides.items() if np.isnan(value)]
    if observed.status != "inside" or not lost:
        return ()
    return (
        f"With the efficiency one standard deviation {' or '.join(lost)} the observed limit lies outside the cross "
        "sections that were injected.",
    )


def _error(efficiency: InjectedEfficiency, events: float, error: float, luminosity: float) -> float:
    """Half of what a limit in events moved by its error up and down moves the cross section; NaN where unknown."""
    if not np.isfinite([events, error]).all():
        return float("nan")
    ends = [efficiency.cross_section(max(events + e, 0.0), luminosity=luminosity).value for e in (error, -error)]
    return abs(0.5 * (ends[0] - ends[1]))
