"""Seconds per member and round of adversarial training: the engine beside `keras.Model.train_on_batch`.

Run as `python -m tests.benchmarks.adversarial`. The published round of arXiv:1905.10384: an autoencoder 21-10-3-10-21
takes 480 steps of 500 events against a frozen adversary 1-20-20-3, which then takes as many against the frozen
autoencoder. The Keras side is the usual way, two compiled models that share layers, frozen by `trainable`. Both start
from the same weights and see the same batches, so that their losses can be compared as they are, with α = 1, as two
networks that did not warm up diverge with the published 100; that changes no time. The two take turns on
the same cores; the ratio of the best turns counts. It ends with 1, and says why, where the ratio is below the one
wanted or losses differ by more than they may. It wants a quiet machine, and takes about a minute of two cores.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ml import child_seed
from ml.adversarial_losses import (
    STANDARD,
    adversary_loss,
    initial_statistics,
    main_loss,
    reconstruction,
    seen_statistics,
)
from ml.alternating_ensemble import ADVERSARY, MAIN, PROBE, AlternatingEnsemble, AlternatingShard
from ml.game import Game
from ml.networks import DenseNetwork
from ml.rows import RowStream, whole

EVENTS, FEATURES, CLASSES, BATCH, STEPS = 240_000, 21, 3, 500, 480
ALPHA, RATE, TURNS, MEMBERS, WANTED, APART = 1.0, 0.01, 3, 2, 10.0, 0.02
NETWORK = DenseNetwork(FEATURES, (10, 3, 10), FEATURES, "sigmoid")
OPPONENT = DenseNetwork(1, (20, 20), CLASSES)
SEEDS = [child_seed(np.random.SeedSequence(3), member) for member in range(MEMBERS)]


def events() -> dict[str, np.ndarray]:
    """Features that follow three hidden ones, and noise that is larger in one class than in the others."""
    random = np.random.default_rng(0)
    kind = random.integers(0, CLASSES, EVENTS)
    hidden = random.normal(size=(EVENTS, 3)) @ random.normal(size=(3, FEATURES))
    x = (hidden + random.normal(size=hidden.shape) * (1 + 0.2 * kind[:, None])) / 2
    ones = np.ones(EVENTS)
    return {"x": x.astype(np.float32), "nuisance": kind, "weight": ones, "opposed_weight": ones}


def start() -> dict[str, list[np.ndarray]]:
    """Starting weights of all members."""
    return {
        MAIN: NETWORK.initial([child_seed(s, 0, 0) for s in SEEDS]),
        ADVERSARY: OPPONENT.initial([child_seed(s, 0, 1) for s in SEEDS]),
        STANDARD: initial_statistics(MEMBERS),
    }


class Engine:
    """Whole rounds as compiled functions; the members side by side on the cores that there are."""

    def __init__(self, data: dict[str, np.ndarray]) -> None:
        outputs = reconstruction(NETWORK, "loss")
        game = Game(steps_per_round=STEPS, batch_size=BATCH, optimizer="sgd", learning_rate=RATE, decay=1.0)
        opposed = main_loss(outputs, OPPONENT, alpha=ALPHA, standardised=True)
        against = adversary_loss(outputs, OPPONENT, standardised=True)
        sides = game.sides({MAIN: (opposed, opposed), ADVERSARY: (against, against)})
        self._shards = []
        chunk = whole(data)
        for member in range(MEMBERS):
            own = np.array([member])
            first = {name: [a[own] for a in arrays] for name, arrays in start().items()}
            ensemble = AlternatingEnsemble(first, sides, seen_statistics(outputs))
            ensemble.reset(first)
            self._shards.append(
                AlternatingShard(
                    own, ensemble, {MAIN: chunk, ADVERSARY: chunk}, [SEEDS[member]],
                    validation_fraction=0.0, batch=BATCH, evaluation_batch=5000,
                )
            )  # fmt: skip

    def round(self) -> dict[str, np.ndarray]:
        """Play one round with all members; returns its losses, (members,) each."""
        with ThreadPoolExecutor(MEMBERS) as pool:
            done = list(pool.map(lambda s: s.play(1, {MAIN: STEPS, ADVERSARY: STEPS}, room=1), self._shards))
        return {name: np.concatenate([d[name] for d in done]) for name in done[0]}


class InKeras:
    """The same schedule of the first member, batch by batch."""

    def __init__(self, data: dict[str, np.ndarray]) -> None:
        import keras

        first = start()
        self._x, self._kind = data["x"], data["nuisance"].astype(np.int32)
        self._network = NETWORK.to_keras(first[MAIN], 0)
        self._opponent = OPPONENT.to_keras(first[ADVERSARY], 0, output_activation="softmax")
        x = keras.Input((FEATURES,))
        errors = keras.ops.mean(keras.ops.square(x - self._network(x)), axis=-1, keepdims=True)
        self._standard = _standardising_layer()
        told = self._opponent(self._standard(errors))
        self._errors = keras.Model(x, errors)
        self._both, self._against = keras.Model(x, [errors, told]), keras.Model(x, told)
        entropy = "sparse_categorical_crossentropy"
        self._freeze(main=False)
        self._both.compile(
            keras.optimizers.SGD(RATE), loss=[lambda _, given: keras.ops.mean(given), entropy],
            loss_weights=[1.0, -ALPHA],
        )  # fmt: skip
        self._freeze(main=True)
        self._against.compile(keras.optimizers.SGD(RATE), loss=entropy)
        every = [np.arange(EVENTS)]
        self._streams = [RowStream(every, [child_seed(SEEDS[0], 1, side)], BATCH) for side in range(2)]
        self._probe = np.linspace(0, EVENTS - 1, PROBE).astype(int)

    def round(self) -> dict[str, float]:
        """Play one round; returns its losses."""
        main, opposed, against = [], [], []
        self._freeze(main=False)
        for rows in self._streams[0].take(STEPS)[0].reshape(STEPS, BATCH):
            self._both.reset_metrics()
            found = self._both.train_on_batch(self._x[rows], [np.zeros(BATCH), self._kind[rows]])
            main.append(found[1])
            opposed.append(found[2])
        seen = np.asarray(self._errors.predict_on_batch(self._x[self._probe]))
        self._standard.set_weights([np.float32(seen.mean()), np.float32(seen.std())])
        self._freeze(main=True)
        for rows in self._streams[1].take(STEPS)[0].reshape(STEPS, BATCH):
            self._against.reset_metrics()
            against.append(np.ravel(self._against.train_on_batch(self._x[rows], self._kind[rows]))[0])
        return {"main": np.mean(main), "opposed": np.mean(opposed), "adversary": np.mean(against)}

    def _freeze(self, *, main: bool) -> None:
        self._network.trainable, self._opponent.trainable = not main, main


def _standardising_layer() -> Any:
    import keras

    class Standardising(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False)
            self.scale = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, values: Any) -> Any:
            return (values - self.mean) / self.scale

    return Standardising()


def _timed(play: Any) -> tuple[float, dict[str, Any]]:
    started = time.perf_counter()
    losses = play()
    return time.perf_counter() - started, losses


def main() -> int:
    """Print the ratio and the losses of both; returns 1 if one of them is not as wanted, and says which on stderr."""
    data = events()
    engine, theirs = Engine(data), InKeras(data)
    turns = [(_timed(engine.round), _timed(theirs.round)) for _ in range(TURNS + 1)]
    seconds = np.array([[ours[0] / MEMBERS, other[0]] for ours, other in turns[1:]])  # the first one compiles
    best, ratios = seconds.min(axis=0), seconds[:, 1] / seconds[:, 0]
    print(
        f"load {os.getloadavg()[0]:.1f}, round of {STEPS} + {STEPS} steps of {BATCH} events: engine with {MEMBERS} "
        f"members {best[0]:.3f} s per member, keras train_on_batch {best[1]:.3f} s, ratio {best[1] / best[0]:.1f} "
        f"(turns {ratios.min():.1f} to {ratios.max():.1f}; wanted {WANTED:g})",
        flush=True,
    )
    ours, other = turns[-1][0][1], turns[-1][1][1]
    wrong = [] if best[1] / best[0] >= WANTED else [f"{best[1] / best[0]:.1f} times as fast, {WANTED:g} are wanted"]
    for name in ("main", "opposed", "adversary"):
        print(f"  {name} in round {TURNS + 1}: engine {ours[name][0]:.5g}, keras {other[name]:.5g}", flush=True)
        if not abs(ours[name][0] - other[name]) <= APART * abs(other[name]):  # NaN differs, too
            wrong.append(f"the losses {name!r} differ by more than {APART:.0%}")
    for message in wrong:
        print(f"adversarial: {message}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
