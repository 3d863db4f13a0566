"""Figures of the searched samples: the resonance spectrum and the detectors' inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.context import SearchRun
from analysis.events import Events
from analysis.figures.captions import signal_content
from analysis.plots import Comparison, Label, Values, axis_label, comparison_figure, histogram_values
from analysis.plots.comparison import Role
from analysis.stages.families import ends, left_out
from analysis.stages.searched import Searched, columns_needed, columns_of, searched
from analysis.stages.signals import simulated_events

# columns of the dijet record that tell the kinematics of an event rather than the inside of its jets
KINEMATIC = ("j1_pt", "j2_pt", "deta")


def samples_of(run: SearchRun, sample: Searched) -> list[tuple[str, Events, Role]]:
    """Return (label, events, role) of what a feature figure compares: data, simulation, and signal where known."""
    shown: list[tuple[str, Events, Role]] = [
        ("Data" if not sample.truth_known else "Pseudo-data", sample.events, "data")
    ]
    if run.search.simulation is not None:
        shown.append(("Simulation", simulated_events(run, run.search.simulation), "simulation"))
    if sample.truth_known:
        truth = sample.events["truth"] == 1
        signal = sample.spare if sample.spare is not None and len(sample.spare) else sample.events.take(truth)
        if len(signal):
            shown.append(("Signal", signal, "signal"))
    return shown


def feature_names(run: SearchRun) -> list[str]:
    """Return the columns that some detector reads, in order; the dijet standard ones where there is no detector."""
    read = [name for one in run.search.detectors.values() for name in columns_of(one)]
    return list(dict.fromkeys(read)) or [name for name in columns_needed(run.search) if name not in KINEMATIC]


def compared(run: SearchRun, sample: Searched, column: str, *, edges: np.ndarray | None = None) -> Comparison:
    """Return one column of data, simulation and signal in common bins."""
    values = [Values(label, events[column], events["weight"], role) for label, events, role in samples_of(run, sample)]
    return histogram_values(axis_label(column), values, edges=edges)


def data_figures(run: SearchRun, label: Label) -> Iterator[tuple[str, str, str, object]]:
    """Yield (section, name, caption, figure) for the searched samples; of many mixtures of the same for two."""
    shown = ends(run)
    for name in shown:
        sample = searched(run, name)
        content = signal_content(sample) + left_out(run, shown)
        title = "Inputs of the detectors" if run.search.detectors else "Jet observables"
        what = "data against simulation" if run.search.simulation else "data"
        grid = [compared(run, sample, column) for column in feature_names(run)]
        figure = comparison_figure(grid, columns=2 if len(grid) in (2, 4) else 3, label=label)
        yield (
            "data",
            f"features-{name}",
            f"{title} in {name}: {what}, each normalised to its own area. Signal, where shown, is "
            f"known from the truth and is not to scale.{content}",
            figure,
        )
        yield (
            "data",
            f"mass-{name}",
            f"Dijet mass of all selected events of {name}, normalised, with statistical errors.{content}",
            comparison_figure(compared(run, sample, "mjj"), log=True, label=label),
        )
