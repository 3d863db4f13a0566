"""`LatentVAE.fit` with the paper's recipe, 20 members at once, beside 20 runs of `keras.Model.fit` on as many events.

Run as `python -m tests.benchmarks.latent_ensemble [EVENTS…]`, with files that `latent_recipes` takes or, without,
random numbers. Both sides train the same network on batches of 1000 events with the same loss and optimiser for the
same number of steps, and everything counts that a user waits for after the imports. That is on either side building,
compiling and the steps; every Keras run builds and compiles its own model, whose only metric is the loss. `LatentVAE`
also scales the features, validates after each epoch on a tenth of the events, which Keras does not get, looks for the
peak, keeps each member's best weights, and finds out which way members point. Building and compiling take seconds, so
that few steps say little; with `--keras-runs` fewer runs of Keras are timed and scaled to as many as there are members.
It ends with 1 where the ratio is below the one wanted.
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from ml import Sample
from ml.latent_settings import LatentVAESettings
from ml.latent_vae import LatentVAE
from ml.preprocessing import MaxAbs
from ml.tagger import DEFAULT_FEATURES
from tests.benchmarks.latent_recipes import sample_of
from tests.benchmarks.training import KerasProcess
from tests.benchmarks.training_cases import EVENTS

WANTED = 5.0


def ensemble_seconds(sample: Sample, settings: LatentVAESettings) -> tuple[float, int]:
    """How long the ensemble takes, and how many epochs it ran."""
    started = time.perf_counter()
    history = LatentVAE(settings).fit({"data": sample}, window=None, seeds=np.random.SeedSequence(1))
    return time.perf_counter() - started, len(history.losses["loss"])


def keras_seconds(sample: Sample, settings: LatentVAESettings, epochs: int, runs: int) -> float:
    """How long one run of Keras takes, the mean of several one after the other, with as many steps in each epoch."""
    training = len(sample) - round(settings.validation_fraction * len(sample))
    x = sample.features(DEFAULT_FEATURES).astype(np.float32)
    x = MaxAbs.fit(x, np.ones(len(x)), names=DEFAULT_FEATURES).apply(x)
    x = x[: training // settings.batch_size * settings.batch_size]  # no batch is incomplete
    process = KerasProcess("vae", x, settings.resolved.learning_rate)
    process.fit(-1, 1)  # waits until TensorFlow is imported there
    started = time.perf_counter()
    for member in range(runs):
        process.fit(member, epochs)
    seconds = time.perf_counter() - started
    process.close()
    return seconds / runs


def random_sample(events: int) -> Sample:
    """Uniform random numbers."""
    rng = np.random.default_rng(0)
    columns = {name: rng.random(events) for name in DEFAULT_FEATURES}
    fold, identifier = np.zeros(events, np.uint32), np.arange(events)
    return Sample(
        columns=columns, mass=rng.uniform(2000, 6000, events), weight=np.ones(events), fold=fold, event_id=identifier
    )


def main() -> int:
    """Print one line; returns 1 if the ratio is below the one wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--max-events", type=int, default=EVENTS)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--steps", type=int, default=900, help="below 11,000, so that no member can stop early")
    parser.add_argument("--keras-runs", type=int, help="timed; by default as many as there are members")
    options = parser.parse_args()
    runs = options.keras_runs or options.members
    logging.getLogger("ml").setLevel(logging.ERROR)  # so few steps have no peak
    sample = sample_of(options.files, options.max_events) if options.files else random_sample(options.max_events)
    settings = LatentVAESettings(
        recipe="paper", members=options.members, steps=options.steps, point=min(1000, options.steps)
    )
    ours, epochs = ensemble_seconds(sample, settings)
    theirs = options.members * keras_seconds(sample, settings, epochs, runs)
    print(
        f"load {os.getloadavg()[0]:.1f}, {len(sample):,} events, {options.members} members, {epochs} epochs "
        f"({options.steps:,} steps asked for), batches of {settings.batch_size}: LatentVAE.fit {ours:.1f} s, "
        f"{options.members} runs of keras fit {theirs:.1f} s ({runs} timed), "
        f"ratio {theirs / ours:.1f} (wanted {WANTED:g})"
    )
    return 0 if theirs / ours >= WANTED else 1


if __name__ == "__main__":
    raise SystemExit(main())
