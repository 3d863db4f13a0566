"""The training engine: ensembles of small networks, whole epochs compiled, every member independent of the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml.compiled import CompiledEnsemble, LossFunction
from ml.detector import History, Progress
from ml.epochs import EpochPlan, Shard, run_epochs
from ml.errors import TrainingError
from ml.members import Arrays, Idle, chosen, joined, require_finite, require_members, shapes
from ml.optimizers import check_clip_norm
from ml.rows import ChunkSource, Columns, MemberRows, whole
from ml.sources import chunks_for
from ml.stopping import EarlyStopping, StoppingRule
from ml.threads import shards_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """How long and on what an ensemble trains.

    Attributes:
        epochs: at most so many passes over the training events.
        batch_size: events per step; a last, incomplete batch is left out (another one each epoch).
        validation_fraction: share of the events kept out of training, other ones for each member.
        patience: epochs without a new minimum of the validation loss after which a member stops; None never stops.
        restore_best: keep the weights of the best epoch, otherwise those of the last.
        min_delta: what counts as a new minimum.
        monitor: name of the loss watched; None is "validation_loss", or "loss" where nothing is validated.
        evaluation_batch: events per step of the validation.
    """

    epochs: int = 50
    batch_size: int = 500
    validation_fraction: float = 0.2
    patience: int | None = 10
    restore_best: bool = True
    min_delta: float = 0.0
    monitor: str | None = None
    evaluation_batch: int = 5000

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.evaluation_batch < 1:
            raise TrainingError(f"epochs and batch sizes must be at least 1: got {self}")
        if not 0 <= self.validation_fraction < 1:
            raise TrainingError(f"validation_fraction must be in [0, 1): got {self.validation_fraction:g}")
        if self.patience is not None and self.patience < 1:
            raise TrainingError(f"patience must be at least 1 epoch, or null for none: got {self.patience}")


@dataclass
class OptimizerState:
    """An optimiser's moments and step count, carried from one training into the next.

    It is that of the last epoch, so a training of several epochs has to keep the parameters of the last one, too:
    `restore_best=False`, `patience=None` and no other stopping rule. Hand the same one to several calls of
    `Trainer.fit`: each goes on where the last one ended, learning-rate schedule included. That is how two networks
    train in turns (adversarial training), each with an optimiser of its own.
    """

    shards: dict[tuple[int, int], list[np.ndarray]] = field(default_factory=dict)


class Trainer:
    """Trains ensembles for one loss; keeps what it compiled, for the next fold, window or round.

    Args:
        loss: see `ml.compiled.LossFunction`.
        optimizer: makes a Keras optimiser, a fresh one each time it is called; its learning rate may be one of
            `keras.optimizers.schedules`, which counts the steps of a training from 0 and on over its epochs.
        trainable: names of the networks to train, the others stay frozen; None trains all.
        clip_norm: largest norm of a member's gradient over all its weights.
        threads: shards of members trained side by side (XLA runs such small steps on one core); the number of
            processors if None, 1 where TensorFlow sees a GPU. The result does not depend on it beyond rounding.
        xla: compile epochs with XLA; false for convolutional networks on a processor.
    """

    def __init__(
        self,
        loss: LossFunction,
        optimizer: Callable[[], Any],
        *,
        trainable: frozenset[str] | None = None,
        clip_norm: float | None = None,
        threads: int | None = None,
        xla: bool = True,
    ) -> None:
        check_clip_norm(clip_norm)
        self._loss, self._optimizer = loss, optimizer
        self._trainable, self._clip_norm, self._threads, self._xla = trainable, clip_norm, threads, xla
        self._idle: Idle[CompiledEnsemble] = Idle()

    def fit(
        self,
        initial: Arrays,
        data: Columns | ChunkSource,
        *,
        schedule: Schedule,
        seeds: Sequence[np.random.SeedSequence],
        validation: Columns | None = None,
        stopping: Callable[[int], StoppingRule] | None = None,
        state: OptimizerState | None = None,
        progress: Progress | None = None,
    ) -> tuple[dict[str, list[np.ndarray]], History]:
        """Train one member per seed.

        Args:
            initial: network name → arrays with a leading member axis.
            data: columns of n events each, shared by all members; "weight" is 1 where absent. Scale weights to a mean
                near 1, or fit the learning rate to them. For data larger than memory a callable: given the epoch (from
                0) it yields such columns in chunks of any size. Each chunk is trained on as it comes, shuffled for each
                member, a last incomplete batch left out. The share of validation events is taken from each chunk: then
                every epoch must yield the same chunks, which is checked, and they are read a second time for the
                validation (`validation` avoids both).
            schedule: epochs, batches, validation, stopping.
            seeds: one per member: they decide its validation events, its shuffling and its random numbers, so that
                a member trains the same in any ensemble.
            validation: columns, those of `data`, that all members are validated on; needs a `validation_fraction` of 0.
            stopping: number of members → another rule than `ml.stopping.EarlyStopping`, which the schedule describes.
            state: where the optimiser starts from, if it holds anything; afterwards, where it ended. See
                `OptimizerState` for the schedules it goes with.
            progress: called after each epoch; the text says how long the rest takes at most.

        Returns:
            The parameters, as `initial`, and the history: every loss of the loss function under its name (training) and
            under `validation_` + name.

        Raises:
            TrainingError: a loss or weight that is not finite (with its member), values in `data` that are not or do
                not fit into 32 bits, too few events, columns of unequal length, a source that changes.
        """
        started = time.perf_counter()
        require_members(initial, len(seeds))
        if state is not None:
            _require_last_epoch(schedule, stopping)
        plan = _plan(data, validation, schedule)
        rule = EarlyStopping(len(seeds), patience=schedule.patience, min_delta=schedule.min_delta)
        watched = rule if stopping is None else stopping(len(seeds))
        shards = self._shards(initial, schedule, seeds, state)
        try:
            losses = run_epochs(shards, plan, watched, progress)
            parameters = joined([shard.best() for shard in shards])
            require_finite(parameters)
            if state is not None:
                state.shards = {_key(s.members): s.compiled.optimizer_state() for s in shards}
        finally:
            for shard in shards:
                self._idle.put(shapes(chosen(initial, shard.members)), shard.compiled)
        history = History(losses=losses, best_epoch=watched.best_epoch.copy(), seconds=time.perf_counter() - started)
        logger.info("trained %d members in %.1f s, best epochs %s", len(seeds), history.seconds, history.best_epoch)
        return parameters, history

    def _shards(
        self,
        initial: Arrays,
        schedule: Schedule,
        seeds: Sequence[np.random.SeedSequence],
        state: OptimizerState | None,
    ) -> list[Shard]:
        shards = []
        for members in np.array_split(np.arange(len(seeds)), shards_of(len(seeds), self._threads)):
            start = chosen(initial, members)
            carried = _carried(state, members)
            compiled = self._compiled(start)
            compiled.reset(start, carried)
            rows = MemberRows([seeds[m] for m in members], validation_fraction=schedule.validation_fraction)
            shards.append(Shard(members, compiled, rows, schedule.batch_size, schedule.evaluation_batch))
        return shards

    def _compiled(self, start: Arrays) -> CompiledEnsemble:
        return self._idle.take(
            shapes(start),
            lambda: CompiledEnsemble(
                start,
                loss=self._loss,
                optimizer=self._optimizer,
                trainable=self._trainable,
                clip_norm=self._clip_norm,
                xla=self._xla,
            ),
        )


def _plan(data: Columns | ChunkSource, validation: Columns | None, schedule: Schedule) -> EpochPlan:
    if validation is not None and schedule.validation_fraction:
        raise TrainingError(
            f"validation data are given, and a validation_fraction of {schedule.validation_fraction:g} of the training "
            "data as well: set one of them to none"
        )
    fixed = None if validation is None else whole(validation, where="validation")
    validates = fixed is not None or schedule.validation_fraction > 0
    return EpochPlan(
        chunks=chunks_for(data, schedule, fixed),
        epochs=schedule.epochs,
        validation=fixed,
        validates=validates,
        restore_best=schedule.restore_best,
        monitor=schedule.monitor or ("validation_loss" if validates else "loss"),
    )


def _carried(state: OptimizerState | None, members: np.ndarray) -> list[np.ndarray] | None:
    if state is None or not state.shards:
        return None
    if _key(members) not in state.shards:
        raise TrainingError("this optimizer state is of an ensemble of another size, or was split over other threads")
    return state.shards[_key(members)]


def _require_last_epoch(schedule: Schedule, stopping: Callable[[int], StoppingRule] | None) -> None:
    stops = schedule.patience is not None or stopping is not None
    if schedule.epochs > 1 and (schedule.restore_best or stops):
        raise TrainingError(
            "an optimizer state is that of the last epoch, and the parameters would be those of another one: for a "
            "training of more than one epoch set restore_best to false, patience to none and no stopping rule"
        )


def _key(members: np.ndarray) -> tuple[int, int]:
    return int(members[0]), len(members)
