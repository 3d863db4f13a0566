"""Figures of jets found, and of what that does to the mass spectrum: 8 to 15 and 18 to 20 of arXiv:2007.01850."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.numbers import format_count, format_percent
from analysis.plots import Comparison, Label, axis_label, comparison_figure
from analysis.plots.comparison import Histogram
from analysis.plots.decorrelation import DecorrelationPoint, decorrelation_figure
from analysis.plots.jet_types import JetLook, jet_looks
from analysis.plots.roc import RocCurve, roc_figure
from analysis.plots.roc_ratio import ComparedRoc, roc_ratio_figure
from analysis.stages.jet_networks import JetNetwork, jet_networks
from analysis.stages.jet_samples import BACKGROUND, MASS, settings_of, tested_jets
from analysis.stages.jet_tagging import jet_tagging, quoted
from ml.metrics import roc
from ml.selection import select

Described = tuple[str, str, str, object]
FOUND, DECORRELATED, HELD_OUT = "jets_found", "jets_decorrelated", "jets_held_out"
METRICS = {
    "nll": "negative log-likelihood (MSE + KL)",
    "beta_nll": "training loss (MSE + β·KL)",
    "mse": "mean squared reconstruction error",
    "kl": "KL divergence",
    "emd": "energy mover's distance between jet and reconstruction",
    "mss": "mean square of the standardised inputs, without any network",
    "probability": "probability of the exposed class",
}
"""Score → what it is."""


def jet_tagging_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) of every network and score, then of their comparisons."""
    if run.search.jet_tagging is None:
        return
    entries = {(one["network"], one["metric"]): one for one in jet_tagging(run)}
    for network in jet_networks(run).values():
        for metric in network.scores:
            yield _roc(run, network, metric, entries[network.name, metric], label)
        yield _spectra(run, network, entries[network.name, network.metric], label)
    yield _decorrelation(run, label)
    for number, held_out in enumerate(settings_of(run).held_out):
        yield _held_out(run, number, held_out.network, held_out.reference, label)


def _roc(run: SearchRun, network: JetNetwork, metric: str, entry: Mapping[str, Any], label: Label) -> Described:
    """Figures 8, 9, 12, 13 and 19: one curve per type of jets."""
    settings, looks, scores = settings_of(run), _looks(run), network.scores[metric]
    curves = [
        _curve(one.title, scores[name], scores[BACKGROUND], entry["areas"][name], looks[name])
        for name, one in settings.jets.items()
    ]
    caption = (
        f"{network.name} by the {METRICS[metric]}: jets of each type against QCD jets, {_window(run)}. The colour says "
        "the mass of the particle, the line style what it is. Areas are means over "
        f"{_trainings(entry)} with their statistical uncertainties."
    )
    return FOUND, f"jet-roc-{network.name}-{metric}", f"{caption}{_labels(entry)}", roc_figure(curves, label=label)


def _spectra(run: SearchRun, network: JetNetwork, entry: Mapping[str, Any], label: Label) -> Described:
    """Figures 10, 11, 14 and 18: what is left of the background's mass spectrum."""
    settings, background = settings_of(run), tested_jets(run)[BACKGROUND]
    scores, edges = network.scores[network.metric][BACKGROUND], settings.masses.edges
    weight = np.asarray(background["weight"], np.float64)
    mass = np.clip(background[MASS], edges[0], np.nextafter(edges[-1], edges[0]))
    fold = np.zeros(len(mass), np.int64)
    histograms = [_histogram("All QCD jets", mass, [weight], edges, role="inclusive")]
    for one in entry["sculpting"]:
        passing = [select(member, fold, one["efficiency"], weight=weight) for member in scores.T]
        name = f"{format_percent(one['efficiency'])} kept: JSD {one['divergence']['value']:.2g} nats"
        histograms.append(_histogram(name, mass, [weight * kept for kept in passing], edges, role="selection"))
    caption = (
        f"Masses of QCD jets that {network.name} keeps by the {METRICS[network.metric]} at background efficiencies of "
        f"{', '.join(format_percent(one['efficiency']) for one in entry['sculpting'])}, {_window(run)}, normalised; "
        f"means over {_trainings(entry)}, errors are those of one. The legend has the Jensen–Shannon divergence from "
        "the spectrum of all; jets beyond the axis count in the outermost bins."
    )
    figure = comparison_figure(Comparison(axis_label(MASS), edges, histograms, reference=0), label=label)
    return DECORRELATED, f"jet-masses-{network.name}", f"{caption}{_labels(entry)}", figure


