"""Two b-jets, two light jets, a lepton: which objects of an event are the decay products of a top pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from processors.btags import tag_b_jets
from processors.isolation import Leptons
from processors.momenta import separation
from processors.nsubjettiness import compiled
from processors.reclustering import Subjets
from processors.smearing import jet_width, shifted_missing_energy, smearing_factor

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

OBJECTS = ("b1", "b2", "light1", "light2", "lepton")


@dataclass(frozen=True)
class Thresholds:
    """Smallest pT of jets and leptons (GeV), and what H_T is the scalar sum of.

    ``visible``: the pT of all visible particles; ``objects``: that of the jets in both fat jets and of the isolated
    leptons, above their thresholds.
    """

    jet_pt: float
    lepton_pt: float
    ht_of: Literal["visible", "objects"]


@dataclass(frozen=True)
class TTbarEvents:
    """Everything reconstructed in n events, before cuts that depend on a variation.

    ``met`` in GeV and ``met_phi`` are the missing energy, ``visible`` in GeV the scalar sum of the pT of everything
    visible, (n,). ``hadron_*`` are B hadrons, flat, event i owning ``hadron_offsets[i]:hadron_offsets[i + 1]``.
    """

    jets: Subjets
    leptons: Leptons
    met: FloatArray
    met_phi: FloatArray
    visible: FloatArray
    hadron_offsets: IntArray
    hadron_eta: FloatArray
    hadron_phi: FloatArray

    def smeared(self, size: float, *, thresholds: Thresholds) -> TTbarEvents:
        """Jets, leptons and missing energy moved by ``size`` widths.

        ``visible`` follows the jets and leptons that are above their thresholds after the smearing; what is in none of
        them stays. Fat jets only say which jets belong together, and stay.
        """
        jets = replace(self.jets, pt=self.jets.pt * smearing_factor(jet_width(self.jets.pt), size))
        leptons = replace(self.leptons, pt=self.leptons.pt * smearing_factor(self.leptons.width, size))
        met = shifted_missing_energy(self.met, scalar_sum(self, thresholds=thresholds), size)
        moved = replace(self, jets=jets, leptons=leptons, met=met)
        shifts = jets.pt - self.jets.pt, leptons.pt - self.leptons.pt
        return replace(moved, visible=self.visible + _sum_of_counted(*shifts, events=moved, thresholds=thresholds))


@dataclass(frozen=True)
class Chosen:
    """The objects chosen in n events.

    ``pt``, ``eta``, ``phi``, ``mass`` are (n, 5) in the order of :data:`OBJECTS`, NaN where there is no such object;
    ``ht`` is (n,); pt, mass and ht in GeV. ``cuts`` are (n,) masks in order.
    """

    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    mass: FloatArray
    ht: FloatArray
    cuts: dict[str, Mask]


def scalar_sum(events: TTbarEvents, *, thresholds: Thresholds) -> FloatArray:
    """H_T in GeV, (n,)."""
    if thresholds.ht_of == "visible":
        return events.visible
    return _sum_of_counted(events.jets.pt, events.leptons.pt, events=events, thresholds=thresholds)


def _sum_of_counted(
    of_jets: FloatArray, of_leptons: FloatArray, *, events: TTbarEvents, thresholds: Thresholds
) -> FloatArray:
    """Sum of the values of jets and leptons above their thresholds, (n,)."""
    out = np.zeros(len(events.met))
    jets, leptons = events.jets, events.leptons
    counted_leptons = leptons.pt >= thresholds.lepton_pt
    _fill_sum(of_jets, jets.pt >= thresholds.jet_pt, of_leptons, counted_leptons, leptons.offsets, out)
    return out


def choose(events: TTbarEvents, *, thresholds: Thresholds, b_tag_radius: float, min_ht: float | None) -> Chosen:
    """Apply section 2 of arXiv:1905.10384 to events, smeared or not.

    Jets above their threshold are tagged by their B hadrons (:func:`tag_b_jets`). Both fat jets must hold a
    b-jet, one of them two light jets as well: it is the hadronic top. Where both do, which the paper leaves open, it is
    the one farther in ΔR from the lepton. ``b1`` and ``b2`` are the hardest b-jet of each fat jet, ordered by pT;
    ``light1`` and ``light2`` the two hardest light jets of the hadronic one; ``lepton`` the hardest isolated one above
    its threshold. H_T is at least ``min_ht`` (GeV; None: no such cut).
    """
    jets, leptons = events.jets, events.leptons
    counted = jets.pt >= thresholds.jet_pt  # False for NaN
    tags = tag_b_jets(
        _side_by_side(jets.eta),
        _side_by_side(jets.phi),
        _side_by_side(counted),
        hadron_offsets=events.hadron_offsets,
        hadron_eta=events.hadron_eta,
        hadron_phi=events.hadron_phi,
        radius=b_tag_radius,
    ).reshape(counted.shape)
    places = np.full((len(events.met), len(OBJECTS)), -1, dtype=np.int64)
    _fill_places(
        jets.pt, counted, tags, jets.fat_eta, jets.fat_phi,
        leptons.offsets, leptons.pt, leptons.eta, leptons.phi, thresholds.lepton_pt, places,
    )  # fmt: skip
    objects = {
        name: _taken(getattr(jets, name), getattr(leptons, name), places) for name in ("pt", "eta", "phi", "mass")
    }
    ht = scalar_sum(events, thresholds=thresholds)
    cuts = {
        "lepton": places[:, 4] >= 0,
        "two_fat_jets": np.isfinite(jets.fat_pt[:, 1]),
        "b_jets": places[:, 1] >= 0,
        "light_jets": places[:, 3] >= 0,
    }
    if min_ht is not None:
        cuts["ht"] = ht >= min_ht
    return Chosen(ht=ht, cuts=cuts, **objects)


def _side_by_side(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The jets of both fat jets in one row: (n, 2, most) to (n, 2 most)."""
    return values.reshape(len(values), values.shape[1] * values.shape[2])


