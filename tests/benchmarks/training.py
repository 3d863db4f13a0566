"""Seconds per member and epoch: the engine's ensemble beside `keras.Model.fit`, same network, loss, data and batches.

Run as `python -m tests.benchmarks.training [vae] [autoencoder] [classifier]`. The two take turns on the same cores, so
that other work on the machine hits both; the ratio of the best turns counts, and the ratios of single turns show its
scatter. The processor time of both is free of that: its ratio is what one core gains. Then both train with several
seeds for the same number of steps, and their losses are compared in standard deviations of the difference of the means.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ml import child_seed
from ml.training import Schedule, Trainer
from tests.benchmarks.training_cases import Case, autoencoder, classifier, start_seed, variational

TURNS, MEMBERS, SEEDS, EPOCHS = 4, 20, 8, 2
CASES = {"vae": variational, "autoencoder": autoencoder, "classifier": classifier}


def engine(case: Case, members: int) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Number of epochs → clocks per member and epoch, and the losses of the last epoch; compiled beforehand."""
    trainer = Trainer(case.loss, case.optimizer)
    starts = [start_seed(i) for i in range(members)]
    seeds = [child_seed(np.random.SeedSequence(1), i) for i in range(members)]

    def run(epochs: int) -> tuple[np.ndarray, np.ndarray]:
        started = _clocks()
        schedule = Schedule(epochs=epochs, batch_size=case.batch, validation_fraction=0, patience=None)
        _, history = trainer.fit(case.initial(starts), case.data, schedule=schedule, seeds=seeds)
        return (_clocks() - started) / epochs / members, history.losses["loss"][-1]

    run(1)
    return run


class KerasProcess:
    """`keras.Model.fit` in a process of its own, where TensorFlow has the threads it takes by itself."""

    def __init__(self, case: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, case), daemon=True)
        self._process.start()

    def fit(self, seed: int, epochs: int) -> tuple[np.ndarray, float]:
        """Clocks per epoch of the model with this seed, and the loss of the last epoch."""
        self._pipe.send((seed, epochs))
        clocks, loss = self._pipe.recv()
        return clocks, loss

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()


def _serve(pipe: Connection, name: str) -> None:
    import keras

    case = CASES[name]()
    timed = case.keras_model(0)
    timed.fit(*case.keras_data, batch_size=case.batch, epochs=1, verbose=0)
    while (task := pipe.recv()) is not None:
        seed, epochs = task
        keras.utils.set_random_seed(max(seed, 0))
        model = timed if seed < 0 else case.keras_model(seed)
        started = _clocks()
        fitted = model.fit(*case.keras_data, batch_size=case.batch, epochs=epochs, verbose=0)
        pipe.send(((_clocks() - started) / epochs, fitted.history["loss"][-1]))


def _clocks() -> np.ndarray:
    """Wall-clock and processor time in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def compare_times(case: Case, theirs: KerasProcess) -> None:
    """Take turns; print the ratio."""
    ours = engine(case, MEMBERS)
    times = np.array(
        [(ours(1)[0], theirs.fit(-1, 1)[0]) for _ in range(TURNS)]
    )  # (turns, engine and Keras, wall and processor)
    best, turns = times.min(axis=0), times[:, 1, 0] / times[:, 0, 0]
    print(
        f"load {os.getloadavg()[0]:.1f}, "
        f"training {case.name}, batch {case.batch}, {len(case.data['x'])} events: engine with {MEMBERS} members "
        f"{best[0, 0]:.3f} s, keras fit {best[1, 0]:.3f} s per member-epoch, ratio {best[1, 0] / best[0, 0]:.1f} "
        f"(turns {turns.min():.1f} to {turns.max():.1f}; wanted {case.wanted:g}); processor time {best[0, 1]:.3f} s "
        f"and {best[1, 1]:.3f} s, ratio {best[1, 1] / best[0, 1]:.1f}",
        flush=True,
    )


def compare_losses(case: Case, keras_side: KerasProcess) -> None:
    """Train both from the same weights for equally many steps; print the mean training loss of the last epoch.

    Both shuffle on their own, and the variational autoencoder also draws its own starting weights.
    """
    ours = engine(case, SEEDS)(EPOCHS)[1]
    theirs = [keras_side.fit(seed, EPOCHS)[1] for seed in range(SEEDS)]
    spread = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / SEEDS)
    steps = EPOCHS * (len(case.data["x"]) // case.batch)
    print(
        f"  loss after {steps} steps over {SEEDS} seeds: engine {np.mean(ours):.5g} ± {np.std(ours, ddof=1):.2g}, "
        f"keras fit {np.mean(theirs):.5g} ± {np.std(theirs, ddof=1):.2g}: "
        f"{(np.mean(ours) - np.mean(theirs)) / spread:+.1f} sigma apart",
        flush=True,
    )


def main(names: list[str]) -> None:
    """Print two lines per network."""
    for name, make in CASES.items():
        if not names or name in names:
            case, theirs = make(), KerasProcess(name)
            compare_times(case, theirs)
            compare_losses(case, theirs)
            theirs.close()


if __name__ == "__main__":
    main(sys.argv[1:])
