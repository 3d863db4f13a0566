"""The samples that a search looks into: data sets as they are, or pseudo-data with injected signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.config import DetectorSettings, Search
from analysis.constituents import EventBatch
from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.events import Events, MixtureCounts, count_mixture, mix
from analysis.stages.abcd_estimates import object_of, score_columns
from analysis.stages.process import Processed, processed
from analysis.store import code_key, content_key
from analysis.window_settings import WindowSettings
from ml import detector_from_settings
from ml.constituent_batches import WantedConstituents
from ml.image_batches import WantedImages
from ml.sample import Sample
from ml.window import Window
from processors.dijet_columns import HISTOGRAM_COLUMNS
from processors.jet_columns import SINGLE_JET_COLUMNS

FIGURE_COLUMNS = ("j1_m", "j1_tau21", "j1_tau32", "j2_m", "j2_tau21", "j2_tau32", "j1_pt", "j2_pt", "deta")


@dataclass(frozen=True)
class Searched:
    """One sample of a search.

    Attributes:
        name: of the mixture or data set.
        events: what is searched; truth 1 signal, 0 background, −1 unknown.
        spare: signal events that were not injected, for measuring detectors; None where there are none.
        counts: signal and background where the truth is known, else None.
        key: changes when the sample does.
    """

    name: str
    events: Events
    spare: Events | None
    counts: MixtureCounts | None
    key: str

    @property
    def truth_known(self) -> bool:
        """Whether every event says what it is."""
        return bool(len(self.events) and np.all(self.events["truth"] >= 0))


def searched(run: SearchRun, name: str) -> Searched:
    """Return a sample of the search, mixed once per run; raises StageError where the mixture cannot be made."""
    return run.once(f"searched {name}", lambda: _searched(run, name))


def _searched(run: SearchRun, name: str) -> Searched:
    search = run.search
    mixture = search.mixtures.get(name)
    names = columns_needed(search)
    window = search.counted(name)
    if mixture is None:
        source = processed(run, name)
        events = source.events(names)
        known = bool(np.all(events["truth"] >= 0))
        counts = count_mixture(events, background=name, signal=None, window=window) if known else None
        return Searched(name, events, None, counts, content_key(source.key, _source()))
    sources: list[Processed] = [processed(run, mixture.background)]
    signal = None
    if mixture.signal is not None:
        sources.append(processed(run, mixture.signal))
        signal = sources[-1].events(names)
    events, spare = mix(mixture, sources[0].events(names), signal, window=search.window, seed=search.seed)
    counts = count_mixture(events, background=mixture.background, signal=mixture.signal, window=window)
    window_matters = search.window if mixture.of == "window" else None
    same = mixture.model_copy(update={"quoted": None})  # where events are counted does not change them
    key = content_key([source.key for source in sources], same, search.seed, window_matters, _source())
    return Searched(name, events, spare, counts, key)


def _source() -> str:
    """Return a key of the code that mixes events."""
    return code_key("analysis.events", __name__)


def window_of(run: SearchRun | Search, detector: str | None) -> WindowSettings | None:
    """Return a detector's own window, else the search's; also the search's for no detector."""
    search = run.search if isinstance(run, SearchRun) else run
    own = search.detectors[detector].window if detector is not None else None
    return own or search.window


def as_window(settings: WindowSettings | None) -> Window | None:
    """Return the window as the detectors take it."""
    if settings is None:
        return None
    return Window(settings.signal, settings.sidebands, settings.validation)


def counts_of(run: SearchRun, name: str, detector: str | None) -> MixtureCounts | None:
    """Return signal and background of a sample, in all and in a detector's window; None where truth is not known."""
    sample, window = searched(run, name), run.search.counted(name, detector)
    if sample.counts is None or window == sample.counts.window:
        return sample.counts
    return count_mixture(
        sample.events,
        background=sample.counts.background,
        signal=sample.counts.signal,
        window=window,
    )


def columns_needed(search: Search) -> list[str]:
    """Return the columns that the detectors and figures of a search read."""
    names = [name for name in FIGURE_COLUMNS if name in columns_made(search)]
    for settings in search.detectors.values():
        names += columns_of(settings)
    scores = [score.removeprefix("-") for one in search.abcd for score in (one.first, one.second)]
    columns = [score for score in scores if score not in search.detectors and object_of(score) is None]
    names += [column for score in columns for column in score_columns(score)]
    return list(dict.fromkeys(names))


def columns_made(search: Search) -> tuple[str, ...]:
    """Return the columns that describe the events of a search: those that its processor makes."""
    return SINGLE_JET_COLUMNS if search.processing.processor == "jet" else HISTOGRAM_COLUMNS


def columns_of(settings: DetectorSettings) -> tuple[str, ...]:
    """Return the columns that a detector reads, with those that only a part of it reads."""
    return tuple(detector_from_settings(settings.type, settings.settings).settings.columns)


def as_sample(
    events: Events,
    features: tuple[str, ...],
    *,
    category: np.ndarray | None = None,
    batch: WantedImages | WantedConstituents | None = None,
    mass: str | None = None,
) -> Sample:
    """Return events as a detector sees them: features, mass, weight and identifiers, without the truth.

    `batch` is what it asks for besides, images or constituents of jets; `mass` is the column of the resonance mass,
    where it is not the events' own.

    Raises StageError where images or constituents are wanted of events that were not read from files.
    """
    return Sample(
        columns={name: events[name] for name in features},
        mass=events[mass or events.mass],
        weight=events["weight"],
        fold=events["fold"],
        event_id=events.event_id,
        category=category,
        batch=None if batch is None else _made(events, batch),
    )


def _made(events: Events, wanted: WantedImages | WantedConstituents) -> EventBatch:
    if events.constituents is None:
        raise StageError(
            "Images or constituents were asked for of events whose constituents are not stored: process them first."
        )
    if isinstance(wanted, WantedImages):
        return events.constituents.images(wanted)
    return events.constituents.momenta(wanted)
