"""What the report's first paragraph says of networks that find jets without knowing what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import format_number, format_percent
from analysis.report.quantities import Quantity, number, part

Entry = Mapping[str, Any]


def jet_tagging_sentences(results: Entry) -> list[str]:
    """Return what the first network finds, and which one depends least on the jet mass for what it costs."""
    own = [entry for entry in results.get("jet_tagging") or () if entry.get("own")]
    name = f" “{results['search']}”" if results.get("search") else ""
    sentences = [f"The search{name} looked for jets that are not QCD, with networks that were trained on QCD jets."]
    titles = part(results, "jet_types")
    if own:
        areas = part(own[0], "areas")
        ranked = sorted(areas, key=lambda jets: number(part(areas, jets).get("value")) or 0.0)
        sentences.append(
            f"{own[0]['network']} finds them with areas under the ROC curve from "
            f"{Quantity.read(areas[ranked[0]])} ({titles.get(ranked[0], ranked[0])}) to "
            f"{Quantity.read(areas[ranked[-1]])} ({titles.get(ranked[-1], ranked[-1])})."
        )
    best = max(
        (one for one in results.get("jet_decorrelated") or () if not _labelled(own, one)),
        key=lambda one: (number(one.get("reduction")) or 0.0) * (number(one.get("kept")) or 0.0),
        default=None,
    )
    if best is not None and number(best.get("reduction")) is not None:
        sentences.append(
            f"Among those made independent of the jet mass, {best['network']} has the largest product of 1/JSD "
            "and ε_S: at "
            f"{format_percent(number(best.get('efficiency')))} of the background its mass spectrum changes "
            f"{format_number(number(best['reduction']))} times less than with {best['plain']} (Jensen–Shannon "
            f"divergence), with {format_number(number(best.get('kept')))} times its efficiency for "
            f"{titles.get(best['jets'], best['jets'])} jets."
        )
    return sentences


def _labelled(own: list[Entry], compared: Entry) -> bool:
    return any(entry.get("uses_labels") for entry in own if entry.get("network") == compared.get("network"))
