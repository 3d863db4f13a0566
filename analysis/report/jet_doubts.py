"""What in a study of networks that find jets a reader must not trust blindly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import format_count
from analysis.report.quantities import entries, number, part

Entry = Mapping[str, Any]

DEVIATIONS = 3.0  # of an area below ½, from which jets are called less anomalous than the background


def jet_warnings(results: Entry) -> Iterator[str]:
    """Networks whose latent space says nothing of jets, and jets that scores hold for more ordinary than background."""
    for name, network in entries(results, "networks"):
        active = part(network, "facts").get("active_latent") or ()
        collapsed = sum(1 for dimensions in active if not dimensions)
        if collapsed:
            yield (
                f"{name}: the latent space of {format_count(collapsed)} of {format_count(len(active))} trainings does "
                "not depend on the jets, all of which are reconstructed as the mean one: its scores are little more "
                "than the mean square of the inputs (`mss`), and its embedding shows nothing. A smaller `beta` or more "
                "`epochs` keep jets apart."
            )
    titles = part(results, "jet_types")
    for entry in results.get("jet_tagging") or ():
        missed = [str(titles.get(jets, jets)) for jets, area in part(entry, "areas").items() if _below(area)]
        if entry.get("own") and missed:
            yield (
                f"{entry.get('network')} holds these jets for less anomalous than QCD jets (AUC below 0.5 by more than "
                f"{DEVIATIONS:g} standard deviations): {'; '.join(missed)}. A cut on its score loses them."
            )


def _below(area: Entry) -> bool:
    value, error = number(area.get("value")), number(area.get("uncertainty"))
    return value is not None and error is not None and value < 0.5 - DEVIATIONS * error
