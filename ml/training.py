"""The training engine: ensembles of small networks, whole epochs compiled, every member independent of the others."""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.compiled import CompiledEpoch, LossFunction
from ml.detector import History, Progress
from ml.errors import TrainingError
from ml.stopping import EarlyStopping

logger = logging.getLogger(__name__)

Arrays = Mapping[str, Sequence[np.ndarray]]


@dataclass(frozen=True)
class Schedule:
    """How long and on what an ensemble trains.

    Attributes:
        epochs: at most so many passes over the training events.
        batch_size: events per step; a last, incomplete batch is left out (another one each epoch).
        validation_fraction: share of the events kept out of training, a different one for each member.
        patience: epochs without a new minimum of the validation loss after which a member stops; None never stops.
        restore_best: keep the weights of the best epoch, otherwise those of the last.
        min_delta: what counts as a new minimum.
        evaluation_batch: events per step of the validation.
    """

    epochs: int = 50
    batch_size: int = 500
    validation_fraction: float = 0.2
    patience: int | None = 10
    restore_best: bool = True
    min_delta: float = 0.0
    evaluation_batch: int = 5000

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.evaluation_batch < 1:
            raise TrainingError(f"epochs and batch sizes must be at least 1: got {self}")
        if not 0 <= self.validation_fraction < 1:
            raise TrainingError(f"validation_fraction must be in [0, 1): got {self.validation_fraction:g}")
        if self.patience is not None and self.patience < 1:
            raise TrainingError(f"patience must be at least 1 epoch, or null for none: got {self.patience}")


class Trainer:
    """Trains ensembles for one loss; keeps what it compiled, for the next fold or window.

    Args:
        loss: see `ml.compiled.LossFunction`.
        optimizer: makes a Keras optimiser, a fresh one each time it is called.
        trainable: names of the networks to train, the others stay frozen; None trains all.
        clip_norm: largest norm of a member's gradient over all its weights.
        threads: shards of members trained side by side (XLA runs such small steps on one core); the number of
            processors if None, 1 where TensorFlow sees a GPU. The result does not depend on it beyond rounding.
    """

    def __init__(
        self,
        loss: LossFunction,
        optimizer: Callable[[], Any],
        *,
        trainable: frozenset[str] | None = None,
        clip_norm: float | None = None,
        threads: int | None = None,
    ) -> None:
        self._loss, self._optimizer = loss, optimizer
        self._trainable, self._clip_norm, self._threads = trainable, clip_norm, threads
        self._idle: dict[Any, queue.SimpleQueue[CompiledEpoch]] = {}

    def fit(
        self,
        initial: Arrays,
        data: Mapping[str, np.ndarray],
        *,
        schedule: Schedule,
        seeds: Sequence[np.random.SeedSequence],
        progress: Progress | None = None,
    ) -> tuple[dict[str, list[np.ndarray]], History]:
        """Train one member per seed.

        Args:
            initial: network name → arrays with a leading member axis.
            data: columns of n events each, shared by all members; "weight" is 1 where absent. Scale weights to a mean
                near 1, or fit the learning rate to them.
            schedule: epochs, batches, validation, stopping.
            seeds: one per member: they decide its validation events, its shuffling and its random numbers, so that
                a member trains the same in any ensemble.
            progress: called after each epoch.

        Returns:
            The parameters, as `initial`, and the history: every loss of the loss function under its name (training) and
            under `validation_` + name.

        Raises:
            TrainingError: a loss that is not finite (with member and epoch), too few events, columns of unequal length.
        """
        started = time.perf_counter()
        columns = _as_columns(data)
        shards = [s for s in np.array_split(np.arange(len(seeds)), self._shards(len(seeds))) if len(s)]

        def train(members: np.ndarray) -> _Run:
            start = {name: [np.asarray(a)[members] for a in arrays] for name, arrays in initial.items()}
            report = progress if members[0] == 0 else None
            return self._train(start, columns, schedule, [seeds[m] for m in members], report, first=int(members[0]))

        with ThreadPoolExecutor(len(shards)) as pool:
            runs = list(pool.map(train, shards))
        history = _join_histories(runs, time.perf_counter() - started)
        logger.info("trained %d members in %.1f s, best epochs %s", len(seeds), history.seconds, history.best_epoch)
        return _join_parameters(runs), history

    def _shards(self, members: int) -> int:
        import tensorflow as tf

        if self._threads is not None:
            return max(1, min(self._threads, members))
        return 1 if tf.config.list_physical_devices("GPU") else min(os.cpu_count() or 1, members)

    def _train(
        self,
        start: Arrays,
        columns: Mapping[str, np.ndarray],
        schedule: Schedule,
        seeds: Sequence[np.random.SeedSequence],
        progress: Progress | None,
        *,
        first: int,
    ) -> _Run:
        shapes = tuple((name, tuple(np.shape(a) for a in arrays)) for name, arrays in sorted(start.items()))
        idle = self._idle.setdefault(shapes, queue.SimpleQueue())
        try:
            compiled = idle.get_nowait()
        except queue.Empty:
            compiled = CompiledEpoch(
                start,
                loss=self._loss,
                optimizer=self._optimizer,
                trainable=self._trainable,
                clip_norm=self._clip_norm,
            )
        compiled.reset(start)
        try:
            return _run_epochs(compiled, columns, schedule, seeds, progress, first=first)
        finally:
            idle.put(compiled)


