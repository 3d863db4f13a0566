"""Generated events per second and core beside a bare loop of Pythia's `nextBatch` with the same settings.

Run ``python -m tests.benchmarks.generation``. Three comparisons, each in turns within one process:

- without the filter: detector and writing on top of the bare loop, which is the overhead;
- with the filter: events of the process gone through per second; hopeless ones are given up early, so that this may
  exceed 1, although detector, jets and writing are included;
- top pairs: events kept and written per second. The bare loop makes every open decay of the W bosons, tops of any
  transverse momentum where a resonance makes them, and no colour octet.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import get_args

import numpy as np

from analysis.samples import Recipe
from analysis.samples.generator import BATCH_EVENTS, Generator, make_pythia
from analysis.samples.top_resonance import TopResonance
from analysis.samples.writers import write_events

PT_HAT_MIN = 1000.0
TOP_PAIRS = {
    "ttbar": Recipe(process="ttbar", events=1, seed=1),
    **{
        kind: Recipe(process="resonance_ttbar", events=1, seed=1, top_resonance=TopResonance(kind=kind))
        for kind in get_args(TopResonance.model_fields["kind"].annotation)
    },
}


def bare_seconds(pythia, n: int) -> float:
    """Seconds for `n` events of a bare loop."""
    start = time.perf_counter()
    for _ in range(n // BATCH_EVENTS):
        pythia.nextBatch(BATCH_EVENTS)
    return time.perf_counter() - start


def full_seconds(generator: Generator, n: int, path: Path) -> float:
    """Seconds for `n` events that come as far as the detector, written to `path`."""
    start = time.perf_counter()
    batches = [generator.next_events(BATCH_EVENTS) for _ in range(n // BATCH_EVENTS)]
    write_events(path, batches, format=generator.recipe.format, truth=0, metadata={"index": 0})
    return time.perf_counter() - start


def compare(recipe: Recipe, *, rounds: int, events: int) -> tuple[float, float, float]:
    """Return events per second of the bare loop, of generation, and kept events per second of generation."""
    pythia = make_pythia(recipe, seed=1)
    pythia.init()
    generator = Generator(recipe, seeds=np.random.SeedSequence(1))
    bare = full = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        bare_seconds(pythia, BATCH_EVENTS)
        full_seconds(generator, BATCH_EVENTS, path)
        before = generator.counts()
        for _ in range(rounds):
            bare += bare_seconds(pythia, events)
            full += full_seconds(generator, events, path)
    after = generator.counts()
    tried, kept = (after[name] - before[name] for name in ("tried", "passed"))
    return rounds * events / bare, tried / full, kept / full


def main(arguments: list[str] | None = None) -> None:
    """Print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--events", type=int, default=500, help="per round and side")
    options = parser.parse_args(arguments)
    for label, threshold in (("without filter", None), ("with filter", 1200.0)):
        for format in ("root", "lhco"):
            recipe = Recipe(
                process="qcd_dijet",
                events=1,
                seed=1,
                format=format,
                pt_hat_min=PT_HAT_MIN,
                min_leading_jet_pt=threshold,
            )
            bare, full, kept = compare(recipe, rounds=options.rounds, events=options.events)
            print(
                f"generation {label:14s} {format:4s}: {full:6.0f} events/s, bare nextBatch {bare:6.0f} events/s, "
                f"ratio {full / bare:.2f} (aim 0.85), kept {kept:.0f} events/s"
            )
    for label, recipe in TOP_PAIRS.items():
        bare, _, kept = compare(recipe, rounds=options.rounds, events=options.events)
        print(f"generation {label:14s} root: {kept:6.0f} events/s, bare nextBatch {bare:6.0f} events/s")


if __name__ == "__main__":
    main()
