"""The branches of the ROOT files, in NanoAOD's manner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from analysis.samples.events import BHadrons, Events
from analysis.samples.particles import Candidates, Floats
from analysis.samples.response import missing_momentum

# Electrons and muons of particle level that get branches of their own.
LEPTON_CODES = {"Electron": 11, "Muon": 13}
MIN_LEPTON_PT = 10.0
MAX_LEPTON_ETA = 2.5

MOMENTUM = dict.fromkeys(("pt", "eta", "phi", "mass"), "float32")
COLLECTIONS = {
    "PFCands": MOMENTUM | {"charge": "int32", "pdgId": "int32"},
    "GenBHadron": MOMENTUM,
    **dict.fromkeys(LEPTON_CODES, MOMENTUM | {"charge": "int32"}),
}
NUMBERS = {
    "run": "uint32",
    "luminosityBlock": "uint32",
    "event": "uint64",
    "MET_pt": "float32",
    "MET_phi": "float32",
    "genWeight": "float32",
    "truth": "int32",
}


def branch_types(branches: Mapping[str, Any]) -> dict[str, Any]:
    """Return the types of `branches` and of the numbers that identify events, as uproot takes them."""
    collections = {name: _jagged(fields) for name, fields in COLLECTIONS.items() if name in branches}
    return {**collections, **NUMBERS}


def branches_of(events: Events, *, truth: int) -> dict[str, Any]:
    """Return the content of the branches; leptons where the events are at particle level.

    The missing momentum of particle level is that of the neutrinos, elsewhere what the candidates lack.
    """
    candidates = events.candidates
    everything = np.ones(len(candidates.pt), bool)
    collections = {
        "PFCands": _particle_record(candidates, everything, fields=COLLECTIONS["PFCands"]),
        "GenBHadron": _hadron_record(events.b_hadrons, candidates.n_events),
    }
    if events.missing is None:
        met, met_phi = missing_momentum(candidates)
    else:
        met, met_phi = np.hypot(*events.missing.T), np.arctan2(events.missing[:, 1], events.missing[:, 0])
        for name, code in LEPTON_CODES.items():
            rows = (np.abs(candidates.code) == code) & _accepted(candidates)
            collections[name] = _particle_record(candidates, rows, fields=COLLECTIONS[name])
    return {
        **collections,
        "MET_pt": met.astype(np.float32),
        "MET_phi": met_phi.astype(np.float32),
        "genWeight": events.weight.astype(np.float32),
        "truth": np.full(candidates.n_events, truth, np.int32),
    }


def event_numbers(n_events: int, *, block: int) -> dict[str, Any]:
    """Return the branches that identify an event in NanoAOD: run 1, luminosity block `block`, events from 1."""
    return {
        "run": np.ones(n_events, np.uint32),
        "luminosityBlock": np.full(n_events, block, np.uint32),
        "event": np.arange(1, n_events + 1, dtype=np.uint64),
    }


def joined(batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the branches of all batches, one after the other."""
    return {name: ak.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _jagged(fields: Mapping[str, str]) -> Any:
    names = ", ".join(f'"{name}": {kind}' for name, kind in fields.items())
    return ak.types.from_datashape(f"var * {{{names}}}", highlevel=False)


def _accepted(candidates: Candidates) -> NDArray[np.bool_]:
    return (candidates.pt > MIN_LEPTON_PT) & (np.abs(candidates.eta) < MAX_LEPTON_ETA)


def _particle_record(candidates: Candidates, rows: NDArray[np.bool_], *, fields: Mapping[str, str]) -> ak.Array:
    mass: Floats = np.zeros(len(candidates.pt)) if candidates.mass is None else candidates.mass
    columns: dict[str, np.ndarray] = {
        "pt": candidates.pt,
        "eta": candidates.eta,
        "phi": candidates.phi,
        "mass": mass,
        "charge": candidates.charge,
        "pdgId": candidates.code,
    }
    record = ak.zip({name: columns[name][rows].astype(kind) for name, kind in fields.items()})
    return ak.unflatten(record, np.bincount(candidates.event[rows], minlength=candidates.n_events))


def _hadron_record(hadrons: BHadrons, n_events: int) -> ak.Array:
    record = ak.zip({name: getattr(hadrons, name).astype(kind) for name, kind in MOMENTUM.items()})
    return ak.unflatten(record, np.bincount(hadrons.event, minlength=n_events))
