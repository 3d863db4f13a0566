"""One spectrum's part of a pyhf workspace: the bins around a peak, and the background that the others predict there.

Every event is used once: those outside the window in the constraint, those inside in the channel. (A constraint from a
fit to the whole spectrum would use the window twice, bias the yield down and make limits too strong.) The covariance
of the prediction is diagonalised; each eigenvector gives the function one standard deviation up and down.

Signal in the sidebands (the tails of a Crystal Ball) raises the background predicted in the window. The signal template
is therefore what one signal event adds to the window less what it adds to the prediction there: the fitted yield stays
unbiased to first order in the signal over the background of the sidebands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.functions import Family
from stats.goodness import Goodness
from stats.sidebands import predict
from stats.signals import Gaussian, SignalShape, normalised
from stats.spectrum import Spectrum
from stats.systematics import Luminosity, SignalInChannel, Systematic

POI = "mu"
# parameters of workspaces, ABCD's among them, that no systematic uncertainty of a signal may share
RESERVED = re.compile(r"mu|lumi|staterror.*|abcd_.*|.*_background_\d+")
WINDOW = 3.0  # half width of the window in standard deviations of the core
ENOUGH_INSIDE = 0.95  # of the signal: the window is widened until it holds as much
LEAST_INSIDE = 0.8  # of the signal, in any window: what corrects for the rest is of first order
MOST_MOVED = 0.5  # of the signal in the window, that the sidebands may take for background


@dataclass(frozen=True)
class Channel:
    """One spectrum's window as pyhf needs it.

    Attributes:
        name: of the channel; the background's nuisances are called ``<name>_background_<k>``.
        edges: of the window's bins in GeV, shape (n + 1,).
        observed: events, shape (n,).
        signal: events per bin for ``mu`` = 1, less those that the sidebands take for background, shape (n,).
        background: prediction of the sideband fit, shape (n,).
        up, down: the prediction with one eigenvector one standard deviation up or down, shape (n_parameters, n).
        modifiers: of the signal, as pyhf's schema has them.
        luminosity: the uncertainty of the luminosity if the signal has one.
        extrapolated: "below" or "above" where the window has no sideband on that side: the background in it is the
            function's extrapolation, whose choice no uncertainty covers; else "".
        goodness: χ² of the sideband fit, or None where there was none.
    """

    name: str
    edges: np.ndarray
    observed: np.ndarray
    signal: np.ndarray
    background: np.ndarray
    up: np.ndarray
    down: np.ndarray
    modifiers: tuple[Mapping[str, Any], ...] = ()
    luminosity: Luminosity | None = None
    extrapolated: str = ""
    goodness: Goodness | None = None


def window_channel(
    spectrum: Spectrum,
    family: Family,
    *,
    template: np.ndarray,
    window: tuple[float, float],
    name: str = "spectrum",
    events: float = 1.0,
    systematics: Sequence[Systematic] = (),
    mask: np.ndarray | None = None,
) -> Channel:
    """The bins overlapping ``window`` (GeV) with a background constrained by all others.

    Args:
        template: signal per bin of the whole spectrum, any normalisation, shape (n_bins,).
        events: signal in the whole spectrum for ``mu`` = 1. With 1, ``mu`` counts selected events; with luminosity
            times efficiency, it is a cross section.
        systematics: uncertainties of the signal; those of the same name in several channels are correlated.
        mask: False takes a bin out of the sidebands (an excess elsewhere), shape (n_bins,).

    Raises:
        StatisticsError: for weighted spectra, windows that miss the signal or overlap the mask, and sidebands that do
            not constrain the background.
    """
    signal = _Signal(normalised(template), window, float(events), tuple(systematics))
    return _channel(spectrum, family, signal, name, mask)


def resonance_channel(
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
) -> Channel:
    """The bins around a resonance.

    Args:
        mass: GeV.
        width: standard deviation of a Gaussian peak, over its mass (``relative``) or in GeV; or
        shape: of any other peak.
        window: GeV; by default three standard deviations of the core on either side, widened until 95% of the signal
            inside the spectrum is in it.
        events, systematics, mask: as ``window_channel``; ``mu`` = 1 is one signal event inside the spectrum.
    """
    if (width is None) == (shape is None):
        raise StatisticsError("A resonance takes a width (Gaussian) or a shape: give one of the two.")
    peak: SignalShape = shape if shape is not None else Gaussian(width or 0.0, relative=relative)
    produced = np.asarray(peak.template(spectrum.edges, mass), dtype=float)
    template = normalised(produced)
    if window is None:
        window = _window(spectrum.edges, template, mass, peak.width(mass))
    moved = partial(_moved, peak, spectrum.edges, mass, float(produced.sum()))
    signal = _Signal(template, window, float(events), tuple(systematics), float(mass), moved)
    return _channel(spectrum, family, signal, name, mask)


@dataclass(frozen=True)
class _Signal:
    """A signal before the window is cut out of it."""

    template: np.ndarray
    window: tuple[float, float]
    events: float
    systematics: tuple[Systematic, ...]
    mass: float | None = None
    moved: Callable[[Callable[[np.ndarray], np.ndarray]], np.ndarray] | None = None


def _channel(spectrum: Spectrum, family: Family, signal: _Signal, name: str, mask: np.ndarray | None) -> Channel:
    if not spectrum.is_counts:
        raise StatisticsError(
            "A pyhf workspace needs observed counts, and this spectrum is weighted: fit it with `bump_hunt`."
        )
    if not (np.isfinite(signal.events) and signal.events > 0):
        raise StatisticsError(f"The signal events for mu = 1 must be a positive number, got {signal.events}.")
    mask = None if mask is None else np.asarray(mask, dtype=bool)
    inside = _inside(spectrum, signal, mask)
    sidebands = predict(spectrum, family, inside, mask)
    response = signal.events * (np.eye(spectrum.n_bins)[inside] - sidebands.response)
    here = SignalInChannel(name, signal.template, inside, response, signal.mass, signal.moved)
    _check_leak(here, signal)
    bins = np.flatnonzero(inside)
    return Channel(
        name=name,
        edges=spectrum.edges[bins[0] : bins[-1] + 2],
        observed=spectrum.counts[inside],
        signal=here.seen(signal.template),
        background=sidebands.background,
        up=sidebands.background * np.exp(sidebands.shifts),
        down=sidebands.background * np.exp(-sidebands.shifts),
        modifiers=_modifiers(here, signal.systematics),
        luminosity=next((one for one in signal.systematics if isinstance(one, Luminosity)), None),
        extrapolated=sidebands.extrapolated,
        goodness=sidebands.goodness,
    )


def _window(edges: np.ndarray, template: np.ndarray, mass: float, width: float) -> tuple[float, float]:
    """±3 standard deviations of the core, widened on the side with more signal until 95% of it is inside."""
    low, high = mass - WINDOW * width, mass + WINDOW * width
    while True:
        below, above = edges[1:] <= low, edges[:-1] >= high
        outside = float(template[below].sum()), float(template[above].sum())
        if sum(outside) <= 1.0 - ENOUGH_INSIDE:
            return low, high
        if outside[0] >= outside[1]:
            low = float(edges[:-1][below][-1])
        else:
            high = float(edges[1:][above][0])


def _inside(spectrum: Spectrum, signal: _Signal, mask: np.ndarray | None) -> np.ndarray:
    """The window's bins, shape (n_bins,)."""
    low, high = signal.window
    span = f"{low:g} to {high:g} GeV"
    inside = (spectrum.edges[1:] > low) & (spectrum.edges[:-1] < high)
    if signal.template.shape != inside.shape or (mask is not None and mask.shape != inside.shape):
        raise StatisticsError(f"Template and mask need one entry for each of the {spectrum.n_bins} bins.")
    share = signal.template[inside].sum()
    if not share >= LEAST_INSIDE:
        raise StatisticsError(
            f"Only {share:.0%} of the signal lies in the window {span}: the rest would bias the sideband fit. Widen it."
        )
    if mask is not None and not mask[inside].all():
        raise StatisticsError(
            f"The window {span} overlaps bins that the mask takes out: a limit needs all bins of its peak."
        )
    return inside


