"""Simulated data sets: their events, and what of them detectors train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.config import DetectorSettings, Search
from analysis.context import SearchRun
from analysis.errors import CatalogueError, ConfigurationError, StageError
from analysis.events import Events
from analysis.stages.inputs import batch_wanted, detector_sample
from analysis.stages.process import processed
from analysis.stages.searched import columns_needed, columns_of
from ml import Sample, detector_class

ROLES = frozenset({"data", "simulation", "exposure"})  # what a search can give to its detectors


def simulated_events(run: SearchRun, name: str) -> Events:
    """Return the processed events of a simulated data set, read once per run."""
    events: Events = run.once(f"events of {name}", lambda: processed(run, name).events(columns_needed(run.search)))
    return events


def needs_simulation(settings: DetectorSettings) -> bool:
    """Return whether a detector of this type trains on simulation."""
    return "simulation" in detector_class(settings.type)[0].needs


def simulation_name(run: SearchRun, detector: str) -> str | None:
    """Return the data set that a detector trains on as simulation: its own, else the search's; None without need."""
    settings = run.search.detectors[detector]
    return (settings.simulation or run.search.simulation) if needs_simulation(settings) else None


def simulation_sample(run: SearchRun, detector: str) -> Sample | None:
    """Return simulated background as a detector takes it, weights as loaded; None for a detector that needs none.

    Events of truth 1 are signal and left out. Raises ConfigurationError where the search names no simulation, and
    StageError where it has no background or a column that is not finite.
    """
    if not needs_simulation(run.search.detectors[detector]):
        return None
    check_simulation(run.search, detector)
    name = simulation_name(run, detector)
    assert name is not None
    settings = run.search.detectors[detector]
    what = f"simulation {name} {columns_of(settings)} {batch_wanted(settings)}"
    sample: Sample = run.once(what, lambda: _simulation_sample(run, name, settings))
    return sample


def _simulation_sample(run: SearchRun, name: str, settings: DetectorSettings) -> Sample:
    events = simulated_events(run, name)
    background = events.take(events["truth"] != 1)
    if not len(background):
        raise StageError(
            f"The simulation {name!r} has {len(events)} selected events, all of them signal: name a data set of "
            "simulated background."
        )
    for column in columns_of(settings):
        bad = int((~np.isfinite(background[column])).sum())
        if bad:
            raise StageError(
                f"The simulation {name!r} has no {column!r} in {bad} of {len(background)} events (NaN or infinite): "
                "detectors cannot train on it. Take the feature out of their `settings.features`, or name another "
                "`simulation`."
            )
    return detector_sample(background, settings)


def check_simulation(search: Search, detector: str) -> None:
    """Raise ConfigurationError where a detector lacks the simulation that it needs, or has one that it would ignore.

    Also where the simulation is the data set that is searched, or the background of a searched mixture.
    """
    settings = search.detectors[detector]
    unknown = detector_class(settings.type)[0].needs - ROLES
    if unknown:
        raise ConfigurationError(
            f"The detector {detector!r} of type {settings.type!r} needs a sample of role {min(unknown)!r}, which a "
            "search cannot give it yet. Leave it out of `detectors`."
        )
    if not needs_simulation(settings):
        if settings.simulation is not None:
            raise ConfigurationError(
                f"`detectors.{detector}.simulation: {settings.simulation}` has no effect: a detector of type "
                f"{settings.type!r} does not train on simulation. Leave it out."
            )
        return
    key = f"detectors.{detector}.simulation" if settings.simulation is not None else "simulation"
    name = settings.simulation or search.simulation
    if name is None:
        raise ConfigurationError(
            f"The detector {detector!r} of type {settings.type!r} trains on simulation, but the search names none: "
            f"add `simulation: DATASET`, or `detectors.{detector}.simulation`."
        )
    if name in search.mixtures:
        raise ConfigurationError(f"`{key}: {name}` names a mixture; name a data set of the catalogue.")
    for sample in search.data:
        if name == (search.mixtures[sample].background if sample in search.mixtures else sample):
            raise ConfigurationError(
                f"`{key}: {name}` is what {sample!r} is made of: compared with themselves, data show nothing. Name a "
                "data set of other events."
            )


def check_files(run: SearchRun) -> None:
    """Raise ConfigurationError where the simulation of a detector holds events that are searched, by another name."""
    for detector in run.search.detectors:
        simulation = simulation_name(run, detector)
        for sample in run.search.data if simulation is not None else ():
            mixture = run.search.mixtures.get(sample)
            source = sample if mixture is None else mixture.background
            shared = _files(run, str(simulation)) & _files(run, source)
            if shared:
                raise ConfigurationError(
                    f"The simulation {simulation!r} of {detector!r} and the searched data set {source!r} share "
                    f"{min(shared)}: compared with themselves, data show nothing. Name a data set of other events."
                )


def _files(run: SearchRun, name: str) -> set[str]:
    """Return what tells the events of a data set: its files, as far as they are on disk, and its recipe."""
    entry = run.catalogue.entry(name)
    if entry.recipe is not None:
        return {f"the recipe {entry.recipe.key()} of seed {entry.recipe.seed}"}
    try:
        found = run.catalogue.local_files(name)
    except CatalogueError:  # not downloaded yet
        return set(entry.files)
    return {*entry.files, *(str(Path(file).resolve()) if "://" not in file else file for file in found)}
