"""Upper limits on a resonance in the selected spectra: in selected events, and in fb where the efficiency is known."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.limit_settings import LimitSettings
from analysis.stages.channels import NO_LIMIT, channels_of, limit_facts, settings_of
from analysis.stages.cross_section import constant_limit, injected_limit, signal_shape, signals_key
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.process import processed
from analysis.stages.profile import profile_of
from analysis.stages.selections import masses_of
from analysis.stages.toys import toys_of
from analysis.store import code_key, content_key, library_versions
from stats import Channel, StatisticsError, upper_limit, workspace

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limited:
    """The limits of one selection.

    Attributes:
        entries: as in results.json; `reason` says why a limit could not be set.
        profile: pulls, impacts and the likelihood scan at the mass nearest to the largest excess, or None.
        workspaces: folder of the pyhf workspaces.
    """

    entries: list[dict[str, Any]]
    profile: dict[str, Any] | None
    workspaces: Path


def limit(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per selection, mass and unit, as in results.json."""
    return [entry for found in limited(run).values() for entry in found.entries]


def limited(run: SearchRun) -> dict[str, Limited]:
    """Return the limits of every selection that the search asks for and that looks at a mass of them, by identifier."""
    settings = run.search.limits
    if settings is None:
        return {}
    return {
        hunted.identifier: run.once(f"limits {hunted.identifier}", partial(_limited, run, hunted, settings))
        for hunted in hunt(run).values()
        if (not settings.selections or hunted.selection.efficiency in settings.selections) and _masses(run, hunted)
    }


def _limited(run: SearchRun, hunted: Hunted, settings: LimitSettings) -> Limited:
    modules = ("channels", "cross_section", "profile", "shapes", "toys")
    code = code_key("stats", *(f"analysis.stages.{name}" for name in modules), __name__)
    signals = [signals_key(run, hunted), [processed(run, name).key for name in settings.templates.values()]]
    key = content_key(hunted.key, settings, _masses(run, hunted), signals, run.search.seed, code, library_versions())
    folder = run.results_store.make(
        f"stages/limit/{hunted.identifier}", key, lambda target: _set_limits(run, hunted, settings, target)
    )
    profile = folder / "profile.json"
    return Limited(
        list(read_json(folder / "limits.json")),
        dict(read_json(profile)) if profile.is_file() else None,
        folder / "workspaces",
    )


def _set_limits(run: SearchRun, hunted: Hunted, settings: LimitSettings, folder: Path) -> None:
    entries = []
    found = hunted.summary["bump_hunt"]["mass"]
    masses = _masses(run, hunted)
    nearest = min(masses, key=lambda mass: abs(mass - found))
    with run.bar(f"limits {hunted.identifier}") as progress:
        for index, mass in enumerate(masses):
            try:
                channels = channels_of(run, hunted, mass)
                entries.append(_in_events(run, hunted, mass, channels, folder))
                if settings.profile and mass == nearest:
                    write_json(folder / "profile.json", profile_of(workspace(channels), mass=mass))
            except StatisticsError as error:
                logger.warning("%s at %g GeV: no limit: %s", hunted.identifier, mass, error)
                entries.append({**limit_facts(run, hunted, mass), **NO_LIMIT, "reason": str(error)})
            if settings.cross_section is not None and mass in settings.cross_section.signals:
                entries.append(_in_fb(run, hunted, mass, folder))
            if progress is not None:
                progress(index + 1, len(masses))
    write_json(folder / "limits.json", entries)


def _masses(run: SearchRun, hunted: Hunted) -> list[float]:
    return masses_of(run, hunted.selection.detector, settings_of(run).masses)


def _in_events(run: SearchRun, hunted: Hunted, mass: float, channels: list[Channel], folder: Path) -> dict[str, Any]:
    settings, made = settings_of(run), workspace(channels)
    write_json(folder / "workspaces" / f"{hunted.identifier}-{mass:g}.json", dict(made))
    found = upper_limit(made, level=settings.level).to_dict()
    toys = {"toys": toys_of(run, made, f"{hunted.identifier} {mass:g}")} if settings.toys else {}
    return {**limit_facts(run, hunted, mass), **found, "mass": mass, **toys}


def _in_fb(run: SearchRun, hunted: Hunted, mass: float, folder: Path) -> dict[str, Any]:
    settings, name = settings_of(run), f"{hunted.identifier}-{mass:g}-fb"
    facts = limit_facts(run, hunted, mass, shape=signal_shape(run, mass), unit="fb")
    trained_on_data = hunted.selection.detector is not None
    try:
        if trained_on_data:
            found, made = injected_limit(run, [hunted], mass)
        else:
            found, made = constant_limit(run, hunted, mass)
    except StatisticsError as error:
        logger.warning("%s at %g GeV: no limit in fb: %s", hunted.identifier, mass, error)
        return {**facts, **NO_LIMIT, "reason": str(error)}
    write_json(folder / "workspaces" / f"{name}.json", dict(made))
    toys = {"toys": toys_of(run, made, name, unit="fb")} if settings.toys and not trained_on_data else {}
    return {**facts, **found, "mass": mass, **toys}


def describe_limit(entry: dict[str, Any]) -> str:
    """Return a limit in one line; one that is missing is said to be, with the notes that tell why."""
    observed, expected = (
        None if value is None else f"{value:.{1 if value >= 1 else 3}f}"
        for value in (entry["observed"], entry["expected"][2])
    )
    expectation = f"(expected {expected})" if expected is not None else "(no expected limit)"
    if observed is not None:
        return f"below {observed} {entry['unit']} {expectation}"
    notes = f" [{' '.join(entry['notes'])}]" if entry.get("notes") else ""
    return f"no observed limit in {entry['unit']} {expectation}{notes}"
