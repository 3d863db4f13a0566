"""How well networks find each type of jets, and what a cut on their scores does to the background's mass spectrum.

Source: arXiv:2007.01850, sections III to V.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import format_number, format_percent
from analysis.stages.jet_networks import JetNetwork, jet_networks
from analysis.stages.jet_samples import BACKGROUND, MASS, settings_of, tested_jets
from analysis.stages.robustness import over
from analysis.store import code_key, content_key, library_versions
from ml.dependence import distance_correlation, jsd_at_efficiency
from ml.metrics import auc, roc

BLOCKS = 10  # of the jackknife


def jet_tagging(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per network and score, its own first.

    Values are means over members (independent trainings), `spread` their standard deviation, `uncertainty` the mean of
    their statistical ones:

    - `areas`: under the ROC curve, by type of jets;
    - `sculpting`: by efficiency of the background, the Jensen–Shannon divergence (nats) of its mass spectrum after the
      cut from the one before, and what a cut without any sculpting has;
    - `signal_efficiency`: by type of jets, at the `quoted` efficiency of the background;
    - `distance_correlation`: of score and mass of the background.
    """
    found: list[dict[str, Any]] = run.once(
        "jet tagging", lambda: [entry for network in jet_networks(run).values() for entry in _of(run, network)]
    )
    return found


def _of(run: SearchRun, network: JetNetwork) -> list[dict[str, Any]]:
    settings = settings_of(run)
    key = content_key(
        network.key, settings.masses, settings.efficiencies, settings.quoted, library_versions(),
        code_key("ml.dependence", "ml.divergence", "ml.metrics", "ml.selection", "analysis.stages.jet_samples",
                 "analysis.stages.robustness", __name__),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/jet-tagging/{network.name}",
        key,
        lambda target: write_json(target / "measured.json", [_measured(run, network, one) for one in network.scores]),
    )
    return list(read_json(folder / "measured.json"))


def _measured(run: SearchRun, network: JetNetwork, metric: str) -> dict[str, Any]:
    settings, jets = settings_of(run), tested_jets(run)
    scores, background = network.scores[metric], jets[BACKGROUND]
    weights = {group: events["weight"] for group, events in jets.items()}
    members = range(scores[BACKGROUND].shape[1])
    curves = {
        name: [_curve(scores, weights, name, member) for member in members] for name in settings.jets
    }  # fmt: skip
    return {
        "network": network.name,
        "metric": metric,
        "own": metric == network.metric,
        "uses_labels": network.summary["uses_labels"],
        "exposed": "exposure" in network.summary["training_events"],
        "members": len(members),
        "areas": {name: over([one[0] for one in of_type]) for name, of_type in curves.items()},
        "sculpting": [
            _sculpting(run, scores[BACKGROUND], background[MASS], background["weight"], efficiency)
            for efficiency in settings.efficiencies
        ],
        "quoted": settings.quoted,
        "signal_efficiency": {
            name: over([signal_efficiency(*one[1], settings.quoted) for one in of_type])
            for name, of_type in curves.items()
        },
        "distance_correlation": over(
            [_dependence(scores[BACKGROUND][:, member], background[MASS], background["weight"]) for member in members]
        ),
        "n_background": len(background),
        "n_signal": {name: len(jets[name]) for name in settings.jets},
    }


Curve = tuple[np.ndarray, np.ndarray, int, int]  # ε_S and ε_B at falling thresholds, and numbers of jets


def _curve(
    scores: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray], name: str, member: int
) -> tuple[tuple[float, float], Curve]:
    """Return the area under one member's curve with its uncertainty, and the curve."""
    groups = (name, BACKGROUND)
    values = np.concatenate([scores[group][:, member] for group in groups])
    truth = np.repeat([1, 0], [len(scores[group]) for group in groups])
    weight = np.concatenate([weights[group] for group in groups])
    area, curve = auc(values, truth, weight=weight), roc(values, truth, weight=weight)
    return (area.value, area.uncertainty), (curve.signal, curve.background, area.n_signal, area.n_background)


