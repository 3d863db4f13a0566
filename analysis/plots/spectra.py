"""Resonance spectra with their background fits, best-fit signals and pulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from analysis.plots.intervals import garwood_errors, garwood_pulls
from analysis.plots.mathtext import p_text
from analysis.plots.style import (
    DATA,
    FIT,
    SIGNAL,
    WINDOW,
    Label,
    add_label,
    bin_label,
    colour,
    new_figure,
    plain,
    shade_window,
    stacked_axes,
    styled,
)

# lower end of the axis of counts: one event and most of its error bar stay visible
_BOTTOM = 0.3


@dataclass(frozen=True)
class FittedSpectrum:
    """One selection's spectrum and what was fitted to it.

    Attributes:
        label: name in the legend, e.g. "1% selection".
        edges: (n + 1,) bin edges in GeV.
        counts: (n,) observed events.
        fit: (n,) background events expected in each bin, NaN where the fit does not reach.
        fit_error: (n,) one standard deviation of `fit`.
        signal: (n,) best-fit signal events, drawn on top of `fit`.
        window: signal window in GeV.
        chi2, ndof, p: goodness of the background fit.
    """

    label: str
    edges: np.ndarray
    counts: np.ndarray
    fit: np.ndarray | None = None
    fit_error: np.ndarray | None = None
    signal: np.ndarray | None = None
    window: tuple[float, float] | None = None
    chi2: float | None = None
    ndof: int | None = None
    p: float | None = None

    def __post_init__(self) -> None:
        n_bins = len(self.edges) - 1
        for name in ("counts", "fit", "fit_error", "signal"):
            values = getattr(self, name)
            if values is not None and np.shape(values) != (n_bins,):
                raise ValueError(f"{name} of {self.label!r} has shape {np.shape(values)}, expected ({n_bins},)")

    @property
    def goodness(self) -> str:
        """χ²/ndof and its p-value as mathtext, empty where no fit was made."""
        if self.chi2 is None or self.ndof is None:
            return ""
        text = rf"$\chi^2$/ndof = {self.chi2:.1f}/{self.ndof}"
        return text if self.p is None else f"{text}, {p_text(self.p)}"


@styled
def spectrum_figure(
    spectra: FittedSpectrum | Sequence[FittedSpectrum],
    *,
    label: Label | None = None,
    x_label: str = r"$m_{JJ}$ [GeV]",
) -> Figure:
    """Draw spectra with fits over one panel of pulls each.

    Error bars are Garwood intervals; bins without events show theirs without a marker. A pull is (data − fit)/σ with σ
    the side of the error bar that faces the fit (`garwood_pulls`).

    Raises:
        ValueError: no spectrum was given.
    """
    spectra = [spectra] if isinstance(spectra, FittedSpectrum) else list(spectra)
    if not spectra:
        raise ValueError("a spectrum figure needs at least one spectrum")
    fitted = [spectrum for spectrum in spectra if spectrum.fit is not None]
    figure = new_figure(7.6, 5.0 + 1.25 * len(fitted))
    main, *panels = stacked_axes(figure, [4.2] + [1.15] * len(fitted))
    single = len(spectra) == 1
    for window in dict.fromkeys(spectrum.window for spectrum in spectra):
        shade_window(main, window)
    for index, spectrum in enumerate(spectra):
        _draw_spectrum(main, spectrum, data=DATA if single else colour(index), line=FIT if single else colour(index))
    for panel, spectrum in zip(panels, fitted, strict=True):
        _draw_pulls(panel, spectrum, fill=FIT if single else colour(spectra.index(spectrum)), named=not single)
    main.set_ylabel(bin_label(spectra[0].edges))
    _log_scale(main, spectra)
    main.set_xlim(min(s.edges[0] for s in spectra), max(s.edges[-1] for s in spectra))
    main.legend(handles=_legend(spectra, single=single), loc="upper right")
    (panels[-1] if panels else main).set_xlabel(x_label)
    add_label(main, label or Label())
    figure.align_ylabels()
    return figure


def _draw_spectrum(axes: Axes, spectrum: FittedSpectrum, *, data: str, line: str) -> None:
    edges, counts = spectrum.edges, np.asarray(spectrum.counts, dtype=float)
    centres, (low, high) = (edges[1:] + edges[:-1]) / 2, garwood_errors(counts)
    full = counts > 0
    style: dict[str, Any] = {"color": data, "fmt": "none", "elinewidth": 1.1, "zorder": 4}
    axes.errorbar(centres[full], counts[full], [low[full], high[full]], **{**style, "fmt": "o", "ms": 4})
    empty = ~full & _worth_showing(spectrum)
    axes.errorbar(centres[empty], counts[empty], [low[empty], high[empty]], **style)
    if spectrum.fit is None:
        return
    axes.stairs(spectrum.fit, edges, baseline=None, color=line, lw=1.6, zorder=3)
    if spectrum.fit_error is not None:
        floor = np.maximum(spectrum.fit - spectrum.fit_error, 1e-9)
        axes.stairs(spectrum.fit + spectrum.fit_error, edges, baseline=floor, fill=True, color=line, alpha=0.35, lw=0)
    if spectrum.signal is not None:
        total = spectrum.fit + spectrum.signal
        axes.stairs(total, edges, baseline=None, color=SIGNAL if data == DATA else line, ls=(0, (3, 1.2)), zorder=3)


def _worth_showing(spectrum: FittedSpectrum) -> np.ndarray:
    """Bins up to the last filled one, or to where the fit leaves the axes: beyond, empty bins say nothing."""
    inside = np.cumsum(spectrum.counts[::-1])[::-1] > 0
    return inside if spectrum.fit is None else inside | (np.nan_to_num(spectrum.fit) >= _BOTTOM)


def _draw_pulls(axes: Axes, spectrum: FittedSpectrum, *, fill: str, named: bool) -> None:
    assert spectrum.fit is not None
    pulls = garwood_pulls(spectrum.counts, spectrum.fit)
    shade_window(axes, spectrum.window)
    axes.stairs(pulls, spectrum.edges, baseline=0, fill=True, color=fill, alpha=0.75, lw=0)
    limit = max(3.4, 1.15 * float(np.nanmax(np.abs(pulls), initial=0)))
    if spectrum.signal is not None:
        low, high = garwood_errors(spectrum.counts)
        error = np.where(spectrum.counts > spectrum.fit, low, high)
        axes.stairs(
            spectrum.signal / error, spectrum.edges, baseline=None, color=SIGNAL if not named else DATA,
            ls=(0, (3, 1.2)), lw=1.3,
        )  # fmt: skip
        limit = max(limit, 1.15 * float(np.nanmax(spectrum.signal / error, initial=0)))
    axes.axhline(0, color=DATA, lw=0.8)
    for level in (-2, 2):
        axes.axhline(level, color=DATA, lw=0.6, ls=":")
    axes.set_ylim(-limit, limit)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, prune="both"))
    axes.set_ylabel(r"$\frac{\mathrm{data}-\mathrm{fit}}{\sigma}$", loc="center")
    if named:
        axes.text(0.985, 0.93, plain(spectrum.label), transform=axes.transAxes, ha="right", va="top", size=10)


def _log_scale(axes: Axes, spectra: Sequence[FittedSpectrum]) -> None:
    axes.set_yscale("log")
    top = max(float(np.max(s.counts, initial=1)) for s in spectra)
    lines = 2 + len(spectra) * 2
    axes.set_ylim(_BOTTOM, top * 10 ** (0.25 + 0.12 * lines * (np.log10(top / _BOTTOM) / 5)))


def _legend(spectra: Sequence[FittedSpectrum], *, single: bool) -> list[Any]:
    handles: list[Any] = []
    for index, spectrum in enumerate(spectra):
        shade = DATA if single else colour(index)
        text = plain(spectrum.label)
        if not single and spectrum.goodness:
            text = f"{text}: {spectrum.goodness}"
        handles.append(Line2D([], [], color=shade, marker="o", ms=4, ls="" if single else "-", label=text))
    line = FIT if single else "#555555"
    if any(s.fit is not None for s in spectra):
        goodness = f"\n{spectra[0].goodness}" if single and spectra[0].goodness else ""
        band = r" $\pm 1\sigma$" if any(s.fit_error is not None for s in spectra) else ""
        handles.append(Patch(facecolor=to_rgba(line, 0.35), edgecolor=line, label=f"Background fit{band}{goodness}"))
    if any(s.signal is not None for s in spectra):
        red = SIGNAL if single else "#555555"
        handles.append(Line2D([], [], color=red, ls=(0, (3, 1.2)), label="Fit + best-fit signal"))
    if any(s.window is not None for s in spectra):
        handles.append(Patch(color=WINDOW, label="Signal window"))
    return handles
