"""Make one file of a sample."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from analysis.samples.errors import GenerationError
from analysis.samples.generator import Events, Generator
from analysis.samples.processes import pythia_settings
from analysis.samples.recipe import Recipe
from analysis.samples.writers import write_events


def make_file(recipe: Recipe, index: int, path: Path, *, progress: Callable[[int], None]) -> None:
    """Generate file `index` of `recipe` and write it to `path`, under a temporary name until it is whole.

    `progress(n)` is called with the number of events newly kept. Raises GenerationError where Pythia
    fails or the file cannot be written.
    """
    seeds = np.random.SeedSequence([recipe.seed, index])
    own = recipe.of_file(index)
    generator = Generator(own, seeds=seeds)
    batches = collect(generator, recipe.events_in(index), progress=progress)
    counts = generator.counts()
    metadata = {
        "key": recipe.key(),
        "index": index,
        "events": recipe.events_in(index),
        **counts,
        "settings": pythia_settings(own, seed=generator.pythia_seed),
        "versions": {name: version(name) for name in ("darkhorse", "pythia8mc")},
    }
    partial = path.with_name(f".{path.name}.partial")
    try:
        write_events(partial, batches, format=recipe.format, truth=recipe.truth, metadata=metadata)
        _flush(partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # h5py wraps what the system says into its own text
        full = getattr(error, "errno", None) == errno.ENOSPC or os.strerror(errno.ENOSPC) in str(error)
        reason = "the disk is full. Make room and run again: finished files are kept" if full else str(error)
        raise GenerationError(f"{path} cannot be written: {reason}.") from error
    finally:
        partial.unlink(missing_ok=True)


def collect(generator: Generator, wanted: int, *, progress: Callable[[int], None]) -> list[Events]:
    """Return batches with `wanted` events kept altogether."""
    batches: list[Events] = []
    kept = 0
    while kept < wanted:
        batch = generator.next_events()
        excess = kept + batch.n_events - wanted
        if excess > 0:
            batch = batch.select(np.arange(batch.n_events) < batch.n_events - excess)
        kept += batch.n_events
        batches.append(batch)
        progress(batch.n_events)
    return batches


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
