"""Jet images from stored constituents, batch by batch: no array of all images is ever held.

The steps are those of section 3 of Tag N' Train (arXiv:2002.12376); what the paper leaves open is settled at
:class:`ImageSettings`. A :class:`JetImages` is called with row indices and gives images, so it can stand as the
``batch`` of a sample; it can be pickled. Zero mean and unit variance of the pixels belong to what is trained on them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.flat_jets import check_counts, check_flat, check_values, checked_rows, flattened
from processors.image_kernels import ROWS, count_outside, fill_images, oriented, read_only

log = logging.getLogger(__name__)

Images = npt.NDArray[np.float32]
Rows = npt.NDArray[np.integer[Any]]
Batch = Callable[[Rows], Images]  # row indices (n,) -> (n, …)
BLOCK = 1024  # images held at a time where all of a sample are gone through: 7 MB at 40 × 40


@dataclass(frozen=True)
class ImageSettings:
    """How a jet becomes an image.

    1. The origin is the pT-weighted centroid in (η, φ); φ is periodic.
    2. ``rotate``: the principal axis of the pT-weighted second moments becomes vertical. Which end is up is left to the
       flips. Where the two moments are equal (to 10⁻⁴ of their sum) the hardest constituent off the centre
       comes to lie on the vertical instead.
    3. ``flip``: mirrored left-right and up-down so that the hardest constituent is in the upper left quadrant. Where it
       lies on an axis (within 10⁻⁶) the next in pT decides that flip; constituents of the same pT decide by the sum of
       their coordinates.
    4. ``pixels`` × ``pixels`` over ±``half_width`` in both directions; row 0 is the top and column 0 the left, as
       ``imshow`` draws them. What lies on the edge of two pixels belongs to the lower or to the right-hand edge of a
       pixel: the centre counts as upper left.
    5. pT per pixel over the pT of all pixels: the sum is 1. Nothing outside the window counts.

    Without ``rotate`` η points to the right and φ upwards. Raises InputError for settings that cannot be.
    """

    pixels: int = 40
    half_width: float = 0.7
    rotate: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        if self.pixels != int(self.pixels) or self.pixels < 1:
            raise InputError(f"An image has {self.pixels} pixels a side: expected a whole number, 1 or more.")
        if not (math.isfinite(self.half_width) and self.half_width > 0):
            raise InputError(
                f"The half width of an image is {self.half_width}: expected a number above 0, such as 0.7."
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class JetImages:
    """Images of n jets from their constituents; ``images(rows)`` makes those of the rows asked for.

    Attributes:
        offsets: (n + 1,) int64: jet i owns the constituents offsets[i] to offsets[i + 1].
        pt, eta, phi: (n_constituents,) float32, GeV and radians, in any order within a jet; pT 0 is no constituent.
        settings: what an image is.
        outside: jets with constituents but none within the window: their images are 0; a warning gives the number.

    A jet without constituents has an image of zeros.

    Raises InputError for arrays that do not belong together, negative pT, and values that are not finite.
    """

    offsets: npt.NDArray[np.int64]
    pt: npt.NDArray[np.float32]
    eta: npt.NDArray[np.float32]
    phi: npt.NDArray[np.float32]
    settings: ImageSettings = ImageSettings()
    outside: int = field(init=False, default=0)
    _most: int = field(init=False, repr=False, default=0)  # constituents of a jet

    def __post_init__(self) -> None:
        check_flat(self.offsets, pt=self.pt, eta=self.eta, phi=self.phi)
        self._set("offsets", read_only(np.asarray(self.offsets, dtype=np.int64)))
        with np.errstate(over="ignore"):  # becomes infinite, and is refused
            for name in ("pt", "eta", "phi"):
                self._set(name, read_only(np.asarray(getattr(self, name), dtype=np.float32)))
        check_values(self.offsets, pt=self.pt, eta=self.eta, phi=self.phi)
        self._set("_most", int(np.max(np.diff(self.offsets), initial=0)))
        s = self.settings
        outside = count_outside(*self._arrays(), s.half_width, s.pixels, s.rotate, s.flip, self._workspace())
        self._set("outside", int(outside))
        if outside:
            log.warning(
                "%d of %d jets have all their constituents outside ±%g around the centroid: their images are empty",
                outside, len(self), s.half_width,
            )  # fmt: skip

    @classmethod
    def from_ragged(
        cls, pt: ak.Array, eta: ak.Array, phi: ak.Array, *, settings: ImageSettings | None = None
    ) -> JetImages:
        """From ragged arrays (n, var), such as the dijet columns ``j1_constituents_pt``, ``…_eta``, ``…_phi``.

        Raises InputError also where the arrays are not lists of the same lengths or something is missing.
        """
        columns = {name: ak.Array(values) for name, values in (("pt", pt), ("eta", eta), ("phi", phi))}
        counts, flat = {}, {}
        for name, values in columns.items():
            counts[name], flat[name] = flattened(name, values)
        for name in ("eta", "phi"):
            check_counts(name, counts[name], counts["pt"])
        offsets = np.concatenate([[0], np.cumsum(counts["pt"], dtype=np.int64)])
        return cls(offsets, **flat, settings=settings or ImageSettings())

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.settings.pixels, self.settings.pixels

    def __call__(self, rows: Rows) -> Images:
        """Images (len(rows), pixels, pixels) of the jets of these row indices, in their order.

        Raises InputError for rows that are not whole numbers from 0 to n - 1.
        """
        rows = checked_rows(rows, len(self))
        images = np.zeros((len(rows), *self.shape), dtype=np.float32)
        s = self.settings
        fill_images(rows, *self._arrays(), s.half_width, s.rotate, s.flip, self._workspace(), images)
        return images

    def coordinates(self, row: int) -> npt.NDArray[np.float64]:
        """(3, n_constituents) pT in GeV, horizontal and vertical coordinate of one jet after steps 1 to 3."""
        first, last = self.offsets[checked_rows(np.array([row]), len(self))[0] :][:2]
        work = self._workspace()
        count = oriented(first, last, *self._arrays()[1:], self.settings.rotate, self.settings.flip, work)
        return work[:, :count]

    def _arrays(self) -> tuple[npt.NDArray[Any], ...]:
        # read-only anew: an array that was pickled comes back writeable
        return tuple(read_only(array) for array in (self.offsets, self.pt, self.eta, self.phi))

    def _workspace(self) -> npt.NDArray[np.float64]:
        return np.empty((ROWS, self._most))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class ImageStack:
    """Images of several jets of an event, e.g. j1 and j2: ``stack(rows)`` is (len(rows), n_jets, pixels, pixels)."""

    parts: Sequence[Batch]

    def __call__(self, rows: Rows) -> Images:
        """The images of each part beside each other."""
        return np.stack([part(rows) for part in self.parts], axis=1)


def average_image(
    images: Batch, rows: Rows, *, weight: npt.NDArray[np.floating[Any]] | None = None, block: int = BLOCK
) -> npt.NDArray[np.float64]:
    """Mean image of the given rows, weighted by ``weight`` (len(rows),), with ``block`` images in memory at a time.

    Raises InputError where there are no rows, or the weights do not fit, are not finite, or sum to 0.
    """
    total: Any = 0.0
    sum_of_weights = 0.0
    for batch, factors in weighted_blocks(images, rows, weight=weight, block=block):
        total = total + np.tensordot(factors, batch, axes=1)
        sum_of_weights += float(factors.sum())
    if sum_of_weights == 0:
        raise InputError(f"The weights of {len(rows)} images sum to 0: there is no mean of them.")
    return np.asarray(total / sum_of_weights)


def weighted_blocks(
    images: Batch, rows: Rows, *, weight: npt.NDArray[np.floating[Any]] | None, block: int = BLOCK
) -> Iterator[tuple[Images, npt.NDArray[np.float64]]]:
    """Images and weights (1 where there are none) of ``block`` rows after another; raises as :func:`average_image`."""
    rows = np.asarray(rows)
    if len(rows) == 0:
        raise InputError("There are no images to average: no row is selected.")
    if block < 1:
        raise InputError(f"A block of {block} images: expected 1 or more.")
    factors = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    if factors.shape != rows.shape:
        raise InputError(f"There are weights of shape {factors.shape} for {len(rows)} images: give one for each row.")
    if not np.isfinite(factors).all():
        raise InputError(f"The weight of image {int(np.argmin(np.isfinite(factors)))} of the given rows is not finite.")
    for start in range(0, len(rows), block):
        yield images(rows[start : start + block]), factors[start : start + block]
