"""A search as it runs: its settings, its data sets, and the artefacts that its stages have made."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from analysis.catalogue import Catalogue
from analysis.config import Search
from analysis.errors import ConfigurationError
from analysis.store import Store, content_key, library_versions
from analysis.workers import ExecutorChoice, Workers

__all__ = ["ExecutorChoice", "RunOptions", "SearchRun", "check_data", "datasets_of"]

ProgressFactory = Callable[[str], AbstractContextManager[Callable[..., None]]]


@dataclass(frozen=True)
class RunOptions:
    """How a search runs and where it writes; nothing here changes a result."""

    out: Path
    executor: ExecutorChoice = field(default_factory=ExecutorChoice)
    skip_bad_files: bool = False
    progress: ProgressFactory | None = None

    @cached_property
    def workers(self) -> Workers:
        """Return the workers that every search with these options shares."""
        return Workers(self.executor)


@dataclass(frozen=True)
class SearchRun:
    """One search with its catalogue, its options and the artefacts it has made."""

    search: Search
    catalogue: Catalogue
    options: RunOptions
    memory: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def out(self) -> Path:
        """Return the output folder."""
        return self.options.out

    @cached_property
    def results_store(self) -> Store:
        """Artefacts of this search alone: models with their scores, hunts, limits."""
        return Store(self.out)

    @cached_property
    def events_store(self) -> Store:
        """Processed events, shared by all searches that ask for the same."""
        return Store(self.catalogue.directory / "processed")

    @cached_property
    def config_key(self) -> str:
        """Return a key of everything that the search file and its options say."""
        entries = {name: self.catalogue.entry(name) for name in datasets_of(self.search)}
        return content_key(self.search, entries, library_versions())

    def bar(self, label: str) -> AbstractContextManager[Callable[..., None] | None]:
        """Return a progress callback (done, total) for something that may take seconds, None where nobody watches."""
        return self.options.progress(label) if self.options.progress else nullcontext(None)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return random numbers for one purpose: they depend on the search's seed and on nothing else that is done."""
        return np.random.default_rng(np.random.SeedSequence([self.search.seed, zlib.crc32(purpose.encode())]))

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` gave the first time it was asked for under `name`."""
        if name not in self.memory:
            self.memory[name] = make()
        return self.memory[name]


def datasets_of(search: Search) -> list[str]:
    """Return the data sets that a search reads, in order, each once."""
    names: list[str] = []
    for name in (*search.data, *_beside(search)):
        mixture = search.mixtures.get(name)
        names += [name] if mixture is None else [mixture.background, *([mixture.signal] if mixture.signal else [])]
    return list(dict.fromkeys(names))


def check_data(search: Search, catalogue: Catalogue) -> None:
    """Raise ConfigurationError, naming key and nearest names, where `data` is neither a mixture nor a data set."""
    for name in search.data:
        if name not in search.mixtures and name not in catalogue.entries:
            raise ConfigurationError(
                f"`data: {name}`: There is no mixture {name!r} in the search and no data set {name!r} in the "
                f"catalogue{_nearest(name, search.mixtures, catalogue.entries)} Correct `data`, or describe {name!r} "
                "under `mixtures` or `datasets` of the search file."
            )


def _nearest(name: str, mixtures: Iterable[str], datasets: Iterable[str]) -> str:
    """Return the nearest names, mixtures first; all of them where none is near."""
    known = {"mixture": list(mixtures), "data set": list(datasets)}
    close = {kind: difflib.get_close_matches(name, names, n=3, cutoff=0.6) for kind, names in known.items()}
    shown, words, end = (close, "did you mean", "?") if any(close.values()) else (known, "known are", ".")
    lists = [
        f"{', '.join(map(repr, names))} ({kind}{'s' if len(names) > 1 else ''})"
        for kind, names in shown.items()
        if names
    ]
    return f"; {words} {' or '.join(lists)}{end}" if lists else "."


def _beside(search: Search) -> list[str]:
    """Return the data sets that a search needs beside those it looks into: simulation, control, signals."""
    control = search.spectrum.order.control if search.spectrum else "sidebands"
    cross_section = search.limits.cross_section if search.limits else None
    return [
        *([search.simulation] if search.simulation else []),
        *(one.simulation for one in search.detectors.values() if one.simulation is not None),
        *(one.exposure for one in search.detectors.values() if one.exposure is not None),
        *([control] if control not in ("sidebands", "simulation", "searched") else []),
        *(search.bump_hunt.templates.values() if search.bump_hunt else []),
        *(search.limits.templates.values() if search.limits else []),
        *(cross_section.signals.values() if cross_section else []),
        *(one.signal for one in search.abcd if one.signal is not None),
        *(search.adversarial.datasets if search.adversarial else ()),
        *(search.jet_tagging.datasets if search.jet_tagging else ()),
    ]
