"""What is taken from Pythia's event record: stable particles and the last B hadrons, as flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from analysis.samples.particles import Candidates, Floats, Integers, Particles, kind_of


class Record(NamedTuple):
    """Pythia's particles of a batch of events, one after the other: `offsets` (n_events + 1,) bounds the events."""

    offsets: Integers
    code: Integers
    status: Integers
    first_daughter: Integers
    last_daughter: Integers
    momentum: dict[str, Floats]
    mass: Floats


class BHadrons(NamedTuple):
    """B hadrons that decay to no other B hadron; `event` ascending, `pt` and `mass` in GeV."""

    event: Integers
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats

    def select(self, keep: NDArray[np.bool_]) -> BHadrons:
        """Return those of events where `keep` (n_events,) is true, the events renumbered from 0."""
        rows = keep[self.event]
        number = np.cumsum(keep) - 1
        return BHadrons(number[self.event[rows]], self.pt[rows], self.eta[rows], self.phi[rows], self.mass[rows])


@dataclass(frozen=True)
class Events:
    """A batch of kept events: candidates and B hadrons, and each event's generator weight (n_events,).

    Events at particle level have the `missing` px and py of their neutrinos, too (n_events, 2), in GeV.
    """

    candidates: Candidates
    b_hadrons: BHadrons
    weight: NDArray[np.float64]
    missing: NDArray[np.float64] | None = None

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.candidates.n_events

    def select(self, keep: NDArray[np.bool_]) -> Events:
        """Return the events where `keep` (n_events,) is true."""
        missing = None if self.missing is None else self.missing[keep]
        return Events(self.candidates.select(keep), self.b_hadrons.select(keep), self.weight[keep], missing)


def read_batch(batch: Any) -> Record:
    """Return the flat arrays of what `nextBatch` returns (no copies)."""
    particles = batch.prt
    flat = ak.flatten(particles)
    counts = ak.to_numpy(ak.num(particles, axis=1))
    return Record(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        code=ak.to_numpy(flat["id"]),
        status=ak.to_numpy(flat["status"]),
        first_daughter=ak.to_numpy(flat["daughter1"]),
        last_daughter=ak.to_numpy(flat["daughter2"]),
        momentum={name: ak.to_numpy(flat["p", name]) for name in ("px", "py", "pz", "e")},
        mass=ak.to_numpy(flat["m"]),
    )


def stable_particles(record: Record, *, max_eta: float) -> Particles:
    """Return the visible final-state particles with |eta| < `max_eta`."""
    rows = np.flatnonzero(record.status > 0)
    kind = kind_of(record.code[rows])
    visible = kind > 0
    rows, kind = rows[visible], kind[visible]
    pt, eta, phi = directions(record, rows)
    inside = np.abs(eta) < max_eta
    rows = rows[inside]
    return Particles(
        n_events=len(record.offsets) - 1,
        event=event_of(record, rows),
        pt=pt[inside],
        eta=eta[inside],
        phi=phi[inside],
        energy=record.momentum["e"][rows],
        code=record.code[rows].astype(np.int64),
        kind=kind[inside],
    )


def b_hadrons(record: Record) -> BHadrons:
    """Return the weakly decaying B hadrons: those without a B hadron among their daughters."""
    is_b = is_b_hadron(record.code)
    before = np.concatenate([[0], np.cumsum(is_b)])
    rows = np.flatnonzero(is_b)
    start = record.offsets[event_of(record, rows)]
    first, last = record.first_daughter[rows], record.last_daughter[rows]
    low = start + first
    high = start + np.maximum(last, first) + 1
    weak = (first <= 0) | (before[high] - before[low] == 0)
    rows = rows[weak]
    pt, eta, phi = directions(record, rows)
    return BHadrons(event_of(record, rows), pt, eta, phi, record.mass[rows])


def is_b_hadron(code: Integers) -> NDArray[np.bool_]:
    """Return which PDG codes are mesons or baryons with a b quark (and no bottomonium)."""
    size = np.abs(code)
    meson = (size // 100 % 10 == 5) & (size // 1000 % 10 == 0) & (size // 10 % 10 != 5)
    baryon = size // 1000 % 10 == 5
    return (size > 100) & (size < 1_000_000) & (meson | baryon) & (size // 10 % 10 > 0)


def event_of(record: Record, rows: Integers) -> Integers:
    """Return the event that each of `rows` belongs to."""
    return np.searchsorted(record.offsets, rows, side="right") - 1


def directions(record: Record, rows: Integers) -> tuple[Floats, Floats, Floats]:
    """Return pT (GeV), pseudorapidity and azimuth of `rows`; a particle along the beam has eta ±30."""
    px, py, pz = (record.momentum[name][rows] for name in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    eta = np.arcsinh(pz / np.maximum(pt, 1e-12))
    return pt, np.clip(eta, -30.0, 30.0), np.arctan2(py, px)