@dataclass(frozen=True)
class _Run:
    parameters: dict[str, list[np.ndarray]]
    losses: dict[str, np.ndarray]
    best_epoch: np.ndarray


def _run_epochs(
    compiled: CompiledEpoch,
    columns: Mapping[str, np.ndarray],
    schedule: Schedule,
    seeds: Sequence[np.random.SeedSequence],
    progress: Progress | None,
    *,
    first: int,
) -> _Run:
    import tensorflow as tf

    data = {name: tf.constant(_padded(column)) for name, column in columns.items()}
    plan = _Plan(len(columns["weight"]), schedule, seeds)
    stopping = EarlyStopping(len(seeds), patience=schedule.patience, min_delta=schedule.min_delta)
    best, logs = compiled.values(), []
    for epoch in range(schedule.epochs):
        was_active = stopping.active.copy()
        trained, checked = compiled.run(
            data, plan.training(), plan.validation, plan.seeds(), tf.constant(was_active), plan.batch_sizes
        )
        record = {name: value.numpy() for name, value in trained.items()}
        if plan.validates:
            record |= {f"validation_{name}": value.numpy() for name, value in checked.items()}
        _require_finite(record, was_active, epoch=epoch, first=first)
        logs.append({name: np.where(was_active, value, np.nan) for name, value in record.items()})
        improved = stopping.update(epoch, record["validation_loss" if plan.validates else "loss"])
        best = _merge(tf, best, compiled.values(), improved if schedule.restore_best else was_active)
        if progress is not None:
            progress((epoch + 1) / schedule.epochs, f"epoch {epoch + 1} of at most {schedule.epochs}")
        if not stopping.active.any():
            break
    return _Run(
        parameters={name: [value.numpy() for value in values] for name, values in best.items()},
        losses={name: np.stack([log[name] for log in logs]) for name in logs[0]},
        best_epoch=stopping.best_epoch,
    )


