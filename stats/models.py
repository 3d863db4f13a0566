"""pyhf workspaces for a resonance above a smooth background.

One channel per spectrum (``stats.channels``) holds the bins of a window around the peak; the background in it is
constrained by the spectrum's other bins, one nuisance parameter per eigenvector of the prediction's covariance. ``mu``
is the number of selected signal events, or whatever ``events`` makes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ive

from stats.channels import POI, Channel, check_names, resonance_channel, window_channel
from stats.errors import StatisticsError
from stats.functions import Family
from stats.signals import SignalShape
from stats.spectrum import Spectrum
from stats.strength import largest_yield
from stats.systematics import Luminosity, Systematic

LEAST_CHANCE = 1e-6  # that two samples agree in all bins: below, they are taken for the same

__all__ = ["POI", "Channel", "Workspace", "resonance_channel", "resonance_workspace", "window_channel", "workspace"]


class Workspace(dict[str, Any]):
    """A pyhf workspace, a plain JSON dictionary, that remembers the channels it was made of."""

    channels: tuple[Channel, ...] = ()


def workspace(channels: Sequence[Channel], *, largest: float | None = None) -> Workspace:
    """A pyhf workspace (JSON-ready) of channels that share the signal strength ``mu``.

    Channels are multiplied as independent measurements: no event may be in two of them. Selections of which one holds
    the other share events; make them disjoint first (``stats.disjoint``). A channel holds counts, not events: only the
    same spectrum given twice is found out here. Nested selections, overlapping windows of one spectrum, and samples
    that share a part of their events are not; ``require_disjoint`` tells of selections whose events have numbers.
    Signal systematics of the same name are correlated, the background of each channel is its own.

    Args:
        largest: upper bound of ``mu``; by default beyond any yield the data could hold.

    Raises:
        StatisticsError: for no channels, two of the same name or with the same events, and two luminosity
            uncertainties.
    """
    sizes = _checked_luminosities(channels)
    for one, other in itertools.combinations(channels, 2):
        _check_events(one, other)
    if largest is None:
        largest = largest_yield(*(c.observed for c in channels)) / sum(float(c.signal.sum()) for c in channels)
    poi = {"name": POI, "bounds": [[0.0, largest]], "inits": [min(1.0, largest)]}
    made = Workspace(
        version="1.0.0",
        channels=[{"name": channel.name, "samples": _samples(channel)} for channel in channels],
        observations=[
            {"name": channel.name, "data": [round(count) for count in channel.observed.tolist()]}
            for channel in channels
        ],
        measurements=[
            {"name": "resonance", "config": {"poi": POI, "parameters": [poi, *(one.parameter() for one in sizes)]}}
        ],
    )
    made.channels = tuple(channels)
    return made


def resonance_workspace(
    spectrum: Spectrum,
    family: Family,
    *,
    mass: float,
    width: float | None = None,
    shape: SignalShape | None = None,
    relative: bool = True,
    window: tuple[float, float] | None = None,
    name: str = "spectrum",
    events: float = 1.0,
    systematics: Sequence[Systematic] = (),
    mask: np.ndarray | None = None,
) -> Workspace:
    """The workspace of a resonance in one spectrum; arguments as ``resonance_channel``."""
    return workspace(
        [
            resonance_channel(
                spectrum,
                family,
                mass=mass,
                width=width,
                shape=shape,
                relative=relative,
                window=window,
                name=name,
                events=events,
                systematics=systematics,
                mask=mask,
            )
        ]
    )


def _checked_luminosities(channels: Sequence[Channel]) -> set[Luminosity]:
    """The luminosity uncertainty of the channels, none or one; all names are checked as well."""
    names = [channel.name for channel in channels]
    if not names or len(set(names)) < len(names):
        raise StatisticsError(f"A workspace needs channels, each with a name of its own; got {names}.")
    sizes = {channel.luminosity for channel in channels if channel.luminosity is not None}
    if len(sizes) > 1:
        raise StatisticsError(
            f"The channels have luminosity uncertainties of {sorted(one.uncertainty for one in sizes)}: pyhf knows one "
            "luminosity. Give each year's as a Normalisation of its own name."
        )
    for channel in channels:
        check_names(channel.modifiers)
    return sizes


def _check_events(one: Channel, other: Channel) -> None:
    """Refuse the same counts in the same bins, unless so few that two samples may well agree by chance.

    Two Poisson counts of expectation b agree with a probability of exp(−2b) I₀(2b). A background predicted alike to
    the last digit is a fit to the same sidebands.
    """
    alike = np.array_equal(one.edges, other.edges) and np.array_equal(one.observed, other.observed)
    if not alike or not one.observed.any():
        return
    chance = float(np.prod(ive(0, 2.0 * np.sqrt(one.background * other.background))))
    if np.array_equal(one.background, other.background) or chance < LEAST_CHANCE:
        raise StatisticsError(
            f"{one.name} and {other.name} hold the same {one.observed.sum():g} events in the same bins from "
            f"{one.edges[0]:g} to {one.edges[-1]:g} GeV: an event in two channels counts twice, and limits come out "
            "too strong. Give each channel events of its own (`disjoint_spectra`)."
        )


def _samples(channel: Channel) -> list[dict[str, Any]]:
    signal = [{"name": POI, "type": "normfactor", "data": None}, *(dict(one) for one in channel.modifiers)]
    background = [
        modifier
        for index, up in enumerate(channel.up)
        for modifier in _background_modifiers(f"{channel.name}_background_{index}", channel.background, up)
    ]
    return [
        {"name": "signal", "data": channel.signal.tolist(), "modifiers": signal},
        {"name": "background", "data": channel.background.tolist(), "modifiers": background},
    ]


def _background_modifiers(name: str, background: np.ndarray, up: np.ndarray) -> list[dict[str, Any]]:
    """One nuisance parameter: a factor (``normsys``) and what it leaves of the shape (``histosys``).

    pyhf continues a ``histosys`` linearly beyond one standard deviation, where a large one makes bins negative; a
    ``normsys`` continues as the power it is. So the factor takes the middle of the shift and little is left.
    """
    shift = np.log(up / background)
    middle = 0.5 * float(shift.max() + shift.min())
    rest = background * np.exp(shift - middle), background * np.exp(middle - shift)
    return [
        {"name": name, "type": "normsys", "data": {"hi": float(np.exp(middle)), "lo": float(np.exp(-middle))}},
        {"name": name, "type": "histosys", "data": {"hi_data": rest[0].tolist(), "lo_data": rest[1].tolist()}},
    ]
