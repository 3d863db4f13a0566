"""Jet images of a batch, as one compiled kernel: centre, turn, flip, pixelate, normalise.

Every jet is worked on in double precision in a small workspace, one column per constituent. A reader who wants the
conventions finds them at :class:`processors.images.ImageSettings`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.nsubjettiness import compiled

_PT, _X, _Y = range(3)  # rows of the workspace: pT, then η and φ, which become horizontal and vertical coordinate
ROWS = 3
_TWO_PI = 2.0 * math.pi
# Stored directions are float32 with errors of about 1e-7. What is closer than this to an axis lies on it: else rounding
# would decide which of the pixels around the centre is lit, and which way a jet is flipped.
ON_AXIS = 1e-6
# Where the two second moments differ by less (of their sum), rounding would turn the axis by a good part of a pixel.
ISOTROPIC = 1e-4


@compiled
def fill_images(rows, offsets, pt, eta, phi, half_width, rotate, flip, work, images):  # type: ignore[no-untyped-def]
    """Image of each jet of ``rows`` into ``images``, (n, pixels, pixels) and zero."""
    pixels = images.shape[1]
    scale = 0.5 * pixels / half_width
    for i in range(len(rows)):
        n = oriented(offsets[rows[i]], offsets[rows[i] + 1], pt, eta, phi, rotate, flip, work)
        inside = _pt_inside(n, scale, pixels, work)
        if inside > 0.0:
            image = images[i]
            for k in range(n):
                row, column = _row(work[_Y, k], scale, pixels), _column(work[_X, k], scale, pixels)
                if row >= 0 and column >= 0:
                    image[row, column] += work[_PT, k] / inside


@compiled
def count_outside(offsets, pt, eta, phi, half_width, pixels, rotate, flip, work):  # type: ignore[no-untyped-def]
    """Jets that have transverse momentum, but none within the window."""
    scale, outside = 0.5 * pixels / half_width, 0
    for jet in range(len(offsets) - 1):
        n = oriented(offsets[jet], offsets[jet + 1], pt, eta, phi, rotate, flip, work)
        if n > 0 and _pt_inside(n, scale, pixels, work) == 0.0:
            outside += 1
    return outside


@compiled
def oriented(first, last, pt, eta, phi, rotate, flip, work):  # type: ignore[no-untyped-def]
    """Coordinates of the constituents first to last (those with pT > 0) in the workspace; returns how many."""
    n = 0
    for k in range(first, last):
        if pt[k] > 0.0:
            work[_PT, n], work[_X, n], work[_Y, n] = pt[k], eta[k], phi[k]
            n += 1
    if n > 0:
        _centre(n, work)
        if rotate:
            _turn(n, work)
        for row in (_X, _Y):
            for k in range(n):
                if abs(work[row, k]) < ON_AXIS:
                    work[row, k] = 0.0
        if flip:
            _flip(_X, -1.0, n, work)
            _flip(_Y, 1.0, n, work)
    return n


@compiled
def _hardest(n, below, work):  # type: ignore[no-untyped-def]
    """The largest pT smaller than ``below`` and the first constituent that has it; 0 and −1 if there is none."""
    largest, where = 0.0, -1
    for k in range(n):
        if largest < work[_PT, k] < below:
            largest, where = work[_PT, k], k
    return largest, where


@compiled
def _centre(n, work):  # type: ignore[no-untyped-def]
    """Subtract the pT-weighted centroid; φ is unrolled around the hardest constituent, for jets narrower than π."""
    where = _hardest(n, math.inf, work)[1]
    eta, phi = work[_X, where], work[_Y, where]
    total, mean_x, mean_y = 0.0, 0.0, 0.0
    for k in range(n):
        x, y = work[_X, k] - eta, work[_Y, k] - phi
        y -= _TWO_PI * math.floor(y / _TWO_PI + 0.5)
        work[_X, k], work[_Y, k] = x, y
        total += work[_PT, k]
        mean_x += work[_PT, k] * x
        mean_y += work[_PT, k] * y
    for k in range(n):
        work[_X, k] -= mean_x / total
        work[_Y, k] -= mean_y / total


@compiled
def _turn(n, work):  # type: ignore[no-untyped-def]
    """Rotate the principal axis of the pT-weighted second moments to the vertical."""
    xx, xy, yy = 0.0, 0.0, 0.0
    for k in range(n):
        x, y = work[_X, k], work[_Y, k]
        xx += work[_PT, k] * x * x
        xy += work[_PT, k] * x * y
        yy += work[_PT, k] * y * y
    if math.hypot(xx - yy, 2.0 * xy) > ISOTROPIC * (xx + yy):
        angle = 0.5 * math.atan2(2.0 * xy, xx - yy)
    else:
        angle = _to_hardest(n, work)
    cosine, sine = math.cos(angle), math.sin(angle)
    for k in range(n):
        x, y = work[_X, k], work[_Y, k]
        work[_X, k], work[_Y, k] = x * sine - y * cosine, x * cosine + y * sine


@compiled
def _to_hardest(n, work):  # type: ignore[no-untyped-def]
    """Direction of the hardest constituent that is not in the centre; the vertical if all are."""
    level, where = _hardest(n, math.inf, work)
    while where >= 0:
        if math.hypot(work[_X, where], work[_Y, where]) >= ON_AXIS:
            return math.atan2(work[_Y, where], work[_X, where])
        level, where = _hardest(n, level, work)
    return 0.5 * math.pi


@compiled
def _flip(row, side, n, work):  # type: ignore[no-untyped-def]
    """Mirror a coordinate so that the hardest constituent (several: their sum) off the axis has the sign ``side``."""
    level = _hardest(n, math.inf, work)[0]
    while level > 0.0:
        position = 0.0
        for k in range(n):
            if work[_PT, k] == level:
                position += work[row, k]
        if abs(position) >= ON_AXIS:
            if position * side < 0.0:
                for k in range(n):
                    work[row, k] = -work[row, k]
            return
        level = _hardest(n, level, work)[0]


@compiled
def _row(y, scale, pixels):  # type: ignore[no-untyped-def]
    """Row 0 is the top; a pixel owns its lower edge: the centre belongs to the upper half. −1: outside."""
    row = math.ceil(0.5 * pixels - y * scale) - 1
    return row if row < pixels else -1


@compiled
def _column(x, scale, pixels):  # type: ignore[no-untyped-def]
    """Column 0 is on the left; a pixel owns its right edge: the centre belongs to the left half. −1: outside."""
    column = math.ceil(0.5 * pixels + x * scale) - 1
    return column if column < pixels else -1


@compiled
def _pt_inside(n, scale, pixels, work):  # type: ignore[no-untyped-def]
    """Scalar sum of pT within the window."""
    inside = 0.0
    for k in range(n):
        if _row(work[_Y, k], scale, pixels) >= 0 and _column(work[_X, k], scale, pixels) >= 0:
            inside += work[_PT, k]
    return inside


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that cannot be written to: with one kind of array there is one compilation."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
