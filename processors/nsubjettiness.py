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
# Rows of the workspace, one column per object: four-momentum, kT², rapidity, azimuth, ΔR² to the nearest neighbour, kT
# distance (times R²); then distances being computed, those to the newest object, and pseudorapidity of the axes.
_PX, _PY, _PZ, _E, _KT2, _Y, _PHI, _NEAREST, _KT_DISTANCE, _DISTANCE, _TO_MERGED, _ETA = range(12)
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
        momenta = np.ascontiguousarray(momenta)  # one memory layout: one compilation
        most = _whole_blocks(int(np.max(np.diff(offsets))))
        _fill_taus(momenta, constituents, offsets, radius, np.empty((12, most)), taus)
    return taus


@compiled
def _whole_blocks(size):  # type: ignore[no-untyped-def]
    return (size + _BLOCK - 1) // _BLOCK * _BLOCK


@compiled
def _set_position(at, work):  # type: ignore[no-untyped-def]
    """kT², rapidity and azimuth in [0, 2π) from the four-momentum of an object, rounded as FastJet does."""
    px, py, pz, energy = work[_PX, at], work[_PY, at], work[_PZ, at], work[_E, at]
    kt2 = px * px + py * py
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
    work[_KT2, at], work[_Y, at], work[_PHI, at] = kt2, rapidity if pz >= 0.0 else -rapidity, phi


@compiled
def pseudorapidity(px, py, pz):  # type: ignore[no-untyped-def]
    """η of a momentum, ±1e5 along the beam."""
    pt = math.sqrt(px * px + py * py)
    return math.asinh(pz / pt) if pt > 0.0 else math.copysign(_LARGEST_RAPIDITY, pz)


@compiled
def _smallest(row, active, bits):  # type: ignore[no-untyped-def]
    """Position of the smallest of the ``active`` values of a row; none is negative, larger ones fill their block.

    ``bits`` are the workspace's bit patterns: they sort like numbers that are not negative, and a minimum of
    integers vectorises.
    """
    least = bits[row, 0]
    for k in range(_whole_blocks(active)):
        least = min(least, bits[row, k])
    first = active
    for k in range(_whole_blocks(active)):
        first = min(first, k if bits[row, k] == least else active)
    return first


@compiled
def _find_neighbour(at, row, active, r2, work, bits, neighbour):  # type: ignore[no-untyped-def]
    """Nearest neighbour of an object within R, −1 if there is none. Leaves ΔR² to all objects in a row."""
    y, phi = work[_Y, at], work[_PHI, at]
    for k in range(_whole_blocks(active)):
        dphi = abs(work[_PHI, k] - phi)
        dphi = min(dphi, _TWO_PI - dphi)
        dy = work[_Y, k] - y
        work[row, k] = dphi * dphi + dy * dy
    work[row, at] = r2
    closest = _smallest(row, active, bits)
    if work[row, closest] < r2:
        work[_NEAREST, at], neighbour[at] = work[row, closest], closest
    else:
        work[_NEAREST, at], neighbour[at] = r2, -1


@compiled
def _set_kt_distance(at, work, neighbour):  # type: ignore[no-untyped-def]
    """kT distance of an object to its nearest neighbour, or to the beam if it has none."""
    other = neighbour[at]
    kt2 = min(work[_KT2, at], work[_KT2, other]) if other >= 0 else work[_KT2, at]
    work[_KT_DISTANCE, at] = work[_NEAREST, at] * kt2


@compiled
def _clear(slot, work):  # type: ignore[no-untyped-def]
    """Make a slot empty."""
    work[_Y, slot], work[_PHI, slot], work[_KT_DISTANCE, slot] = _NOWHERE, 0.0, math.inf


@compiled
def _merge_closest(active, work, bits, neighbour):  # type: ignore[no-untyped-def]
    """Recombine the closest pair or drop the object closest to the beam; the last object moves into the gap.

    Returns (slot of the recombined object or −1, slot that was freed).
    """
    first = _smallest(_KT_DISTANCE, active, bits)
    gone, merged = first, -1
    if neighbour[first] >= 0:
        merged, gone = min(first, neighbour[first]), max(first, neighbour[first])
        for c in range(4):
            work[c, merged] += work[c, gone]
        _set_position(merged, work)
    for c in range(_KT_DISTANCE + 1):
        work[c, gone] = work[c, active - 1]
    neighbour[gone] = neighbour[active - 1]
    _clear(active - 1, work)
    return merged, gone


