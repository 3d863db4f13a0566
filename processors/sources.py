"""One event record for every source: generated samples, CMS NanoAOD and PFNano, Delphes, LHC Olympics HDF5."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import awkward as ak
import numpy as np

from processors.errors import InputError
from processors.records import check_weights, event_record, momenta

# Names under which formats keep the same thing, the preferred one first.
_CANDIDATES = ("PFCands", "PFCand", "ScoutingPFCandidate", "ScoutingParticle")
_FAT_JETS = ("FatJet", "ScoutingFatJet", "JetPUPPIAK8", "JetAK8")
_MISSING_ENERGY = ("MET", "PuppiMET", "PFMET", "MissingET", "ScoutingMET")
# Delphes's energy flow is exclusive: a charged particle is a track only, its calorimeter deposit is taken out
_DELPHES_CANDIDATES = ("EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron")
COLLECTIONS = ("PFCands", "FatJet", "MET", "Electron", "Muon", "GenBHadron")


def standardise(events: ak.Array, *, collections: Collection[str] = COLLECTIONS) -> ak.Array:
    """The common event record of a chunk of events, whatever file it came from.

    ``events`` are NanoEvents of one of the schemas of :mod:`processors.schemas`, or a chunk of ``HDF5Runner``.
    Of the ``collections`` (default: all) those the file has become fields, momenta in GeV as float64:

    - ``PFCands`` and ``FatJet``, ``Electron``, ``Muon``, ``GenBHadron``: ragged Lorentz vectors (pt, eta, phi, mass).
      ``PFCands`` keep charge, pdgId and puppiWeight where given, ``Electron`` and ``Muon`` charge; ``FatJet`` keeps
      tau1, tau2, tau3, n_constituents and rawFactor where given;
      Take these as ``jets["tau2"]``: ``jets.tau2`` is a Lorentz vector's squared proper time;
    - ``MET``: pt and phi;
    - ``weight``: the generator weight, or 1 where there is none; ``truth``: 1 signal, 0 background, -1 unknown.

    Raises InputError where a weight is not finite.
    """
    found = {}
    for name in COLLECTIONS:
        if name in collections and (array := _BUILDERS[name](events)) is not None:
            found[name] = array
    weight = _weight(events)
    check_weights(weight, metadata=events.metadata)
    found["weight"], found["truth"] = ak.Array(weight), ak.Array(_truth(events))
    return event_record(found, metadata=events.metadata, n_events=len(events))


def require(events: ak.Array, name: str, *, source: ak.Array | None = None) -> ak.Array:
    """The collection ``name`` of a standard record; InputError, listing what there is, where it is missing."""
    if name in events.fields:
        return events[name]
    given = events if source is None else source
    available = ", ".join(sorted(n for n in given.fields if {"pt", "eta"} <= set(given[n].fields))) or "none"
    branches = {"PFCands": _CANDIDATES + _DELPHES_CANDIDATES, "FatJet": _FAT_JETS, "MET": _MISSING_ENERGY}
    wanted, advice = branches.get(name, (name,)), "Use a file that has it"
    if name in ("PFCands", "FatJet"):
        advice = "Choose another jet source (PFCands or FatJet)"
    raise InputError(
        f"{events.metadata['filename']} has no {name}: none of the branches {', '.join(wanted)} is in it. "
        f"Its collections of momenta: {available}. {advice}, or check the format named for this file."
    )


def _first(events: ak.Array, names: Iterable[str]) -> ak.Array | None:
    return next((events[name] for name in names if name in events.fields), None)


def _float64(array: ak.Array) -> ak.Array:
    return ak.without_parameters(ak.values_astype(array, np.float64))


def _momentum_fields(collection: ak.Array) -> dict[str, ak.Array]:
    fields = {name: _float64(collection[name]) for name in ("pt", "eta", "phi")}
    mass = next((collection[name] for name in ("mass", "m") if name in collection.fields), None)
    fields["mass"] = ak.zeros_like(fields["pt"]) if mass is None else _float64(mass)
    return fields


def _candidates(events: ak.Array) -> ak.Array | None:
    if all(name in events.fields for name in _DELPHES_CANDIDATES):
        return ak.concatenate([momenta(_momentum_fields(events[n])) for n in _DELPHES_CANDIDATES], axis=1)
    found = _first(events, _CANDIDATES)
    if found is None:
        return None
    fields = _momentum_fields(found)
    for name in ("charge", "pdgId", "puppiWeight"):
        if name in found.fields:
            fields[name] = ak.without_parameters(found[name])
    return momenta(fields)


def _fat_jets(events: ak.Array) -> ak.Array | None:
    found = _first(events, _FAT_JETS)
    if found is None:
        return None
    fields = _momentum_fields(found)
    for order in (1, 2, 3):
        if f"tau{order}" in found.fields:
            fields[f"tau{order}"] = _float64(found[f"tau{order}"])
        elif "Tau_5" in found.fields:  # Delphes keeps tau1 … tau5 in one array
            fields[f"tau{order}"] = _float64(found["Tau_5"][..., order - 1])
    if "rawFactor" in found.fields:
        fields["rawFactor"] = _float64(found["rawFactor"])
    if "nConstituents" in found.fields:
        fields["n_constituents"] = ak.values_astype(ak.without_parameters(found["nConstituents"]), np.int32)
    elif "NCharged" in found.fields and "NNeutrals" in found.fields:
        fields["n_constituents"] = ak.values_astype(
            ak.without_parameters(found["NCharged"] + found["NNeutrals"]), np.int32
        )
    return momenta(fields)


def _missing_energy(events: ak.Array) -> ak.Array | None:
    found = _first(events, _MISSING_ENERGY)
    if found is None:
        return None
    pt, phi = ("MET", "Phi") if "MET" in found.fields else ("pt", "phi")
    if pt not in found.fields or phi not in found.fields:
        return None
    return ak.zip({"pt": _float64(found[pt]), "phi": _float64(found[phi])})


def _particles(name: str) -> Callable[[ak.Array], ak.Array | None]:
    def build(events: ak.Array) -> ak.Array | None:
        if name not in events.fields or not {"pt", "eta", "phi"} <= set(events[name].fields):
            return None
        fields = _momentum_fields(events[name])
        if "charge" in events[name].fields:
            fields["charge"] = ak.without_parameters(events[name]["charge"])
        return momenta(fields)

    return build


def _weight(events: ak.Array) -> np.ndarray:
    if "weight" in events.fields:
        weight: Any = events["weight"]
    elif "genWeight" in events.fields:
        weight = events["genWeight"]
    elif "Event" in events.fields and "Weight" in events["Event"].fields:  # Delphes
        weight = events["Event"]["Weight"]
    else:
        return np.ones(len(events))
    return np.asarray(ak.to_numpy(weight), dtype=np.float64)


def _truth(events: ak.Array) -> np.ndarray:
    if "truth" not in events.fields:
        return np.full(len(events), -1, dtype=np.int8)
    return np.asarray(ak.to_numpy(events["truth"])).astype(np.int8)


_BUILDERS: dict[str, Callable[[ak.Array], ak.Array | None]] = {
    "PFCands": _candidates,
    "FatJet": _fat_jets,
    "MET": _missing_energy,
    "Electron": _particles("Electron"),
    "Muon": _particles("Muon"),
    "GenBHadron": _particles("GenBHadron"),
}
