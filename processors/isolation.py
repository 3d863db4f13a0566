"""Isolated leptons, and the particles that are left without them."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.momenta import four_momenta, separation
from processors.nsubjettiness import compiled
from processors.smearing import electron_width, muon_width

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FLAVOURS = {"Electron": 11, "Muon": 13}
_SAME = 0.01  # a candidate of the same flavour is the lepton itself within this ΔR


@dataclass(frozen=True)
class Leptons:
    """Leptons of n events, flat; event i owns ``offsets[i]:offsets[i + 1]``, electrons before muons.

    pt and mass in GeV; ``width`` is the relative width of the momentum (:mod:`processors.smearing`).
    """

    offsets: IntArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    mass: FloatArray
    width: FloatArray

    def per_event(self) -> IntArray:
        """How many each event has, (n,)."""
        return np.diff(self.offsets)


def isolated_leptons(
    record: ak.Array, *, min_pt: float, cone: float, max_isolation: float
) -> tuple[Leptons, npt.NDArray[np.bool_]]:
    """The isolated electrons and muons of events, and which candidates they are.

    A lepton harder than ``min_pt`` (GeV) is isolated if the scalar sum of the pT of all other candidates within
    ΔR = ``cone`` (in pseudorapidity) is at most ``max_isolation`` times its own pT. Its own candidate is the nearest
    one of its flavour within ΔR = 0.01; a lepton that is not among the candidates takes none away.

    Args:
        record: events with ``PFCands`` (with pdgId), ``Electron`` and ``Muon``, momenta checked.
        min_pt: GeV.
        cone: radius of the cone.
        max_isolation: largest sum of the others over the lepton's pT.

    Returns:
        The isolated leptons, and a mask over the flat candidates: True for those of isolated leptons.

    Raises:
        InputError: the candidates have no pdgId.
    """
    particles = record["PFCands"]
    if "pdgId" not in particles.fields:
        raise InputError(
            f"{record.metadata['filename']} has no PFCands_pdgId, without which leptons are not found among the "
            "candidates: use a file that has it, as the samples of this project do."
        )
    found = ak.concatenate([_labelled(record[name], flavour) for name, flavour in _FLAVOURS.items()], axis=1)
    found = found[found.pt >= min_pt]
    leptons = {name: _flat(found[name]) for name in ("pt", "eta", "phi", "mass", "flavour")}
    offsets = _offsets(found)
    candidates = np.stack([*(_flat(particles[name]) for name in ("pt", "eta", "phi")), _flat(abs(particles["pdgId"]))])
    isolated, own = np.zeros(len(leptons["pt"]), dtype=bool), np.zeros(candidates.shape[1], dtype=bool)
    lepton_rows = np.stack([leptons[name] for name in ("pt", "eta", "phi", "flavour")])
    _fill_isolated(offsets, lepton_rows, _offsets(particles), candidates, cone, max_isolation, isolated, own)
    kept = {name: values[isolated] for name, values in leptons.items()}
    return Leptons(
        offsets=np.concatenate([[0], np.cumsum(isolated, dtype=np.int64)])[offsets],
        width=_widths(kept),
        **{name: kept[name] for name in ("pt", "eta", "phi", "mass")},
    ), own


def _labelled(collection: ak.Array, flavour: int) -> ak.Array:
    fields = {name: collection[name] for name in ("pt", "eta", "phi", "mass")}
    return ak.zip({**fields, "flavour": ak.full_like(collection["pt"], flavour)})


def _flat(values: ak.Array) -> FloatArray:
    return np.asarray(ak.flatten(values, axis=1), dtype=np.float64)


def _offsets(collection: ak.Array) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.asarray(ak.num(collection, axis=1)), dtype=np.int64)])


def _widths(leptons: dict[str, FloatArray]) -> FloatArray:
    pt, eta = leptons["pt"], leptons["eta"]
    energy = four_momenta(pt, eta, leptons["phi"], leptons["mass"], offsets=np.array([0, len(pt)]))[3]
    return np.where(leptons["flavour"] == _FLAVOURS["Electron"], electron_width(pt, eta, energy), muon_width(pt, eta))


@compiled
def _fill_isolated(lepton_offsets, leptons, offsets, candidates, cone, most, isolated, own):  # type: ignore[no-untyped-def]
    # rows of leptons and candidates: pt, eta, phi, |pdgId|
    for event in range(len(offsets) - 1):
        for lepton in range(lepton_offsets[event], lepton_offsets[event + 1]):
            pt, eta, phi, flavour = leptons[:, lepton]
            nearest, distance = -1, _SAME
            for i in range(offsets[event], offsets[event + 1]):
                if candidates[3, i] == flavour:
                    delta_r = separation(candidates[1, i], candidates[2, i], eta, phi)
                    if delta_r <= distance:
                        nearest, distance = i, delta_r
            total = 0.0
            for i in range(offsets[event], offsets[event + 1]):
                if i != nearest and separation(candidates[1, i], candidates[2, i], eta, phi) <= cone:
                    total += candidates[0, i]
            if total <= most * pt:
                isolated[lepton] = True
                if nearest >= 0:
                    own[nearest] = True
