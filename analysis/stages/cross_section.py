"""Limits in fb: where a simulated signal says how many of its events a selection keeps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from analysis.context import SearchRun
from analysis.stages.hunt import Hunted
from analysis.stages.process import processed
from analysis.stages.searched import searched
from analysis.stages.selections import Selection
from analysis.stages.shapes import systematics_of
from analysis.stages.signals import kept_signal, produced_events, with_injected
from analysis.stages.train import trained
from analysis.statistics_settings import CrossSectionSettings, LimitSettings
from analysis.store import code_key
from stats import (
    Channel,
    Efficiency,
    InjectedEfficiency,
    Normalisation,
    StatisticsError,
    Systematic,
    in_fb,
    upper_limit,
    workspace,
)
from stats.models import Workspace

logger = logging.getLogger(__name__)

EFFICIENCY = "signal_efficiency"


def signals_key(run: SearchRun, hunted: Hunted) -> list[str]:
    """Return keys of the signals and trainings that limits in fb rest on."""
    settings = run.search.limits.cross_section if run.search.limits else None
    if settings is None:
        return []
    keys = [code_key("analysis.stages.signals"), *(processed(run, name).key for name in settings.signals.values())]
    detector = hunted.selection.detector
    for signal in dict.fromkeys(settings.signals.values()) if detector is not None else ():
        for fraction in settings.injected:
            other, name = with_injected(run, hunted.sample, signal, fraction)
            keys.append(trained(other, name, str(detector)).key)
    return keys


def cross_section_limit(
    run: SearchRun, hunted: Hunted, settings: LimitSettings, mass: float, make: Callable[..., Channel]
) -> tuple[dict[str, Any], Workspace]:
    """Return a limit in fb as in results.json, and its workspace.

    Raises StatisticsError where the efficiency is not known, or nothing can be said.
    """
    asked = settings.cross_section
    assert asked is not None
    systematics = systematics_of(settings, luminosity=True)
    if hunted.selection.detector is None:
        return _with_constant(run, hunted, asked, mass, make, systematics, settings.level)
    return _with_injected(run, hunted, asked, mass, make, systematics, settings.level)


def _with_constant(
    run: SearchRun,
    hunted: Hunted,
    asked: CrossSectionSettings,
    mass: float,
    make: Callable[..., Channel],
    systematics: list[Systematic],
    level: float,
) -> tuple[dict[str, Any], Workspace]:
    """The inclusive spectrum keeps the same part of a signal however much there is: mu is the cross section."""
    kept = kept_signal(run, hunted.selection, asked.signals[mass])
    if kept.events == 0:
        raise StatisticsError(f"The inclusive spectrum keeps no event of {asked.signals[mass]!r}.")
    efficiency = Efficiency.constant(kept.efficiency, kept.uncertainty)
    uncertain = efficiency.systematic(mass, EFFICIENCY)
    made = workspace(
        [
            make(
                events=asked.luminosity * kept.efficiency,
                systematics=[*systematics, *([uncertain] if uncertain is not None else [])],
            )
        ]
    )
    found = upper_limit(made, level=level, unit="fb").to_dict()
    return {**found, "efficiency": {"value": kept.efficiency, "uncertainty": kept.uncertainty, "n": kept.events}}, made


def _with_injected(
    run: SearchRun,
    hunted: Hunted,
    asked: CrossSectionSettings,
    mass: float,
    make: Callable[..., Channel],
    systematics: list[Systematic],
    level: float,
) -> tuple[dict[str, Any], Workspace]:
    """A detector trained on the data: the limit in events, turned by the efficiency as a function of the signal."""
    points = efficiency_points(run, hunted.selection, asked, asked.signals[mass])
    efficiency = InjectedEfficiency(
        [point["cross_section"] for point in points],
        [point["efficiency"] for point in points],
        [point["uncertainty"] for point in points],
    )
    relative = max((p["uncertainty"] / p["efficiency"] for p in points if p["efficiency"] > 0), default=0.0)
    uncertain = [Normalisation.relative(EFFICIENCY, relative)] if relative > 0 else []
    made = workspace([make(systematics=[*systematics, *uncertain])])
    found = in_fb(upper_limit(made, level=level), efficiency, luminosity=asked.luminosity).to_dict()
    return {**found, "efficiency_points": points}, made


def efficiency_points(
    run: SearchRun, selection: Selection, asked: CrossSectionSettings, signal: str
) -> list[dict[str, float]]:
    """Return the efficiency of a selection, its detector trained again with each injected fraction, by cross section.

    Raises StatisticsError where fewer than two fractions are asked for.
    """
    if len(asked.injected) < 2:
        raise StatisticsError(
            f"The detector {selection.detector!r} is trained on the data it searches, so that its efficiency depends "
            "on the signal in them: list two or more total signal fractions, 0 among them, under "
            "`limits.cross_section.injected`, and it is trained with each of them."
        )
    points: dict[float, dict[str, float]] = {}
    for fraction in sorted(set(asked.injected)):
        other, name = with_injected(run, selection.sample, signal, fraction)
        counts = searched(other, name).counts
        assert counts is not None  # of every mixture
        kept = kept_signal(other, Selection(name, selection.detector, selection.efficiency), signal)
        sigma = produced_events(run, signal, counts.n_signal) / asked.luminosity
        logger.info("%s with %g of %s: efficiency %.3g", selection.identifier, fraction, signal, kept.efficiency)
        points[sigma] = {
            "fraction": fraction,
            "injected": counts.n_signal,
            "cross_section": sigma,
            "efficiency": kept.efficiency,
            "uncertainty": kept.uncertainty,
        }
    return list(points.values())