def _taken(of_jets: FloatArray, of_leptons: FloatArray, places: IntArray) -> FloatArray:
    """The values at ``places``: indices into the jets of an event, in the last column into all leptons; NaN for -1."""
    padded = np.concatenate([_side_by_side(of_jets), np.full((len(places), 1), np.nan)], axis=1)
    jets = np.take_along_axis(padded, places[:, :4], axis=1)
    leptons = np.append(of_leptons, np.nan)[places[:, 4:]]
    return np.concatenate([jets, leptons], axis=1)


@compiled
def _fill_sum(of_jets, counted_jets, of_leptons, counted_leptons, lepton_offsets, out):  # type: ignore[no-untyped-def]
    # a compiled loop: the order of NumPy's sums depends on how many jets the fullest event of a chunk has
    for event in range(len(out)):
        total = 0.0
        for fat in range(2):
            for jet in range(of_jets.shape[2]):
                if counted_jets[event, fat, jet]:
                    total += of_jets[event, fat, jet]
        for lepton in range(lepton_offsets[event], lepton_offsets[event + 1]):
            if counted_leptons[lepton]:
                total += of_leptons[lepton]
        out[event] = total


@compiled
def _hardest(pt, wanted, excluded):  # type: ignore[no-untyped-def]
    """Index of the hardest of the wanted jets other than ``excluded``, the first of equal ones; -1 for none."""
    best = -1
    for jet in range(len(pt)):
        if wanted[jet] and jet != excluded and (best < 0 or pt[jet] > pt[best]):
            best = jet
    return best


@compiled
def _fill_places(  # type: ignore[no-untyped-def]
    pt, counted, tags, fat_eta, fat_phi, lepton_offsets, lepton_pt, lepton_eta, lepton_phi, min_lepton_pt, places
):
    most = pt.shape[2]
    for event in range(len(places)):
        lepton = -1
        for i in range(lepton_offsets[event], lepton_offsets[event + 1]):
            if lepton_pt[i] >= min_lepton_pt and (lepton < 0 or lepton_pt[i] > lepton_pt[lepton]):
                lepton = i
        places[event, 4] = lepton
        first = _hardest(pt[event, 0], tags[event, 0], -1)
        second = _hardest(pt[event, 1], tags[event, 1], -1)
        if first < 0 or second < 0:
            continue
        swap = pt[event, 1, second] > pt[event, 0, first]
        places[event, 0] = most + second if swap else first
        places[event, 1] = first if swap else most + second
        hadronic, farthest = -1, -1.0
        for fat in range(2):
            light = counted[event, fat] & ~tags[event, fat]
            if light.sum() >= 2:
                away = 0.0
                if lepton >= 0:
                    away = separation(fat_eta[event, fat], fat_phi[event, fat], lepton_eta[lepton], lepton_phi[lepton])
                if away > farthest:
                    hadronic, farthest = fat, away
        if hadronic < 0:
            continue
        light = counted[event, hadronic] & ~tags[event, hadronic]
        hardest = _hardest(pt[event, hadronic], light, -1)
        places[event, 2] = hadronic * most + hardest
        places[event, 3] = hadronic * most + _hardest(pt[event, hadronic], light, hardest)
