"""Make the files of a sample: in parallel, one independent job per file, each whole or not there at all."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analysis.samples.errors import GenerationError
from analysis.samples.metadata import read_metadata
from analysis.samples.recipe import Recipe
from analysis.samples.workers import run_jobs

log = logging.getLogger(__name__)

SUFFIX = {"root": ".root", "lhco": ".h5"}
Progress = Callable[[int, int], None]


def sample_files(recipe: Recipe, directory: str | Path, name: str) -> list[Path]:
    """Return the paths of all files that `generate` makes, existing or not."""
    suffix = SUFFIX[recipe.format]
    return [Path(directory) / f"{name}-{index:03d}{suffix}" for index in range(recipe.n_files)]


def summary_file(directory: str | Path, name: str) -> Path:
    """Return the path of the sample's summary, written when all its files are whole."""
    return Path(directory) / f"{name}.json"


def is_complete(recipe: Recipe, directory: str | Path, name: str) -> bool:
    """Return whether all files of the sample are there, whole and made from this recipe.

    Files alone decide: a larger or smaller sample of the same recipe in this folder, with its summary, changes nothing.
    """
    return not _missing(recipe, directory, name)


def read_summary(recipe: Recipe, directory: str | Path, name: str) -> dict[str, Any]:
    """Return the summary of the recipe's own files, however many more there are; raise GenerationError without them."""
    try:
        return summarise(recipe, [read_metadata(file) for file in sample_files(recipe, directory, name)])
    except (OSError, ValueError) as error:
        raise GenerationError(f"The files of {name} cannot be read ({error}): generate the sample again.") from error


def generate(
    recipe: Recipe,
    directory: str | Path,
    *,
    name: str,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Make the sample `name` in `directory` and return its files.

    What is whole already stays; `workers` processes make the rest, the same whatever their number. With one
    worker it happens in this process. `progress(done, total)` counts kept events. The summary
    `<name>.json` comes last: cross-section (pb) of the kept events, numbers of events, settings, versions. That of a
    larger sample, of which this one is the beginning, stays.

    Raises GenerationError (a setting that Pythia does not know, a full disk, a worker that died) and OSError where
    `directory` cannot be made or written; files that were finished stay.
    """
    if workers < 1:
        raise GenerationError(f"Generation needs at least one worker, got workers = {workers}.")
    files = sample_files(recipe, directory, name)
    Path(directory).mkdir(parents=True, exist_ok=True)
    with _only_one(Path(directory), name):
        _remove_partial(Path(directory), name)
        missing = _missing(recipe, directory, name)
        before = recipe.events - sum(recipe.events_in(index) for index in missing)
        report = (lambda events: progress(before + events, recipe.events)) if progress else None
        if missing:
            if _summarised(recipe, directory, name) is None:  # what it describes ends here
                summary_file(directory, name).unlink(missing_ok=True)
            log.info("generating %d of %d files of %s", len(missing), len(files), name)
            try:
                run_jobs(recipe, [(index, files[index]) for index in missing], workers=workers, progress=report)
            finally:
                _remove_partial(Path(directory), name)  # of workers that were stopped
        _write_summary(recipe, directory, name)
    return files


def missing_files(recipe: Recipe, directory: str | Path, name: str) -> list[Path]:
    """Return the paths of files that are absent, not whole, or made from another recipe."""
    files = sample_files(recipe, directory, name)
    return [files[index] for index in _missing(recipe, directory, name)]


def _missing(recipe: Recipe, directory: str | Path, name: str) -> list[int]:
    """Return the indices of files that are absent or were made from another recipe."""
    missing = []
    for index, path in enumerate(sample_files(recipe, directory, name)):
        try:
            found = read_metadata(path)
        except (OSError, ValueError):
            missing.append(index)
            continue
        expected = {"key": recipe.key(), "index": index, "events": recipe.events_in(index)}
        if any(found.get(field) != value for field, value in expected.items()):
            missing.append(index)
    return missing


def _summarised(recipe: Recipe, directory: str | Path, name: str) -> Recipe | None:
    """Return what the summary on disk describes: this recipe in any size, or None."""
    try:
        found = json.loads(summary_file(directory, name).read_text())
        return Recipe.model_validate(found["recipe"]) if found["key"] == recipe.key() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_summary(recipe: Recipe, directory: str | Path, name: str) -> None:
    found = _summarised(recipe, directory, name)
    if found is not None and found.events > recipe.events and is_complete(found, directory, name):
        return
    path = summary_file(directory, name)
    content = json.dumps(read_summary(recipe, directory, name), indent=1, sort_keys=True) + "\n"
    if path.exists() and path.read_text() == content:
        return
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content)
    os.replace(partial, path)


def summarise(recipe: Recipe, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine the metadata of a sample's files; cross-sections are averaged by the number of events tried."""
    tried = [part["tried"] for part in parts]
    total = sum(tried)
    average = sum(part["cross_section"] * n for part, n in zip(parts, tried, strict=True)) / total
    error = math.sqrt(sum((part["cross_section_error"] * n) ** 2 for part, n in zip(parts, tried, strict=True))) / total
    return {
        "key": recipe.key(),
        "recipe": recipe.described(),
        "kept": recipe.events,
        "tried": total,
        "passed": sum(part["passed"] for part in parts),
        "filter_efficiency": sum(part["passed"] for part in parts) / total,
        "cross_section": average,
        "cross_section_error": error,
        "settings": [line for line in parts[0]["settings"] if not line.startswith("Random:")],
        "versions": parts[0]["versions"],
        "seed": recipe.seed,
    }


def _remove_partial(directory: Path, name: str) -> None:
    """Remove what an interrupted run left behind."""
    for path in directory.glob(f".{name}*.partial"):
        log.info("removing %s, which is not whole", path)
        path.unlink(missing_ok=True)


@contextmanager
def _only_one(directory: Path, name: str) -> Iterator[None]:
    """Let one process at a time make a sample; the others wait and then find it made."""
    import fcntl

    with (directory / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            log.warning("%s has no file locks: do not generate %s twice at the same time", directory, name)
        yield
