"""Images of toy jets with one or two prongs, and samples whose `batch` makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml import Sample


@dataclass(frozen=True)
class Stored:
    """Images in memory as a `batch`: at the top of a module, so that it can be pickled."""

    images: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.images[rows]


def jets(two_prongs: np.ndarray, *, seed: int, pixels: int = 8) -> np.ndarray:
    """Images (n, pixels, pixels) whose pixels sum to 1: 30 particles around the centre, or around two prongs on the
    vertical, as jets are after centring and rotation."""
    random = np.random.default_rng(seed)
    two_prongs = np.asarray(two_prongs, dtype=bool)
    images = np.zeros((len(two_prongs), pixels, pixels), np.float32)
    side = random.choice((-1, 1), (len(two_prongs), 30)) * np.where(two_prongs, 0.45, 0.0)[:, None]
    x, y = random.normal(0, 0.15, (2, len(two_prongs), 30))
    places = [np.clip(((c + 1) / 2 * pixels).astype(int), 0, pixels - 1) for c in (y + side, x)]
    np.add.at(images, (np.arange(len(images))[:, None], *places), random.exponential(1, side.shape).astype(np.float32))
    return images / images.sum(axis=(1, 2), keepdims=True)


def image_sample(images: np.ndarray, *, seed: int = 0) -> Sample:
    """Events with images as their `batch` and nothing else of interest."""
    random, n = np.random.default_rng(seed), len(images)
    return Sample(
        columns={},
        mass=2500 + random.exponential(500, n),
        weight=np.ones(n),
        fold=random.integers(0, 2**32, n, dtype=np.uint32),
        event_id=np.arange(n),
        batch=Stored(images),
    )
