"""What stands in results.json, read without assuming that it is there."""

from __future__ import annotations

import math
import numbers
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.numbers import (
    NONE,
    format_confidence,
    format_count,
    format_number,
    format_p_interval,
    format_p_value,
    format_uncertain,
    format_z,
    is_bound,
)


@dataclass(frozen=True)
class Quantity:
    """A measured number: value, uncertainty and the count it rests on, each None where unknown."""

    value: float | None = None
    uncertainty: float | None = None
    n: float | None = None

    @classmethod
    def read(cls, entry: Any) -> Quantity:
        """Read a plain number or a `{"value", "uncertainty", "n"}` mapping; anything else is an unknown number."""
        if isinstance(entry, Mapping):
            return cls(number(entry.get("value")), number(entry.get("uncertainty")), number(entry.get("n")))
        return cls(number(entry))

    def __str__(self) -> str:
        return format_uncertain(self.value, self.uncertainty)

    @property
    def with_count(self) -> str:
        """Value, uncertainty and the count in brackets."""
        return f"{self} (n = {format_count(self.n)})" if self.n is not None else str(self)


def number(entry: Any) -> float | None:
    """A float where `entry` is a finite number, else None; a boolean is no number."""
    if isinstance(entry, bool) or not isinstance(entry, numbers.Real):
        return None
    return float(entry) if math.isfinite(entry) else None


def part(results: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The mapping at nested keys, empty where any of them is missing, null or no mapping."""
    found: Any = results
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def entries(results: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The named mappings in one part of the results."""
    return ((str(name), entry) for name, entry in part(results, key).items() if isinstance(entry, Mapping))


def limits(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of `limits`, ordered by selection and mass."""
    found = [entry for entry in results.get("limits") or () if isinstance(entry, Mapping)]
    return sorted(
        found, key=lambda e: (str(e.get("selection", "")), str(e.get("unit", "")), number(e.get("mass")) or 0.0)
    )


def confidences(results: Mapping[str, Any]) -> list[str]:
    """The confidence levels of the limits, "95%" where none of them says."""
    levels = {level for entry in limits(results) if (level := number(entry.get("level"))) is not None}
    return [format_confidence(level) for level in sorted(levels or {0.05})]


def uses_labels(results: Mapping[str, Any], selection: Mapping[str, Any]) -> bool:
    """Tell whether a selection was made by a detector trained with truth labels.

    Where a search looks into several samples, its detectors are listed as "<detector> on <sample>".
    """
    detector = selection.get("detector")
    if detector is None:
        return False
    return any(
        bool(entry.get("uses_labels"))
        for name, entry in entries(results, "detectors")
        if name == str(detector) or name.startswith(f"{detector} on ")
    )


def global_p_text(hunt: Mapping[str, Any], key: str = "global_p") -> str:
    """The global p-value with its interval; a bound alone where no toy reached the data.

    The bound is (S + 1)/(N + 1) with S = 0, which lies inside the interval of S/N: both together would contradict.
    """
    p = part(hunt, key)
    value, low, high = (number(p.get(key)) for key in ("value", "low", "high"))
    if is_bound(p):
        return f"< {format_p_value(value)}"
    return format_p_interval(value, low, high)


def global_z_text(hunt: Mapping[str, Any]) -> str:
    """The global significance, as a bound where the p-value is one."""
    text = format_z(number(hunt.get("global_z")))
    return f"> {text}" if text != NONE and is_bound(part(hunt, "global_p")) else text


def z_of(p: float | None) -> float | None:
    """One-sided significance of a p-value, None where it has no finite one."""
    return -statistics.NormalDist().inv_cdf(p) if p is not None and 0 < p < 1 else None


def scalar_text(value: Any) -> str:
    """Any plain value as the cell of a table."""
    if isinstance(value, Mapping) and "value" in value:
        return Quantity.read(value).with_count
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return format_count(int(value))
    if isinstance(value, numbers.Real):
        return format_number(float(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(scalar_text(item) for item in value)
    return str(value)
