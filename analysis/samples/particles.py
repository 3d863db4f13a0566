"""Arrays of particles and candidates, one entry per particle, with the event each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Kinds of stable particles, as the detector tells them apart.
INVISIBLE, CHARGED_HADRON, ELECTRON, MUON, PHOTON, NEUTRAL_HADRON = range(6)

_CODES = 4000


def _kinds() -> NDArray[np.int8]:
    """Return the kind of each |PDG code| below 4000 as far as it can live long enough to reach a detector."""
    kinds = np.zeros(_CODES, np.int8)
    kinds[[211, 321, 411, 431, 521, 2212, 3112, 3222, 3312, 3334]] = CHARGED_HADRON
    kinds[[111, 130, 310, 311, 421, 511, 531, 2112, 3122, 3212, 3322]] = NEUTRAL_HADRON
    kinds[[11, 13, 22]] = ELECTRON, MUON, PHOTON
    return kinds


_KIND = _kinds()
# Particles (not antiparticles) whose charge is negative.
_NEGATIVE = np.isin(np.arange(_CODES), [11, 13, 3112, 3312, 3334])


@dataclass(frozen=True)
class Particles:
    """Final-state particles of a batch of events, events in ascending order.

    `event` (n,) counts from 0 to `n_events` − 1; `pt`, `energy` in GeV; `eta`, `phi`; `code` is the PDG code,
    `kind` one of this module's constants.
    """

    n_events: int
    event: Integers
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats
    code: Integers
    kind: NDArray[np.int8]

    def take(self, rows: NDArray[np.bool_] | Integers) -> Particles:
        """Return the particles at `rows`."""
        return Particles(
            self.n_events,
            event=self.event[rows],
            pt=self.pt[rows],
            eta=self.eta[rows],
            phi=self.phi[rows],
            energy=self.energy[rows],
            code=self.code[rows],
            kind=self.kind[rows],
        )


@dataclass(frozen=True)
class Candidates:
    """Particle-flow candidates: by event, hardest first. Units as in `Particles`; `charge` ±1 or 0.

    `mass` in GeV; without it they are massless, as those of the detector.
    """

    n_events: int
    event: Integers
    pt: Floats
    eta: Floats
    phi: Floats
    code: Integers
    charge: NDArray[np.int8]
    mass: Floats | None = None

    def counts(self) -> Integers:
        """Return the number of candidates of each event, shape (n_events,)."""
        return np.bincount(self.event, minlength=self.n_events)

    def select(self, keep: NDArray[np.bool_]) -> Candidates:
        """Return the events where `keep` (n_events,) is true, renumbered from 0."""
        rows = keep[self.event]
        number = np.cumsum(keep) - 1
        return Candidates(
            int(keep.sum()),
            event=number[self.event[rows]],
            pt=self.pt[rows],
            eta=self.eta[rows],
            phi=self.phi[rows],
            code=self.code[rows],
            charge=self.charge[rows],
            mass=None if self.mass is None else self.mass[rows],
        )


def kind_of(code: Integers) -> NDArray[np.int8]:
    """Return the kind of each PDG code, INVISIBLE for neutrinos and for what the detector does not know."""
    size = np.abs(code)
    return np.where(size < _CODES, _KIND[np.minimum(size, _CODES - 1)], np.int8(INVISIBLE))


def charge_of(code: Integers, kind: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the charge of each particle, −1, 0 or 1."""
    negative = _NEGATIVE[np.minimum(np.abs(code), _CODES - 1)] ^ (code < 0)
    charged = (kind == CHARGED_HADRON) | (kind == ELECTRON) | (kind == MUON)
    return (charged * np.where(negative, -1, 1)).astype(np.int8)
