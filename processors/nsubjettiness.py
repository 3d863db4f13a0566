"""N-subjettiness on exclusive-kT axes, as one compiled kernel.

For a jet with constituents i and N axes A (Thaler and Van Tilburg, arXiv:1011.2268, equations 2.1 and 2.2, β = 1)

    τ_N = Σ_i pT_i min_A ΔR(i, A) / (Σ_i pT_i R0),   ΔR² = Δη² + Δφ²

with the pseudorapidity η of the axes, as in the public LHC Olympics features (their rapidity, which the kT
clustering uses, moves τ_1 by several percent for heavy axes). The axes are the N exclusive kT subjets (E-scheme) of
the jet's constituents. One clustering serves every N: the subjets are what is left when N objects remain. As in
FastJet's ``exclusive_jets(N)`` an object whose smallest distance is the one to the beam leaves the list and is no
axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

_PI = math.pi
_TWO_PI = 2.0 * math.pi
_BLOCK = 32  # loops run over whole blocks, so that no part of them is left unvectorised
_NOWHERE = 1e100  # rapidity of an empty slot: never anyone's neighbour
_LARGEST_RAPIDITY = 1e5  # FastJet's MaxRap: rapidity of something along the beam


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use, cached on disk where a folder can be written (read-only installations may have none)."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


def n_subjettiness(
    momenta: npt.NDArray[np.float64],
    constituents: npt.NDArray[np.int64],
    *,
    offsets: npt.NDArray[np.int64],
    count: int = 3,
    radius: float = 1.0,
) -> npt.NDArray[np.float64]:
    """τ_1 … τ_count of each jet, with exclusive-kT axes and β = 1.

    Args:
        momenta: (4, n_particles) px, py, pz, E in GeV.
        constituents: columns of ``momenta`` that make up the jets, one jet after the other.
        offsets: (n_jets + 1,): jet k owns ``constituents[offsets[k]:offsets[k + 1]]``.
        count: largest N.
        radius: R of the kT clustering and R0 of the normalisation.

    Returns:
        (n_jets, count). τ_N is 0 for a jet of N constituents or fewer, NaN for a jet without any.
    """
    taus = np.empty((len(offsets) - 1, count))
    if count and len(taus):
        most = _whole_blocks(int(np.max(np.diff(offsets))))
        _fill_taus(momenta, constituents, offsets, radius, np.empty((12, most)), np.empty(most, np.int64), taus)
    return taus


@compiled
def _whole_blocks(size):  # type: ignore[no-untyped-def]
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


@compiled
def _rapidity_and_phi(px, py, pz, energy, kt2):  # type: ignore[no-untyped-def]
    """Rapidity, and azimuth in [0, 2π), rounded as FastJet does."""
    if kt2 == 0.0 and energy == abs(pz):
        rapidity = _LARGEST_RAPIDITY + abs(pz)
    else:
        mass2 = max(0.0, (energy + pz) * (energy - pz) - kt2)
        rapidity = -0.5 * math.log((kt2 + mass2) / (energy + abs(pz)) ** 2)
    phi = math.atan2(py, px) if kt2 > 0.0 else 0.0
    if phi < 0.0:
        phi += _TWO_PI
    if phi >= _TWO_PI:
        phi -= _TWO_PI
    return (rapidity if pz >= 0.0 else -rapidity), phi


@compiled
def pseudorapidity(px, py, pz):  # type: ignore[no-untyped-def]
    """η of a momentum, ±1e5 along the beam."""
    pt = math.sqrt(px * px + py * py)
    return math.asinh(pz / pt) if pt > 0.0 else math.copysign(_LARGEST_RAPIDITY, pz)


@compiled
def _distances2(rapidity, phi, at, active, out):  # type: ignore[no-untyped-def]
    """ΔR² from one object to the active ones (large numbers beyond them)."""
    y, p = rapidity[at], phi[at]
    for k in range(_whole_blocks(active)):
        dphi = abs(phi[k] - p)
        dphi = min(dphi, _TWO_PI - dphi)
        dy = rapidity[k] - y
        out[k] = dphi * dphi + dy * dy


@compiled
def _smallest(values, active):  # type: ignore[no-untyped-def]
    """Position of the smallest of the first ``active`` values; none is negative, and larger ones fill their block.

    The bit patterns of such numbers sort like the numbers, and a minimum of integers vectorises.
    """
    bits = values.view(np.int64)
    least = bits[0]
    for k in range(_whole_blocks(active)):
        least = min(least, bits[k])
    first = active
    for k in range(_whole_blocks(active)):
        first = min(first, k if bits[k] == least else active)
    return first


@compiled
def _find_neighbour(at, active, r2, work, neighbour, out):  # type: ignore[no-untyped-def]
    """Nearest neighbour of one object within R among the active ones, −1 if there is none."""
    nearest = work[7]
    _distances2(work[5], work[6], at, active, out)
    out[at] = r2
    closest = _smallest(out, active)
    if out[closest] < r2:
        nearest[at], neighbour[at] = out[closest], closest
    else:
        nearest[at], neighbour[at] = r2, -1


@compiled
def _kt_distance(at, kt2, nearest, neighbour):  # type: ignore[no-untyped-def]
    """R² times the kT distance of an object to its nearest neighbour, or to the beam if it has none."""
    other = neighbour[at]
    return nearest[at] * (min(kt2[at], kt2[other]) if other >= 0 else kt2[at])


@compiled
def _clear(slot, work):  # type: ignore[no-untyped-def]
    """Make a slot empty."""
    work[5, slot], work[6, slot], work[8, slot] = _NOWHERE, 0.0, math.inf


@compiled
def _start(active, r2, work, neighbour):  # type: ignore[no-untyped-def]
    """Nearest neighbours and kT distances of all objects."""
    kt2, nearest, kt_distance = work[4], work[7], work[8]
    for k in range(active, work.shape[1]):
        _clear(k, work)
    for i in range(active):
        _find_neighbour(i, active, r2, work, neighbour, work[9])
    for i in range(active):
        kt_distance[i] = _kt_distance(i, kt2, nearest, neighbour)


@compiled
def _merge_closest(active, work, neighbour):  # type: ignore[no-untyped-def]
    """Recombine the closest pair or drop the object closest to the beam; the last object moves into the gap.

    Returns (slot of the recombined object or −1, slot that was freed).
    """
    kt_distance = work[8]
    first = _smallest(kt_distance, active)
    gone, merged = first, -1
    if neighbour[first] >= 0:
        merged, gone = min(first, neighbour[first]), max(first, neighbour[first])
        for c in range(4):
            work[c, merged] += work[c, gone]
        px, py = work[0, merged], work[1, merged]
        work[4, merged] = px * px + py * py
        y, phi = _rapidity_and_phi(px, py, work[2, merged], work[3, merged], work[4, merged])
        work[5, merged], work[6, merged] = y, phi
    for c in range(9):
        work[c, gone] = work[c, active - 1]
    neighbour[gone] = neighbour[active - 1]
    _clear(active - 1, work)
    return merged, gone


@compiled
def _update_neighbours(active, merged, gone, r2, work, neighbour):  # type: ignore[no-untyped-def]
    """Repair nearest neighbours and kT distances after a recombination that left ``active`` objects."""
    kt2, nearest, kt_distance, to_merged = work[4], work[7], work[8], work[9]
    if merged >= 0:
        _find_neighbour(merged, active, r2, work, neighbour, to_merged)
        kt_distance[merged] = _kt_distance(merged, kt2, nearest, neighbour)
    for k in range(active):
        if k == merged:
            continue
        if neighbour[k] >= 0 and (neighbour[k] == merged or neighbour[k] == gone):
            _find_neighbour(k, active, r2, work, neighbour, work[10])
            kt_distance[k] = _kt_distance(k, kt2, nearest, neighbour)
        else:
            if neighbour[k] == active:  # the object that moved into the gap
                neighbour[k] = gone
            if merged >= 0 and to_merged[k] < nearest[k]:
                nearest[k], neighbour[k] = to_merged[k], merged
                kt_distance[k] = _kt_distance(k, kt2, nearest, neighbour)


@compiled
def _tau(jet, work, axes, r0):  # type: ignore[no-untyped-def]
    """τ of one jet for the axes in the first slots of ``work``. Rows of ``jet``: pT, η, phi."""
    weighted, total = 0.0, 0.0
    eta = work[11]
    for a in range(axes):
        eta[a] = pseudorapidity(work[0, a], work[1, a], work[2, a])
    for i in range(jet.shape[1]):
        closest = math.inf
        for a in range(axes):
            dphi = abs(jet[2, i] - work[6, a])
            dphi = min(dphi, _TWO_PI - dphi)
            deta = jet[1, i] - eta[a]
            closest = min(closest, dphi * dphi + deta * deta)
        weighted += jet[0, i] * math.sqrt(closest)
        total += jet[0, i]
    return weighted / (total * r0) if total > 0.0 else 0.0


@compiled
def _fill_taus(momenta, constituents, offsets, radius, work, neighbour, taus):  # type: ignore[no-untyped-def]
    """Cluster each jet down to one object, measuring τ_N whenever N objects remain."""
    r2 = radius * radius
    jet = np.empty((3, work.shape[1]))
    for row in range(taus.shape[0]):
        size = offsets[row + 1] - offsets[row]
        taus[row, :] = 0.0 if size > 0 else math.nan
        for i in range(size):
            particle = constituents[offsets[row] + i]
            for c in range(4):
                work[c, i] = momenta[c, particle]
            kt2 = work[0, i] * work[0, i] + work[1, i] * work[1, i]
            y, phi = _rapidity_and_phi(work[0, i], work[1, i], work[2, i], work[3, i], kt2)
            work[4, i], work[5, i], work[6, i] = kt2, y, phi
            jet[0, i], jet[2, i] = math.sqrt(kt2), phi
            jet[1, i] = pseudorapidity(work[0, i], work[1, i], work[2, i])
        _start(size, r2, work, neighbour)
        for active in range(size - 1, 0, -1):
            merged, gone = _merge_closest(active + 1, work, neighbour)
            if active <= taus.shape[1]:
                taus[row, active - 1] = _tau(jet[:, :size], work, active, radius)
            if active > 1:
                _update_neighbours(active, merged, gone, r2, work, neighbour)
