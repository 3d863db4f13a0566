"""Upper limits on a resonance in the selected spectra: in selected events, and in fb where the efficiency is known."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.stages.cross_section import cross_section_limit, signals_key
from analysis.stages.hunt import Hunted, hunt, hunted_family
from analysis.stages.profile import profile_of
from analysis.stages.selections import SIGNAL_CONTENT
from analysis.stages.shapes import limited_shape, systematics_of
from analysis.statistics_settings import LimitSettings
from analysis.store import code_key, content_key, library_versions
from stats import Channel, Spectrum, StatisticsError, resonance_channel, toy_limit, upper_limit, workspace

logger = logging.getLogger(__name__)

NEAR = 4.0  # standard deviations: an excluded interval within them belongs to the peak
NO_LIMIT: dict[str, Any] = {"observed": None, "expected": [None] * 5, "scan": [], "failed_fits": 0}


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
    """Return the limits of every selection that the search asks for, by identifier."""
    settings = run.search.limits
    if settings is None:
        return {}
    return {
        hunted.identifier: run.once(f"limits {hunted.identifier}", partial(_limited, run, hunted, settings))
        for hunted in hunt(run).values()
        if not settings.selections or hunted.selection.efficiency in settings.selections
    }


def _limited(run: SearchRun, hunted: Hunted, settings: LimitSettings) -> Limited:
    stages = ("analysis.stages.cross_section", "analysis.stages.profile", "analysis.stages.shapes")
    code = code_key("stats", *stages, __name__)
    key = content_key(hunted.key, settings, signals_key(run, hunted), run.search.seed, code, library_versions())
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
    nearest = min(settings.masses, key=lambda mass: abs(mass - found))
    with run.bar(f"limits {hunted.identifier}") as progress:
        for index, mass in enumerate(settings.masses):
            try:
                channel = channel_of(run, hunted, settings, mass)
                entries.append(_in_events(run, hunted, settings, mass, channel, folder))
                if settings.profile and mass == nearest:
                    write_json(folder / "profile.json", profile_of(workspace([channel]), mass=mass))
            except StatisticsError as error:
                logger.warning("%s at %g GeV: no limit: %s", hunted.identifier, mass, error)
                entries.append({**limit_facts(hunted, settings, mass), **NO_LIMIT, "reason": str(error)})
            if settings.cross_section is not None and mass in settings.cross_section.signals:
                entries.append(_in_fb(run, hunted, settings, mass, folder))
            if progress is not None:
                progress(index + 1, len(settings.masses))
    write_json(folder / "limits.json", entries)


def channel_of(
    run: SearchRun,
    hunted: Hunted,
    settings: LimitSettings,
    mass: float,
    *,
    spectrum: Spectrum | None = None,
    **options: Any,
) -> Channel:
    """Return the bins around a resonance with their background, of a selection's spectrum or a part of it.

    `options` are those of `stats.resonance_channel`.
    """
    counts = hunted.spectrum if spectrum is None else spectrum
    return resonance_channel(
        counts,
        hunted_family(run, hunted),
        mass=mass,
        shape=limited_shape(settings),
        name=hunted.identifier,
        mask=_sidebands(counts.edges, settings, mass),
        **{"systematics": systematics_of(settings), **options},
    )


def _sidebands(edges: np.ndarray, settings: LimitSettings, mass: float) -> np.ndarray | None:
    """Return the bins that may serve as sidebands; an excluded interval near the peak itself stays."""
    reach = NEAR * limited_shape(settings).width(mass)
    mask = np.ones(edges.size - 1, dtype=bool)
    for low, high in settings.exclude:
        if high <= mass - reach or low >= mass + reach:
            mask &= (edges[1:] <= low) | (edges[:-1] >= high)
    return None if mask.all() else mask


def limit_facts(
    hunted: Hunted, settings: LimitSettings, mass: float, *, unit: str = "selected events"
) -> dict[str, Any]:
    """Return what a limit is of, as in results.json."""
    return {
        "selection": hunted.identifier,
        "signal": limited_shape(settings).describe(),
        "mass": mass,
        "width": settings.width,
        "width_unit": settings.width_unit,
        "unit": unit,
        "level": settings.level,
        **{name: hunted.summary.get(name) for name in SIGNAL_CONTENT},
    }


def _in_events(
    run: SearchRun, hunted: Hunted, settings: LimitSettings, mass: float, channel: Channel, folder: Path
) -> dict[str, Any]:
    made = workspace([channel])
    write_json(folder / "workspaces" / f"{hunted.identifier}-{mass:g}.json", dict(made))
    entry = {**limit_facts(hunted, settings, mass), **upper_limit(made, level=settings.level).to_dict(), "mass": mass}
    if settings.toys:
        workers = run.options.executor.workers
        logger.info("toys for the limit of %s at %g GeV", hunted.identifier, mass)
        try:
            found = toy_limit(
                made,
                level=settings.level,
                toys=settings.toys,
                rng=run.rng(f"limit {hunted.identifier} {mass:g}"),
                workers=workers,
            )
            entry["toys"] = found.to_dict()
        except StatisticsError as error:
            logger.warning("%s at %g GeV: no limit from toys: %s", hunted.identifier, mass, error)
            entry["toys"] = {"reason": str(error)}
    return entry


def _in_fb(run: SearchRun, hunted: Hunted, settings: LimitSettings, mass: float, folder: Path) -> dict[str, Any]:
    facts = limit_facts(hunted, settings, mass, unit="fb")
    make = partial(channel_of, run, hunted, settings, mass)
    try:
        found, made = cross_section_limit(run, hunted, settings, mass, make)
    except StatisticsError as error:
        logger.warning("%s at %g GeV: no limit in fb: %s", hunted.identifier, mass, error)
        return {**facts, **NO_LIMIT, "reason": str(error)}
    write_json(folder / "workspaces" / f"{hunted.identifier}-{mass:g}-fb.json", dict(made))
    return {**facts, **found, "mass": mass}


def describe_limit(entry: dict[str, Any]) -> str:
    """Return a limit in one line; a part that is unknown is a question mark."""
    observed, expected = (
        "?" if value is None else f"{value:.{1 if value >= 1 else 3}f}"
        for value in (entry["observed"], entry["expected"][2])
    )
    return f"below {observed} {entry['unit']} (expected {expected})"
