"""Selections of a searched sample by anomaly score, and their spectra."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.events import Events
from analysis.stages.searched import Searched
from analysis.stages.train import Trained
from analysis.statistics_settings import SpectrumSettings
from ml.selection import select
from stats import Spectrum, uniform_edges

SIGNAL_CONTENT = ("signal_fraction", "s_over_b_window", "s_over_sqrt_b_window")


@dataclass(frozen=True)
class Selection:
    """A working point: which detector, which efficiency; no detector for the inclusive spectrum."""

    sample: str
    detector: str | None
    efficiency: float

    @property
    def identifier(self) -> str:
        """Return the selection's name in results.json and in file names."""
        if self.detector is None:
            return f"{self.sample}-inclusive"
        return f"{self.sample}-{self.detector}-{self.efficiency:g}"

    @property
    def label(self) -> str:
        """Return the selection's name in a legend."""
        return "Inclusive" if self.detector is None else f"{self.detector}, {100 * self.efficiency:g}%"


def selections_of(run: SearchRun) -> list[Selection]:
    """Return every selection of a search: of each sample the inclusive one, then detectors by efficiency."""
    return [
        selection
        for sample in run.search.data
        for selection in (
            Selection(sample, None, 1.0),
            *(Selection(sample, d, e) for d in searching_detectors(run) for e in run.search.efficiencies),
        )
    ]


def searching_detectors(run: SearchRun) -> list[str]:
    """Return the detectors whose selections are searched: not references trained on truth, nor `search: false`."""
    from ml import detector_class

    return [
        name for name, one in run.search.detectors.items() if one.search and not detector_class(one.type)[0].uses_labels
    ]


def masses_of(run: SearchRun, detector: str | None, masses: Iterable[float]) -> list[float]:
    """Return those masses (GeV) that are looked for, and limited, in the selections of a detector.

    All of them, but for one window of a detector that slides: it was trained to see what lies in that window, and the
    other windows look elsewhere.
    """
    settings = run.search.detectors[detector] if detector is not None else None
    if settings is None or settings.family is None or settings.window is None:
        return list(masses)
    low, high = settings.window.signal
    return [mass for mass in masses if low <= mass < high]


def selected_rows(
    sample: Searched, scores: Trained | None, selection: Selection, spectrum: SpectrumSettings
) -> np.ndarray:
    """Return the mask (n_events,) of the events a selection keeps in the spectrum.

    The efficiency is the fraction of the events inside the spectrum that are kept, in every fold, whatever the
    detector's window: counted in the window, it would be reached however much signal there is.
    """
    rows = sample.events.inside((spectrum.start, spectrum.stop))
    if scores is None or not rows.any():
        return rows
    inside = np.flatnonzero(rows)
    weight = sample.events["weight"][inside]
    kept = select(scores.score[inside], scores.fold_index[inside], selection.efficiency, weight=weight)
    result = np.zeros(len(rows), dtype=bool)
    result[inside[kept]] = True
    return result


def spectrum_of(events: Events, settings: SpectrumSettings, *, what: str) -> Spectrum:
    """Return the spectrum of some events; raises StageError, naming `what` they are, where none lies in it."""
    masses, weights = events["mjj"], events["weight"]
    edges = edges_of(settings)
    spectrum = Spectrum.from_masses(masses, edges, weights=None if np.all(weights == 1) else weights)
    if spectrum.total <= 0:
        raise StageError(
            f"{what[0].upper()}{what[1:]} is empty: no event in {edges[0]:g} to {edges[-1]:g} GeV. Raise the "
            "efficiency or widen the spectrum."
        )
    return spectrum


def edges_of(settings: SpectrumSettings) -> np.ndarray:
    """Return the bin edges of the spectrum in GeV."""
    if settings.bins is not None:
        return np.linspace(settings.start, settings.stop, settings.bins + 1)
    assert settings.width is not None
    return uniform_edges(settings.start, settings.stop, settings.width)


def signal_content(sample: Searched, rows: np.ndarray, window: tuple[float, float] | None) -> Mapping[str, Any]:
    """Return how much signal the selection holds, where truth is known: in all of it and in the window."""
    if not sample.truth_known:
        return {}
    signal = (sample.events["truth"] == 1) & rows
    content: dict[str, Any] = {"n_signal": int(signal.sum()), "signal_fraction": float(signal.sum() / rows.sum())}
    if window is not None:
        inside = sample.events.inside(window) & rows
        s, b = int((signal & inside).sum()), int((inside & ~signal).sum())
        content["s_over_b_window"] = s / b if b else None
        content["s_over_sqrt_b_window"] = float(s / np.sqrt(b)) if b else None
    return content
