"""What a search publishes: its selections as HEPData takes them, and what they are, in words."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from typing import Any

import numpy as np

from analysis.config import Dataset
from analysis.context import SearchRun, datasets_of
from analysis.events import MixtureCounts
from analysis.stages.background import source_of
from analysis.stages.bands import band_limits, band_members
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.limit import limit
from analysis.stages.searched import searched
from analysis.statistics_settings import BumpHuntSettings
from stats.published import PublishedLimit, PublishedSelection


def published_selections(run: SearchRun) -> list[PublishedSelection]:
    """Return every hunted selection with its spectrum and scan; empty where no bump hunt is asked for."""
    return [_published(run, hunted) for hunted in hunt(run).values()]


def published_limits(run: SearchRun) -> dict[str, list[PublishedSelection]]:
    """Return by unit the selections on which limits were set, with these; combined fits stand as selections.

    A combined fit has the efficiency of the loosest selection in it: that is what its limit counts.
    """
    entries = [*limit(run), *band_limits(run)]
    selections = {one.name: one for one in published_selections(run)}
    for name, nested in band_members(run).items():
        selections[name] = replace(selections[nested[-1].identifier], name=name)
    return {
        unit: [
            _limited(one, found)
            for one in selections.values()
            if (found := [entry for entry in entries if (entry["selection"], entry["unit"]) == (one.name, unit)])
        ]
        for unit in dict.fromkeys(entry["unit"] for entry in entries)
    }


def _limited(selection: PublishedSelection, entries: list[dict[str, Any]]) -> PublishedSelection:
    return replace(
        selection,
        limits=tuple(_limit(entry) for entry in entries),
        limit_unit=entries[0]["unit"],
        limit_width=entries[0]["width"],
        limit_width_unit=entries[0]["width_unit"],
        limit_signal=entries[0]["signal"],
    )


def _published(run: SearchRun, hunted: Hunted) -> PublishedSelection:
    found, source = hunted.summary["bump_hunt"], source_of(run, hunted.sample)
    assert run.search.bump_hunt is not None
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
        width_unit=run.search.bump_hunt.width_unit,
        scan_signal=_scan_signal(run.search.bump_hunt),
        simulated=_is_simulated(run, hunted.sample),
        note=" ".join(filter(None, (_what_is_searched(run, hunted.sample), _describe_fit(found["background"])))),
        scan_note=_describe_excess(found, run.search.bump_hunt.width_unit),
    )


def _limit(entry: dict[str, Any]) -> PublishedLimit:
    bands = None if entry["expected"] == [None] * 5 else tuple(entry["expected"])
    said = entry.get("reason") or " ".join(entry.get("notes", ()))
    return PublishedLimit(entry["mass"], entry["observed"], bands, said)


def _scan_signal(settings: BumpHuntSettings) -> str:
    """Say what the scan looks for; the widths stand beside it."""
    if settings.tails is None:
        return PublishedSelection.scan_signal
    tails = ", ".join(f"{name} {size:g}" for name, size in settings.tails.model_dump().items())
    return f"double-sided Crystal Ball resonance ({tails.replace('_', ' ')})"


def _describe_fit(background: dict[str, Any]) -> str:
    probability = "" if background["p"] is None else f", p = {background['p']:.3g}"
    return (
        f"Background function {background['family']} with {background['parameters']} parameters: "
        f"chi2/ndof = {background['chi2']:.2f}/{background['ndof']}{probability}."
    )


def _describe_excess(found: dict[str, Any], unit: str) -> str:
    """Return the largest excess with its global p-value and how that was found."""
    width = f"width {found['width']:g} GeV" if unit == "GeV" else f"relative width {found['width']:g}"
    text = f"largest excess at {found['mass']:g} GeV, {width}, local Z = {found['local_z']:.2f}"
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