def _check_leak(here: SignalInChannel, signal: _Signal) -> None:
    before, after = signal.events * signal.template[here.inside].sum(), here.seen(signal.template).sum()
    if not after > (1.0 - MOST_MOVED) * before:
        raise StatisticsError(
            f"The signal outside the window {signal.window[0]:g} to {signal.window[1]:g} GeV looks like "
            f"{1.0 - after / before:.0%} of the signal inside to the sideband fit: no yield can be told. Widen it."
        )


def _modifiers(here: SignalInChannel, systematics: Sequence[Systematic]) -> tuple[Mapping[str, Any], ...]:
    modifiers = [one.modifier(here) for one in systematics]
    check_names(modifiers)
    return tuple(modifiers)


def check_names(modifiers: Sequence[Mapping[str, Any]]) -> None:
    """Refuse modifiers of one signal that would be one parameter with each other, or with what a workspace brings.

    A name like ``b_background_0`` in one channel would pull on the background of the channel ``b``.
    """
    kinds = [(one["type"], one["name"]) for one in modifiers]
    twice = {name for kind, name in kinds if kinds.count((kind, name)) > 1}
    taken = {name for kind, name in kinds if kind not in ("lumi", "staterror") and RESERVED.fullmatch(name)}
    if twice or taken:
        raise StatisticsError(
            f"Systematic uncertainties need names of their own: {sorted(twice | taken)} are taken. Names like mu, "
            "lumi, staterror_…, abcd_… and …_background_<number> belong to the workspace."
        )


def _moved(
    shape: SignalShape,
    edges: np.ndarray,
    mass: float,
    produced: float,
    move: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The template in moved edges; where the peak is not between those, a further bin holds it."""
    moved = move(edges)
    below, above = moved[0] > mass, moved[-1] < mass
    padded = np.concatenate([[0.999 * mass] if below else [], moved, [1.001 * mass] if above else []])
    template = np.asarray(shape.template(padded, mass), dtype=float)[int(below) : padded.size - 1 - int(above)]
    return template / produced
