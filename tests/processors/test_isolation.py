"""Isolated leptons: cones by hand, and which particles they take away."""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np
import pytest

from processors.errors import InputError
from processors.isolation import Leptons, isolated_leptons
from processors.records import event_record, momenta
from processors.smearing import electron_width, muon_width
from tests.processors.ttbar_events import ELECTRON_MASS, MUON_MASS, Event, Particle, random_event, shuffled

MUON: Particle = (100.0, 0.5, 3.1, MUON_MASS, 13)
ELECTRON: Particle = (50.0, -1.0, 0.0, ELECTRON_MASS, -11)


def record_of(*events: Event, pdg_id: bool = True) -> ak.Array:
    """The standard record of events, as far as isolation reads it."""

    def collection(lists: Sequence[Sequence[Particle]], *, pdg_id: bool = False) -> ak.Array:
        counts = np.array([len(entries) for entries in lists], dtype=np.int64)
        flat = np.array([row for entries in lists for row in entries], dtype=np.float64).reshape(-1, 5)
        fields = {n: ak.unflatten(flat[:, i], counts) for i, n in enumerate(("pt", "eta", "phi", "mass"))}
        return momenta({**fields, "pdgId": ak.unflatten(flat[:, 4].astype(int), counts)} if pdg_id else fields)

    fields = {
        "PFCands": collection([event.particles for event in events], pdg_id=pdg_id),
        "Electron": collection([[p for p in event.leptons if abs(p[4]) == 11] for event in events]),
        "Muon": collection([[p for p in event.leptons if abs(p[4]) == 13] for event in events]),
    }
    return event_record(fields, metadata={"filename": "a.root", "entrystart": 0}, n_events=len(events))


def isolated(*events: Event, cone: float = 0.2, max_isolation: float = 0.1) -> tuple[Leptons, list[bool]]:
    leptons, own = isolated_leptons(record_of(*events), min_pt=10, cone=cone, max_isolation=max_isolation)
    return leptons, own.tolist()


def photon(pt: float, eta: float, phi: float) -> Particle:
    return (pt, eta, phi, 0.0, 22)


@pytest.mark.parametrize(
    ("others", "passes"),
    [
        ([], True),
        ([photon(9.9, 0.5, 3.0)], True),
        ([photon(10.1, 0.5, 3.0)], False),
        ([photon(6, 0.5, 3.0), photon(6, 0.6, 3.1)], False),
        ([photon(500, 0.5, 2.89)], True),
        ([photon(500, 0.71, 3.1)], True),
        ([photon(11, 0.5, -3.1)], False),  # 0.083 away, across ±π
        ([(11, 0.5, 3.1, MUON_MASS, -13)], False),  # on top of it, another muon: one of the two is its own
    ],
)
def test_cone(others: list[Particle], passes: bool) -> None:
    leptons, own = isolated(Event([*others, MUON], [MUON]))
    assert leptons.per_event().tolist() == [int(passes)]
    if passes:
        assert own == [False] * len(others) + [True]
    else:
        assert not any(own)


def test_settings_of_the_cone() -> None:
    event = Event([MUON, photon(15, 0.5, 2.8)], [MUON])
    assert len(isolated(event)[0].pt) == 1
    assert len(isolated(event, cone=0.4)[0].pt) == 0
    assert len(isolated(event, cone=0.4, max_isolation=0.16)[0].pt) == 1
    # nothing at all may be in the cone, and the lepton itself does not count
    assert len(isolated(event, max_isolation=0)[0].pt) == 1


def test_own_candidate_is_of_the_same_flavour() -> None:
    pion, electron = (100.0, 0.5, 3.1, 0.1396, 211), (100.0, 0.5, 3.1, ELECTRON_MASS, 11)
    _, own = isolated(Event([pion, MUON, electron], [MUON]), max_isolation=5)
    assert own == [False, True, False]


def test_lepton_that_is_not_among_the_candidates() -> None:
    leptons, own = isolated(Event([photon(30, -2, 1)], [MUON]))
    assert leptons.per_event().tolist() == [1]
    assert own == [False]


def test_leptons_of_several_events() -> None:
    soft = (9.9, 0.0, 1.0, MUON_MASS, 13)
    leptons, own = isolated(
        Event([photon(5, 0, 0)]),
        Event([MUON, photon(1, 0, 0), ELECTRON], [MUON, ELECTRON]),
        Event([]),
        Event([soft], [soft]),
        Event([ELECTRON], [ELECTRON]),
        Event([]),
    )
    assert leptons.per_event().tolist() == [0, 2, 0, 0, 1, 0]
    assert leptons.pt.tolist() == [50, 100, 50]  # electrons before muons
    assert own == [False, True, False, True, False, True]
    energy = 50 * np.cosh(1)
    widths = [electron_width(50.0, -1.0, energy), muon_width(100.0, 0.5), electron_width(50.0, -1.0, energy)]
    np.testing.assert_allclose(leptons.width, np.array(widths))


def test_order_of_particles_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    events = [random_event(rng) for _ in range(60)]
    first, _ = isolated(*events, cone=0.3)
    second, _ = isolated(*(shuffled(event, rng) for event in events), cone=0.3)
    assert 0 < len(first.pt) < 60
    assert first.offsets.tolist() == second.offsets.tolist()
    assert first.pt.tolist() == second.pt.tolist()


def test_no_events() -> None:
    leptons, own = isolated()
    assert leptons.offsets.tolist() == [0]
    assert own == []


def test_candidates_without_identity() -> None:
    with pytest.raises(InputError, match=r"a\.root has no PFCands_pdgId"):
        isolated_leptons(record_of(Event([MUON], [MUON]), pdg_id=False), min_pt=10, cone=0.2, max_isolation=0.1)
