"""Estimates from two scores that are not independent: what a report warns of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import format_percent, format_uncertain
from analysis.report.quantities import entries, number, part

Entry = Mapping[str, Any]


def abcd_warnings(results: Entry) -> Iterator[str]:
    """One sentence for each pair of scores that the background contradicts, and for each score with many ties."""
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
    yield from _ties(results)


def _ties(results: Entry) -> Iterator[str]:
    """One sentence for each score whose equal values make a selection keep more or less than it is named after."""
    tied: dict[tuple[str, str, str], list[str]] = {}
    for selection, entry in entries(results, "selections"):
        estimate = part(entry, "abcd")
        for which, tail in zip(("first", "second"), estimate.get("tails") or (), strict=False):
            if tail.get("tied"):
                name = str(estimate.get("name", selection)), str(entry.get("mixture", ""))
                actual, nominal = number(tail.get("fraction")), number(estimate.get("tail"))
                kept = f"{format_percent(actual)} in place of {format_percent(nominal)} ({_efficiency(entry)})"
                tied.setdefault((*name, str(estimate.get(which, which))), []).append(kept)
    for (named, sample, score), cuts in tied.items():
        yield (
            f"ABCD estimate {named}{f' of {sample}' if sample else ''}: events of equal {score} stay together, so that "
            f"the cut on it keeps {', '.join(cuts)}. Efficiencies of these selections are nominal."
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
