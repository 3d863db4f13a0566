"""Names of events that survive any chunking: file, entry and the fold both imply."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def file_id(filename: str) -> int:
    """32-bit hash of the last two components of a path.

    Two components tell ``qcd/part-000.root`` from ``signal/part-000.root`` and stay the same when the folder
    that holds both moves. Relative local paths are completed first, so that spelling does not matter.
    """
    name = str(filename)
    if "://" not in name:
        name = os.path.abspath(name).replace(os.sep, "/")
    tail = "/".join([part for part in name.split("/") if part][-2:])
    return int.from_bytes(hashlib.blake2b(tail.encode(), digest_size=4).digest(), "big")


def splitmix64(state: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """One output of the SplitMix64 generator per 64-bit state (Steele, Lea, Flood, OOPSLA 2014, figure 16).

    The first output from state 0 is 0xE220A8397B1DCDAF.
    """
    z = np.atleast_1d(np.asarray(state, dtype=np.uint64)) + _GOLDEN_GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fold_hash(file: int, entry: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """Uniform uint32 per event from file and entry; an event is in fold ``fold_hash % k`` of k."""
    state = splitmix64(file)[0] + entry.astype(np.uint64)
    return (splitmix64(state) >> np.uint64(32)).astype(np.uint32)


def identify(metadata: Mapping[str, Any], n_events: int) -> dict[str, np.ndarray]:
    """Columns ``file_id`` (uint32), ``entry`` (int64) and ``fold`` (uint32) of one chunk.

    ``metadata`` is what a runner attaches to the events: ``filename`` and ``entrystart`` are used.
    """
    file = file_id(metadata["filename"])
    entry = np.int64(metadata["entrystart"]) + np.arange(n_events, dtype=np.int64)
    return {
        "file_id": np.full(n_events, file, dtype=np.uint32),
        "entry": entry,
        "fold": fold_hash(file, entry),
    }
