"""The peak that a search file describes, as the statistics take it."""

from __future__ import annotations

from analysis.statistics_settings import BumpHuntSettings, LimitSettings, TailSettings
from stats import EnergyScale, Luminosity, Normalisation, Resolution, Systematic
from stats.signals import CrystalBall, Gaussian, SignalShape


def hunted_shapes(settings: BumpHuntSettings) -> list[SignalShape]:
    """Return one shape per width of a bump hunt."""
    return [_shape(width, settings.width_unit, settings.tails) for width in settings.widths]


def limited_shape(settings: LimitSettings) -> SignalShape:
    """Return the shape on which limits are set."""
    return _shape(settings.width, settings.width_unit, settings.tails)


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
