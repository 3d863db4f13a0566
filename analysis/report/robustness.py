"""What the report's first paragraph says of networks that must not tell classes of their background apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import format_number, format_percent
from analysis.report.quantities import Quantity, number, part

Entry = Mapping[str, Any]


def robustness_sentence(results: Entry) -> str:
    """Return which network depends least on the class of the background, what it costs, and what it can exclude."""
    found = [e for e in results.get("robustness") or () if not e.get("contamination")]
    best = min(
        (e for e in found if e.get("tested_with") == e.get("trained_with") and e.get("signal") == found[0]["signal"]),
        key=lambda e: (bool(e.get("uses_labels")), number(part(e, "difference").get("value")) or 0.0),
        default=None,
    )
    name = f" “{results['search']}”" if results.get("search") else ""
    text = f"The search{name} compared networks on a background of several classes."
    if best is None:
        return text
    own = best.get("network"), best.get("tested_with"), best.get("signal")
    text += (
        f" {own[0]} finds {own[2]} with an AUC of {Quantity.read(best.get('overall'))}, which differs by "
        f"{Quantity.read(best.get('difference'))} between the classes of the smearing {own[1]}"
    )
    beside = next(
        (
            e
            for e in results.get("robustness_compared") or ()
            if (e.get("network"), e.get("smearing"), e.get("signal")) == own
        ),
        None,
    )
    reduction = None if beside is None else number(part(beside, "reduction").get("value"))
    if beside is not None and reduction is not None:
        text += (
            f": {format_number(reduction)} times less than {beside['plain']}, of whose AUC − 0.5 it "
            f"keeps {format_percent(number(part(beside, 'kept').get('value')))}"
        )
    return f"{text}."

