"""From stable particles to candidates: pure array functions, fractions of a millisecond per event.

The energy flow follows Delphes (de Favereau et al., arXiv:1307.6346, section 3.3): a tower whose measured energy
exceeds that of the tracks pointing at it significantly gives a neutral candidate with the excess; otherwise the
tracks are scaled to the mean of both measurements, weighted by their precision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.samples.detector import Calorimeter, Detector, Tracker
from analysis.samples.particles import (
    CHARGED_HADRON,
    ELECTRON,
    MUON,
    NEUTRAL_HADRON,
    PHOTON,
    Candidates,
    Floats,
    Integers,
    Particles,
    charge_of,
)

BARREL_ETA = 1.5
NEUTRAL_CODES = {PHOTON: 22, NEUTRAL_HADRON: 130}


class Towers(NamedTuple):
    """Calorimeter towers with energy: where, and which tower each deposit (particle) is in."""

    event: Integers
    eta: Floats
    phi: Floats
    energy: Floats
    of_deposit: Integers


def detect(particles: Particles, detector: Detector, *, generator: np.random.Generator) -> Candidates:
    """Return the candidates that `detector` makes of `particles`, hardest first within each event."""
    stable = particles.take(particles.pt > 0)
    tracked = find_tracks(stable, detector.tracker, generator=generator)
    measured = np.where(tracked, stable.energy * track_response(stable, detector.tracker, generator=generator), 0.0)
    pieces = []
    for calorimeter, kinds, neutral in (
        (detector.electromagnetic, (PHOTON, ELECTRON), PHOTON),
        (detector.hadronic, (CHARGED_HADRON, NEUTRAL_HADRON), NEUTRAL_HADRON),
    ):
        seen = np.isin(stable.kind, kinds) & (np.abs(stable.eta) < calorimeter.max_eta)
        rows = np.flatnonzero(seen)
        scale, towers, excess = energy_flow(
            stable.take(rows), measured[rows], calorimeter, tracker=detector.tracker, generator=generator
        )
        measured[rows] *= scale
        pieces.append((towers, excess, NEUTRAL_CODES[neutral]))
    return _collect(stable, measured, pieces, limit=detector.max_candidates)


def find_tracks(particles: Particles, tracker: Tracker, *, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return which particles leave a track, by chance according to the efficiency."""
    eta = np.abs(particles.eta)
    efficiency = np.where(eta < BARREL_ETA, tracker.efficiency, tracker.endcap_efficiency)
    efficiency = np.where(particles.pt < tracker.soft_pt, tracker.soft_efficiency * efficiency, efficiency)
    charged = (particles.kind == CHARGED_HADRON) | (particles.kind == ELECTRON) | (particles.kind == MUON)
    accepted = charged & (eta < tracker.max_eta) & (particles.pt > tracker.min_pt)
    return accepted & (generator.random(len(eta)) < efficiency)


def track_response(particles: Particles, tracker: Tracker, *, generator: np.random.Generator) -> Floats:
    """Return measured over true momentum of each particle as a track, its mean 1."""
    return _log_normal(track_resolution(particles.pt, tracker), generator=generator)


def track_resolution(pt: Floats, tracker: Tracker) -> Floats:
    """Return the relative momentum resolution at `pt` (GeV)."""
    return np.hypot(tracker.resolution, tracker.resolution_per_gev * pt)


def energy_resolution(energy: Floats, eta: Floats, calorimeter: Calorimeter) -> Floats:
    """Return σ(E) in GeV of towers with `energy` (GeV) at `eta`."""
    central = calorimeter.stochastic**2 * energy + (calorimeter.constant * energy) ** 2 + calorimeter.noise**2
    forward = calorimeter.forward_stochastic**2 * energy + (calorimeter.forward_constant * energy) ** 2
    inside = np.abs(eta) < calorimeter.forward_eta
    return np.sqrt(np.where(inside, central * (1 + calorimeter.growth * eta**2) ** 2, forward))


