"""One limit from all selections of a detector: bands of its score that share no event, as channels of one fit."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.limit_settings import LimitSettings
from analysis.stages.channels import NO_LIMIT, excluded, limit_facts
from analysis.stages.cross_section import injected_limit, signal_shape, signals_key
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.selections import masses_of, searching_detectors
from analysis.store import code_key, content_key, library_versions
from stats import StatisticsError

logger = logging.getLogger(__name__)


def band_limits(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per sample, detector and mass with a simulated signal; empty where none is asked for.

    In fb: the signal's share of each band is that of the detector trained with as much signal as is tested.
    """
    settings = run.search.limits
    if settings is None or settings.cross_section is None or not settings.cross_section.combine:
        return []
    return [
        entry
        for name, nested in band_members(run).items()
        for entry in run.once(f"limits {name}", partial(_bands, run, name, nested, settings))
    ]


def band_workspaces(run: SearchRun) -> list[Path]:
    """Return the folders with the workspaces of all combined fits."""
    folders = dict.fromkeys(entry["selection"] for entry in band_limits(run))
    return [run.results_store.directory / "stages" / "bands" / name / "workspaces" for name in folders]


def band_members(run: SearchRun) -> dict[str, list[Hunted]]:
    """Return by the name of each combined fit the selections in it, the tightest first; empty where none is asked for.

    A detector with one selection has nothing to combine, and one window of many no signal of another mass.
    """
    settings = run.search.limits
    if settings is None or settings.cross_section is None or not settings.cross_section.combine:
        return {}
    found = {}
    for sample in run.search.data:
        for detector in searching_detectors(run):
            own = [one for one in hunt(run).values() if (one.sample, one.selection.detector) == (sample, detector)]
            if len(own) > 1 and _masses(run, own[0], settings):
                found[f"{sample}-{detector}-bands"] = sorted(own, key=lambda one: one.selection.efficiency)
    return found


def _masses(run: SearchRun, hunted: Hunted, settings: LimitSettings) -> list[float]:
    signals = settings.cross_section.signals if settings.cross_section else ()
    return masses_of(run, hunted.selection.detector, signals)


def _bands(run: SearchRun, name: str, nested: list[Hunted], settings: LimitSettings) -> list[dict[str, Any]]:
    code = code_key("stats", "analysis.stages.channels", "analysis.stages.shapes", __name__)
    masses = _masses(run, nested[-1], settings)
    key = content_key(
        [one.key for one in nested], settings, masses, signals_key(run, nested[-1]), code, library_versions()
    )
    folder = run.results_store.make(
        f"stages/bands/{name}", key, lambda target: _set_limits(run, name, nested, settings, target)
    )
    return list(read_json(folder / "limits.json"))


def _set_limits(run: SearchRun, name: str, nested: list[Hunted], settings: LimitSettings, folder: Path) -> None:
    assert settings.cross_section is not None
    entries = []
    for mass in _masses(run, nested[-1], settings):
        facts = limit_facts(run, nested[-1], mass, shape=signal_shape(run, mass), unit="fb")
        without = sorted({interval for one in nested for interval in excluded(run, one, mass)})  # each its own
        facts |= {"selection": name, "excluded": [list(interval) for interval in without]}
        try:
            found, made = injected_limit(run, nested, mass)
            write_json(folder / "workspaces" / f"{name}-{mass:g}-fb.json", dict(made))
            entries.append({**facts, **found, "mass": mass})
        except StatisticsError as error:
            logger.warning("%s at %g GeV: no limit: %s", name, mass, error)
            entries.append({**facts, **NO_LIMIT, "reason": str(error)})
    write_json(folder / "limits.json", entries)
