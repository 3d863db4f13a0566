"""Seconds per member and epoch: the engine's ensemble beside `keras.Model.fit`, same network, data and batches.

Run as `python -m tests.benchmarks.training`. The two take turns on the same cores; the ratio is what counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ml import child_seed
from ml.classifiers import make_optimizer
from ml.losses import binary_crossentropy
from ml.networks import DenseNetwork
from ml.training import Schedule, Trainer

EVENTS, FEATURES, MEMBERS, ROUNDS = 40_000, 6, 4, 3


def engine(network: DenseNetwork, x: np.ndarray, label: np.ndarray, *, batch: int) -> Callable[[], float]:
    """Seconds per member and epoch of one ensemble; compiled before it is timed."""
    trainer = Trainer(binary_crossentropy(network), lambda: make_optimizer("adam", 1e-3, None))
    seeds = [child_seed(np.random.SeedSequence(1), i) for i in range(MEMBERS)]

    def run(epochs: int = 3) -> float:
        schedule = Schedule(epochs=epochs, batch_size=batch, validation_fraction=0, patience=None)
        initial = {"classifier": network.initial(seeds)}
        _, history = trainer.fit(initial, {"x": x, "label": label}, schedule=schedule, seeds=seeds)
        return history.seconds / epochs / MEMBERS

    run(1)
    return run


def keras_fit(network: DenseNetwork, x: np.ndarray, label: np.ndarray, *, batch: int) -> Callable[[], float]:
    """Seconds per epoch of one model; compiled before it is timed."""
    import keras

    seeds = [child_seed(np.random.SeedSequence(1), 0)]
    model = network.to_keras(network.initial(seeds), 0, output_activation="sigmoid")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")

    def run() -> float:
        start = time.perf_counter()
        model.fit(x, label, batch_size=batch, epochs=1, verbose=0)
        return time.perf_counter() - start

    run()
    return run


def main() -> None:
    """Print one line per network and batch size."""
    random = np.random.default_rng(0)
    x = random.normal(size=(EVENTS, FEATURES)).astype(np.float32)
    label = (x[:, 0] + random.normal(size=EVENTS) > 0).astype(np.float32)
    for hidden, batch in (((64, 64, 64), 500), ((64, 64, 64), 1000), ((100, 100, 100), 200)):
        network = DenseNetwork(inputs=FEATURES, hidden=hidden)
        ours, theirs = engine(network, x, label, batch=batch), keras_fit(network, x, label, batch=batch)
        times = np.array([(ours(), theirs()) for _ in range(ROUNDS)])
        best = times.min(axis=0)
        print(
            f"training 3×{hidden[0]}, batch {batch}, {MEMBERS} members: engine {best[0]:.3f} s, "
            f"keras fit {best[1]:.3f} s per member-epoch of {EVENTS} events, ratio {best[1] / best[0]:.1f}"
        )


if __name__ == "__main__":
    main()
