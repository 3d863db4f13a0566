"""Two networks of an ensemble that train in turns: what is compiled, and the rows that both of them see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.compiled import CompiledEnsemble, LossFunction
from ml.detector import child_seed
from ml.epochs import Shard
from ml.members import Arrays
from ml.rows import Chunk, MemberRows, RowStream, padded_rows

MAIN, ADVERSARY = "main", "adversary"
"""The two sides of the game."""

PROBE = 2000  # training events of a member, at most, that statistics are taken of

Statistics = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Sequence[Any]]]
"""(parameters, batch) → name → arrays with a leading member axis, which take the place of those parameters."""


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        warm_up_loss, loss: what it minimises in the warm-up and in the game.
        warm_up, optimizer: make the Keras optimisers of either.
        clip_norm: largest norm of a member's gradient in the game.
    """

    warm_up_loss: LossFunction
    loss: LossFunction
    warm_up: Callable[[], Any]
    optimizer: Callable[[], Any]
    clip_norm: float | None = None


class AlternatingEnsemble:
    """Variables that both sides share, the optimisers of either, and compiled functions of whole rounds.

    Args:
        initial: parameters by name, each array with a leading member axis.
        sides: `MAIN` and `ADVERSARY`, or `MAIN` alone. Each trains the parameters of its name; all others are frozen.
        statistics: computed between the main network's turn and the adversary's, of events of the adversary, and kept
            until the same point of the next round: in its turn, each side meets what the other one trained with.
    """

    def __init__(self, initial: Arrays, sides: Mapping[str, Side], statistics: Statistics | None) -> None:
        import tensorflow as tf

        self._tf, self._statistics = tf, statistics
        self.game: dict[str, CompiledEnsemble] = {}
        self.warm_up: dict[str, CompiledEnsemble] = {}
        for name, side in sides.items():
            for found, loss, optimizer, clip in (
                (self.game, side.loss, side.optimizer, side.clip_norm),
                (self.warm_up, side.warm_up_loss, side.warm_up, None),
            ):
                found[name] = CompiledEnsemble(
                    initial,
                    loss=loss,
                    optimizer=optimizer,
                    trainable=frozenset({name}),
                    clip_norm=clip,
                    shared=self.game.get(MAIN),
                )
        self.rounds = tf.function(self._rounds, jit_compile=True, autograph=False)
        self.refresh = tf.function(self._refresh, jit_compile=True, autograph=False)

    def reset(self, initial: Arrays) -> None:
        """Start over: parameters from `initial`, optimisers as they were when built."""
        self.game[MAIN].reset(initial)
        for ensemble in (*self.game.values(), *self.warm_up.values()):
            ensemble.reset_optimizer()

    def values(self) -> dict[str, list[np.ndarray]]:
        """The parameters."""
        return {name: [np.asarray(v.numpy()) for v in vs] for name, vs in self.game[MAIN].values().items()}

    def _rounds(
        self, data: Mapping[str, Any], rows: Mapping[str, Any], probe: Any, rounds: Any, batch: int
    ) -> Mapping[str, Any]:
        """Play rounds; returns the sums over rounds of all losses, averaged over the steps of a turn, (members,) each.

        Args:
            data: side → resident columns.
            rows: side → (at least `rounds`, members, steps·batch) int32.
            probe: (members, n) rows of the adversary's data.
            rounds: how many, a tensor.
            batch: events per step.
        """
        tf = self._tf
        seeds = tf.zeros([probe.shape[0], 2], tf.int32)  # no random numbers take part

        def body(index: Any, totals: Any) -> Any:
            sums: dict[str, Any] = {}
            for name, ensemble in self.game.items():
                own = rows[name][index]
                steps = own.shape[1] // batch
                found = ensemble.train_batches(data[name], own, tf.constant(steps), seeds, batch)
                sums |= {_named(name, loss): total / steps for loss, total in found.items()}
                if name == MAIN:
                    self._refresh(data, probe)
            return index + 1, {name: totals[name] + sums[name] for name in totals}

        none = {
            _named(name, loss): zero
            for name, ensemble in self.game.items()
            for loss, zero in ensemble.zeros(data[name], rows[name][0], batch).items()
        }
        return tf.while_loop(lambda index, _: index < rounds, body, (tf.constant(0), none))[1]

    def _refresh(self, data: Mapping[str, Any], probe: Any) -> None:
        """Put the statistics of the probe in their place."""
        if self._statistics is None or ADVERSARY not in self.game:
            return
        ensemble = self.game[ADVERSARY]
        batch = ensemble.batch(data[ADVERSARY], probe, self._tf.constant(0), probe.shape[1])
        for name, arrays in self._statistics(ensemble.values(), batch).items():
            for variable, array in zip(ensemble.variables[name], arrays, strict=True):
                variable.assign(array)


