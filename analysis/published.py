"""What a search publishes: its selections as HEPData takes them, and what they are, in words."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np

from analysis.config import Dataset
from analysis.context import SearchRun, datasets_of
from analysis.events import MixtureCounts
from analysis.stages.background import source_of
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.limit import limit
from analysis.stages.searched import searched
from stats.published import PublishedLimit, PublishedSelection


def published_selections(run: SearchRun) -> list[PublishedSelection]:
    """Return every hunted selection with its spectrum, scan and limits; empty where no bump hunt is asked for."""
    entries = limit(run)
    return [
        _published(run, hunted, [entry for entry in entries if entry["selection"] == hunted.identifier])
        for hunted in hunt(run).values()
    ]


def _published(run: SearchRun, hunted: Hunted, entries: list[dict[str, Any]]) -> PublishedSelection:
    found, source = hunted.summary["bump_hunt"], source_of(run, hunted.sample)
    return PublishedSelection(
        name=hunted.identifier,
        sample=hunted.sample,
        detector=hunted.selection.detector,
        efficiency=hunted.selection.efficiency,
        sqrt_s=1000.0 * source.sqrt_s,
        luminosity=source.luminosity,
        spectrum=hunted.spectrum,
        background=hunted.fit["expected"],
        background_error=hunted.fit["error"],
        masses=np.array(found["scan"]["mass"], dtype=float),
        widths=np.array(found["scan"]["width"], dtype=float),
        local_p0=np.array(found["scan"]["local_p0"], dtype=float),
        local_z=np.array(found["scan"]["local_z"], dtype=float),
        limits=tuple(_limit(entry) for entry in entries),
        simulated=_is_simulated(run, hunted.sample),
        limit_unit=entries[0]["unit"] if entries else "selected events",
        limit_width=entries[0]["width"] if entries else None,
        note=" ".join(filter(None, (_what_is_searched(run, hunted.sample), _describe_fit(found["background"])))),
        scan_note=_describe_excess(found),
    )


def _limit(entry: dict[str, Any]) -> PublishedLimit:
    bands = None if None in entry["expected"] else tuple(entry["expected"])
    return PublishedLimit(entry["mass"], entry["observed"], bands, entry.get("reason", ""))


def _describe_fit(background: dict[str, Any]) -> str:
    probability = "" if background["p"] is None else f", p = {background['p']:.3g}"
    return (
        f"Background function {background['family']} with {background['parameters']} parameters: "
        f"chi2/ndof = {background['chi2']:.2f}/{background['ndof']}{probability}."
    )


def _describe_excess(found: dict[str, Any]) -> str:
    """Return the largest excess with its global p-value and how that was found."""
    text = (
        f"largest excess at {found['mass']:g} GeV, relative width {found['width']:g}, local Z = {found['local_z']:.2f}"
    )
    p = found["global_p"]
    if p is None:
        return f"{text}; no global p-value was determined"
    sign = "<" if p["is_bound"] else "="
    return (
        f"{text}; global p {sign} {p['value']:.3g} (68% interval {p['low']:.2g} to {p['high']:.2g}, {p['toys']} toys)"
    )


def _is_simulated(run: SearchRun, sample: str) -> bool:
    """Return whether all events are simulated: only those know their truth."""
    return searched(run, sample).truth_known or source_of(run, sample).recipe is not None


def _what_is_searched(run: SearchRun, name: str) -> str:
    """Say where the events are not collision data, and how much signal they hold."""
    sample = searched(run, name)
    text = "All events are simulated." if _is_simulated(run, name) else ""
    if sample.counts is None or sample.counts.n_signal == 0:
        return text
    mixture = run.search.mixtures.get(name)
    signal = "Signal in them" if mixture is None else f"Injected signal ({mixture.signal})"
    return f"{text} {signal}: {_describe_signal(sample.counts)}.".strip()


def _describe_signal(counts: MixtureCounts) -> str:
    total = counts.n_signal + counts.n_background
    text = f"{counts.n_signal} of {total} events, total signal fraction {counts.fraction:.3g}"
    if counts.window is None or counts.s_over_b_window is None or counts.s_over_sqrt_b_window is None:
        return text
    low, high = counts.window
    return (
        f"{text}; between {low:g} and {high:g} GeV S/B = {counts.s_over_b_window:.3g} and "
        f"S/sqrt(B) = {counts.s_over_sqrt_b_window:.3g}"
    )


def describe_search(run: SearchRun) -> str:
    """Return what stands where a paper's abstract would: the search, its data sets and its program."""
    data = "; ".join(_describe_dataset(name, run.catalogue.entry(name)) for name in datasets_of(run.search))
    title = run.search.title or f"Search {run.search.name}"
    contents = [f"{name}: {text} " for name in run.search.data if (text := _what_is_searched(run, name))]
    return (
        f"{title.rstrip('.')}: a search for a resonance in the dijet mass. Data sets: {data}. {''.join(contents)}"
        f"Made with darkhorse {metadata.version('darkhorse')}, seed {run.search.seed}."
    )


def _describe_dataset(name: str, entry: Dataset) -> str:
    facts = [
        "simulated with Pythia 8 by the built-in recipe" if entry.recipe is not None else f"role {entry.role}",
        f"{entry.sqrt_s:g} TeV",
        *([f"doi:{entry.doi}"] if entry.doi else []),
    ]
    return f"{name} ({', '.join(facts)})"
