"""Zero mean and unit variance for each pixel: fitted once on training images, block after block, and kept as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.images import BLOCK, Images, ImageSettings, JetImages, Rows, weighted_blocks

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PixelScaling:
    """Subtracts ``mean`` and divides by ``std``, pixel by pixel; a pixel that never changed in training becomes 0.

    Attributes:
        mean, std: (pixels, pixels) weighted mean and standard deviation (of the sample, not its estimate for the
            population) in training; std is 0 for constant pixels.
        n_images: how many images of weight above 0 they come from.
        floor: smaller standard deviations, but not 0, count as this. A pixel that few training jets ever lit has a tiny
            one, and gets a value of hundreds from a jet that does light it.
        settings: those of the images; others are refused.
    """

    mean: FloatArray
    std: FloatArray
    n_images: int
    settings: ImageSettings
    floor: float = 0.0

    def __call__(self, images: Images) -> Images:
        """Scale images (n, pixels, pixels) in place and return them."""
        if images.shape[1:] != self.mean.shape:
            raise InputError(f"The scaling is for images of {self.mean.shape} pixels, these have {images.shape[1:]}.")
        divisor = np.maximum(self.std, self.floor)
        factor = np.divide(1.0, divisor, out=np.zeros_like(divisor), where=self.std > 0)
        images -= self.mean.astype(np.float32)
        images *= factor.astype(np.float32)
        return images

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "settings": self.settings.to_dict(),
            "n_images": self.n_images,
            "floor": self.floor,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PixelScaling:
        """From what :meth:`to_dict` gave; raises InputError for anything else."""
        try:
            settings = ImageSettings(**content["settings"])
            mean, std = (np.asarray(content[name], dtype=np.float64) for name in ("mean", "std"))
            n_images, floor = int(content["n_images"]), float(content["floor"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"This is no scaling of pixels ({type(error).__name__}: {error}): fit it again."
            ) from error
        sound = mean.shape == std.shape == (settings.pixels, settings.pixels)
        if not (sound and np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all() and floor >= 0):
            raise InputError(
                "The scaling of pixels holds arrays of a wrong shape or values that cannot be: fit it again."
            )
        return cls(mean, std, n_images, settings, floor)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write JSON."""
        Path(path).write_text(json.dumps(self.to_dict()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PixelScaling:
        """Read what :meth:`save` wrote, to the last bit; raises InputError where it cannot."""
        try:
            content = json.loads(Path(path).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"The scaling of pixels in {path} cannot be read ({error}): fit it again.") from error
        return cls.from_dict(content)


@dataclass(frozen=True, eq=False)
class ScaledImages:
    """Images with scaled pixels: a batch like :class:`JetImages`."""

    images: JetImages
    scaling: PixelScaling

    def __post_init__(self) -> None:
        if self.images.settings != self.scaling.settings:
            raise InputError(
                f"The pixels were scaled for images made with {self.scaling.settings}, these are made with "
                f"{self.images.settings}: use the same settings, or fit the scaling again."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __call__(self, rows: Rows) -> Images:
        """Scaled images (len(rows), pixels, pixels)."""
        return self.scaling(self.images(rows))


def fit_scaling(
    images: JetImages,
    rows: Rows,
    *,
    weight: npt.NDArray[np.floating[Any]] | None = None,
    floor: float = 0.0,
    block: int = BLOCK,
) -> PixelScaling:
    """Mean and standard deviation of each pixel over the jets of ``rows``, ``block`` images in memory at a time.

    Means and squares about them are merged block by block (Chan, Golub, LeVeque, Am. Stat. 37 (1983) 242), which loses
    no precision where pixels are almost constant. ``weight`` is (len(rows),), not negative.

    Raises InputError where there are no rows, a weight is negative or not finite, or all are 0.
    """
    if not floor >= 0:
        raise InputError(f"The smallest standard deviation of a pixel is {floor}: expected 0 or more.")
    moments = _Moments(images.shape)
    for batch, factors in weighted_blocks(images, rows, weight=weight, block=block):
        if (factors < 0).any():
            raise InputError(
                "Some weights of the images are negative: there is no variance with these. Leave them out."
            )
        moments.add(batch[factors > 0], factors[factors > 0])
    if moments.n_images == 0:
        raise InputError(f"The weights of all {len(rows)} images are 0: there is nothing to scale by.")
    return PixelScaling(moments.mean, moments.std, moments.n_images, images.settings, float(floor))


class _Moments:
    """Running weighted mean and sum of squares about it, and whether a pixel ever changed."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.n_images = 0
        self.weight = 0.0
        self.mean: FloatArray = np.zeros(shape)
        self.squares: FloatArray = np.zeros(shape)
        self.low, self.high = np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32)

    def add(self, images: Images, weight: FloatArray) -> None:
        """Take in images with weights above 0."""
        if len(images) == 0:
            return
        total = float(weight.sum())
        values = images.reshape(len(images), -1).astype(np.float64)
        mean = weight @ values / total
        values -= mean
        values *= values
        squares = (weight @ values).reshape(self.mean.shape)
        shift = mean.reshape(self.mean.shape) - self.mean
        self.squares += squares + shift**2 * (self.weight * total / (self.weight + total))
        self.mean += shift * (total / (self.weight + total))
        self.weight += total
        self.n_images += len(images)
        self.low = np.minimum(self.low, images.min(axis=0))
        self.high = np.maximum(self.high, images.max(axis=0))

    @property
    def std(self) -> FloatArray:
        """Standard deviation; exactly 0 where all values were the same, whatever the rounding of their mean."""
        return np.where(self.high > self.low, np.sqrt(self.squares / self.weight), 0.0)
