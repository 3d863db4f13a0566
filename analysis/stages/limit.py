"""Upper limits on a resonance in the selected spectra, in selected events."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.stages.background import family_of
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.selections import SIGNAL_CONTENT
from analysis.statistics_settings import LimitSettings
from analysis.store import code_key, content_key, library_versions
from stats import StatisticsError, resonance_workspace, upper_limit

logger = logging.getLogger(__name__)


def limit(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per selection and mass, as in results.json; `reason` says why a limit could not be set."""
    settings = run.search.limits
    if settings is None:
        return []
    return [
        entry
        for hunted in hunt(run).values()
        if not settings.selections or hunted.selection.efficiency in settings.selections
        for entry in run.once(f"limits {hunted.identifier}", partial(_limits, run, hunted, settings))
    ]


def workspaces_of(run: SearchRun, hunted: Hunted) -> Path:
    """Return the folder with the pyhf workspaces of one selection."""
    return run.results_store.directory / "stages" / "limit" / hunted.identifier / "workspaces"


def _limits(run: SearchRun, hunted: Hunted, settings: LimitSettings) -> list[dict[str, Any]]:
    key = content_key(
        hunted.key, settings.masses, settings.width, settings.level, code_key("stats", __name__), library_versions()
    )
    folder = run.results_store.make(
        f"stages/limit/{hunted.identifier}", key, lambda target: _set_limits(run, hunted, settings, target)
    )
    return list(read_json(folder / "limits.json"))


def _set_limits(run: SearchRun, hunted: Hunted, settings: LimitSettings, folder: Path) -> None:
    family = family_of(run, hunted.sample)
    entries = []
    with run.bar(f"limits {hunted.identifier}") as progress:
        for index, mass in enumerate(settings.masses):
            entry: dict[str, Any] = {"selection": hunted.identifier, "signal": "Gaussian resonance", "mass": mass}
            entry |= {"width": settings.width, "unit": "selected events"}
            entry |= {name: hunted.summary.get(name) for name in SIGNAL_CONTENT}
            try:
                workspace = resonance_workspace(hunted.spectrum, family, mass=mass, width=settings.width)
                write_json(folder / "workspaces" / f"{hunted.identifier}-{mass:g}.json", workspace)
                entry["expected_background"] = float(sum(workspace["channels"][0]["samples"][1]["data"]))
                entry |= upper_limit(workspace, level=settings.level).to_dict() | {"mass": mass}
            except StatisticsError as error:
                logger.warning("%s at %g GeV: no limit: %s", hunted.identifier, mass, error)
                entry |= {"observed": None, "expected": [None] * 5, "scan": [], "failed_fits": 0, "reason": str(error)}
            entries.append(entry)
            if progress is not None:
                progress(index + 1, len(settings.masses))
    write_json(folder / "limits.json", entries)
