"""Zero mean and unit variance for each pixel: fitted once on training images, block after block, and kept as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ml.errors import TrainingError

Batch = Callable[[np.ndarray], np.ndarray]
"""Row indices (n,) → images (n, …), such as `Sample.batch`."""

BLOCK = 1024  # images held at a time: 7 MB at 40 × 40


@dataclass(frozen=True, eq=False)
class PixelScaling:
    """Subtracts `mean` and divides by `std`, pixel by pixel; a pixel that never changed in training becomes 0.

    Attributes:
        mean, std: of the shape of an image: weighted mean and standard deviation (of the sample, not its estimate for
            the population) in training; std is 0 for constant pixels.
        n_images: how many images of weight above 0 they come from.
        floor: smaller standard deviations, but not 0, count as this. A pixel that few training jets ever lit has a tiny
            one, and gets a value of hundreds from a jet that does light it.
    """

    mean: np.ndarray
    std: np.ndarray
    n_images: int
    floor: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """That of an image."""
        return self.mean.shape

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Scaled images (n, …) float32; what is handed in stays as it is. TrainingError for another shape."""
        if images.shape[1:] != self.shape:
            raise TrainingError(
                f"the pixels were scaled for images of shape {self.shape}: these have {images.shape[1:]}"
            )
        divisor = np.maximum(self.std, self.floor)
        factor = np.divide(1.0, divisor, out=np.zeros_like(divisor), where=self.std > 0)
        scaled = np.asarray(images, np.float32) - self.mean.astype(np.float32)
        scaled *= factor.astype(np.float32)
        return scaled

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "n_images": self.n_images,
            "floor": self.floor,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PixelScaling:
        """From what `to_dict` gave; raises TrainingError for anything else."""
        try:
            mean, std = (np.asarray(content[name], dtype=np.float64) for name in ("mean", "std"))
            n_images, floor = int(content["n_images"]), float(content["floor"])
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"this is no scaling of pixels ({type(error).__name__}: {error}): fit it again"
            ) from error
        sound = mean.shape == std.shape and mean.ndim > 0
        if not (sound and np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all() and floor >= 0):
            raise TrainingError(
                "the scaling of pixels holds arrays of different shapes or values that cannot be: fit it again"
            )
        return cls(mean, std, n_images, floor)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON."""
        Path(path).write_text(json.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PixelScaling:
        """Read what `save` wrote, to the last bit; raises TrainingError where it cannot."""
        try:
            content = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise TrainingError(f"the scaling of pixels in {path} cannot be read ({error}): fit it again") from error
        return cls.from_dict(content)


@dataclass(frozen=True, eq=False)
class ScaledImages:
    """Images with scaled pixels: a callable like `images`, which can be pickled if that can."""

    images: Batch
    scaling: PixelScaling

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Scaled images (len(rows), …) float32."""
        return self.scaling(self.images(rows))


def fit_scaling(
    images: Batch, rows: np.ndarray, *, weight: np.ndarray | None = None, floor: float = 0.0, block: int = BLOCK
) -> PixelScaling:
    """Mean and standard deviation of each pixel over the images of `rows`, `block` of them in memory at a time.

    Means and squares about them are merged block by block (Chan, Golub, LeVeque, Am. Stat. 37 (1983) 242), which loses
    no precision where pixels are almost constant. `weight` is (len(rows),), not negative.

    Raises:
        TrainingError: no rows; a weight that is negative or not finite, or all are 0; images that are not finite or
            change their shape; a floor below 0.
    """
    check_floor(floor)
    moments = _Moments()
    for batch, factors in _blocks(images, rows, weight, block):
        moments.add(batch[factors > 0], factors[factors > 0])
    if moments.n_images == 0:
        raise TrainingError(f"the weights of all {len(rows)} images are 0: there is nothing to scale by")
    return PixelScaling(moments.mean, moments.std, moments.n_images, float(floor))


def check_floor(floor: float) -> None:
    """Refuse a smallest standard deviation that is below 0 or not finite."""
    if not 0 <= floor < np.inf:
        raise TrainingError(f"the smallest standard deviation of a pixel must be 0 or more, and finite: got {floor:g}")


def _blocks(
    images: Batch, rows: np.ndarray, weight: np.ndarray | None, block: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and weights (1 where there are none) of `block` rows after another."""
    rows = np.asarray(rows)
    factors = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not len(rows) or block < 1:
        raise TrainingError(f"{len(rows)} images in blocks of {block}: a scaling needs at least 1 of either")
    if factors.shape != rows.shape or not np.isfinite(factors).all() or (factors < 0).any():
        raise TrainingError(
            f"the weights of {len(rows)} images must be as many numbers, finite and not negative: there is no variance "
            "with others"
        )
    for start in range(0, len(rows), block):
        yield images(rows[start : start + block]), factors[start : start + block]


class _Moments:
    """Running weighted mean and sum of squares about it, and whether a pixel ever changed."""

    def __init__(self) -> None:
        self.n_images, self.weight = 0, 0.0
        # their shape is that of the first images
        self.mean, self.squares = np.zeros(()), np.zeros(())
        self.low, self.high = np.full((), np.inf), np.full((), -np.inf)

    def add(self, images: np.ndarray, weight: np.ndarray) -> None:
        """Take in images with weights above 0."""
        if not len(images):
            return
        shape = images.shape[1:]
        if self.n_images and shape != self.mean.shape:
            raise TrainingError(f"images of shape {shape} follow images of shape {self.mean.shape}: they must be alike")
        total = float(weight.sum())
        values = images.reshape(len(images), -1).astype(np.float64)
        mean = weight @ values / total
        if not np.isfinite(mean).all():
            raise TrainingError("some pixels are NaN or infinite: repair or drop those jets before training")
        values -= mean
        values *= values
        squares = (weight @ values).reshape(shape)
        shift = mean.reshape(shape) - self.mean
        self.squares = self.squares + squares + shift**2 * (self.weight * total / (self.weight + total))
        self.mean = self.mean + shift * (total / (self.weight + total))
        self.weight += total
        self.n_images += len(images)
        self.low = np.minimum(self.low, images.min(axis=0))
        self.high = np.maximum(self.high, images.max(axis=0))

    @property
    def std(self) -> np.ndarray:
        """Standard deviation; exactly 0 where all values were the same, whatever the rounding of their mean."""
        return np.where(self.high > self.low, np.sqrt(self.squares / self.weight), 0.0)
