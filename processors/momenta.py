"""Four-momenta of particles, with the checks that keep bad input out of FastJet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.nsubjettiness import compiled, pseudorapidity

FloatArray = npt.NDArray[np.float64]


def four_momenta(
    pt: npt.NDArray[Any],
    eta: npt.NDArray[Any],
    phi: npt.NDArray[Any],
    mass: npt.NDArray[Any],
    *,
    offsets: npt.NDArray[np.int64],
    first_event: int = 0,
) -> FloatArray:
    """px, py, pz, E in double precision.

    Args:
        pt, eta, phi, mass: (n_particles,) in GeV, pseudorapidity and radians; E² = p² + m|m|.
        offsets: (n_events + 1,) event boundaries, for the message.
        first_event: number of the first event in its file, for the message.

    Returns:
        (4, n_particles) in GeV.

    Raises:
        InputError: a pT is negative, or a value is not finite, or too large for a momentum.
    """
    momenta = np.empty((4, len(pt)))
    columns = [np.ascontiguousarray(values, dtype=np.float64) for values in (pt, eta, phi, mass)]
    if not _fill(*columns, momenta):
        _complain(dict(zip(("pt", "eta", "phi", "mass"), columns, strict=True)), momenta, offsets, first_event)
    return momenta


@compiled
def _fill(pt: FloatArray, eta: FloatArray, phi: FloatArray, mass: FloatArray, out: FloatArray) -> bool:
    """Fill the momenta; False if any particle is unusable.

    A compiled loop rather than NumPy functions, whose rounding may depend on an array's length and alignment.
    """
    good = True
    for i in range(len(pt)):
        grown = math.exp(eta[i])
        p = 0.5 * pt[i] * (grown + 1.0 / grown) if grown > 0.0 else math.inf
        out[0, i] = pt[i] * math.cos(phi[i])
        out[1, i] = pt[i] * math.sin(phi[i])
        out[2, i] = pt[i] * math.sinh(eta[i])
        out[3, i] = math.sqrt(max(0.0, p * p + mass[i] * abs(mass[i]))) if mass[i] != 0.0 else p
        good &= pt[i] >= 0.0 and math.isfinite(out[0, i] + out[1, i] + out[2, i] + out[3, i] + mass[i])
    return good


def coordinates(momenta: FloatArray) -> FloatArray:
    """(4, n) px, py, pz, E to (4, n) pt, eta, phi in [-π, π], mass. A negative mass² by rounding counts as 0."""
    out = np.empty(momenta.shape)
    _fill_coordinates(np.ascontiguousarray(momenta), out)  # one memory layout: one compilation
    return out


@compiled
def _fill_coordinates(momenta: FloatArray, out: FloatArray) -> None:
    for i in range(momenta.shape[1]):
        px, py, pz, energy = momenta[0, i], momenta[1, i], momenta[2, i], momenta[3, i]
        pt2 = px * px + py * py
        out[0, i] = math.sqrt(pt2)
        out[1, i] = pseudorapidity(px, py, pz)
        out[2, i] = math.atan2(py, px)
        out[3, i] = math.sqrt(max(0.0, (energy + pz) * (energy - pz) - pt2))


@compiled
def separation(eta1, phi1, eta2, phi2):  # type: ignore[no-untyped-def]
    """ΔR = √(Δη² + Δφ²) of two directions, for use in other compiled functions."""
    delta_phi = abs(phi1 - phi2) % (2.0 * math.pi)
    return math.hypot(eta1 - eta2, min(delta_phi, 2.0 * math.pi - delta_phi))


def invariant_mass(momenta: FloatArray) -> FloatArray:
    """Mass (GeV) of the sum of k objects: (4, n, k) px, py, pz, E to (n,). A negative mass² by rounding counts as 0."""
    out = np.empty(momenta.shape[1])
    _fill_mass(np.ascontiguousarray(momenta), out)
    return out


@compiled
def _fill_mass(momenta: FloatArray, out: FloatArray) -> None:
    for i in range(momenta.shape[1]):
        px, py, pz, energy = 0.0, 0.0, 0.0, 0.0
        for j in range(momenta.shape[2]):
            px, py, pz = px + momenta[0, i, j], py + momenta[1, i, j], pz + momenta[2, i, j]
            energy += momenta[3, i, j]
        out[i] = math.sqrt(max(0.0, (energy + pz) * (energy - pz) - px * px - py * py))


def _complain(
    columns: dict[str, FloatArray], momenta: FloatArray, offsets: npt.NDArray[np.int64], first_event: int
) -> None:
    """Say which field of which event is unusable."""
    problems = {"pt": ("negative or not finite", ~(np.isfinite(columns["pt"]) & (columns["pt"] >= 0)))}
    for name in ("eta", "phi", "mass"):
        problems[name] = ("not finite", ~np.isfinite(columns[name]))
    overflow = ~np.isfinite(momenta).all(axis=0)
    for name, (what, bad) in {**problems, "pt, eta": ("too large for a momentum", overflow)}.items():
        if bad.any():
            first = int(np.argmax(bad))
            event = int(np.searchsorted(offsets, first, side="right")) - 1
            events = len(np.unique(np.searchsorted(offsets, np.flatnonzero(bad), side="right")))
            raise InputError(
                f"The particles' {name} is {what} in {int(bad.sum())} particle(s) of {events} event(s), "
                f"first in event {first_event + event} (particle {first - offsets[event]}, "
                f"value {columns[name.split(',')[0]][first]:g}). "
                "Repair the file or leave these events out before processing."
            )
    raise AssertionError("no unusable particle found")  # pragma: no cover
