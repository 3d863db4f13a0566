"""The signal that a search file describes, as the statistics take it: its shape and its uncertainties."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.context import SearchRun
from analysis.limit_settings import LimitSettings
from analysis.stages.signals import simulated_events
from analysis.statistics_settings import BumpHuntSettings, TailSettings
from stats import EnergyScale, Luminosity, Normalisation, Resolution, Systematic
from stats.signals import CrystalBall, Gaussian, SignalShape, TemplateShape

BINS = 4000  # of a template, from 0 to twice the highest mass: finer than any resolution


def hunted_shapes(run: SearchRun) -> list[SignalShape]:
    """Return one shape per width of the bump hunt, or that of the simulated signals that it names."""
    settings = run.search.bump_hunt
    assert settings is not None
    if settings.templates:
        return [simulated_shape(run, settings.templates)]
    return [_shape(width, settings.width_unit, settings.tails) for width in settings.widths]


def limited_shape(run: SearchRun) -> SignalShape:
    """Return the shape on which limits are set."""
    settings = run.search.limits
    assert settings is not None
    if settings.templates:
        return simulated_shape(run, settings.templates)
    return _shape(settings.width, settings.width_unit, settings.tails)


def simulated_shape(run: SearchRun, signals: Mapping[float, str]) -> TemplateShape:
    """Return the shape of simulated signals, named by their mass (GeV), interpolated between the masses."""
    key = ", ".join(f"{mass:g} {name}" for mass, name in sorted(signals.items()))
    return run.once(f"shape of {key}", lambda: _simulated_shape(run, signals))


def _simulated_shape(run: SearchRun, signals: Mapping[float, str]) -> TemplateShape:
    events = {mass: simulated_events(run, name) for mass, name in signals.items()}
    return TemplateShape.from_samples(
        {mass: one["mjj"] for mass, one in events.items()},
        edges=np.linspace(0.0, 2.0 * max(events), BINS + 1),
        weights={mass: one["weight"] for mass, one in events.items()},
    )


def _shape(width: float, unit: str, tails: TailSettings | None) -> SignalShape:
    relative = unit == "relative"
    if tails is None:
        return Gaussian(width, relative=relative)
    return CrystalBall(
        width,
        alpha_low=tails.alpha_low,
        n_low=tails.n_low,
        alpha_high=tails.alpha_high,
        n_high=tails.n_high,
        relative=relative,
    )


def is_gaussian(settings: BumpHuntSettings) -> bool:
    """Tell whether the bump hunt scans the widths of a Gaussian."""
    return settings.tails is None and not settings.templates


def systematics_of(settings: LimitSettings, *, luminosity: bool = False) -> list[Systematic]:
    """Return the uncertainties of the signal that a search file lists; that of the luminosity for limits in fb."""
    asked = settings.systematics
    found: list[Systematic] = [Normalisation.relative(name, size) for name, size in asked.normalisation.items()]
    if asked.scale is not None:
        found.append(EnergyScale(asked.scale))
    if asked.resolution is not None:
        found.append(Resolution(asked.resolution))
    if luminosity and asked.luminosity is not None:
        found.append(Luminosity(asked.luminosity))
    return found