def _histogram(name: str, mass: np.ndarray, weights: list[np.ndarray], edges: np.ndarray, *, role: Any) -> Histogram:
    """Return the mean histogram over members, with the errors of one of them."""
    counts = np.mean([np.histogram(mass, edges, weights=one)[0] for one in weights], axis=0)
    squares = np.mean([np.histogram(mass, edges, weights=one**2)[0] for one in weights], axis=0)
    return Histogram(name, counts, squares, role=role)


def _decorrelation(run: SearchRun, label: Label) -> Described:
    """Figure 15."""
    settings = settings_of(run)
    own = [one for one in jet_tagging(run) if one["own"]]
    points = [
        DecorrelationPoint(
            label=one["network"],
            signal_efficiency=one["signal_efficiency"][settings.shown]["value"],
            signal_error=_whole_error(one["signal_efficiency"][settings.shown]),
            divergence=quoted(one)["divergence"]["value"],
            divergence_error=_whole_error(quoted(one)["divergence"]),
            family=str(settings.networks[one["network"]].settings.get("decorrelation", one["metric"])),
            uses_labels=one["uses_labels"],
        )
        for one in own
    ]
    caption = (
        f"Independence of the jet mass against the power to find {settings.jets[settings.shown].title} jets, at a "
        f"background efficiency of {format_percent(settings.quoted)} by each network's own score: up and to the right "
        "is better. Errors: statistical, and the spread over trainings, in quadrature. A selection that does not "
        "depend on the mass at all has the dotted value on average, so that values about it cannot be told from "
        "perfect."
    )
    expected = float(np.mean([quoted(one)["expected"] for one in own]))
    figure = decorrelation_figure(points, efficiency=settings.quoted, expected=expected, label=label)
    return DECORRELATED, "jet-decorrelation", caption, figure


def _held_out(run: SearchRun, number: int, network: str, reference: str, label: Label) -> Described:
    """Figure 20."""
    settings, looks, found = settings_of(run), _looks(run), jet_networks(run)
    pair = [found[name].scores[found[name].metric] for name in (reference, network)]
    names = settings.held_out[number].jets
    curves = [
        ComparedRoc(
            settings.jets[name].title, looks[name], *(_efficiencies(_mean(s[name]), _mean(s[BACKGROUND])) for s in pair)
        )
        for name in names
    ]
    background = len(pair[0][BACKGROUND])
    caption = (
        f"Jets that {reference} never saw: its ROC curves (above; trained with labels, jets of the background against "
        f"those of {settings.exposure}), and how much more background {network} rejects (below, above 1 where it is "
        f"better), {_window(run)}."
    )
    figure = roc_ratio_figure(curves, reference=reference, other=network, n_background=background, label=label)
    return HELD_OUT, f"jet-held-out-{network}-{reference}", caption, figure


def _curve(name: str, signal: np.ndarray, background: np.ndarray, area: Mapping[str, Any], look: JetLook) -> RocCurve:
    """Return the curve of each member and of their mean score; the area is the mean of theirs."""
    each = [_efficiencies(signal[:, member], background[:, member]) for member in range(signal.shape[1])]
    mean = each[0] if len(each) == 1 else _efficiencies(_mean(signal), _mean(background))
    return RocCurve(
        label=name,
        signal_efficiency=mean[0],
        background_efficiency=mean[1],
        n_signal=len(signal),
        n_background=len(background),
        members=each if len(each) > 1 else (),
        repeated=len(each) > 1,
        shade=look.shade,
        style=look.style,
        auc=(area["value"], area["uncertainty"]),
    )


def _efficiencies(signal: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    curve = roc(np.concatenate([signal, background]), np.repeat([1, 0], [len(signal), len(background)]))
    return curve.signal, curve.background


def _mean(scores: np.ndarray) -> np.ndarray:
    """(n_jets,) mean over members."""
    mean: np.ndarray = scores.mean(axis=1)
    return mean


def _looks(run: SearchRun) -> dict[str, JetLook]:
    return jet_looks({name: (one.kind, one.mass) for name, one in settings_of(run).jets.items()})


def _window(run: SearchRun) -> str:
    low, high = settings_of(run).test_pt
    count = format_count(len(tested_jets(run)[BACKGROUND]))
    return f"all with a pT of {low:g} to {high:g} GeV ({count} QCD jets)"


def _trainings(entry: Mapping[str, Any]) -> str:
    return "one training" if entry["members"] == 1 else f"{entry['members']} trainings"


def _labels(entry: Mapping[str, Any]) -> str:
    return " Trained with labels: a reference only." if entry["uses_labels"] else ""


def _whole_error(value: Mapping[str, Any]) -> float:
    return float(np.hypot(value["uncertainty"], value["spread"] or 0.0))
