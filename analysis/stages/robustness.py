"""How well networks find each signal, and how much that depends on the class of the background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.stages.networks import SIGNAL, Network, networks
from analysis.stages.smeared import background, events_of, settings_of
from analysis.store import code_key, content_key, library_versions
from ml.robustness import ClassAreas, class_areas
from ml.selection import fold_quantiles

Measured = Mapping[str, Any]
"""`value`, `uncertainty` and `spread` over trainings."""


def robustness(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per network, contamination, smearing that it is tested with, and signal.

    Values are means over members (independent trainings), `spread` their standard deviation, `uncertainty` the mean of
    their statistical ones. `of_mean` is the same of the mean score of all members, which limits cut on.
    """
    found: list[dict[str, Any]] = run.once(
        "robustness", lambda: [entry for found in networks(run).values() for entry in _of(run, found)]
    )
    return found


def _of(run: SearchRun, found: Network) -> list[dict[str, Any]]:
    what = f"stages/robustness/{found.name}-{found.contamination:g}"
    key = content_key(found.key, library_versions(), code_key("ml.robustness", "ml.selection", __name__))
    folder = run.results_store.make(
        what, key, lambda target: write_json(target / "robustness.json", _measured(run, found))
    )
    return list(read_json(folder / "robustness.json"))


def _measured(run: SearchRun, found: Network) -> list[dict[str, Any]]:
    settings = settings_of(run)
    return [
        {
            "network": found.name,
            "contamination": found.contamination,
            "trained_with": settings.trained_with(found.name),
            "tested_with": smearing,
            "signal": signal,
            "uses_labels": found.summary["uses_labels"],
            "members": found.summary["members"],
            **areas_of(run, found, smearing, signal),
        }
        for smearing in settings.backgrounds
        for signal in settings.tested
    ]


def quantiles(run: SearchRun, found: Network, smearing: str) -> dict[str, np.ndarray]:
    """Return the scores of classes and signals as quantiles of all classes' background in the same fold and member.

    "smearing/class" or "signal/name" → (n_events, n_members). Scores of different folds are comparable in no other way.
    """
    ranked: dict[str, np.ndarray] = run.once(
        f"quantiles {found.name} {found.contamination} {smearing}", lambda: _quantiles(run, found, smearing)
    )
    return ranked


def _quantiles(run: SearchRun, found: Network, smearing: str) -> dict[str, np.ndarray]:
    classes = settings_of(run).classes
    names = [f"{smearing}/{name}" for name in classes]
    reference = np.concatenate([found.scores[name] for name in names])
    fold = np.concatenate([found.folds[name] for name in names])
    # every class counts the same, whatever the number of its events
    weight = np.concatenate([np.full(len(found.folds[name]), 1.0 / len(found.folds[name])) for name in names])
    groups = [*names, *(f"{SIGNAL}/{name}" for name in settings_of(run).tested)]
    ranked = partial(fold_quantiles, reference=reference, reference_fold=fold, weight=weight)
    return {group: ranked(found.scores[group], found.folds[group]) for group in groups}


def areas_of(run: SearchRun, found: Network, smearing: str, signal: str) -> dict[str, Any]:
    """Return areas and their difference for one smearing and signal, as in `robustness`."""
    classes = settings_of(run).classes
    ranked = quantiles(run, found, smearing)
    of_signal = ranked[f"{SIGNAL}/{signal}"]
    measured = partial(
        class_areas,
        signal_weight=events_of(run, signal)["weight"],
        background_weight={name: one["weight"] for name, one in background(run, smearing).items()},
    )
    each = [
        measured(of_signal[:, member], {name: ranked[f"{smearing}/{name}"][:, member] for name in classes})
        for member in range(of_signal.shape[1])
    ]
    mean = measured(of_signal.mean(axis=1), {name: ranked[f"{smearing}/{name}"].mean(axis=1) for name in classes})
    return {
        "overall": over([one.overall for one in each]),
        "classes": {name: over([one.areas[name] for one in each]) for name in classes},
        "difference": over([one.difference for one in each]),
        "of_mean": {"overall": over([mean.overall]), "difference": over([mean.difference])},
        "highest": _highest(each),
        "n_signal": len(of_signal),
        "n_background": {name: len(ranked[f"{smearing}/{name}"]) for name in classes},
    }


def _ratio(above: tuple[float, Measured], below: tuple[float, Measured]) -> dict[str, float] | None:
    """Return a ratio with its uncertainty, from those of both as if they were independent."""
    if below[0] <= 0:
        return None
    value = above[0] / below[0]
    error = np.hypot(whole_error(above[1]), value * whole_error(below[1])) / below[0]
    return {"value": value, "uncertainty": float(error)}


def whole_error(measured: Measured) -> float:
    """Return statistical uncertainty and spread over trainings in quadrature."""
    return float(np.hypot(measured["uncertainty"], measured["spread"] or 0.0))


def over(values: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the mean over members of values with statistical uncertainties, and how far the members spread."""
    found = np.array(values)
    return {
        "value": float(found[:, 0].mean()),
        "uncertainty": float(found[:, 1].mean()),
        "spread": float(found[:, 0].std(ddof=1)) if len(found) > 1 else None,
        "each": found[:, 0].tolist(),
    }


def _highest(each: Sequence[ClassAreas]) -> str:
    """Return the class with the largest mean area: that which looks least like signal."""
    names = list(each[0].areas)
    return max(names, key=lambda name: float(np.mean([one.areas[name][0] for one in each])))


def describe_robustness(entry: Mapping[str, Any]) -> str:
    """Return one entry of `robustness` in one line."""
    area, difference = entry["overall"], entry["difference"]
    hidden = f" ({100 * entry['contamination']:g}% signal in training)" if entry["contamination"] else ""
    return (
        f"{entry['network']}{hidden}, {entry['tested_with']} smearing, {entry['signal']}: AUC {area['value']:.3f} ± "
        f"{area['uncertainty']:.3f}, between classes {difference['value']:.3f} ± {difference['uncertainty']:.3f}"
    )


def compared(entries: Sequence[Mapping[str, Any]], plain: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return, for networks that name a plain one, how much smaller the difference is and what is kept of the area.

    `plain` is network → the one without an adversary. Only trainings without contamination count, tested with what they
    were trained with; the plain network is tested with the same.
    """
    clean = {(e["network"], e["tested_with"], e["signal"]): e for e in entries if not e["contamination"]}
    found = []
    for (name, smearing, signal), entry in clean.items():
        other = clean.get((plain.get(name, ""), smearing, signal))
        if other is None or smearing != entry["trained_with"]:
            continue
        own, there = entry["difference"], other["difference"]
        areas = [(one["overall"]["value"] - 0.5, one["overall"]) for one in (entry, other)]
        found.append(
            {
                "network": name,
                "plain": other["network"],
                "smearing": smearing,
                "signal": signal,
                "reduction": _ratio((there["value"], there), (own["value"], own)),
                "kept": _ratio(*areas),
            }
        )
    return found
