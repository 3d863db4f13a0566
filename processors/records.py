"""Momentum records of events, and the checks they must pass before physics is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from coffea.nanoevents.methods import base, vector

from processors.errors import InputError

_BEHAVIOR = {**base.behavior, **vector.behavior}


def momenta(fields: Mapping[str, ak.Array]) -> ak.Array:
    """Ragged record of four-momenta with coffea's Lorentz-vector methods, from ``pt eta phi mass`` (GeV) and more.

    Any further fields (charge, tau1, …) are carried along.
    """
    return ak.zip(dict(fields), depth_limit=2, with_name="PtEtaPhiMLorentzVector", behavior=_BEHAVIOR)


def event_record(fields: Mapping[str, ak.Array], *, metadata: Mapping[str, Any], n_events: int) -> ak.Array:
    """One record per event, with ``.metadata`` as coffea's NanoEvents have it; ``n_events`` holds with no fields."""
    contents = [ak.to_layout(array) for array in fields.values()]
    layout = ak.contents.RecordArray(
        contents,
        list(fields),
        length=n_events,
        parameters={"__record__": "NanoEvents", "metadata": dict(metadata)},
    )
    return ak.Array(layout, behavior=_BEHAVIOR)


def describe_entry(metadata: Mapping[str, Any], index: int) -> str:
    """Words that find one event again: its entry in its file."""
    return f"entry {int(metadata['entrystart']) + int(index)} of {metadata['filename']}"


def check_momenta(collection: ak.Array, name: str, *, metadata: Mapping[str, Any]) -> None:
    """Raise InputError, naming the first event, where a pT is negative or any of pt, eta, phi, mass is not finite."""
    counts = np.asarray(ak.num(collection, axis=1))
    for field in ("pt", "eta", "phi", "mass"):
        values = np.asarray(ak.flatten(collection[field], axis=1))
        bad = ~np.isfinite(values)
        if field == "pt":
            bad |= values < 0
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            event = int(np.searchsorted(np.cumsum(counts), first, side="right"))
            raise InputError(
                f"{name} of {describe_entry(metadata, event)} has {field} = {values[first]}, where a finite"
                f"{' and non-negative' if field == 'pt' else ''} number is expected ({int(bad.sum())} such "
                f"{'value' if bad.sum() == 1 else 'values'} in this chunk). The file is damaged or not what its "
                "format says: make it again, or leave it out."
            )


def check_weights(weight: np.ndarray, *, metadata: Mapping[str, Any]) -> None:
    """Raise InputError, naming the first event, where an event weight is not finite."""
    bad = np.flatnonzero(~np.isfinite(weight))
    if len(bad):
        raise InputError(
            f"the weight of {describe_entry(metadata, int(bad[0]))} is {weight[bad[0]]}, not a finite number. "
            "The file is damaged: make it again, or leave it out."
        )


def check_missing_energy(missing: ak.Array, *, metadata: Mapping[str, Any]) -> None:
    """Raise InputError, naming the first event, where the missing energy is negative or not finite, or its φ is not."""
    for field in ("pt", "phi"):
        values = np.asarray(missing[field])
        bad = ~np.isfinite(values)
        if field == "pt":
            bad |= values < 0
        if bad.any():
            first = int(np.argmax(bad))
            raise InputError(
                f"MET_{field} of {describe_entry(metadata, first)} is {values[first]}, where a finite"
                f"{' and non-negative' if field == 'pt' else ''} number is expected. The file is damaged: make it "
                "again, or leave it out."
            )
