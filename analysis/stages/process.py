"""Events to columns and histograms: the processor run over every file of every data set of a search."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hist
import uhi.io.json
from coffea.processor.executor import ExecutorBase

from analysis.config import Axis, Dataset, Processing
from analysis.context import SearchRun, datasets_of
from analysis.errors import StageError
from analysis.events import DIJET_MASS, Events, load_events
from analysis.files import read_json, write_json
from analysis.settings import DIJET_CUTS, NOMINAL
from analysis.store import code_key, content_key, library_versions
from processors import AxisSpec, DijetProcessor, JetProcessor, TTbarProcessor, run_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Processed:
    """The processed events of one data set: where its columns are, what was cut and what was skipped.

    `mass` is the column of the resonance mass of its events, by the processor. `key` changes with the events and with
    their weights, hence also with cross section and luminosity.
    """

    name: str
    entry: Dataset
    directory: Path
    key: str
    summary: Mapping[str, Any]
    mass: str = DIJET_MASS

    @property
    def n_events(self) -> int:
        """Return the number of events read."""
        return int(self.summary["events"])

    @property
    def n_selected(self) -> int:
        """Return the number of events that pass every cut."""
        return sum(part["events"] for part in self.summary["parts"].get(NOMINAL, []))

    def cutflow(self) -> dict[str, Any]:
        """Return events and sums of weights by variation and cut."""
        return dict(self.summary["cutflow"])

    def events(self, names: list[str], *, variation: str = NOMINAL, mass: str | None = None) -> Events:
        """Read columns of one variation, weighted to σ·L where the catalogue gives both.

        `mass` is the column of the resonance mass, where it is not the processor's. Raises StageError where no event
        was selected, or where there is no such variation.
        """
        parts = self.summary["parts"]
        if variation not in parts and variation != NOMINAL:
            raise StageError(
                f"{self.name!r} was processed without a variation {variation!r} (it has {', '.join(parts)}): add it "
                "under `processing`, or correct the name."
            )
        if sum(part["events"] for part in parts.get(variation, [])) == 0:
            raise StageError(
                f"No event of {self.name!r} passes the selection ({self.describe_cutflow(variation)}). Loosen the cuts "
                "under `processing:` or check that momenta are in GeV."
            )
        return load_events(
            self.directory / "columns", parts.get(variation, []), names,
            scale=self.weight_scale(), mass=mass or self.mass,
        )  # fmt: skip

    def describe_cutflow(self, variation: str = NOMINAL) -> str:
        """Return the events left after each cut, in one line."""
        steps = self.cutflow().get(variation, {})
        return ", ".join(f"{cut}: {numbers['events']:,}" for cut, numbers in steps.items()) or "no event was read"

    def weight_scale(self) -> float:
        """Return the factor from weights in the files to events of σ·L; 1 where the catalogue does not give both."""
        if self.entry.cross_section is None or self.entry.luminosity is None:
            return 1.0
        sum_of_weights = next(iter(self.cutflow()[NOMINAL].values()))["sum_of_weights"]
        return 1000.0 * self.entry.cross_section * self.entry.luminosity / sum_of_weights  # pb to fb

    def histograms(self) -> dict[str, hist.Hist]:
        """Return the processor's histograms by name."""
        content = json.loads((self.directory / "histograms.json").read_text(), object_hook=uhi.io.json.object_hook)
        return {name: hist.Hist(item) for name, item in content.items()}


def process(run: SearchRun) -> dict[str, Processed]:
    """Process every data set of a search that is not processed already."""
    with run.options.workers.processing() as executor:
        return {name: _processed(run, name, executor) for name in datasets_of(run.search)}


def processed(run: SearchRun, name: str) -> Processed:
    """Return one data set's processed events."""
    with run.options.workers.processing() as executor:
        return _processed(run, name, executor)


def _processed(run: SearchRun, name: str, executor: Callable[[], ExecutorBase]) -> Processed:
    result: Processed = run.once(f"processed {name}", lambda: _process(run, name, executor))
    return result


