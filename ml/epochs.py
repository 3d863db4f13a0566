"""The epochs of a training: over the chunks of the data, with all shards of the ensemble side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml.compiled import CompiledEnsemble
from ml.detector import Progress
from ml.errors import TrainingError
from ml.rows import Chunk, MemberRows, bucket, padded_rows
from ml.stopping import StoppingRule

Sums = tuple[dict[str, np.ndarray], np.ndarray]
"""Losses times their weights, and those weights, (members,) each."""


@dataclass
class Shard:
    """Some members of an ensemble: what trains them, their rows, and their best parameters so far.

    Attributes:
        members: their indices in the ensemble.
        compiled: their parameters and optimiser.
        rows: what each of them trains on.
        batch_size, evaluation_batch: events per step.
    """

    members: np.ndarray
    compiled: CompiledEnsemble
    rows: MemberRows
    batch_size: int
    evaluation_batch: int
    _best: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._best = self.compiled.values()

    def train(self, chunk: Chunk) -> Sums:
        """Train on all whole batches of a chunk, or on what there is if that is less than one."""
        import tensorflow as tf

        rows = self.rows.training(chunk)
        available = rows.shape[1]
        # data in memory that hold less than a batch are one smaller batch; chunks share one compilation
        batch = min(self.batch_size, available) if chunk.resident else self.batch_size
        steps = max(1, available // batch) if available else 0
        room = bucket(available) if chunk.resident else chunk.room
        padded = tf.constant(padded_rows(rows, batch, room))
        seeds = tf.constant(self.rows.draws())
        totals = self.compiled.train(chunk.tensors, padded, tf.constant(steps), seeds, batch)
        return {n: v.numpy() for n, v in totals.items()}, np.full(len(self.members), float(steps))

    def evaluate(self, chunk: Chunk, *, all_rows: bool) -> Sums:
        """Losses on the rows that the members do not train on, or on all rows of a chunk."""
        import tensorflow as tf

        if all_rows:
            rows = np.broadcast_to(np.arange(len(chunk), dtype=np.int32), (len(self.members), len(chunk)))
        else:
            rows = self.rows.validation(chunk)
        room = bucket(max(rows.shape[1] if chunk.resident else self.rows.held_out(chunk.room), 1))
        batch = min(self.evaluation_batch, room)
        padded = tf.constant(padded_rows(rows, batch, room))
        steps = tf.constant(-(-rows.shape[1] // batch))
        totals, weight = self.compiled.evaluate(chunk.tensors, padded, steps, batch)
        return {n: v.numpy() for n, v in totals.items()}, weight.numpy()

    def keep(self, mask: np.ndarray) -> None:
        """Remember the present parameters of the members where `mask` (members of the ensemble,) is set."""
        import tensorflow as tf

        chosen = mask[self.members]
        if chosen.all():
            self._best = self.compiled.values()
        elif chosen.any():
            now = self.compiled.values()
            self._best = {
                name: [_choose(tf, chosen, new, old) for new, old in zip(now[name], self._best[name], strict=True)]
                for name in now
            }

    def best(self) -> dict[str, list[np.ndarray]]:
        """What `keep` remembered."""
        return {name: [value.numpy() for value in values] for name, values in self._best.items()}


@dataclass(frozen=True)
class EpochPlan:
    """What a training runs over.

    Attributes:
        chunks: epoch → the chunks of that epoch.
        epochs: at most so many.
        validation: events that all members are evaluated on, or None.
        validates: whether there is a validation loss: from `validation`, or from the rows that members do not train on.
        restore_best: keep the parameters of the best epoch, otherwise those of the last.
        monitor: name of the loss that the stopping rule sees.
    """

    chunks: Callable[[int], Iterable[Chunk]]
    epochs: int
    validation: Chunk | None
    validates: bool
    restore_best: bool
    monitor: str


def run_epochs(
    shards: Sequence[Shard], plan: EpochPlan, stopping: StoppingRule, progress: Progress | None
) -> dict[str, np.ndarray]:
    """Train until the plan's epochs are over or all members stopped; returns each loss, (epochs, members)."""
    logs: list[dict[str, np.ndarray]] = []
    clock = Clock(plan.epochs)
    with ThreadPoolExecutor(len(shards)) as pool:
        for epoch in range(plan.epochs):
            active = stopping.active.copy()
            running = [s for s in shards if active[s.members].any()]
            record = _one_epoch(running, plan, epoch, pool)
            values = {name: _spread(value, running, len(active)) for name, value in record.items()}
            _require_finite(values, active, epoch)
            logs.append({name: np.where(active, value, np.nan) for name, value in values.items()})
            if plan.monitor not in values:
                raise TrainingError(
                    f"there is no loss {plan.monitor!r} to watch: there are {', '.join(sorted(values))}"
                )
            improved = stopping.update(epoch, values[plan.monitor])
            for shard in running:
                shard.keep(improved if plan.restore_best else active)
            if progress is not None:
                progress((epoch + 1) / plan.epochs, clock.text(epoch))
            if not stopping.active.any():
                break
    return {name: np.stack([log[name] for log in logs]) for name in logs[0]}