def energy_flow(
    deposits: Particles,
    tracks: Floats,
    calorimeter: Calorimeter,
    *,
    tracker: Tracker,
    generator: np.random.Generator,
) -> tuple[Floats, Towers, Floats]:
    """Combine one calorimeter with the tracks of the particles it stops.

    `tracks` (n,) holds the momentum that the tracker measured of each deposit (GeV), 0 without a track. Returns
    the factor on each track, the towers, and the energy of each tower's neutral candidate (GeV, 0 for none).
    """
    towers = make_towers(deposits, calorimeter, generator=generator)
    n_towers = len(towers.energy)
    sigma = energy_resolution(towers.energy, towers.eta, calorimeter)
    relative = np.divide(sigma, towers.energy, out=np.zeros(n_towers), where=towers.energy > 0)
    energy = towers.energy * _log_normal(relative, generator=generator)
    charged = np.bincount(towers.of_deposit, weights=tracks, minlength=n_towers)
    track_sigma = (tracks * track_resolution(deposits.pt, tracker)) ** 2
    track_variance = np.bincount(towers.of_deposit, weights=track_sigma, minlength=n_towers)
    variance = sigma**2
    excess = np.maximum(energy - charged, 0.0)
    significant = excess > calorimeter.min_significance * np.sqrt(variance + track_variance)
    neutral = significant & (excess > calorimeter.min_energy)
    total = np.maximum(variance + track_variance, np.finfo(float).tiny)
    best = np.where(variance + track_variance > 0, (variance * charged + track_variance * energy) / total, charged)
    scale = np.where(neutral | (charged <= 0), 1.0, best / np.maximum(charged, np.finfo(float).tiny))
    return scale[towers.of_deposit], towers, np.where(neutral, excess, 0.0)


def make_towers(deposits: Particles, calorimeter: Calorimeter, *, generator: np.random.Generator) -> Towers:
    """Add up the deposits in each tower; candidates point anywhere within theirs, as in Delphes."""
    if calorimeter.cell == 0 or calorimeter.forward_cell == 0:
        own = np.arange(len(deposits.event))
        return Towers(deposits.event, deposits.eta, deposits.phi, deposits.energy, own)
    central = np.abs(deposits.eta) < calorimeter.forward_eta
    cell = np.where(central, calorimeter.cell, calorimeter.forward_cell)
    column = np.floor(deposits.eta / cell).astype(np.int64) + 4096
    pitch = 2 * np.pi / np.maximum(np.round(2 * np.pi / cell), 1.0)
    row = np.floor((deposits.phi + np.pi) / pitch).astype(np.int64)
    key = ((deposits.event * 2 + central) * 8192 + column) * 8192 + row
    _, first, of_deposit = np.unique(key, return_index=True, return_inverse=True)
    energy = np.bincount(of_deposit, weights=deposits.energy, minlength=len(first))
    inside = generator.random((2, len(first)))
    eta: Floats = (column[first] - 4096 + inside[0]) * cell[first]
    phi: Floats = wrap((row[first] + inside[1]) * pitch[first] - np.pi)
    return Towers(deposits.event[first], eta, phi, energy.astype(np.float64), of_deposit)


def wrap(phi: Floats) -> Floats:
    """Return angles within [−π, π)."""
    return np.mod(phi + np.pi, 2 * np.pi) - np.pi


def missing_momentum(candidates: Candidates) -> tuple[Floats, Floats]:
    """Return size (GeV) and azimuth of minus the summed transverse momenta, shape (n_events,) each."""
    x, y = (
        -np.bincount(candidates.event, weights=candidates.pt * along(candidates.phi), minlength=candidates.n_events)
        for along in (np.cos, np.sin)
    )
    return np.hypot(x, y), np.arctan2(y, x)


def _log_normal(relative: Floats, *, generator: np.random.Generator) -> Floats:
    """Draw positive factors with mean 1 and standard deviation `relative`."""
    square = np.log1p(relative**2)
    return np.exp(np.sqrt(square) * generator.standard_normal(len(relative)) - 0.5 * square)


def _collect(
    stable: Particles, measured: Floats, pieces: list[tuple[Towers, Floats, int]], *, limit: int
) -> Candidates:
    """Put tracks and neutral candidates together, order them by event and pT, drop what is beyond `limit`."""
    rows = np.flatnonzero(measured > 0)
    track_kind = stable.kind[rows]
    charge = charge_of(stable.code[rows], track_kind)
    code = np.where(track_kind == CHARGED_HADRON, 211 * charge.astype(np.int64), stable.code[rows])
    track_pt = stable.pt[rows] * measured[rows] / stable.energy[rows]
    parts: list[tuple[np.ndarray, ...]] = [
        (stable.event[rows], track_pt, stable.eta[rows], stable.phi[rows], code, charge)
    ]
    for towers, excess, neutral_code in pieces:
        at = np.flatnonzero(excess > 0)
        pt = excess[at] / np.cosh(towers.eta[at])
        codes = np.full(len(at), neutral_code)
        parts.append((towers.event[at], pt, towers.eta[at], towers.phi[at], codes, np.zeros(len(at), np.int8)))
    event, pt, eta, phi, code, charge = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((-pt, event))
    event = event[order]
    rank = np.arange(len(event)) - np.searchsorted(event, event, side="left")
    kept = order[rank < limit]
    return Candidates(stable.n_events, event[rank < limit], pt[kept], eta[kept], phi[kept], code[kept], charge[kept])