@compiled
def _update_neighbours(active, merged, gone, r2, work, bits, neighbour):  # type: ignore[no-untyped-def]
    """Repair nearest neighbours and kT distances after a recombination that left ``active`` objects."""
    if merged >= 0:
        _find_neighbour(merged, _TO_MERGED, active, r2, work, bits, neighbour)
        _set_kt_distance(merged, work, neighbour)
    else:
        work[_TO_MERGED, :active] = math.inf
    for k in range(active):
        lost = (neighbour[k] == gone) | (neighbour[k] == merged)
        closer = work[_TO_MERGED, k] < work[_NEAREST, k]
        if not (lost | closer | (neighbour[k] == active)) or k == merged:
            continue  # nearly always: one branch instead of four
        if lost and neighbour[k] >= 0:
            _find_neighbour(k, _DISTANCE, active, r2, work, bits, neighbour)
        elif closer:
            work[_NEAREST, k], neighbour[k] = work[_TO_MERGED, k], merged
        elif neighbour[k] == active:
            neighbour[k] = gone  # the object that moved into the gap
        _set_kt_distance(k, work, neighbour)


@compiled
def _tau(jet, size, work, axes, r0):  # type: ignore[no-untyped-def]
    """τ of one jet for the axes in the first slots of ``work``. Rows of ``jet``: pT, η, phi."""
    weighted, total = 0.0, 0.0
    for a in range(axes):
        work[_ETA, a] = pseudorapidity(work[_PX, a], work[_PY, a], work[_PZ, a])
    for i in range(size):
        closest = math.inf
        for a in range(axes):
            dphi = abs(jet[2, i] - work[_PHI, a])
            dphi = min(dphi, _TWO_PI - dphi)
            deta = jet[1, i] - work[_ETA, a]
            closest = min(closest, dphi * dphi + deta * deta)
        weighted += jet[0, i] * math.sqrt(closest)
        total += jet[0, i]
    return weighted / (total * r0) if total > 0.0 else 0.0


@compiled
def _load(momenta, constituents, jet, work):  # type: ignore[no-untyped-def]
    """Put a jet's constituents into the workspace, and their pT, η, phi into ``jet``."""
    for i in range(len(constituents)):
        for c in range(4):
            work[c, i] = momenta[c, constituents[i]]
        _set_position(i, work)
        jet[0, i], jet[2, i] = math.sqrt(work[_KT2, i]), work[_PHI, i]
        jet[1, i] = pseudorapidity(work[_PX, i], work[_PY, i], work[_PZ, i])
    for slot in range(len(constituents), work.shape[1]):
        _clear(slot, work)


@compiled
def _fill_taus(momenta, constituents, offsets, radius, work, taus):  # type: ignore[no-untyped-def]
    """Cluster each jet down to one object, measuring τ_N whenever N objects remain."""
    r2 = radius * radius
    bits, neighbour, jet = work.view(np.int64), np.empty(work.shape[1], np.int64), np.empty((3, work.shape[1]))
    for row in range(taus.shape[0]):
        size = offsets[row + 1] - offsets[row]
        taus[row, :] = 0.0 if size > 0 else math.nan
        _load(momenta, constituents[offsets[row] : offsets[row + 1]], jet, work)
        for i in range(size):
            _find_neighbour(i, _DISTANCE, size, r2, work, bits, neighbour)
        for i in range(size):
            _set_kt_distance(i, work, neighbour)
        for active in range(size - 1, 0, -1):
            merged, gone = _merge_closest(active + 1, work, bits, neighbour)
            if active <= taus.shape[1]:
                taus[row, active - 1] = _tau(jet, size, work, active, radius)
            if active > 1:
                _update_neighbours(active, merged, gone, r2, work, bits, neighbour)