def _one_epoch(shards: Sequence[Shard], plan: EpochPlan, epoch: int, pool: ThreadPoolExecutor) -> dict[str, np.ndarray]:
    def every(work: Callable[[Shard], Sums]) -> Sums:
        done = list(pool.map(work, shards))
        return {n: np.concatenate([d[0][n] for d in done]) for n in done[0][0]}, np.concatenate([d[1] for d in done])

    trained = [every(lambda s, c=chunk: s.train(c)) for chunk in plan.chunks(epoch)]  # type: ignore[misc]
    record = _mean(trained)
    if plan.validation is not None:
        fixed = plan.validation
        checked = [every(lambda s: s.evaluate(fixed, all_rows=True))]
    elif plan.validates:
        # with the weights of the end of the epoch: data that come in chunks are gone through once more
        checked = [every(lambda s, c=chunk: s.evaluate(c, all_rows=False)) for chunk in plan.chunks(epoch)]  # type: ignore[misc]
    else:
        return record
    if not np.all(sum(weight for _, weight in checked)):
        raise TrainingError("the validation events of a member have weights that sum to 0: use more of them")
    return record | {f"validation_{name}": value for name, value in _mean(checked).items()}


def _mean(sums: Sequence[Sums]) -> dict[str, np.ndarray]:
    weight = sum((s[1] for s in sums), np.zeros(()))
    return {name: sum(s[0][name] for s in sums) / weight for name in sums[0][0]}


def _spread(values: np.ndarray, shards: Sequence[Shard], members: int) -> np.ndarray:
    """The values of some shards' members among those of all, NaN elsewhere."""
    everyone = np.full(members, np.nan)
    everyone[np.concatenate([s.members for s in shards])] = values
    return everyone


def _require_finite(record: Mapping[str, np.ndarray], active: np.ndarray, epoch: int) -> None:
    for name, values in record.items():
        bad = active & ~np.isfinite(values)
        if bad.any():
            member = int(np.argmax(bad))
            raise TrainingError(
                f"{name} of member {member} is {values[member]} after epoch {epoch + 1}: training diverged; "
                "lower the learning rate, set clip_norm, or look for extreme values among the inputs and weights"
            )


def _choose(tf: Any, mask: np.ndarray, new: Any, old: Any) -> Any:
    return tf.where(tf.reshape(tf.constant(mask), [-1] + [1] * (len(new.shape) - 1)), new, old)


class Clock:
    """Says how far a training is, and how long the rest of its epochs, or of other `units`, would take at most."""

    def __init__(self, count: int, *, unit: str = "epoch") -> None:
        self._count, self._unit, self._started, self._first = count, unit, time.perf_counter(), (0, 0.0)

    def text(self, index: int) -> str:
        """What is to be said when number `index` (from 0) is done."""
        now = time.perf_counter()
        if not self._first[1]:  # compiles: later ones tell more
            self._first, each = (index, now), (now - self._started) / (index + 1)
        else:
            each = (now - self._first[1]) / (index - self._first[0])
        left = round(each * (self._count - index - 1))
        shown = f"{left // 60} min {left % 60} s" if left >= 60 else f"{left} s"
        return f"{self._unit} {index + 1} of at most {self._count}, at most {shown} left"