def signal_efficiency(
    signal: np.ndarray, background: np.ndarray, n_signal: int, n_background: int, efficiency: float
) -> tuple[float, float]:
    """Return ε_S where ε_B reaches `efficiency`, and its statistical uncertainty.

    That is the binomial one of the signal, and in quadrature what ε_S moves by with the threshold, which is known as
    well as the background allows.

    Args:
        signal, background: (m,) ε_S and ε_B at falling thresholds.
        n_signal, n_background: jets.
        efficiency: of the background.
    """
    value = float(np.interp(efficiency, background, signal))
    step = np.sqrt(efficiency * (1 - efficiency) / n_background)
    low, high = np.interp([efficiency - step, efficiency + step], background, signal)
    return value, float(np.hypot(np.sqrt(value * (1 - value) / n_signal), (high - low) / 2))


def _sculpting(
    run: SearchRun, scores: np.ndarray, mass: np.ndarray, weight: np.ndarray, efficiency: float
) -> dict[str, Any]:
    edges = settings_of(run).masses.edges.tolist()
    rng = run.rng(f"sculpting {efficiency:g}")
    each = [jsd_at_efficiency(one, mass, efficiency, rng=rng, weight=weight, bins=edges) for one in scores.T]
    return {
        "efficiency": efficiency,
        "divergence": over([(one.divergence, one.uncertainty) for one in each]),
        "expected": float(np.mean([one.expected for one in each])),
        "kept": float(np.mean([one.efficiency for one in each])),
        "n_selected": float(np.mean([one.n_selected for one in each])),
    }


def _dependence(score: np.ndarray, mass: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the distance correlation and its uncertainty, of a jackknife over blocks of jets."""
    value = distance_correlation(score, mass, weight=weight)
    block = np.arange(len(score)) % BLOCKS
    without = [
        distance_correlation(score[rest], mass[rest], weight=weight[rest])
        for rest in (block != own for own in range(BLOCKS))
    ]
    return value, float(np.sqrt(BLOCKS - 1) * np.std(without))


def decorrelated(
    entries: Sequence[Mapping[str, Any]], plain: Mapping[str, str], benchmark: str
) -> list[dict[str, Any]]:
    """Return, for networks that name a plain one, how much smaller the divergence is and what ε_S is left.

    Both at the `quoted` efficiency of the background and by the networks' own scores. `plain` is network → the one that
    it is compared with; `benchmark` the jets that are found.
    """
    own = {entry["network"]: entry for entry in entries if entry["own"]}
    found = []
    for name, entry in own.items():
        other = own.get(plain.get(name, ""))
        if other is None:
            continue
        here, there = quoted(entry)["divergence"]["value"], quoted(other)["divergence"]["value"]
        kept = [one["signal_efficiency"][benchmark]["value"] for one in (entry, other)]
        found.append(
            {
                "network": name,
                "plain": other["network"],
                "jets": benchmark,
                "efficiency": entry["quoted"],
                "reduction": there / here if here > 0 else None,
                "kept": kept[0] / kept[1] if kept[1] > 0 else None,
            }
        )
    return found


def quoted(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the sculpting of an entry at the efficiency that is quoted."""
    found: Mapping[str, Any] = next(one for one in entry["sculpting"] if one["efficiency"] == entry["quoted"])
    return found


def describe_jet_tagging(entry: Mapping[str, Any]) -> str:
    """Return one entry of `jet_tagging` in one line."""
    areas = ", ".join(f"{name} {area['value']:.3f}" for name, area in entry["areas"].items())
    divergence = quoted(entry)["divergence"]["value"]
    return (
        f"{entry['network']} by {entry['metric']}: AUC {areas}; JSD of the masses at {format_percent(entry['quoted'])} "
        f"background {format_number(divergence)} nats"
    )
