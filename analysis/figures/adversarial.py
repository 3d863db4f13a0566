"""Figures of networks that must not tell classes of their background apart: 1 to 4, 6 and 7 of arXiv:1905.10384."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.numbers import format_count, format_uncertain
from analysis.plots import Comparison, Label, Values, axis_label, comparison_figure, histogram_values
from analysis.plots.comparison import Role
from analysis.plots.contamination import ContaminationLine, contamination_figure
from analysis.plots.roc import RocCurve, roc_figure
from analysis.stages.networks import SIGNAL, Network, networks
from analysis.stages.robustness import quantiles, robustness, whole_error
from analysis.stages.smeared import SHOWN, background, events_of, settings_of
from ml.metrics import roc

Described = tuple[str, str, str, object]
SECTION = "networks"
_RANKS = np.linspace(0, 1, 21)


def adversarial_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure): observables, then output and ROC of each network, then contamination."""
    if run.search.adversarial is None:
        return
    settings = settings_of(run)
    for smearing in settings.backgrounds:
        yield _observables(run, smearing, label)
    for found in networks(run).values():
        if not found.contamination:
            for smearing in settings.backgrounds:
                yield from _network(run, found, smearing, label)
    if settings.contamination is not None:
        yield _contamination(run, label)


def _observables(run: SearchRun, smearing: str, label: Label) -> Described:
    """Figure 1: what smearing does to the observables, beside the signal."""
    settings = settings_of(run)
    classes, signal = background(run, smearing), events_of(run, settings.signal)
    grid = []
    for column in SHOWN:
        values = [
            Values(f"Background, {name}", events[column], events["weight"], _role(index))
            for index, (name, events) in enumerate(classes.items())
        ]
        values.append(Values(settings.signal, signal[column], signal["weight"], "signal"))
        grid.append(_beside_central(axis_label(column), values, settings.classes))
    counts = ", ".join(f"{format_count(len(events))} {name}" for name, events in classes.items())
    caption = (
        f"Observables after the selection with the smearing {smearing}: background of each class ({counts}, "
        f"statistically independent), and the signal {settings.signal} ({format_count(len(signal))} events, not "
        "smeared), each normalised to its own area. Errors are statistical."
    )
    return SECTION, f"smearing-{smearing}", caption, comparison_figure(grid, columns=2, label=label)


def _beside_central(
    x_label: str, values: Sequence[Values], classes: Sequence[str], *, edges: np.ndarray | None = None
) -> Comparison:
    """Return histograms with the ratio to the central class, which comes first."""
    return replace(histogram_values(x_label, values, edges=edges), reference_name=classes[0])


def _role(index: int) -> Role:
    """Return how a class is drawn: the central one filled and what others are compared with."""
    return "simulation" if index == 0 else "reweighted" if index == 1 else "inclusive"


def _network(run: SearchRun, found: Network, smearing: str, label: Label) -> Iterator[Described]:
    settings = settings_of(run)
    ranked = quantiles(run, found, smearing)
    entry = next(
        one
        for one in robustness(run)
        if (one["network"], one["contamination"], one["tested_with"], one["signal"])
        == (found.name, 0.0, smearing, settings.signal)
    )
    facts = (
        f"{found.name}, trained with the smearing {settings.trained_with(found.name)} and tested with {smearing}, out "
        f"of fold; signal {settings.signal}"
    )
    shown = smearing, settings.classes, settings.signal
    yield (
        SECTION,
        f"output-{found.name}-{smearing}",
        f"Output of {facts}. First: the score of one training ({_meaning(found)}), in the events of the first fold, "
        f"without the 1% farthest out. Second: the mean over {found.summary['members']} trainings of the quantile "
        "among all background of the fold: for one training the background of all classes together is flat, for their "
        f"mean it is lower at both ends. Each is normalised to its own area. {_difference(entry)}",
        comparison_figure(
            [_raw(found, *shown), _output(ranked, *shown)],
            columns=2,
            label=label,
        ),
    )
    weights = {name: events["weight"] for name, events in background(run, smearing).items()}
    of_signal = ranked[f"{SIGNAL}/{settings.signal}"], events_of(run, settings.signal)["weight"]
    curves = [
        _curve(name, of_signal, (ranked[f"{smearing}/{name}"], weights[name]), entry["classes"][name])
        for name in settings.classes
    ]
    everything = np.concatenate([ranked[f"{smearing}/{name}"] for name in settings.classes])
    alike = np.concatenate([weight / np.sum(weight) for weight in weights.values()])
    curves.append(_curve("all classes", of_signal, (everything, alike), entry["overall"]))
    yield (
        SECTION,
        f"roc-{found.name}-{smearing}",
        f"ROC curves of {facts}, against each class of the background and all of them. Areas are means over "
        f"{found.summary['members']} trainings with their statistical uncertainties. {_difference(entry)}",
        roc_figure(curves, label=label),
    )


