"""Images of events as detectors get them: what they may ask for, and batches that are made when they are needed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.errors import TrainingError
from ml.pixel_scaling import BLOCK, Batch
from ml.sample import Sample

CHUNK = 4096  # images in memory while training: 26 MB at 40 × 40
JETS = ("j1", "j2")
"""Jets of an event that there are images of; j1 is the more massive one."""


@dataclass(frozen=True)
class JetImageSettings:
    """How a jet becomes an image; what each step does is told where images are made.

    Attributes:
        pixels: a side.
        half_width: of the image, in η and φ.
        rotate: principal axis upright.
        flip: hardest constituent in the upper left quadrant.
    """

    pixels: int = 40
    half_width: float = 0.7
    rotate: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        if self.pixels < 1 or not (math.isfinite(self.half_width) and self.half_width > 0):
            raise TrainingError(
                "an image has at least one pixel a side and a half width above 0: got "
                f"{self.pixels} and {self.half_width:g}"
            )


@dataclass(frozen=True)
class WantedImages:
    """What a detector asks to find in `Sample.batch`, by its attribute `needs_images`.

    Attributes:
        jets: one of `JETS`, for images (n, pixels, pixels), or several, for (n, len(jets), pixels, pixels) in this
            order.
        settings: of the images.
    """

    jets: tuple[str, ...]
    settings: JetImageSettings = JetImageSettings()

    def __post_init__(self) -> None:
        if not self.jets or len(set(self.jets)) < len(self.jets) or set(self.jets) - set(JETS):
            raise TrainingError(f"images are of the jets {', '.join(JETS)}, each once: got {list(self.jets)}")


@dataclass(frozen=True, eq=False)
class ObjectImages:
    """Images of one object of each event: `which` (n_events,) says which of the jets of `batch`.

    `batch` gives (n, n_jets, pixels, pixels), this (n, pixels, pixels). It can be pickled if `batch` can.
    """

    batch: Batch
    which: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Images (len(rows), pixels, pixels)."""
        return self.batch(rows)[np.arange(len(rows)), self.which[rows]]

    @property
    def digest(self) -> str:
        """See `Sample.digest`: that of both jets, and which of them."""
        which = hashlib.sha256(np.asarray(self.which, np.int64).tobytes()).hexdigest()
        return f"{getattr(self.batch, 'digest', '')}|{which}"


def images_of(sample: Sample, *, dimensions: tuple[int, ...] = (2,)) -> tuple[Batch, tuple[int, ...]]:
    """What makes the images of a sample, checked at every call, and the shape of one image.

    Args:
        sample: with a `batch`.
        dimensions: numbers of dimensions that an image may have: 2 for (pixels, pixels).

    Raises:
        TrainingError: no `batch`, or images that are not square or of other dimensions; later, while they are made,
            images that change their shape or are not finite.
    """
    if sample.batch is None:
        raise TrainingError(
            "the sample has no images: keep the constituents of jets by `processing: {constituents: 200}` in the "
            "search file, and take a detector that asks for them (`inputs: images`); from Python give `Sample.batch`, "
            "row indices → images"
        )
    shape = tuple(np.shape(sample.batch(np.arange(min(1, len(sample))))))[1:]
    if len(shape) not in dimensions or shape[-1] != shape[-2] or min(shape) < 1:
        expected = " or ".join("(n, pixels, pixels)" if d == 2 else "(n, jets, pixels, pixels)" for d in dimensions)
        raise TrainingError(
            f"`batch` of the sample gives arrays (n, {', '.join(map(str, shape))}): expected {expected}"
        )
    return _Checked(sample.batch, shape), shape


@dataclass(frozen=True, eq=False)
class _Checked:
    batch: Batch
    shape: tuple[int, ...]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        images = np.asarray(self.batch(rows))
        if images.shape != (len(rows), *self.shape):
            raise TrainingError(
                f"`batch` of the sample gave images of shape {images.shape} for {len(rows)} rows: expected "
                f"{(len(rows), *self.shape)}"
            )
        bad = ~np.isfinite(images).reshape(len(rows), -1).all(axis=1)
        if bad.any():
            raise TrainingError(
                f"{int(bad.sum())} of {len(rows)} images have pixels that are NaN or infinite, the first that of row "
                f"{int(rows[np.argmax(bad)])}: repair or drop those events"
            )
        return images


@dataclass(frozen=True, eq=False)
class ImageChunks:
    """Training data that are made when they are asked for, the same in every epoch; see `ml.training.Trainer.fit`.

    Attributes:
        images: what makes them.
        columns: (n, …) each, of the same rows, beside the images, which are the column `x`.
        order: (n,) the rows in the order in which they are cut into chunks.
        size: of a chunk at most; chunks are of equal size but for one row.
    """

    images: Batch
    columns: Mapping[str, np.ndarray]
    order: np.ndarray
    size: int = CHUNK

    def __call__(self, epoch: int) -> Iterator[dict[str, Any]]:
        """The chunks of an epoch."""
        for rows in np.array_split(self.order, max(1, math.ceil(len(self.order) / self.size))):
            yield {"x": self.images(rows), **{name: column[rows] for name, column in self.columns.items()}}


def blocks_of(images: Batch, count: int, *, block: int = BLOCK) -> Iterator[np.ndarray]:
    """The images of rows 0 to count − 1, `block` at a time; none at all is one empty block."""
    for start in range(0, max(count, 1), block):
        yield images(np.arange(start, min(start + block, count)))
