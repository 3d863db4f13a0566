"""The chunks of every epoch: data in memory, or a source that has to give the same ones again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ml.errors import TrainingError
from ml.rows import Chunk, ChunkSource, Columns, chunks_of, require_alike, whole

if TYPE_CHECKING:
    from ml.training import Schedule


def chunks_for(
    data: Columns | ChunkSource, schedule: Schedule, validation: Chunk | None
) -> Callable[[int], Iterable[Chunk]]:
    """Epoch → its chunks.

    Raises:
        TrainingError: no events to train or to validate on, columns other than those of `validation`; while they are
            gone through, chunks that are not those of the first pass where events of them are kept for validation.
    """
    if callable(data):
        return _in_pieces(data, schedule, validation)
    chunk = whole(data)
    if validation is not None:
        require_alike(validation, chunk)
    return _in_memory(chunk, schedule)


def _in_memory(chunk: Chunk, schedule: Schedule) -> Callable[[int], Iterable[Chunk]]:
    held_out = round(schedule.validation_fraction * len(chunk))
    if held_out == len(chunk):
        raise TrainingError(
            f"{len(chunk)} events leave none to train on at {schedule.validation_fraction:g} validation"
        )
    if schedule.validation_fraction and not held_out:
        raise TrainingError(
            f"{schedule.validation_fraction:g} of {len(chunk)} events are none to validate on: use more events, or a "
            "validation_fraction of 0"
        )
    return lambda epoch: [chunk]


def _in_pieces(source: ChunkSource, schedule: Schedule, validation: Chunk | None) -> Callable[[int], Iterable[Chunk]]:
    first = FirstPass() if schedule.validation_fraction else None
    room = 0

    def chunks(epoch: int) -> Iterable[Chunk]:
        nonlocal room
        count = 0
        for chunk in chunks_of(source, epoch, room):
            room, count = chunk.room, chunk.index + 1
            if validation is not None:
                require_alike(validation, chunk)
            if first is not None:
                first.check(chunk, epoch)
            yield chunk
        if first is not None:
            first.end(count, epoch)

    return chunks


class FirstPass:
    """Remembers a number per chunk of the first pass over a source, and compares every later pass.

    Events kept for validation are rows of a chunk: were the chunks others at each pass, a member would be validated on
    events that it was trained on.
    """

    def __init__(self) -> None:
        self._chunks: list[tuple[int, int]] = []  # events and fingerprint
        self._complete = False

    def check(self, chunk: Chunk, epoch: int) -> None:
        """Take in a chunk; TrainingError where it is not the one of the first pass."""
        now = len(chunk), fingerprint(chunk)
        if not self._complete:
            self._chunks.append(now)
            return
        if chunk.index >= len(self._chunks):
            raise _changed(f"there is a chunk {chunk.index} in epoch {epoch + 1}, and there were {len(self._chunks)}")
        events = self._chunks[chunk.index][0]
        if now[0] != events:
            raise _changed(f"chunk {chunk.index} has {now[0]} events in epoch {epoch + 1} and had {events}")
        if now != self._chunks[chunk.index]:
            raise _changed(f"chunk {chunk.index} has other values in epoch {epoch + 1}, or has them in another order")

    def end(self, count: int, epoch: int) -> None:
        """A pass is over after so many chunks."""
        self._complete = True
        if count != len(self._chunks):
            raise _changed(f"there are {count} chunks in epoch {epoch + 1}, and there were {len(self._chunks)}")


def fingerprint(chunk: Chunk) -> int:
    """A checksum of the columns' names, shapes and values; about a second per GB."""
    value = 0
    for name, column in sorted(chunk.columns.items()):
        value = zlib.crc32(f"{name}{column.shape}{column.dtype}".encode(), value)
        value = zlib.crc32(np.ascontiguousarray(column).data, value)
    return value


def _changed(what: str) -> TrainingError:
    return TrainingError(
        f"{what}: a validation_fraction needs the same chunks at every pass, or events that are kept for validation "
        "would be trained on; give `validation` data instead"
    )
