"""Two networks that train in turns with opposite aims, each frozen while the other one learns.

Source: arXiv:1905.10384, steps 1 to 5 of sections 3 and 4.1. A warm-up of each, then rounds: the main network takes
steps on L_main − α·L_adv with the adversary frozen, then the adversary steps on L_adv with the main network frozen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ml.alternating_ensemble import ADVERSARY, MAIN, AlternatingEnsemble, AlternatingShard, Statistics
from ml.compiled import LossFunction
from ml.detector import History, Progress
from ml.epochs import Clock
from ml.errors import TrainingError
from ml.game import Game
from ml.members import Arrays, Idle, chosen, joined, require_members, shapes
from ml.rows import Columns, whole
from ml.threads import shards_of

logger = logging.getLogger(__name__)

EXPLODED = 1e4  # no weight of a network on standardised inputs is as large, unless its training diverges
REMEDY = "lower the learning rates or alpha, set game.clip_norm, or look for extreme values among the features"


class AlternatingTrainer:
    """Plays the game for ensembles; keeps what it compiled, for the next fold.

    Args:
        game: its schedule.
        losses: of `MAIN` and `ADVERSARY`, in the warm-up and in the game, or of `MAIN` alone, which then trains by the
            same schedule without an opponent. Each trains the parameters of its name.
        statistics: see `ml.alternating_ensemble.AlternatingEnsemble`.
        threads: shards of members trained side by side; all cores if None.
    """

    def __init__(
        self,
        game: Game,
        losses: Mapping[str, tuple[LossFunction, LossFunction]],
        statistics: Statistics | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self.game, self._sides = game, game.sides(losses)
        self._statistics, self._threads = statistics, threads
        self._idle: Idle[AlternatingEnsemble] = Idle()

    def fit(
        self,
        initial: Arrays,
        data: Columns,
        *,
        seeds: Sequence[np.random.SeedSequence],
        adversary_weight: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> tuple[dict[str, list[np.ndarray]], History]:
        """Train one member per seed.

        Args:
            initial: parameters by name, each array with a leading member axis; those that no side trains are kept, or
                are statistics.
            data: columns of n events each, shared by all members; "weight" is the main network's.
            seeds: one per member: they decide its validation events and its shuffling, so that a member trains the same
                in any ensemble.
            adversary_weight: (n,) weights in the adversary's turn; those of the main network if None. Neither side
                trains on events of weight 0.
            progress: called after each block.

        Returns:
            The parameters at the end of the last round, and the history. Its losses are the means over the steps of
            each block: those of the main network under their names, "adversary" and "adversary_" + name; and all of
            them with "validation_" in front at the end of the block. Its part "warm_up" has one entry for the warm-up.

        Raises:
            TrainingError: a loss or weight that is not finite, or a weight above `EXPLODED`, with member and rounds;
                values in `data` that cannot be trained on; too few events for a batch.
        """
        started = time.perf_counter()
        require_members(initial, len(seeds))
        game, weights = self.game, {} if adversary_weight is None else {"weight": adversary_weight}
        chunks = {MAIN: whole(data)}
        if ADVERSARY in self._sides:
            chunks[ADVERSARY] = whole({**data, **weights}, where="adversary's training")
        ensembles, shards = [], []
        try:
            for members in np.array_split(np.arange(len(seeds)), shards_of(len(seeds), self._threads)):
                start = chosen(initial, members)
                ensemble = self._idle.take(shapes(start), lambda s=start: self._made(s))  # type: ignore[misc]
                ensembles.append((shapes(start), ensemble))
                ensemble.reset(start)
                shards.append(
                    AlternatingShard(
                        members,
                        ensemble,
                        chunks,
                        [seeds[m] for m in members],
                        validation_fraction=game.validation_fraction,
                        batch=game.batch_size,
                        evaluation_batch=5000,
                    )
                )
            with ThreadPoolExecutor(len(shards)) as pool:
                warm, logs = self._play(shards, pool, progress)
            parameters = joined([shard.ensemble.values() for shard in shards])
        finally:
            for key, ensemble in ensembles:
                self._idle.put(key, ensemble)
        seconds = time.perf_counter() - started
        logger.info("%d members played %d rounds in %.1f s", len(seeds), game.rounds, seconds)
        last = np.full(len(seeds), len(game.blocks) - 1)
        return parameters, History(logs, last, seconds, parts={"warm_up": History(warm, np.zeros_like(last))})

    def _made(self, start: Arrays) -> AlternatingEnsemble:
        return AlternatingEnsemble(start, self._sides, self._statistics)

    def _play(
        self, shards: Sequence[AlternatingShard], pool: ThreadPoolExecutor, progress: Progress | None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The losses of the warm-up (1, members) and of the game (blocks, members)."""
        game, sides = self.game, list(self._sides)

        def every(work: Callable[[AlternatingShard], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
            done = list(pool.map(work, shards))
            return {name: np.concatenate([one[name] for one in done]) for name in done[0]}

        def checked(record: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
            held_out = {f"validation_{n}": v for n, v in every(AlternatingShard.evaluate).items()}
            _refuse_divergence(record | held_out, joined([s.ensemble.values() for s in shards]), where)
            return record | held_out

        record: dict[str, np.ndarray] = {}
        for side in sides:
            record |= every(lambda s, side=side: s.warm_up(side, game.warm_up_steps))  # type: ignore[misc]
        warm = checked(record, "the warm-up")
        logs, clock, done = [], Clock(game.rounds, unit="round"), 0
        room = max(game.blocks)
        for rounds in game.blocks:
            record = every(lambda s, rounds=rounds: s.play(rounds, game.steps, room=room))  # type: ignore[misc]
            logs.append(checked(record, f"round {done + 1} to {done + rounds}"))
            done += rounds
            if progress is not None:
                progress(done / game.rounds, clock.text(done - 1))
        return _stacked([warm]), _stacked(logs)


def _stacked(logs: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([log[name] for log in logs]) for name in logs[0]}


def _refuse_divergence(record: Mapping[str, np.ndarray], parameters: Arrays, where: str) -> None:
    """Raise TrainingError for losses that are not finite, and for weights that are not or that are huge."""
    for name, values in record.items():
        bad = ~np.isfinite(values)
        if bad.any():
            member = int(np.argmax(bad))
            raise TrainingError(
                f"{name} of member {member} is {values[member]} in {where}: the two networks diverged; {REMEDY}"
            )
    for name, arrays in parameters.items():
        if name not in (MAIN, ADVERSARY):
            continue
        largest = np.stack([np.abs(a).reshape(len(a), -1).max(axis=1) for a in arrays]).max(axis=0)
        bad = ~(largest < EXPLODED)
        if bad.any():
            member = int(np.argmax(bad))
            raise TrainingError(
                f"a weight of network {name!r} of member {member} is as large as {largest[member]:.3g} after {where}: "
                f"the two networks drive each other away; {REMEDY}"
            )