def _difference(entry: dict[str, Any]) -> str:
    found = entry["difference"]
    text = format_uncertain(found["value"], found["uncertainty"], spread=found["spread"])
    return f"Largest minus smallest AUC: {text}."


def _output(ranked: Mapping[str, np.ndarray], smearing: str, classes: Sequence[str], signal: str) -> Comparison:
    mean = {group: scores.mean(axis=1) for group, scores in ranked.items()}
    return _scores("Quantile of the score", mean, smearing, classes, signal, edges=_RANKS)


def _raw(found: Network, smearing: str, classes: Sequence[str], signal: str) -> Comparison:
    """What the paper draws: the output of one network."""
    shown = {group: scores[found.folds[group] == 0, 0] for group, scores in found.scores.items()}
    name = "Probability of signal" if found.summary["uses_labels"] else "Squared error per feature"
    return _scores(name, shown, smearing, classes, signal)


def _scores(
    x_label: str,
    scores: Mapping[str, np.ndarray],
    smearing: str,
    classes: Sequence[str],
    signal: str,
    *,
    edges: np.ndarray | None = None,
) -> Comparison:
    """Return histograms of scores (n_events,) by group, of every class and of the signal."""
    values = [
        Values(f"Background, {name}", scores[f"{smearing}/{name}"], None, _role(index))
        for index, name in enumerate(classes)
    ]
    values.append(Values(signal, scores[f"{SIGNAL}/{signal}"], None, "signal"))
    return _beside_central(x_label, values, classes, edges=edges)


def _meaning(found: Network) -> str:
    return "the probability of signal" if found.summary["uses_labels"] else "the loss of the autoencoder"


Weighted = tuple[np.ndarray, np.ndarray]
"""Scores (n_events, n_members) and weights (n_events,)."""


def _curve(name: str, signal: Weighted, other: Weighted, area: dict[str, Any]) -> RocCurve:
    """Return the curve of each training and of their mean; the area is the mean of theirs."""
    weight = np.concatenate([signal[1], other[1]])
    truth = np.repeat([1, 0], [len(signal[0]), len(other[0])])

    def efficiencies(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        curve = roc(scores, truth, weight=weight)
        return curve.signal, curve.background

    together = np.concatenate([signal[0], other[0]])
    each = [efficiencies(scores) for scores in together.T]
    mean = efficiencies(together.mean(axis=1))
    return RocCurve(
        label=name,
        signal_efficiency=mean[0],
        background_efficiency=mean[1],
        n_signal=len(signal[0]),
        n_background=len(other[0]),
        members=each if len(each) > 1 else (),
        repeated=len(each) > 1,
        auc=(area["value"], area["uncertainty"]),
    )


def _contamination(run: SearchRun, label: Label) -> Described:
    """Figure 7."""
    settings = settings_of(run)
    assert settings.contamination is not None
    name = settings.contamination.network
    own = [
        one
        for one in robustness(run)
        if one["network"] == name
        and one["signal"] == settings.signal
        and one["tested_with"] == settings.trained_with(name)
    ]
    own.sort(key=lambda one: one["contamination"])
    areas = np.array([[area["value"] for area in one["classes"].values()] for one in own])
    line = ContaminationLine(
        label=name,
        fraction=np.array([one["contamination"] for one in own]),
        overall=np.array([one["overall"]["value"] for one in own]),
        error=np.array([whole_error(one["overall"]) for one in own]),
        lowest=areas.min(axis=1),
        highest=areas.max(axis=1),
    )
    caption = (
        f"{name} with {settings.signal} among its training events, smeared like the class it hides in: area under the "
        "ROC curve against all classes (points; statistical uncertainty and spread over trainings in quadrature), and "
        "between the classes with the smallest and the largest area (band). All trainings share their background."
    )
    return SECTION, "contamination", caption, contamination_figure(line, label=label)
