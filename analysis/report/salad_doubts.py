"""What in the correction of a simulation, and in what it predicts, a reader must not trust blindly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.report.quantities import number, part

Entry = Mapping[str, Any]

FAR = 3.0  # standard deviations at which a disagreement is told
CLOSED = 0.01  # AUC this close to 0.5 is closure, however well it is measured
FEW_EVENTS = 10.0  # effective simulated events below which a prediction is told to rest on few


def salad_warnings(results: Entry) -> Iterator[str]:
    """Corrections that do not close, predictions that the validation bands contradict or that rest on few events."""
    for sample, detectors in part(results, "reweighting").items():
        for detector, entry in detectors.items():
            yield from _no_closure(f"{detector} on {sample}", entry)
    for sample, detectors in part(results, "direct_background").items():
        for detector, entries in detectors.items():
            yield from _predictions(f"{detector} on {sample}", entries)


def _no_closure(name: str, entry: Entry) -> Iterator[str]:
    for region in ("sidebands", "window"):
        areas = part(part(entry, region), "closure")
        # a signal in the window is no fault of the correction
        found = areas.get("after, background of the data alone") or areas.get("after") or {}
        area, error = number(found.get("value")), number(found.get("uncertainty"))
        if area is not None and error and abs(area - 0.5) > max(CLOSED, FAR * error):
            yield (
                f"Correction of {name}: a fresh classifier still tells data from the corrected simulation in the "
                f"{region} (AUC {area:.3f} ± {error:.3f}): train the reweighting longer, with more members or events, "
                "or on other features."
            )


def _predictions(name: str, entries: list[Entry]) -> Iterator[str]:
    contradicted, few = [], []
    for entry in entries:
        share = f"{100 * float(entry['efficiency']):g}%"
        pull = _validation_pull(entry)
        if pull is not None and abs(pull) > FAR:
            observed, predicted = entry["validation_observed"], entry["validation_predicted"]
            contradicted.append(f"{share} ({observed:.0f} observed, {predicted:.1f} predicted, {pull:+.1f}σ)")
        if (effective := number(entry.get("effective_events"))) is not None and effective < FEW_EVENTS:
            few.append(f"{share} ({effective:.1f})")
    if contradicted:
        yield (
            f"Predicted background of {name}: the validation bands disagree at {', '.join(contradicted)} of the data. "
            "Signal that reaches into the bands does that, or a correction that is wrong; the uncertainty covers it."
        )
    if few:
        many = f"{FEW_EVENTS:g} effective simulated events"
        yield f"Predicted background of {name} at {', '.join(few)}: fewer than {many}."


def _validation_pull(entry: Entry) -> float | None:
    """How many of its statistical errors the bands' observed over predicted is from 1; None where it is within one."""
    closure, predicted = number(entry.get("closure")), number(entry.get("predicted"))
    observed, expected = number(entry.get("validation_observed")), number(entry.get("validation_predicted"))
    if not closure or not predicted or observed is None or not expected:
        return None
    off = observed / expected - 1
    variance = off**2 - (closure / predicted) ** 2  # closure is what is beyond the statistics
    return float(off / np.sqrt(variance)) if variance > 0 else None