class AlternatingShard:
    """Some members of the ensemble: their rows, and their turns.

    Args:
        members: their indices in the ensemble.
        ensemble: their networks.
        chunks: side → its data; equal but for the weights. Events of weight 0 do not train that side.
        seeds: one per member.
        validation_fraction: share of the events that neither side trains on.
        batch, evaluation_batch: events per step.
    """

    def __init__(
        self,
        members: np.ndarray,
        ensemble: AlternatingEnsemble,
        chunks: Mapping[str, Chunk],
        seeds: Sequence[np.random.SeedSequence],
        *,
        validation_fraction: float,
        batch: int,
        evaluation_batch: int,
    ) -> None:
        import tensorflow as tf

        self.members, self.ensemble, self._chunks, self._batch = members, ensemble, chunks, batch
        split = MemberRows(seeds, validation_fraction=validation_fraction)
        self._held_out = split.held_out(len(chunks[MAIN]))
        self._shards = {
            name: Shard(members, ensemble.game[name], split, batch, evaluation_batch) for name in ensemble.game
        }
        mine = np.sort(split.training(chunks[MAIN]), axis=1)
        pools = {
            name: [rows[np.asarray(chunks[name].columns["weight"])[rows] > 0] for rows in mine]
            for name in ensemble.game
        }
        self._streams = {
            name: RowStream(pools[name], [child_seed(seed, 1, number) for seed in seeds], batch)
            for number, name in enumerate((MAIN, ADVERSARY))
            if name in pools
        }
        probes = [_evenly(pool, PROBE) for pool in pools.get(ADVERSARY, pools[MAIN])]
        self._probe = tf.constant(np.stack([padded_rows(rows[None], PROBE, PROBE)[0] for rows in probes]))

    @property
    def _data(self) -> dict[str, Mapping[str, Any]]:
        return {name: self._chunks[name].tensors for name in self.ensemble.game}

    def warm_up(self, side: str, steps: int) -> dict[str, np.ndarray]:
        """Train one side alone; returns the means of its losses over the steps, (members,) each."""
        import tensorflow as tf

        rows = tf.constant(self._streams[side].take(steps))
        seeds = tf.zeros([len(self.members), 2], tf.int32)
        totals = self.ensemble.warm_up[side].train(self._data[side], rows, tf.constant(steps), seeds, self._batch)
        if side == MAIN:
            self.ensemble.refresh(self._data, self._probe)
        return {_named(side, name): total.numpy() / steps for name, total in totals.items()}

    def play(self, rounds: int, steps: Mapping[str, int], *, room: int) -> dict[str, np.ndarray]:
        """Play rounds of so many steps of each side; returns the means of the losses of both over them.

        `room` is the largest number of rounds that will be asked for: what is compiled is the same for fewer.
        """
        import tensorflow as tf

        rows = {}
        for name, stream in self._streams.items():
            taken = np.zeros((room, len(self.members), steps[name] * self._batch), np.int32)
            for index in range(rounds):
                taken[index] = stream.take(steps[name])
            rows[name] = tf.constant(taken)
        totals = self.ensemble.rounds(self._data, rows, self._probe, tf.constant(rounds), self._batch)
        return {name: total.numpy() / rounds for name, total in totals.items()}

    def evaluate(self) -> dict[str, np.ndarray]:
        """All losses on the events that do not train, (members,) each; none where all of them do."""
        found: dict[str, np.ndarray] = {}
        for name, shard in self._shards.items() if self._held_out else ():
            totals, weight = shard.evaluate(self._chunks[name], all_rows=False)
            found |= {_named(name, loss): total / np.maximum(weight, 1e-30) for loss, total in totals.items()}
        return found


def _named(side: str, loss: str) -> str:
    """What a loss of a side is called in the history."""
    if side == MAIN:
        return loss
    return side if loss == "loss" else f"{side}_{loss}"


def _evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """At most so many of the rows, evenly spaced, as events may come sorted by class."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
