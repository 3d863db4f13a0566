"""pyhf workspaces for a resonance above a smooth background.

Each channel holds the bins of a window around the peak; the background under it, its normalisation included, is
constrained by the fit to the other bins. Every event is used once: those outside the window in the constraint, those
inside in the channel. (A constraint from a fit to the whole spectrum would use the window twice, bias the yield down
and make limits too strong.) The covariance of the sideband fit is diagonalised and each eigenvector becomes one
``histosys`` whose templates are the function one standard deviation up and down, hence positive. ``mu`` is the
number of selected signal events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.fits import effective, fit_background
from stats.functions import BinnedFamily, Family
from stats.signals import gaussian_template, normalised
from stats.spectrum import Spectrum

POI = "mu"
WINDOW = 3.0  # half width of the window in standard deviations of the peak: 0.3% of the signal leaks into the sidebands
LEAST_INSIDE = 0.95  # of the signal, in any window
LARGEST_UNCERTAINTY = (
    0.7  # relative, of one eigenvector in one bin: beyond, an additive template is no good picture of the function
)


@dataclass(frozen=True)
class Channel:
    """One spectrum's window as pyhf needs it.

    Attributes:
        name: of the channel; nuisances are called ``<name>_background_<k>``.
        edges: of the window's bins in GeV, shape (n + 1,).
        observed: events, shape (n,).
        signal: events per bin for ``mu`` = 1, the whole spectrum holding one, shape (n,).
        background: prediction of the sideband fit, shape (n,).
        up, down: the prediction with one eigenvector one standard deviation up or down, shape (n_parameters, n).
    """

    name: str
    edges: np.ndarray
    observed: np.ndarray
    signal: np.ndarray
    background: np.ndarray
    up: np.ndarray
    down: np.ndarray


def window_channel(
    spectrum: Spectrum,
    family: Family,
    *,
    template: np.ndarray,
    window: tuple[float, float],
    name: str = "spectrum",
) -> Channel:
    """The bins overlapping ``window`` (GeV) with a background constrained by all others.

    Args:
        template: signal per bin of the whole spectrum, any normalisation, shape (n_bins,).

    Raises:
        StatisticsError: for weighted spectra, windows that miss the signal, and sidebands that do not constrain the
            background.
    """
    if not spectrum.is_counts:
        raise StatisticsError(
            "A pyhf workspace needs observed counts, and this spectrum is weighted: fit it with `bump_hunt`."
        )
    signal = normalised(template)
    inside = (spectrum.edges[1:] > window[0]) & (spectrum.edges[:-1] < window[1])
    if signal[inside].sum() < LEAST_INSIDE:
        raise StatisticsError(
            f"Only {signal[inside].sum():.0%} of the signal lies in the window {window[0]:g} to {window[1]:g} GeV: "
            "the rest would bias the sideband fit. Widen the window."
        )
    background, shifts = _sideband_prediction(spectrum, family, inside)
    bins = np.flatnonzero(inside)
    return Channel(
        name=name,
        edges=spectrum.edges[bins[0] : bins[-1] + 2],
        observed=spectrum.counts[inside],
        signal=signal[inside],
        background=background,
        up=background * np.exp(shifts),
        down=background * np.exp(-shifts),
    )


def _sideband_prediction(spectrum: Spectrum, family: Family, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected background in the window, (n,), and the log-shift of each eigenvector, (n_parameters, n)."""
    where = f"outside {spectrum.edges[:-1][inside].min():g} to {spectrum.edges[1:][inside].max():g} GeV"
    if (~inside).sum() <= family.n_parameters:
        raise StatisticsError(
            f"{int((~inside).sum())} bins {where} cannot constrain {family.name}: widen the spectrum."
        )
    counts, exposure = effective(spectrum, ~inside)
    fits = fit_background(BinnedFamily(family, spectrum.edges), counts, exposure=exposure)
    values, vectors = np.linalg.eigh(fits.covariance[0])
    shifts = (fits.frame.linear.design @ (vectors * np.sqrt(np.maximum(values, 0.0)))).T[:, inside]
    worst = float(np.abs(shifts).max())
    if worst > LARGEST_UNCERTAINTY:
        raise StatisticsError(
            f"The {counts.sum():g} events {where} leave the background there uncertain by {worst:.0%} in one "
            f"direction alone: no limit rests on it. Take fewer parameters than {family.name} has, a wider spectrum, "
            "a narrower signal, or a looser selection."
        )
    return fits.expected[0][inside], shifts


def workspace(channels: Sequence[Channel], *, largest: float | None = None) -> dict[str, Any]:
    """A pyhf workspace (JSON-ready) of channels that share the signal strength ``mu``.

    Args:
        largest: upper bound of ``mu``; by default beyond any yield the data could hold.
    """
    if largest is None:
        largest = float(max(10.0, 2.0 * sum(np.sum(c.observed + 5.0 * np.sqrt(c.observed + 1.0)) for c in channels)))
    parameters: list[dict[str, Any]] = [{"name": POI, "bounds": [[0.0, largest]], "inits": [min(1.0, largest)]}]
    return {
        "version": "1.0.0",
        "channels": [{"name": channel.name, "samples": _samples(channel)} for channel in channels],
        "observations": [
            {"name": channel.name, "data": [round(count) for count in channel.observed.tolist()]}
            for channel in channels
        ],
        "measurements": [{"name": "resonance", "config": {"poi": POI, "parameters": parameters}}],
    }


def resonance_workspace(
    spectrum: Spectrum, family: Family, *, mass: float, width: float, name: str = "spectrum"
) -> dict[str, Any]:
    """The workspace of a Gaussian resonance in one spectrum.

    Args:
        mass: GeV.
        width: standard deviation of the peak over its mass.
    """
    template = gaussian_template(spectrum.edges, mass, width=width)
    reach = WINDOW * width * mass
    channel = window_channel(spectrum, family, template=template, window=(mass - reach, mass + reach), name=name)
    return workspace([channel])


def _samples(channel: Channel) -> list[dict[str, Any]]:
    shapes = [
        {
            "name": f"{channel.name}_background_{index}",
            "type": "histosys",
            "data": {"hi_data": up.tolist(), "lo_data": down.tolist()},
        }
        for index, (up, down) in enumerate(zip(channel.up, channel.down, strict=True))
    ]
    signal = {"name": POI, "type": "normfactor", "data": None}
    return [
        {"name": "signal", "data": channel.signal.tolist(), "modifiers": [signal]},
        {"name": "background", "data": channel.background.tolist(), "modifiers": shapes},
    ]