def _process(run: SearchRun, name: str, executor: Callable[[], ExecutorBase]) -> Processed:
    entry = run.catalogue.entry(name)
    files = run.catalogue.local_files(name)
    settings = _settings(run, entry)
    key = content_key(
        name, [_identity(file) for file in files], entry.format, entry.tree, settings.model_dump(exclude={"chunksize"}),
        run.options.skip_bad_files, code_key("processors", __name__), library_versions(),
    )  # fmt: skip
    directory = run.events_store.make(f"{name}-{key}", key, partial(_run_processor, run, name, entry, files, executor))
    summary = read_json(directory / "summary.json")
    for skipped in summary["skipped"]:
        logger.warning("%s: skipped %s: %s", name, skipped["file"], skipped["reason"])
    weighted = content_key(key, entry.cross_section, entry.luminosity)
    return Processed(name, entry, directory, weighted, summary, settings.mass)


def _settings(run: SearchRun, entry: Dataset) -> Processing:
    """Return how a data set is processed: as the search says, with the jets of the file where it has nothing else."""
    settings = run.search.processing
    return settings if entry.jets is None else settings.model_copy(update={"jets": entry.jets})


def _identity(file: str) -> list[Any]:
    """Return what tells one input file from another without reading it."""
    if "://" in file:
        return [file]
    path = Path(file)
    stat = path.stat() if path.exists() else None
    return ["/".join(path.parts[-2:]), stat.st_size if stat else None, stat.st_mtime_ns if stat else None]


def _run_processor(
    run: SearchRun, name: str, entry: Dataset, files: list[str], executor: Callable[[], ExecutorBase], folder: Path
) -> None:
    columns = (folder / "columns").resolve()
    settings = _settings(run, entry)
    logger.info("processing %s: %d files", name, len(files))
    output = run_files(
        {name: files}, processor_for(settings, columns), format=entry.format, treename=entry.tree,
        executor=executor(), chunksize=settings.chunksize, skip_bad_files=run.options.skip_bad_files,
    )  # fmt: skip
    results = output.results
    parts = results["parts"].get(name, {})
    for part in (part for of_variation in parts.values() for part in of_variation):
        part["path"] = str(Path(part["path"]).relative_to(columns))
    summary = {
        "events": output.events[name],
        "cutflow": results["cutflow"].get(name, {}),
        "parts": parts,
        "skipped": output.skipped[name],
    }
    write_json(folder / "summary.json", summary)
    histograms = json.dumps(results["histograms"], default=uhi.io.json.default)
    (folder / "histograms.json").write_text(histograms)


def processor_for(settings: Processing, columns: Path | None) -> DijetProcessor | JetProcessor | TTbarProcessor:
    """Return the processor that a search's `processing:` asks for, writing its columns below `columns`, if given."""
    match settings.processor:
        case "ttbar":
            return _ttbar_processor(settings, columns)
        case "jet":
            return JetProcessor(**settings.jet.model_dump(), **_of_jets(settings, columns))
        case "dijet":
            cuts = {name: getattr(settings, name) for name in DIJET_CUTS}
            return DijetProcessor(**cuts, **_of_jets(settings, columns))


def _ttbar_processor(settings: Processing, columns: Path | None) -> TTbarProcessor:
    own = settings.ttbar
    return TTbarProcessor(
        **own.model_dump(),
        histograms={name: _axis(axis) for name, axis in settings.histograms.items()} or None,
        variations=dict(settings.smearings),
        columns_directory=columns,
    )


def _of_jets(settings: Processing, columns: Path | None) -> dict[str, Any]:
    """Return what the processors of one and of two jets have in common."""
    return {
        "jets": settings.jets,
        "puppi": settings.puppi,
        "radius": settings.radius,
        "histograms": {name: _axis(axis) for name, axis in settings.histograms.items()} or None,
        "variations": dict(settings.variations),
        "smearings": dict(settings.smearings),
        "constituents": settings.constituents,
        "columns_directory": columns,
    }


def _axis(axis: Axis) -> AxisSpec:
    return AxisSpec(bins=axis.bins, start=axis.start, stop=axis.stop, edges=axis.edges, label=axis.label)
