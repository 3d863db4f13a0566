"""Events as they are before any detector: all visible particles, and the momentum of the neutrinos."""

from __future__ import annotations

import numpy as np

from analysis.samples.events import Events, Record, b_hadrons, directions, event_of
from analysis.samples.particles import INVISIBLE, Candidates, Floats, charge_of, kind_of

MAX_ETA = 5.0
NEUTRINOS = (12, 14, 16)


def particle_level(record: Record, weight: Floats, *, max_eta: float = MAX_ETA) -> Events:
    """Return the events with their visible stable particles in |eta| < `max_eta`, hardest first, as candidates.

    `weight` (n_events,) are the generator's. Candidates keep their masses (GeV) and PDG codes.
    """
    rows = np.flatnonzero(record.status > 0)
    rows = rows[kind_of(record.code[rows]) != INVISIBLE]
    pt, eta, phi = directions(record, rows)
    inside = np.flatnonzero(np.abs(eta) < max_eta)
    event = event_of(record, rows)
    order = inside[np.lexsort((-pt[inside], event[inside]))]
    rows = rows[order]
    code = record.code[rows].astype(np.int64)
    candidates = Candidates(
        len(record.offsets) - 1,
        event=event[order],
        pt=pt[order],
        eta=eta[order],
        phi=phi[order],
        code=code,
        charge=charge_of(code, kind_of(code)),
        mass=np.maximum(record.mass[rows], 0.0),
    )
    return Events(candidates, b_hadrons(record), weight, missing=neutrino_momentum(record))


def neutrino_momentum(record: Record) -> Floats:
    """Return the summed px and py (GeV) of each event's neutrinos, shape (n_events, 2)."""
    rows = np.flatnonzero((record.status > 0) & np.isin(np.abs(record.code), NEUTRINOS))
    event = event_of(record, rows)
    n_events = len(record.offsets) - 1
    sums = [np.bincount(event, weights=record.momentum[name][rows], minlength=n_events) for name in ("px", "py")]
    return np.stack(sums, axis=1)
