"""Limits in fb: where a simulated signal says how many of its events a selection keeps."""

from __future__ import annotations

import itertools
import logging
from functools import partial
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.limit_settings import CrossSectionSettings
from analysis.stages.channels import channel_of, settings_of
from analysis.stages.hunt import Hunted
from analysis.stages.process import processed
from analysis.stages.searched import searched
from analysis.stages.selections import Selection, masses_of
from analysis.stages.shapes import simulated_shape, systematics_of
from analysis.stages.signals import kept_signal, produced_events, simulated_events, with_injected
from analysis.stages.train import trained
from analysis.stages.varied_signals import varied_shapes
from analysis.store import code_key
from stats import (
    InjectedEfficiency,
    Normalisation,
    StatisticsError,
    Systematic,
    TemplateStatistics,
    disjoint_spectra,
    upper_limit,
    workspace,
)
from stats.models import Workspace
from stats.signals import TemplateShape
from stats.varying import varying_limit

logger = logging.getLogger(__name__)

EFFICIENCY = "signal_efficiency"
TESTED = 12  # cross sections, evenly spaced up to the largest injected one


def asked_of(run: SearchRun) -> CrossSectionSettings:
    """Return what the search asks of its limits in fb."""
    asked = settings_of(run).cross_section
    assert asked is not None
    return asked


def signals_key(run: SearchRun, hunted: Hunted) -> list[str]:
    """Return keys of the signals and trainings that limits in fb rest on."""
    settings = run.search.limits.cross_section if run.search.limits else None
    if settings is None:
        return []
    code = code_key(
        "analysis.stages.signals", "analysis.stages.channels", "analysis.stages.varied_signals", __name__
    )
    keys = [code, *(processed(run, name).key for name in settings.signals.values())]
    detector = hunted.selection.detector
    masses = masses_of(run, detector, settings.signals)
    for signal in dict.fromkeys(settings.signals[mass] for mass in masses) if detector is not None else ():
        for fraction in settings.injected:
            other, name = with_injected(run, hunted.sample, signal, fraction)
            try:
                searched(other, name)
            except StageError as error:
                raise StageError(f"`limits.cross_section.injected: {fraction:g}` cannot be: {error}") from error
            keys.append(trained(other, name, str(detector)).key)
    return keys


def signal_shape(run: SearchRun, mass: float) -> TemplateShape | None:
    """Return the shape of the simulated signal, None where limits in fb keep that of the limits in events."""
    asked = asked_of(run)
    return simulated_shape(run, {mass: asked.signals[mass]}) if asked.shape == "simulation" else None


def _systematics(run: SearchRun, mass: float) -> list[Systematic]:
    found = systematics_of(settings_of(run), luminosity=True)
    if signal_shape(run, mass) is not None:
        weights = simulated_events(run, asked_of(run).signals[mass])["weight"]
        found.append(TemplateStatistics(events=float(weights.sum() ** 2 / np.square(weights).sum())))
        found += varied_shapes(run, asked_of(run).signals[mass])
    return found


def _uncertain(name: str, value: float, error: float) -> list[Systematic]:
    return [Normalisation.relative(name, error / value)] if error > 0 else []


def constant_limit(run: SearchRun, hunted: Hunted, mass: float) -> tuple[dict[str, Any], Workspace]:
    """Return a limit of the inclusive spectrum: it keeps the same part of a signal however much there is.

    mu is the cross section in fb. Raises StatisticsError where no signal is kept.
    """
    asked = asked_of(run)
    kept = kept_signal(run, hunted.selection, asked.signals[mass])
    if kept.events == 0:
        raise StatisticsError(f"The inclusive spectrum keeps no event of {asked.signals[mass]!r}.")
    channel = channel_of(
        run,
        hunted,
        mass,
        shape=signal_shape(run, mass),
        events=asked.luminosity * kept.efficiency,
        systematics=[*_systematics(run, mass), *_uncertain(EFFICIENCY, kept.efficiency, kept.uncertainty)],
    )
    made = workspace([channel])
    found = upper_limit(made, level=settings_of(run).level, unit="fb").to_dict()
    return {**found, "efficiency": {"value": kept.efficiency, "uncertainty": kept.uncertainty, "n": kept.events}}, made


