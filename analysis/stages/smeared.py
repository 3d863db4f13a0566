"""Backgrounds of several classes and signals, as networks that must not tell the classes apart are trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np

from analysis.adversarial_settings import AdversarialSettings
from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.events import Events, joined
from analysis.samples import read_summary
from analysis.settings import NOMINAL
from analysis.stages.inputs import configured, first_of
from analysis.stages.process import processed
from ml import Detector

MASS = "mtt"  # the resonance mass of these events
SHOWN = ("b1_pt", "light1_pt", "met", MASS)  # figure 1 of the paper


def settings_of(run: SearchRun) -> AdversarialSettings:
    """Return the settings, which are there where this is called."""
    assert run.search.adversarial is not None
    return run.search.adversarial


def background(run: SearchRun, smearing: str) -> dict[str, Events]:
    """Return the events of each class of the background, smeared as `backgrounds` says."""
    classes = settings_of(run).backgrounds[smearing]
    return {name: events_of(run, one.dataset, one.variation) for name, one in classes.items()}


def events_of(run: SearchRun, dataset: str, variation: str = NOMINAL) -> Events:
    """Return the events of one data set and variation that are used: the first of them, as many as settings say.

    Raises StageError where fewer pass the selection.
    """
    settings = settings_of(run)
    key = "signal_events" if dataset in settings.tested else "events"
    events = selected_events(run, dataset, variation)
    return first_of(events, settings.most(dataset), dataset, f"adversarial.{key}")


def selected_events(run: SearchRun, dataset: str, variation: str = NOMINAL) -> Events:
    """Return all events of one data set and variation that pass the selection, read once.

    Raises StageError where none does.
    """

    def read() -> Events:
        names = list(dict.fromkeys((*columns_of(settings_of(run)), *SHOWN)))
        return processed(run, dataset).events(names, variation=variation, mass=MASS)

    return run.once(f"smeared {dataset} {variation}", read)


def detector_of(settings: AdversarialSettings, network: str) -> Detector:
    """Return an untrained network; raise ConfigurationError naming it where its settings cannot be."""
    one = settings.networks[network]
    given = {"features": list(settings.features), **one.settings} if settings.features else one.settings
    return configured(f"adversarial.networks.{network}", one.type, given)


def columns_of(settings: AdversarialSettings) -> tuple[str, ...]:
    """Return every column that a network reads."""
    read = [name for network in settings.networks for name in detector_of(settings, network).settings.columns]
    return tuple(dict.fromkeys(read))


def of_all_classes(classes: Mapping[str, Events]) -> tuple[Events, np.ndarray]:
    """Return the events of all classes one after the other, and the number of each event's class."""
    parts = list(classes.values())
    return reduce(joined, parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def contaminated(run: SearchRun, smearing: str, fraction: float) -> tuple[Events, np.ndarray]:
    """Return background of all classes with `fraction` of all events signal, smeared like the class it hides in.

    Every class gets as many, by chance; which events, the seed decides. The same event may hide in two classes, smeared
    in two ways, where there is not enough signal for others. Raises StageError where a class asks for more than all.
    """
    settings = settings_of(run)
    rng = run.rng(f"contamination {smearing} {fraction:g}")
    parts = {}
    for name, events in background(run, smearing).items():
        variation = settings.backgrounds[smearing][name].variation
        signal = selected_events(run, settings.signal, variation)
        wanted = round(len(events) * fraction / (1 - fraction))
        if wanted > len(signal):
            raise StageError(
                f"A contamination of {fraction:g} takes {wanted:,} events of {settings.signal!r} for the class "
                f"{name!r}, and there are {len(signal):,}: lower the fraction, or generate more of the signal."
            )
        rows = np.sort(rng.choice(len(signal), wanted, replace=False))
        parts[name] = joined(events, signal.take(rows))
    return of_all_classes(parts)


def selected_cross_section(run: SearchRun, dataset: str, variation: str = NOMINAL) -> float:
    """Return the cross section (fb) of a data set's events after the selection.

    That of the catalogue, or of the generation, times the share of the weights that passes. Raises StageError where
    neither is known.
    """
    found = processed(run, dataset)
    steps = [step["sum_of_weights"] for step in found.cutflow()[variation].values()]
    return 1000.0 * _produced(run, dataset) * steps[-1] / steps[0]  # pb to fb


def _produced(run: SearchRun, dataset: str) -> float:
    entry = run.catalogue.entry(dataset)
    if entry.cross_section is not None:
        return entry.cross_section
    if entry.recipe is None:
        raise StageError(
            f"The cross section of {dataset!r} is not known, and limits need it: give `cross_section` (pb) in the "
            "catalogue."
        )
    return float(read_summary(entry.recipe, run.catalogue.folder(dataset), dataset)["cross_section"])
