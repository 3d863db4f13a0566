"""What each command does: builds the run from the options, calls the stages, prints what a user wants to know."""

from __future__ import annotations

import argparse
import contextlib
import glob
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from analysis.catalogue import Catalogue
from analysis.config import Dataset, Search
from analysis.context import ExecutorChoice, RunOptions, SearchRun, check_data, datasets_of
from analysis.errors import CatalogueError, ConfigurationError
from analysis.logs import logged
from analysis.samples import read_summary
from analysis.search_file import find_catalogue, load_catalogue, load_search, merged, read_yaml, set_key
from analysis.store import exclusive
from analysis.validation import validated
from analysis.workers import TrainingChoice

logger = logging.getLogger(__name__)

JETS_ONLY = ("nanoaod", "scouting")  # formats whose files have jets but, usually, no particles to cluster


def library_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the three libraries whose messages are written for the user."""
    from ml.errors import TrainingError
    from processors.errors import InputError
    from stats.errors import StatisticsError

    return (InputError, TrainingError, StatisticsError)


@contextlib.contextmanager
def progress_bar(label: str, *, unit: str = "it") -> Iterator[Callable[..., None]]:
    """Yield a callback (done, total, text="") that draws a bar on the terminal, and nothing where there is none.

    A text says what is being done and when it ends, in place of the bar's own count and estimate.
    """
    with tqdm(desc=label, unit=unit, disable=None, unit_scale=True, leave=False, delay=2) as bar:

        def update(done: int, total: int | None, text: str = "") -> None:
            bar.total = total
            if text:
                bar.bar_format = "{l_bar}{bar}| {elapsed}{postfix}"
                bar.set_postfix_str(text, refresh=False)
            bar.update(done - bar.n)

        yield update


def build_run(options: argparse.Namespace) -> SearchRun:
    """Return the run that the options of a search command describe; raise ConfigurationError or CatalogueError."""
    _check_workers(options.workers)
    _refuse_options_without_effect(options)
    if getattr(options, "files", None):
        search, path = _search_of_files(options), None
    elif options.search is None:
        raise ConfigurationError("Name a search file, or a ready search such as `demo`.")
    else:
        search, path = load_search(options.search, overrides=options.overrides, scale=options.scale, seed=options.seed)
    catalogue = load_search_catalogue(search, path, options.data)
    check_data(search, catalogue)
    for name in datasets_of(search):
        catalogue.entry(name)
    interactive = sys.stderr.isatty()
    kind = _executor(options)
    training = _training(options, kind)
    choice = ExecutorChoice(kind, options.workers, options.scheduler, progress=interactive, training=training)
    out = options.out or Path("out") / search.name
    return SearchRun(
        search,
        catalogue,
        RunOptions(out, choice, skip_bad_files=options.skip_bad_files, progress=progress_bar if interactive else None),
    )


def _check_workers(workers: int) -> None:
    if workers < 1:
        raise ConfigurationError(f"--workers {workers} is not a number of workers: give 1 or more.")


def _executor(options: argparse.Namespace) -> str:
    if options.scheduler is not None and options.executor not in (None, "dask"):
        raise ConfigurationError(
            f"--scheduler names a Dask scheduler, which --executor {options.executor} would not use: leave one out."
        )
    return str(options.executor or ("dask" if options.scheduler is not None else "futures"))


def _training(options: argparse.Namespace, executor: str) -> TrainingChoice | None:
    """Return where detectors train, None where that follows the executor."""
    asked: TrainingChoice | None = getattr(options, "training", None)
    if asked == "dask" and executor != "dask":
        raise ConfigurationError(
            "--training dask uses the client that processes events, and there is none: add --executor dask or "
            "--scheduler ADDRESS, or leave --training out."
        )
    return asked


def _refuse_options_without_effect(options: argparse.Namespace) -> None:
    """Raise ConfigurationError for options that the command would ignore."""
    files = bool(getattr(options, "files", None))
    for name in ("scale", "seed") if files else ("format", "tree"):
        if getattr(options, name, None) is not None:
            raise ConfigurationError(f"--{name} {'does not go' if files else 'goes only'} with --files. Leave it out.")


def load_search_catalogue(search: Search, path: Path | None, data: Path) -> Catalogue:
    """Return the catalogue of a search, with the search's own `datasets` laid over it."""
    file = find_catalogue(search, beside=path)
    entries = load_catalogue(file, search.datasets, beside=path)
    return Catalogue(entries, data, base=file.parent)


def _search_of_files(options: argparse.Namespace) -> Search:
    """Return a search that only processes the files named on the command line."""
    if options.search is not None:
        raise ConfigurationError(
            f"Process either the search {options.search} or --files, not both. `--set processing.…` changes the "
            "settings for --files."
        )
    files = [file if "://" in file else glob.escape(str(Path(file).resolve())) for file in options.files]
    entry: dict[str, Any] = {"files": files, "format": options.format or "darkhorse"}
    if options.tree:
        entry["tree"] = options.tree
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(files[0]).stem).strip("-") or "files"
    content: dict[str, Any] = {"name": name, "data": ["files"], "datasets": {"files": entry}}
    if entry["format"] in JETS_ONLY:
        content["processing"] = {"jets": "FatJet"}
    for override in options.overrides:
        set_key(content, override)
    return validated(Search, content, source="the command line")


