"""Arrays of networks with a leading member axis: their shapes, parts of them, and ensembles that wait to be used."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from ml.errors import TrainingError

Arrays = Mapping[str, Sequence[np.ndarray]]
"""Network name → its arrays, each with a leading member axis."""

T = TypeVar("T")


class Idle(Generic[T]):
    """What was compiled and is not in use, by the shapes that it was compiled for."""

    def __init__(self) -> None:
        self._waiting: dict[Any, queue.SimpleQueue[T]] = {}

    def take(self, key: Any, make: Callable[[], T]) -> T:
        """One that waits, or a new one."""
        try:
            return self._of(key).get_nowait()
        except queue.Empty:
            return make()

    def put(self, key: Any, item: T) -> None:
        """Give one back."""
        self._of(key).put(item)

    def _of(self, key: Any) -> queue.SimpleQueue[T]:
        return self._waiting.setdefault(key, queue.SimpleQueue())


def require_members(initial: Arrays, members: int) -> None:
    """Raise TrainingError for no members, and for arrays whose first axis is another one."""
    if not members:
        raise TrainingError("no seeds: an ensemble has one per member, and at least one member")
    for name, arrays in initial.items():
        for array in arrays:
            if np.shape(array)[:1] != (members,):
                raise TrainingError(
                    f"an array of network {name!r} has shape {np.shape(array)}: its first axis must be the {members} "
                    "members that there are seeds for"
                )


def require_finite(parameters: Arrays) -> None:
    """Raise TrainingError for weights that are not finite.

    A last step can spoil weights that no loss was computed with any more.
    """
    for name, arrays in parameters.items():
        for array in arrays:
            bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
            if bad.any():
                raise TrainingError(
                    f"network {name!r} of member {int(np.argmax(bad))} ended with weights that are not finite: "
                    "training diverged; lower the learning rate, set clip_norm, or look for extreme inputs"
                )


def chosen(initial: Arrays, members: np.ndarray) -> dict[str, list[np.ndarray]]:
    """The arrays of some members."""
    return {name: [np.asarray(array)[members] for array in arrays] for name, arrays in initial.items()}


def shapes(initial: Arrays) -> tuple[Any, ...]:
    """What one compilation is good for: the shapes of all arrays."""
    return tuple((name, tuple(tuple(np.shape(a)) for a in arrays)) for name, arrays in sorted(initial.items()))


def joined(parts: Sequence[Arrays]) -> dict[str, list[np.ndarray]]:
    """The arrays of all members from those of some each."""
    return {n: [np.concatenate(a) for a in zip(*(p[n] for p in parts), strict=True)] for n in parts[0]}