class _Plan:
    """Which rows each member trains and validates on, in which order; drawn from the member's own seed."""

    def __init__(self, events: int, schedule: Schedule, seeds: Sequence[np.random.SeedSequence]) -> None:
        held_out = round(schedule.validation_fraction * events)
        self.validates = held_out > 0
        if events - held_out < 1:
            raise TrainingError(
                f"{events} events leave none to train on at {schedule.validation_fraction:g} validation"
            )
        self._random = [np.random.default_rng(s) for s in seeds]
        order = [random.permutation(events).astype(np.int32) for random in self._random]
        self._rows = [o[held_out:] for o in order]
        batch = min(schedule.batch_size, events - held_out)
        self._steps = (events - held_out) // batch
        self.batch_sizes = (batch, min(schedule.evaluation_batch, _bucket(max(held_out, 1))))
        self.validation = _as_steps(
            [o[:held_out] for o in order], -(-held_out // self.batch_sizes[1]), self.batch_sizes[1]
        )

    def training(self) -> tuple[Any, Any]:
        """The next epoch's rows (members, padded) int32 and its number of steps."""
        shuffled = [random.permutation(rows) for random, rows in zip(self._random, self._rows, strict=True)]
        return _as_steps(shuffled, self._steps, self.batch_sizes[0])

    def seeds(self) -> Any:
        """The next epoch's random seeds, (members, 2) int32."""
        import tensorflow as tf

        return tf.constant(np.stack([r.integers(0, 2**30, size=2, dtype=np.int32) for r in self._random]))


def _as_steps(rows: Sequence[np.ndarray], steps: int, batch: int) -> tuple[Any, Any]:
    import tensorflow as tf

    # room for the whole number of batches of any size that pads to the same shape
    room = -(-max(_bucket(len(rows[0])), 1) // batch) * batch
    padded = np.full((len(rows), room), -1, dtype=np.int32)
    padded[:, : len(rows[0])] = np.stack(rows)
    return tf.constant(padded), tf.constant(steps, dtype=tf.int32)


def _bucket(count: int) -> int:
    """The next size up of a coarse ladder (steps of 1/4 of a power of two): folds of nearly equal size share one."""
    step = max(1, 2 ** max(0, count.bit_length() - 3))
    return -(-count // step) * step


def _padded(column: np.ndarray) -> np.ndarray:
    missing = _bucket(len(column)) - len(column)
    return np.concatenate([column, np.zeros((missing, *column.shape[1:]), column.dtype)])


def _as_columns(data: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    columns = {
        name: np.asarray(c, dtype=np.float32 if np.issubdtype(np.asarray(c).dtype, np.floating) else np.int32)
        for name, c in data.items()
    }
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise TrainingError(f"training columns differ in length: {lengths}")
    events = next(iter(lengths.values()))
    if not events:
        raise TrainingError("no events to train on")
    columns["weight"] = np.asarray(columns.get("weight", np.ones(events)), dtype=np.float32)
    return columns


def _require_finite(record: Mapping[str, np.ndarray], active: np.ndarray, *, epoch: int, first: int) -> None:
    for name, values in record.items():
        bad = active & ~np.isfinite(values)
        if bad.any():
            member = first + int(np.argmax(bad))
            raise TrainingError(
                f"{name} of member {member} is {values[member - first]} after epoch {epoch + 1}: training diverged; "
                "lower the learning rate, set clip_norm, or look for extreme values among the inputs and weights"
            )


def _merge(tf: Any, old: Mapping[str, Any], new: Mapping[str, Any], mask: np.ndarray) -> dict[str, list[Any]]:
    def choose(a: Any, b: Any) -> Any:
        return tf.where(tf.reshape(tf.constant(mask), [-1] + [1] * (len(a.shape) - 1)), b, a)

    return {name: [choose(a, b) for a, b in zip(old[name], new[name], strict=True)] for name in old}


def _join_parameters(runs: Sequence[_Run]) -> dict[str, list[np.ndarray]]:
    names = runs[0].parameters
    return {n: [np.concatenate(a) for a in zip(*(r.parameters[n] for r in runs), strict=True)] for n in names}


def _join_histories(runs: Sequence[_Run], seconds: float) -> History:
    def padded(values: np.ndarray, epochs: int) -> np.ndarray:
        return np.concatenate([values, np.full((epochs - len(values), values.shape[1]), np.nan)])

    epochs = max(len(next(iter(r.losses.values()))) for r in runs)
    return History(
        losses={n: np.concatenate([padded(r.losses[n], epochs) for r in runs], axis=1) for n in runs[0].losses},
        best_epoch=np.concatenate([r.best_epoch for r in runs]),
        seconds=seconds,
    )
