"""Single jets as the networks of a jet-tagging study are trained on them and tested with them."""

from __future__ import annotations

import numpy as np

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.events import Events
from analysis.jet_tagging_settings import JetTaggingSettings
from analysis.stages.inputs import configured, first_of
from analysis.stages.process import processed
from analysis.stages.searched import as_sample
from ml import Detector, Sample

MASS, PT = "j1_m", "j1_pt"  # the resonance mass of these events, and what test sets are cut on
BACKGROUND = "background"  # the group of scores; others are called as the jets


def settings_of(run: SearchRun) -> JetTaggingSettings:
    """Return the settings, which are there where this is called."""
    assert run.search.jet_tagging is not None
    return run.search.jet_tagging


def detector_of(settings: JetTaggingSettings, network: str) -> Detector:
    """Return an untrained network; raise ConfigurationError naming it where its settings cannot be."""
    one = settings.networks[network]
    return configured(f"jet_tagging.networks.{network}", one.type, one.settings)


def columns_of(settings: JetTaggingSettings) -> tuple[str, ...]:
    """Return every column that a network or a figure reads."""
    read = [column for name in settings.networks for column in detector_of(settings, name).settings.columns]
    return tuple(dict.fromkeys((MASS, PT, *read)))


def background_jets(run: SearchRun) -> Events:
    """Return the jets that networks are trained on; raises StageError where there are fewer than asked for."""
    settings = settings_of(run)
    return first_of(_selected(run, settings.background), settings.events, settings.background, "jet_tagging.events")


def exposed_jets(run: SearchRun) -> Events:
    """Return the outliers; raises StageError where there are fewer than asked for."""
    settings = settings_of(run)
    assert settings.exposure is not None  # checked before anything runs
    jets = _selected(run, settings.exposure)
    return first_of(jets, settings.exposure_events, settings.exposure, "jet_tagging.exposure_events")


def further_jets(run: SearchRun) -> Events:
    """Return background jets that no network was trained on, of the same spectrum: those after the trained ones.

    Raises StageError where there are fewer than `examined.events`.
    """
    settings = settings_of(run)
    assert settings.examined is not None
    jets, used, wanted = _selected(run, settings.background), settings.events, settings.examined.events
    if used is None or len(jets) < used + wanted:
        raise StageError(
            f"{len(jets):,} jets of {settings.background!r} pass the selection, of which "
            f"{'all' if used is None else f'{used:,}'} train, and `jet_tagging.examined.events` asks for {wanted:,} "
            "more: generate more, or lower `jet_tagging.events`."
        )
    return jets.take(np.arange(used, used + wanted))


def tested_jets(run: SearchRun) -> dict[str, Events]:
    """Return the jets that networks are tested with, in the window of pT: the background first, then each type.

    Raises StageError where fewer than asked for, or none, are in the window.
    """
    settings = settings_of(run)
    key = "background_test_events" if settings.background_test_events else "test_events"
    found = {BACKGROUND: _tested(run, settings.background_test, settings.background_test_events, key)}
    return found | {name: _tested(run, one.dataset, None, "test_events") for name, one in settings.jets.items()}


def sample_of(detector: Detector, jets: Events) -> Sample:
    """Return jets as a network sees them."""
    return as_sample(jets, detector.settings.columns, batch=detector.needs_constituents)


def _tested(run: SearchRun, dataset: str, most: int | None, key: str) -> Events:
    low, high = settings_of(run).test_pt
    jets = _selected(run, dataset)
    jets = jets.take((jets[PT] >= low) & (jets[PT] < high))
    if not len(jets):
        raise StageError(
            f"No jet of {dataset!r} has a pT in `jet_tagging.test_pt: [{low:g}, {high:g}]` (GeV): widen the window, or "
            "generate harder jets."
        )
    return first_of(jets, most or settings_of(run).test_events, dataset, f"jet_tagging.{key}")


def _selected(run: SearchRun, dataset: str) -> Events:
    """Return all jets of a data set that pass the selection, read once."""
    columns = list(columns_of(settings_of(run)))
    found: Events = run.once(f"jets {dataset}", lambda: processed(run, dataset).events(columns))
    return found
