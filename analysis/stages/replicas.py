"""What differs between pseudo-data that differ by chance alone: other signal events, another part of background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.stages.combined import combined
from analysis.stages.families import replicas_of
from analysis.stages.fixed import fixed_mass, fixed_selections
from analysis.stages.hunt import hunt
from analysis.stages.searched import searched
from analysis.stages.selections import Selection, selections_of
from analysis.stages.train import trained

EVIDENCE = 3.0  # standard deviations: how often the global significance is beyond
MEASURED = ("auc", "max_sic", "sic_at_0.5")


IN_WINDOW = ("s_over_b_window", "s_over_sqrt_b_window")


def replicas(run: SearchRun) -> list[dict[str, Any]]:
    """Return `replicas` of results.json: one entry for every group of mixtures that are equal but for chance.

    `spread` is the standard deviation over replicas, `value` their mean and `n` how many have a value; `values` are
    those of the single ones, in the order of `samples`. Differences are paired: of the same events.
    """
    return [_summary(run, names) for names in replicas_of(run)]


def _summary(run: SearchRun, names: list[str]) -> dict[str, Any]:
    mixtures = [run.search.mixtures[name] for name in names]
    return {
        "samples": names,
        "signal": mixtures[0].signal,
        "fraction": mixtures[0].fraction,
        "of": mixtures[0].of,
        "backgrounds": len({(one.background, one.skip_background) for one in mixtures}),
        **{key: [getattr(searched(run, name).counts, key, None) for name in names] for key in IN_WINDOW},
        "fixed_mass": _fixed(run, names),
        "global": _beyond(run, names),
        "detectors": _measured(run, names),
    }


def over(values: Sequence[float | None]) -> dict[str, Any]:
    """Return mean and standard deviation of what is known of `values`, None where too few are."""
    known = [value for value in values if value is not None]
    return {
        "value": float(np.mean(known)) if known else None,
        "spread": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "n": len(known),
        "values": list(values),
    }


def differences(first: Sequence[float | None], second: Sequence[float | None]) -> dict[str, Any]:
    """Return mean and standard deviation of the paired differences, and how often the first was larger."""
    paired = [None if a is None or b is None else a - b for a, b in zip(first, second, strict=True)]
    return {**over(paired), "larger": sum(1 for one in paired if one is not None and one > 0)}


def _fixed(run: SearchRun, names: list[str]) -> dict[str, Any]:
    """Return by selection the local significance at the known mass, and by how much it exceeds those of the others.

    The others are the inclusive spectrum and the selections of the same efficiency.
    """
    fits, kinds = fixed_mass(run), [one for one in fixed_selections(run) if one.sample == names[0]]
    z = {one: [fits[of.identifier].summary.get("local_z") for of in _in_each(names, one)] for one in kinds}

    def compared(one: Selection, other: Selection) -> bool:
        return one != other and (one.detector is None or other.detector is None or one.efficiency == other.efficiency)

    return {
        _kind(one): {
            "detector": one.detector,
            "efficiency": one.efficiency,
            "uses_labels": fits[one.identifier].summary["uses_labels"],
            "mass": fits[one.identifier].summary["mass"],
            "local_z": over(z[one]),
            "minus": {_kind(other): differences(z[one], z[other]) for other in kinds if compared(one, other)},
        }
        for one in kinds
    }


def _beyond(run: SearchRun, names: list[str]) -> dict[str, Any]:
    """Return by selection, and for the best of all, in how many replicas the global significance is beyond 3σ."""
    hunts, best = hunt(run), combined(run)
    found: dict[str, list[Mapping[str, Any]]] = {
        _kind(one): [hunts[of.identifier].summary["bump_hunt"] for of in _in_each(names, one)]
        for one in selections_of(run)
        if one.sample == names[0] and one.identifier in hunts
    }
    if all("global_p" in best.get(name, {}) for name in names):
        found["combined"] = [best[name] for name in names]
    return {kind: _counted(entries) for kind, entries in found.items() if all(one["global_p"] for one in entries)}


def _counted(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count the significances beyond 3σ; those that are lower bounds below it, for want of toys, are undecided."""
    z = [one["global_z"] for one in entries]
    beyond = [value is not None and value > EVIDENCE for value in z]
    bounds = [bool(one["global_p"]["is_bound"]) for one in entries]
    return {
        "above": sum(beyond),
        "undecided": sum(bound and not above for bound, above in zip(bounds, beyond, strict=True)),
        "n": len(entries),
        "values": z,
        "bounds": bounds,
    }


def _measured(run: SearchRun, names: list[str]) -> dict[str, Any]:
    """Return by detector its figures of merit, and by how much they exceed those of every other (`minus`)."""
    detectors = run.search.detectors
    summaries = {detector: [trained(run, name, detector).summary for name in names] for detector in detectors}
    values = {
        detector: {m: [one["measured"].get(m, {}).get("value") for one in found] for m in MEASURED}
        for detector, found in summaries.items()
    }
    return {
        detector: {
            "uses_labels": summaries[detector][0]["uses_labels"],
            **{metric: over(found) for metric, found in own.items()},
            "minus": {
                other: {metric: differences(own[metric], theirs[metric]) for metric in MEASURED}
                for other, theirs in values.items()
                if other != detector
            },
        }
        for detector, own in values.items()
    }


def _in_each(names: Sequence[str], one: Selection) -> list[Selection]:
    return [Selection(name, one.detector, one.efficiency) for name in names]


def _kind(one: Selection) -> str:
    return one.identifier.removeprefix(f"{one.sample}-")


def describe_replicas(entry: Mapping[str, Any]) -> str:
    """Return what replicas found, in one line."""
    of = f"{len(entry['samples'])} replicas"
    local = [
        f"{kind} {one['local_z']['value']:.2f} ± {one['local_z']['spread']:.2f}"
        for kind, one in entry["fixed_mass"].items()
        if one["local_z"]["spread"] is not None
    ]
    beyond = [f"{kind} {one['above']} of {one['n']}" for kind, one in entry["global"].items()]
    parts = [
        *([f"local significance at the known mass {', '.join(local)}"] if local else []),
        *([f"global significance beyond {EVIDENCE:g}σ: {', '.join(beyond)}"] if beyond else []),
    ]
    return f"{of}: {'; '.join(parts)}" if parts else f"{of}, nothing fitted"
