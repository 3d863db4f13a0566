"""Seconds per member and epoch: the engine's ensemble beside `keras.Model.fit`, same network, loss, data and batches.

Run as `python -m tests.benchmarks.training [vae] [autoencoder] [classifier]`. The two take turns on the same cores, so
that other work on the machine hits both; the ratio of the best turns counts, and the ratios of single turns show its
scatter. The processor time of both is free of that: its ratio is what one core gains. Then both train with several
seeds for the same number of steps, and their losses are compared in standard deviations of the difference of the means.
It ends with 1, and says why, where a ratio is below the one wanted or losses are more than 3 standard deviations apart.
It wants a quiet machine, and takes less than 5 minutes of two cores.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.stats import norm, ttest_ind

from ml import child_seed
from ml.training import Schedule, Trainer
from tests.benchmarks.training_cases import Case, autoencoder, classifier, jet_variational, start_seed, variational

TURNS, MEMBERS, SEEDS, EPOCHS = 3, 20, 4, 2
APART = 3.0  # standard deviations that the losses may be apart
CASES: dict[str, Callable[..., Case]] = {
    "vae": variational, "autoencoder": autoencoder, "classifier": classifier, "jet_vae": jet_variational,
}  # fmt: skip
OWN = ("jet_vae",)  # has a benchmark of its own


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

    def __init__(self, case: str, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, case, *arguments), daemon=True)
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


def _serve(pipe: Connection, name: str, *arguments: Any) -> None:
    import keras

    case = CASES[name](*arguments)
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


def compare_times(case: Case, theirs: KerasProcess, *, members: int = MEMBERS) -> str | None:
    """Take turns; print the ratio. Returns what is wrong with it, if anything is."""
    ours = engine(case, members)
    times = np.array(
        [(ours(1)[0], theirs.fit(-1, 1)[0]) for _ in range(TURNS)]
    )  # (turns, engine and Keras, wall and processor)
    best, turns = times.min(axis=0), times[:, 1, 0] / times[:, 0, 0]
    ratio = best[1, 0] / best[0, 0]
    print(
        f"load {os.getloadavg()[0]:.1f}, "
        f"training {case.name}, batch {case.batch}, {len(case.data['x'])} events: engine with {members} members "
        f"{best[0, 0]:.3f} s, keras fit {best[1, 0]:.3f} s per member-epoch, ratio {ratio:.1f} "
        f"(turns {turns.min():.1f} to {turns.max():.1f}; wanted {case.wanted:g}); processor time {best[0, 1]:.3f} s "
        f"and {best[1, 1]:.3f} s, ratio {best[1, 1] / best[0, 1]:.1f}",
        flush=True,
    )
    if ratio >= case.wanted:
        return None
    return f"{case.name}: {ratio:.1f} times as fast as keras fit, and {case.wanted:g} times are wanted"


def compare_losses(case: Case, keras_side: KerasProcess) -> str | None:
    """Train both from the same weights for equally many steps; print the mean training loss of the last epoch.

    Returns what is wrong with it, if anything is. Both shuffle on their own, and the variational autoencoder also draws
    its own starting weights.
    """
    ours = engine(case, SEEDS)(EPOCHS)[1]
    theirs = [keras_side.fit(seed, EPOCHS)[1] for seed in range(SEEDS)]
    # Student's t, as few seeds tell little of their spread, as the standard deviations of equal probability
    test = ttest_ind(ours, theirs, equal_var=False)
    apart = float(np.sign(test.statistic) * norm.isf(test.pvalue / 2))
    steps = EPOCHS * (len(case.data["x"]) // case.batch)
    print(
        f"  loss after {steps} steps over {SEEDS} seeds: engine {np.mean(ours):.5g} ± {np.std(ours, ddof=1):.2g}, "
        f"keras fit {np.mean(theirs):.5g} ± {np.std(theirs, ddof=1):.2g}: "
        f"{apart:+.1f} sigma apart",
        flush=True,
    )
    return (
        None if abs(apart) <= APART else f"{case.name}: the losses are {apart:+.1f} sigma apart, {APART:g} are allowed"
    )


def main(names: list[str]) -> int:
    """Print two lines per network; returns 1 if one of them is not as wanted, and says which on stderr."""
    unknown = sorted(set(names) - set(CASES))
    if unknown:
        print(f"no network {', '.join(unknown)}; there are: {', '.join(CASES)}", file=sys.stderr)
        return 2
    wrong = []
    for name, make in CASES.items():
        if name in names or not (names or name in OWN):
            case, theirs = make(), KerasProcess(name)
            wrong += [compare_times(case, theirs), compare_losses(case, theirs)]
            theirs.close()
    failures = [message for message in wrong if message]
    for message in failures:
        print(f"training: {message}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
