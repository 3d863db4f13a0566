"""Estimates from two scores that are not independent: what a report warns of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import format_percent, format_uncertain
from analysis.report.quantities import entries, number, part

Entry = Mapping[str, Any]


def abcd_warnings(results: Entry) -> Iterator[str]:
    """One sentence for each pair of scores in a sample whose background contradicts the estimate: what was tested."""
    found: dict[tuple[str, str], list[tuple[Entry, Entry]]] = {}
    for selection, entry in entries(results, "selections"):
        tested = part(entry, "abcd", "independence")
        if tested.get("doubtful"):
            pair = str(entry.get("mixture", "")), str(part(entry, "abcd").get("name", selection))
            found.setdefault(pair, []).append((entry, tested))
    for (sample, name), group in found.items():
        beside = [tested for _, tested in group if number(tested.get("left_out")) is not None]
        yield (
            f"ABCD estimate {name}{f' of {sample}' if sample else ''}: the two scores are not independent in "
            f"background, so the estimate is not to be trusted. {_validation(beside) if beside else _truth(group)}."
        )


def _truth(group: list[tuple[Entry, Entry]]) -> str:
    ratios = ", ".join(f"{_ratio(tested)} ({_efficiency(entry)})" for entry, tested in group)
    return f"Made from background alone, predicted over true background is {ratios}"


def _validation(tested: list[Entry]) -> str:
    """The worst region: those of tight selections are the same, and without a selection of their own."""
    worst = max(tested, key=lambda one: number(one.get("beyond")) or 0.0)
    return (
        f"In a validation region without the {format_percent(number(worst.get('left_out')))} highest values of either "
        f"score, where signal would be, predicted over observed is {_ratio(worst)}"
    )


def _ratio(tested: Entry) -> str:
    return format_uncertain(number(tested.get("ratio")), number(tested.get("ratio_error")))


def _efficiency(entry: Entry) -> str:
    return f"efficiency {format_percent(number(entry.get('efficiency')))}"