def stage(options: argparse.Namespace) -> None:
    """Run a search up to the stage that the command names."""
    from analysis.pipeline import run_until

    run = build_run(options)
    with exclusive(run.out), logged(run.out / "log.txt", native=not options.debug):
        for line in run_until(run, options.stage):
            logger.info(line)
            print(line, flush=True)


def export(options: argparse.Namespace) -> None:
    """Write the results of a search for other programs."""
    from analysis.exports import export_results

    run = build_run(options)
    with exclusive(run.out):
        for path in export_results(run, options.what):
            print(path)


def check(options: argparse.Namespace) -> None:
    """Validate a search and say which of its data sets are on disk."""
    from analysis.pipeline import check_detectors
    from analysis.stages.simulated import check_files

    run = build_run(options)
    check_detectors(run.search)
    check_files(run)
    print(f"{run.search.name}: valid; data sets:")
    _print_status(run.catalogue, datasets_of(run.search))


def datasets(options: argparse.Namespace) -> None:
    """List the catalogue with what is on disk."""
    catalogue = _catalogue(options)
    _print_status(catalogue, list(catalogue.entries))


def _catalogue(options: argparse.Namespace, overrides: dict[str, Any] | None = None) -> Catalogue:
    file = options.catalogue or find_catalogue()
    return Catalogue(load_catalogue(file, overrides), options.data, base=file.parent)


def _print_status(catalogue: Catalogue, names: list[str]) -> None:
    width = max((len(name) for name in names), default=0)
    for name in names:
        entry, status = catalogue.entry(name), catalogue.status(name)
        if status.expected is None:
            state = "remote"
        elif status.complete:
            state = f"on disk, {status.size / 1e6:.0f} MB"
        else:
            state = f"{status.present} of {status.expected} files" if status.present else "not on disk"
        print(f"{name:<{width}}  {entry.role:<10}  {entry.format:<9}  {_origin(entry):<22}  {state}")
        if entry.description:
            print(f"{'':<{width}}  {entry.description}")


def _origin(entry: Dataset) -> str:
    if entry.recipe is not None:
        return f"recipe, {entry.recipe.events:,} events"
    return (entry.doi and f"doi:{entry.doi}") or f"{len(entry.files)} file pattern(s)"


def generate(options: argparse.Namespace) -> None:
    """Generate built-in samples, with the recipe's settings changed as the options say."""
    _check_workers(options.workers)
    if options.alias and len(options.names) > 1:
        raise ConfigurationError(f"--as {options.alias} names one data set, but {len(options.names)} are asked for.")
    for name in options.names:
        catalogue = _recipe_catalogue(options, name)
        target = options.alias or name
        started = time.perf_counter()
        with progress_bar(f"generate {target}", unit="event") as progress:
            files = catalogue.generate(target, workers=options.workers, progress=progress)
        print(f"{target}: {len(files)} files in {catalogue.folder(target)}")
        recipe = catalogue.entry(target).recipe
        assert recipe is not None  # or it could not have been generated
        made = read_summary(recipe, catalogue.folder(target), target)
        print(
            f"{target}: {made['kept']:,} events kept, {100 * made['filter_efficiency']:.3g}% of those made, "
            f"{made['cross_section']:.4g} pb; {time.perf_counter() - started:.0f} s"
        )


def _recipe_catalogue(options: argparse.Namespace, name: str) -> Catalogue:
    """Return a catalogue of one recipe: that of `name`, changed by --set, --events and --seed, named by --as."""
    file = options.catalogue or find_catalogue()
    content = read_yaml(file)
    if name not in content:
        _catalogue(options).entry(name)
    entry = merged(content[name], {})
    overrides = [f"recipe.{override.removeprefix('recipe.')}" for override in options.overrides]
    if options.events is not None:
        overrides.append(f"recipe.events={options.events}")
    if options.seed is not None:
        overrides.append(f"recipe.seed={options.seed}")
    if overrides and not isinstance(entry.get("recipe"), dict):
        raise CatalogueError(f"The data set {name!r} has no recipe: it is made of files, not generated.")
    for override in overrides:
        set_key(entry, override)
    target = options.alias or name
    return Catalogue({target: validated(Dataset, entry, source=file, prefix=target)}, options.data, base=file.parent)


def fetch(options: argparse.Namespace) -> None:
    """Download data sets."""
    catalogue = _catalogue(options)
    for name in options.names:
        with progress_bar(f"fetch {name}", unit="B") as progress:
            files = catalogue.fetch(name, progress=progress)
        print(f"{name}: {len(files)} files in {catalogue.folder(name)}")