def injected_limit(run: SearchRun, nested: list[Hunted], mass: float) -> tuple[dict[str, Any], Workspace]:
    """Return a limit of one or several selections, the tightest first, of a detector that is trained on the data.

    Every cross section is tested with the signal that the detector selects, and shares among the selections, when it is
    trained with that much signal: measured at the injected fractions, linear between them. Several selections are cut
    into bands that share no event. In the workspace mu is the cross section in fb; it holds the signal as it is at the
    observed limit, or at the largest cross section tested, where its CLs is that of the limit.
    """
    points = [efficiency_points(run, one.selection, mass) for one in nested]
    efficiencies = [
        InjectedEfficiency(*([point[key] for point in own] for key in ("cross_section", "efficiency", "uncertainty")))
        for own in points
    ]
    make = partial(_workspace_at, run, nested, efficiencies, mass)
    largest = points[-1][-1]["cross_section"]
    tested = np.linspace(0.0, largest, TESTED + 1)[1:]
    found = varying_limit(make, tested.tolist(), level=settings_of(run).level)
    seen = [cross_section for cross_section, _, _ in found.scan if efficiencies[-1].at(cross_section)[0] > 0]
    if not seen:
        raise StatisticsError(f"No simulated signal event is selected up to {largest:g} fb: nothing can be limited.")
    at = found.observed if np.isfinite(found.observed) else seen[-1]
    made = make(at, events_of=1.0)
    assert made is not None
    facts = {"efficiency_points": points[-1], "channels": len(made["channels"]), "workspace_at": at}
    return {**found.to_dict(), **facts}, made


def _workspace_at(
    run: SearchRun,
    nested: list[Hunted],
    efficiencies: list[InjectedEfficiency],
    mass: float,
    cross_section: float,
    *,
    events_of: float | None = None,
) -> Workspace | None:
    """Return the workspace with the signal as it is at a cross section (fb); None where none would be selected.

    mu = 1 is `events_of` (fb), by default the cross section itself.
    """
    shape, systematics = signal_shape(run, mass), _systematics(run, mass)
    kept = [efficiency.at(cross_section) for efficiency in efficiencies]
    spectra = disjoint_spectra([one.spectrum for one in nested])
    channels = []
    for index, (hunted, spectrum) in enumerate(zip(nested, spectra, strict=True)):
        tighter, error_below = kept[index - 1] if index else (0.0, 0.0)
        share = kept[index][0] - tighter
        if share <= 0:
            continue
        error = _band_error(kept[index], (tighter, error_below))
        name = f"{EFFICIENCY}_{index}" if len(nested) > 1 else EFFICIENCY
        channels.append(
            channel_of(
                run,
                hunted,
                mass,
                shape=shape,
                spectrum=spectrum,
                events=asked_of(run).luminosity * (cross_section if events_of is None else events_of) * share,
                systematics=[*systematics, *_uncertain(name, share, error)],
            )
        )
    return workspace(channels) if channels else None


def _band_error(loose: tuple[float, float], tight: tuple[float, float]) -> float:
    """Return the binomial error of the difference of two nested efficiencies, counted among the same events."""
    share = loose[0] - tight[0]
    per_event = [error**2 / (value * (1.0 - value)) for value, error in (loose, tight) if 0 < value < 1]
    return float(np.sqrt(max(per_event) * share * (1.0 - share))) if per_event else loose[1]


def efficiency_points(run: SearchRun, selection: Selection, mass: float) -> list[dict[str, float]]:
    """Return the efficiency of a selection, its detector trained again with each injected fraction, by cross section.

    The uncertainty is that of counting simulated events; what another training would select is not in it. Raises
    StatisticsError where fewer than two fractions are asked for.
    """
    asked = asked_of(run)
    signal = asked.signals[mass]
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
    found = list(points.values())
    _check_rise(selection, found)
    return found


def _check_rise(selection: Selection, points: list[dict[str, float]]) -> None:
    """Warn where the efficiency changes so much between two injected signals that a straight line says little."""
    for first, second in itertools.pairwise(points):
        low, high = sorted((first["efficiency"], second["efficiency"]))
        if high > 3.0 * low:
            logger.warning(
                "the efficiency of %s is %.3g at %.3g fb and %.3g at %.3g fb: inject more signals between them",
                selection.identifier,
                first["efficiency"],
                first["cross_section"],
                second["efficiency"],
                second["cross_section"],
            )
