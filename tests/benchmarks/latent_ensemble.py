"""The ensemble of the latent space, 20 members at once, beside 20 runs of `keras.Model.fit` on the same events.

Run as `python -m tests.benchmarks.latent_ensemble [EVENTS.parquet…]`, with columns of the dijet processor or, without,
random numbers. Everything counts that a user waits for after the imports: building, compiling, and the epochs; every
Keras run builds and compiles its own model. It ends with 1 where the ratio is below the one wanted.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow.parquet as pq

from ml.preprocessing import MaxAbs
from ml.tagger import DEFAULT_FEATURES
from tests.benchmarks.training import KerasProcess, engine
from tests.benchmarks.training_cases import EVENTS, variational

MEMBERS, EPOCHS, WANTED = 20, 5, 5.0


def main(files: list[str]) -> int:
    """Print one line; returns 1 if the ratio is below the one wanted."""
    x = _features([Path(file) for file in files]) if files else np.random.default_rng(0).random((EVENTS, 6), np.float32)
    theirs = KerasProcess("vae", x)
    theirs.fit(-1, 1)  # waits until TensorFlow is imported there
    started = time.perf_counter()
    engine(variational(x), MEMBERS)(EPOCHS - 1)  # which runs one epoch to compile
    ours = time.perf_counter() - started
    started = time.perf_counter()
    for member in range(MEMBERS):
        theirs.fit(member, EPOCHS)
    keras = time.perf_counter() - started
    theirs.close()
    print(
        f"load {os.getloadavg()[0]:.1f}, {len(x):,} events, {MEMBERS} members, {EPOCHS} epochs, batches of 1000: "
        f"engine {ours:.1f} s, {MEMBERS} runs of keras fit {keras:.1f} s, ratio {keras / ours:.1f} (wanted {WANTED:g})"
    )
    return 0 if keras / ours >= WANTED else 1


def _features(files: list[Path]) -> np.ndarray:
    tables = [pq.read_table(file, columns=list(DEFAULT_FEATURES)) for file in files]
    x = np.concatenate([np.stack([table[name].to_numpy() for name in DEFAULT_FEATURES], axis=1) for table in tables])
    x = x[:EVENTS].astype(np.float32)
    return MaxAbs.fit(x, np.ones(len(x)), names=DEFAULT_FEATURES).apply(x)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
