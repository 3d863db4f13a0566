"""Figures of upper limits, and of what the nuisance parameters behind them do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import selected_content, signal_content
from analysis.figures.windows import best_of_windows, kind_of, limits_of_windows
from analysis.limit_settings import LimitSettings
from analysis.numbers import format_confidence, format_mass
from analysis.plots import (
    Label,
    LikelihoodScan,
    LimitPoint,
    RankedNuisance,
    brazil_figure,
    nll_figure,
    ranking_figure,
)
from analysis.stages.bands import band_limits, band_members
from analysis.stages.hunt import hunt
from analysis.stages.limit import limited
from analysis.stages.searched import searched

Described = tuple[str, str, str, object]


def limit_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure): bands per selection and unit, ranking and likelihood scan."""
    settings = run.search.limits
    if settings is None:
        return
    shown = best_of_windows(run, [hunt(run)[identifier] for identifier in limited(run)])
    for identifier, found in limited(run).items():
        hunted = hunt(run)[identifier]
        content = f"{signal_content(searched(run, hunted.sample))}{selected_content(hunted.summary)}"
        units = () if kind_of(run, hunted) else dict.fromkeys(entry["unit"] for entry in found.entries)
        for unit in units:
            entries = [entry for entry in found.entries if entry["unit"] == unit]
            yield _band(identifier, entries, unit, settings, label, content=content)
        if found.profile is not None and hunted in shown:
            yield from _profile(identifier, found.profile, label, content=content)
    yield from _in_windows(run, settings, label)
    for name, nested in band_members(run).items():
        loosest = nested[-1]
        content = f"{signal_content(searched(run, loosest.sample))}{selected_content(loosest.summary)}"
        entries = [entry for entry in band_limits(run) if entry["selection"] == name]
        section, _, caption, figure = _band(
            loosest.identifier, entries, entries[0]["unit"], settings, label, content=content
        )
        together = f" {len(nested)} bands of the score, which share no event, are fitted together."
        yield section, f"limit-{name}-fb", f"{caption}{together}", figure


def _in_windows(run: SearchRun, settings: LimitSettings, label: Label) -> Iterator[Described]:
    """Yield one figure for all windows of a detector, efficiency and unit: at every mass the window around it."""
    for (sample, family, efficiency), entries in limits_of_windows(run, limited(run)).items():
        content = signal_content(searched(run, sample))
        name = f"{sample}-{family}-windows-{efficiency:g}"
        for unit in dict.fromkeys(entry["unit"] for entry in entries):
            own = [entry for entry in entries if entry["unit"] == unit]
            section, path, caption, figure = _band(name, own, unit, settings, label, content=content)
            yield section, path, f"{caption} Each limit is that of the window whose middle is nearest.", figure


def _band(
    identifier: str, entries: list[dict[str, Any]], unit: str, settings: LimitSettings, label: Label, *, content: str
) -> Described:
    what = (
        "the cross section of a resonance"
        if unit == "fb"
        else f"the number of resonance events that {identifier} selects"
    )
    shape = entries[0]["signal"]
    points = [LimitPoint.from_result(entry) for entry in entries]
    gaps = _gaps(points)
    caption = f"Upper limits at {format_confidence(settings.level)} CLs on {what}: {shape}.{gaps}{content}"
    figure = brazil_figure(points, unit=unit, signal=shape, label=label, confidence=1 - settings.level)
    return "limits", f"limit-{identifier}{'-fb' if unit == 'fb' else ''}", caption, figure


def _gaps(points: list[LimitPoint]) -> str:
    """A sentence on the masses where the figure has gaps, empty where it has none.

    A limit that no mass has, as the observed one of blinded data, leaves no gap.
    """
    points = sorted(points, key=lambda point: point.mass)
    there = np.array([np.isfinite(point.values[[5, 2]]) for point in points])
    missing = ~there & (there.any(axis=0) | ~there.any())
    absent = {"": ~there.any(axis=1)}
    absent |= {f"{name} ": missing[:, i] & ~absent[""] for i, name in enumerate(("observed", "expected"))}
    texts = [
        f"no {name}limit was found at {', '.join(format_mass(points[i].mass) for i in np.flatnonzero(at))}"
        for name, at in absent.items()
        if at.any()
    ]
    text = "; ".join(texts)
    return f" {text[0].upper()}{text[1:]}." if text else ""


def _profile(identifier: str, profile: dict[str, Any], label: Label, *, content: str) -> Iterator[Described]:
    where = f"of {identifier} at {profile['mass']:g} GeV, the tested mass nearest to the largest excess"
    found = profile["impacts"]
    if found.get("ranking"):
        caption = (
            f"Nuisance parameters {where}: pulls with their constraints, and impacts on the fitted signal. Parameters "
            f"called background are the eigenvectors of the sideband fit.{content}"
        )
        figure = ranking_figure(
            [RankedNuisance.from_result(entry, channel=identifier) for entry in found["ranking"]],
            strength=found["strength"],
            error=found["error"],
            label=label,
        )
        yield "limits", f"impacts-{identifier}", caption, figure
    if "values" in profile["nll_scan"]:
        caption = f"Profile likelihood of the number of signal events {where}.{content}"
        scan = LikelihoodScan.from_result(profile["nll_scan"])
        yield "limits", f"nll-{identifier}", caption, nll_figure(scan, unit="selected events", label=label)
