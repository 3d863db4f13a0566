"""Which rows of the data each member of an ensemble trains and validates on, and in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml.detector import child_seed
from ml.errors import TrainingError

Columns = Mapping[str, np.ndarray]
"""Column name → (n_events, …)."""

ChunkSource = Callable[[int], Iterable[Columns]]
"""Epoch (from 0) → the data, piece by piece; see `ml.training.Trainer.fit`."""


@dataclass
class Chunk:
    """Events that are trained on together: all of them, or one piece of what does not fit into memory.

    Attributes:
        index: position among the chunks of an epoch; it decides, with a member's seed, that member's validation rows.
        columns: float32 or int32, of equal length, "weight" among them.
        room: rows that the tensors are padded to; chunks of the same room share what is compiled.
        resident: stays in memory for all epochs.
    """

    index: int
    columns: Mapping[str, np.ndarray]
    room: int
    resident: bool = False
    _tensors: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        return len(self.columns["weight"])

    @property
    def tensors(self) -> Mapping[str, Any]:
        """The columns as TensorFlow has them, padded with zeros."""
        import tensorflow as tf

        with self._lock:  # shards ask side by side
            if not self._tensors:
                for name, column in self.columns.items():
                    missing = np.zeros((self.room - len(column), *column.shape[1:]), column.dtype)
                    self._tensors[name] = tf.constant(np.concatenate([column, missing]))
        return self._tensors


def whole(data: Columns, *, where: str = "training") -> Chunk:
    """Data in memory as the one chunk of every epoch; raises TrainingError for data that cannot be trained on."""
    columns = as_columns(data, where=where)
    return Chunk(0, columns, bucket(len(columns["weight"])), resident=True)


def chunks_of(source: ChunkSource, epoch: int, room: int) -> Iterable[Chunk]:
    """The chunks of an epoch, each padded to the largest so far and to at least `room` rows."""
    index = -1
    for index, data in enumerate(source(epoch)):
        columns = as_columns(data, where=f"chunk {index} of epoch {epoch + 1}")
        room = max(room, bucket(len(columns["weight"])))
        yield Chunk(index, columns, room)
    if index < 0:
        raise TrainingError(f"the source of training data gave no chunk in epoch {epoch + 1}")


def as_columns(data: Columns, *, where: str) -> dict[str, np.ndarray]:
    """Columns as float32 or int32, with "weight"; TrainingError for none, unequal lengths, NaN, integers of
    more than 32 bits, or no weight at all."""
    columns = {name: _in_32_bits(np.asarray(c), f"{where} column {name!r}") for name, c in data.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise TrainingError(f"{where} columns differ in length: {lengths}")
    events = next(iter(lengths.values()), 0)
    if not events:
        raise TrainingError(f"no events to train on: the {where} columns {sorted(columns)} are empty")
    columns["weight"] = np.asarray(columns.get("weight", np.ones(events)), dtype=np.float32)
    for name, column in columns.items():
        bad = np.count_nonzero(~np.isfinite(column))
        if bad:
            raise TrainingError(
                f"{where} column {name!r} has {bad} values that are not finite in float32: drop those events, or fill "
                "and scale the column before training"
            )
    if not columns["weight"].any():
        raise TrainingError(f"all {events} {where} weights are 0: nothing would be learned")
    return columns


def _in_32_bits(column: np.ndarray, where: str) -> np.ndarray:
    if column.dtype.kind == "f":
        return column.astype(np.float32, copy=False)
    if column.dtype.kind not in "biu":
        raise TrainingError(f"{where} has values of type {column.dtype}: the engine takes real numbers")
    limits = np.iinfo(np.int32)
    if column.size and (column.min() < limits.min or column.max() > limits.max):
        raise TrainingError(
            f"{where} has integers from {column.min()} to {column.max()}, which do not fit into 32 bits: number them "
            "anew, make them floating-point numbers, or leave the column out"
        )
    return column.astype(np.int32, copy=False)


def require_alike(validation: Chunk, training: Chunk) -> None:
    """Refuse validation events whose columns are not those of the training events, by name or by shape."""
    there, here = ({n: c.shape[1:] for n, c in chunk.columns.items()} for chunk in (validation, training))
    if there != here:
        names = sorted(n for n in there.keys() | here.keys() if there.get(n) != here.get(n))
        raise TrainingError(
            f"the validation events have other columns than the training events: {', '.join(names)} are missing in one "
            f"of them, or differ in shape (validation: {_listed(there)}; training: {_listed(here)})"
        )


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" if shape else name for name, shape in sorted(shapes.items()))


def bucket(count: int) -> int:
    """The next size up of a coarse ladder (steps of 1/4 of a power of two): folds of nearly equal size share one."""
    step = max(1, 2 ** max(0, count.bit_length() - 3))
    return -(-count // step) * step


class MemberRows:
    """Draws each member's validation rows, shuffling and random numbers from that member's own seed.

    Args:
        seeds: one per member.
        validation_fraction: share of every chunk that a member never trains on.
    """

    def __init__(self, seeds: Sequence[np.random.SeedSequence], *, validation_fraction: float) -> None:
        self._seeds, self._fraction = list(seeds), validation_fraction
        self._random = [np.random.default_rng(s) for s in seeds]
        self._resident: list[np.ndarray] | None = None

    def training(self, chunk: Chunk) -> np.ndarray:
        """Rows to train on, (members, n) int32, shuffled anew at every call."""
        held_out = self.held_out(len(chunk))
        rows = [order[held_out:] for order in self._orders(chunk)]
        return np.stack([random.permutation(r) for random, r in zip(self._random, rows, strict=True)])

    def validation(self, chunk: Chunk) -> np.ndarray:
        """Rows kept out of training, (members, n) int32: the same at every call."""
        held_out = self.held_out(len(chunk))
        return np.stack([order[:held_out] for order in self._orders(chunk)])

    def held_out(self, events: int) -> int:
        """How many of a chunk's events are kept out of training."""
        return round(self._fraction * events)

    def draws(self) -> np.ndarray:
        """Random seeds of the next pass over a chunk, (members, 2) int32."""
        return np.stack([r.integers(0, 2**30, size=2, dtype=np.int32) for r in self._random])

    def _orders(self, chunk: Chunk) -> list[np.ndarray]:
        if self._resident is not None:
            return self._resident
        generators = [np.random.default_rng(child_seed(seed, chunk.index)) for seed in self._seeds]
        orders = [random.permutation(len(chunk)).astype(np.int32) for random in generators]
        if chunk.resident:  # chunks that come and go are not remembered: that would grow with the data
            self._resident = orders
        return orders


