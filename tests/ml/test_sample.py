"""Parts of samples, and the arrays that come with them on request."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np

from ml import Sample


def doubled(rows: np.ndarray) -> np.ndarray:
    """Stand in for images: (n, 2) of row indices."""
    return np.stack([rows, 2 * rows], axis=1)


def test_batches_of_a_part_are_those_of_its_rows_also_elsewhere(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = replace(tiny[0], batch=doubled)
    part = sample.select(np.arange(100, 200)).select(np.array([5, 3, 7]))
    assert part.batch is not None
    assert np.array_equal(part.batch(np.array([2, 0])), [[107, 214], [105, 210]])
    there = pickle.loads(pickle.dumps(part))  # noqa: S301  # what was written the line before
    assert np.array_equal(there.batch(np.array([2, 0])), part.batch(np.array([2, 0])))
    assert np.array_equal(there.mass, sample.mass[[105, 103, 107]])
    # a part of a part does not carry all rows between
    assert len(pickle.dumps(part)) < 3000
