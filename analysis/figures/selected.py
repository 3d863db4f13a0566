"""Figures of what the detectors select: the jets of the most anomalous events."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.context import SearchRun
from analysis.events import Events
from analysis.figures.captions import signal_content
from analysis.numbers import format_count, format_percent
from analysis.plots import Label
from analysis.plots.selected_jets import JETS, JetGroup, selected_jets_figure
from analysis.plots.style import DATA, FIT, SIGNAL
from analysis.stages.families import ends, left_out
from analysis.stages.searched import Searched, searched
from analysis.stages.selections import Selection, searching_detectors, selected_rows
from analysis.stages.train import trained

Described = tuple[str, str, str, object]

COLUMNS = tuple(f"{jet}_{name}" for jet in JETS for name in ("m", "tau21"))


def selected_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure): for every detector that is searched with, the jets it likes best.

    The tightest selection is shown, for the samples with the least and the most signal.
    """
    if run.search.spectrum is None or not run.search.efficiencies:
        return
    for name in ends(run):
        sample = searched(run, name)
        if not all(column in sample.events.columns for column in COLUMNS):
            continue
        for detector in searching_detectors(run):
            yield _jets(run, sample, Selection(name, detector, min(run.search.efficiencies)), label)


def _jets(run: SearchRun, sample: Searched, selection: Selection, label: Label) -> Described:
    assert run.search.spectrum is not None
    assert selection.detector is not None
    found = trained(run, sample.name, selection.detector)
    rows = selected_rows(sample, found, selection, run.search.spectrum)
    groups = [
        _group("All events", DATA, sample.events, np.ones(len(rows), bool)),
        _group(f"Selected, {format_percent(selection.efficiency)}", FIT, sample.events, rows),
    ]
    signal = known_signal(sample)
    if signal is not None:
        groups.append(_group("Signal, from the truth", SIGNAL, signal, np.ones(len(signal["mjj"]), bool)))
    caption = (
        f"Mass and τ21 of the heavier (above) and the lighter jet in {sample.name}: all events, the "
        f"{format_count(int(rows.sum()))} that {selection.detector} finds most anomalous"
        + (", and the signal" if signal is not None else "")
        + f". Outlines hold 68% and 95%.{signal_content(sample)}{left_out(run, ends(run))}"
    )
    return "detectors", f"jets-{selection.identifier}", caption, selected_jets_figure(groups, label=label)


def _group(label: str, colour: str, events: Events, rows: np.ndarray) -> JetGroup:
    return JetGroup(label, colour, {column: events[column][rows] for column in COLUMNS})


def known_signal(sample: Searched) -> Events | None:
    """Return signal events: those that were not injected, else those that were; None without any, or without truth."""
    if not sample.truth_known:
        return None
    if sample.spare is not None and len(sample.spare["mjj"]):
        return sample.spare
    chosen = sample.events["truth"] == 1
    return sample.events.take(chosen) if chosen.any() else None