class RowStream:
    """Rows for any number of steps: each member passes over its own rows again and again, shuffled anew each time.

    What a pass leaves over beyond whole batches is left out, other rows each time.

    Args:
        pools: (n_rows,) the rows of each member, a batch of them at least.
        seeds: one per member.
        batch: rows per step.
    """

    def __init__(self, pools: Sequence[np.ndarray], seeds: Sequence[np.random.SeedSequence], batch: int) -> None:
        least = min(len(pool) for pool in pools)
        if least < batch:
            raise TrainingError(
                f"{least} training events are less than one batch of {batch}: take a smaller batch_size, or more events"
            )
        self._pools = [np.asarray(pool, dtype=np.int32) for pool in pools]
        self._random, self._batch = [np.random.default_rng(seed) for seed in seeds], batch
        self._left = [np.zeros(0, dtype=np.int32) for _ in pools]

    def take(self, steps: int) -> np.ndarray:
        """The next rows, (members, steps·batch) int32."""
        return np.stack([self._next(member, steps * self._batch) for member in range(len(self._pools))])

    def _next(self, member: int, count: int) -> np.ndarray:
        parts, pool = [self._left[member]], self._pools[member]
        while (there := sum(map(len, parts))) < count:
            parts.append(self._random[member].permutation(pool)[: len(pool) // self._batch * self._batch])
        rows = np.concatenate(parts)
        self._left[member] = rows[count:] if there > count else rows[:0]
        return rows[:count]


def padded_rows(rows: np.ndarray, batch: int, room: int) -> np.ndarray:
    """Rows (members, n) followed by −1 up to whole batches that hold `room` rows."""
    padded = np.full((len(rows), -(-max(room, rows.shape[1], 1) // batch) * batch), -1, dtype=np.int32)
    padded[:, : rows.shape[1]] = rows
    return padded
