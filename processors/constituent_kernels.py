"""Four-momenta of a batch of jets, as one compiled kernel: choose the hardest, boost, centre, turn.

Every jet is worked on in double precision. A reader who wants the conventions finds them at
:class:`processors.constituents.JetConstituents`.
"""

from __future__ import annotations

import math

from processors.nsubjettiness import compiled

# Rows of the workspace, one column per constituent: pT, E + pz and E − pz, then E, px, py, pz.
_PT, _PLUS, _MINUS, _E, _PX, _PY, _PZ = range(7)
ROWS = 7
# Sine of an angle to the jet axis (or of an imbalance) below which rounding of float32 directions decides.
ON_AXIS = 1e-6


@compiled
def fill_constituents(rows, offsets, pt, eta, phi, mass, work, which, out):  # type: ignore[no-untyped-def]
    """Prepared constituents of each jet of ``rows`` into ``out``, (n, count, 4) and zero."""
    count = out.shape[1]
    for i in range(len(rows)):
        n = _hardest(offsets[rows[i]], offsets[rows[i] + 1], pt, count, work, which)
        if n > 0:
            _momenta(n, eta, phi, mass, work, which)
            _boost(n, work)
            _centre(n, work)
            _turn(n, work)
            for k in range(n):
                out[i, k, 0], out[i, k, 1] = work[_E, k], work[_PX, k]
                out[i, k, 2], out[i, k, 3] = work[_PY, k], work[_PZ, k]


@compiled
def _hardest(first, last, pt, count, work, which):  # type: ignore[no-untyped-def]
    """Insert the ``count`` hardest constituents, hardest first; those of equal pT stay in order. Returns how many."""
    n = 0
    for k in range(first, last):
        if pt[k] <= 0.0 or (n == count and pt[k] <= work[_PT, n - 1]):
            continue
        place = n if n < count else count - 1
        while place > 0 and work[_PT, place - 1] < pt[k]:
            work[_PT, place], which[place] = work[_PT, place - 1], which[place - 1]
            place -= 1
        work[_PT, place], which[place] = pt[k], k
        n = min(n + 1, count)
    return n


@compiled
def _momenta(n, eta, phi, mass, work, which):  # type: ignore[no-untyped-def]
    """Transverse and light-cone momenta. E − |pz| is mT²/(E + |pz|): a difference would lose forward particles."""
    for k in range(n):
        pt, m = work[_PT, k], max(mass[which[k]], 0.0)
        grown = math.exp(abs(eta[which[k]]))
        pz = 0.5 * pt * (grown - 1.0 / grown)
        p = 0.5 * pt * (grown + 1.0 / grown)
        large = (math.sqrt(p * p + m * m) if m > 0.0 else p) + pz
        small = (pt * pt + m * m) / large
        work[_PLUS, k], work[_MINUS, k] = (large, small) if eta[which[k]] >= 0.0 else (small, large)
        work[_PX, k] = pt * math.cos(phi[which[k]])
        work[_PY, k] = pt * math.sin(phi[which[k]])


@compiled
def _boost(n, work):  # type: ignore[no-untyped-def]
    """Boost along the beam to where the constituents' sum has pz = 0."""
    plus, minus = 0.0, 0.0
    for k in range(n):
        plus += work[_PLUS, k]
        minus += work[_MINUS, k]
    factor = math.sqrt(minus / plus)
    for k in range(n):
        up, down = work[_PLUS, k] * factor, work[_MINUS, k] / factor
        work[_E, k], work[_PZ, k] = 0.5 * (up + down), 0.5 * (up - down)


@compiled
def _centre(n, work):  # type: ignore[no-untyped-def]
    """Rotate around the beam to where the constituents' sum has φ = 0; it stays where they balance."""
    px, py, total = 0.0, 0.0, 0.0
    for k in range(n):
        px += work[_PX, k]
        py += work[_PY, k]
        total += work[_PT, k]
    size = math.hypot(px, py)
    if size < ON_AXIS * total:
        return
    _rotate(n, work, _PX, _PY, px / size, py / size)


@compiled
def _turn(n, work):  # type: ignore[no-untyped-def]
    """Rotate around x, the jet axis, until the principal axis points to +y, where φ grows."""
    y, z = _principal_axis(n, work)
    size = math.hypot(y, z)
    if size == 0.0:
        return
    _rotate(n, work, _PY, _PZ, y / size, z / size)


@compiled
def _rotate(n, work, first, second, cosine, sine):  # type: ignore[no-untyped-def]
    """Turn two components so that the direction (cosine, sine) becomes that of the first."""
    for k in range(n):
        x, y = work[first, k], work[second, k]
        work[first, k], work[second, k] = x * cosine + y * sine, y * cosine - x * sine


@compiled
def _principal_axis(n, work):  # type: ignore[no-untyped-def]
    """Sum of unit vectors across the jet axis, weighted by energy; the hardest constituent's where that vanishes.

    What lies on the axis has no direction. Where all do, so has the jet: (0, 0).
    """
    y, z, total, first_y, first_z = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        energy, across = work[_E, k], math.hypot(work[_PY, k], work[_PZ, k])
        total += energy
        if across < ON_AXIS * energy:
            continue
        unit_y, unit_z = work[_PY, k] / across, work[_PZ, k] / across
        y += energy * unit_y
        z += energy * unit_z
        if first_y == 0.0 and first_z == 0.0:
            first_y, first_z = unit_y, unit_z
    if math.hypot(y, z) < ON_AXIS * total:
        return first_y, first_z
    return y, z
