"""What the report's first paragraph says of a search without a bump hunt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import format_percent, format_uncertain, format_window
from analysis.report.quantities import Quantity, entries, number, part

Entry = Mapping[str, Any]


def without_hunt(results: Entry) -> Iterator[str]:
    """Yield why there is no significance, then what the mixtures hold and how well they are told apart."""
    if "selections" not in results:
        yield "No bump hunt has been made yet."
        return
    if any("bump_hunt" in entry for _, entry in entries(results, "selections")):
        yield "The bump hunt found no result."
        return
    yield "This search has no bump hunt."
    mixtures = [
        f"{_content(name, mixture)}{_best_area(results, name)}" for name, mixture in entries(results, "mixtures")
    ]
    if mixtures:
        yield f"{'; '.join(mixtures)}."


def _content(name: str, mixture: Entry) -> str:
    if not number(mixture.get("n_signal")):
        return f"“{name}” holds no injected signal"
    inside = ""
    if number(mixture.get("s_over_b_window")) is not None:
        inside = f" (S/B = {Quantity.read(mixture['s_over_b_window'])} in {format_window(mixture.get('window'))})"
    return f"“{name}” holds {format_percent(number(mixture.get('fraction')))} signal{inside}"


def _best_area(results: Entry, sample: str) -> str:
    """The largest AUC on a mixture by a detector that saw no truth label, empty where the truth is not known."""
    found = [
        (area, number(part(entry, "auc").get("uncertainty")), number(part(entry, "auc").get("spread")), name)
        for name, entry in entries(results, "detectors")
        if entry.get("sample") == sample and not entry.get("uses_labels")
        if (area := number(part(entry, "auc").get("value"))) is not None
    ]
    if not found:
        return ""
    area, error, spread, name = max(found, key=lambda one: one[0])
    named = name.removesuffix(f" on {sample}")
    text = format_uncertain(area, error, spread=spread)
    return f", where the best detector without labels, {named}, has an AUC of {text}"
