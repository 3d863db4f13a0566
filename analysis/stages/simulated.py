"""Simulated data sets: their events, and what of them detectors train on."""

from __future__ import annotations

import numpy as np

from analysis.config import DetectorSettings, Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError, StageError
from analysis.events import Events
from analysis.stages.process import processed
from analysis.stages.searched import as_sample, columns_needed, columns_of
from ml import Sample, detector_class

ROLES = frozenset({"data", "simulation"})  # what a search can give to its detectors


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
    columns = columns_of(run.search.detectors[detector])
    sample: Sample = run.once(f"simulation {name} {columns}", lambda: _simulation_sample(run, name, columns))
    return sample


def _simulation_sample(run: SearchRun, name: str, columns: tuple[str, ...]) -> Sample:
    events = simulated_events(run, name)
    background = events.take(events["truth"] != 1)
    if not len(background):
        raise StageError(
            f"The simulation {name!r} has {len(events)} selected events, all of them signal: name a data set of "
            "simulated background."
        )
    for column in columns:
        bad = int((~np.isfinite(background[column])).sum())
        if bad:
            raise StageError(
                f"The simulation {name!r} has no {column!r} in {bad} of {len(background)} events (NaN or infinite): "
                "detectors cannot train on it. Take the feature out of their `settings.features`, or name another "
                "`simulation`."
            )
    return as_sample(background, columns)


def check_simulation(search: Search, detector: str) -> None:
    """Raise ConfigurationError where a detector lacks the simulation that it needs, or has one that it would ignore."""
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
