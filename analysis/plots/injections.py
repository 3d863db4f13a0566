"""Signals that a fit finds without one being there, and signals that it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numbers import format_mass, format_uncertain
from analysis.plots.mathtext import in_mathtext, p_text
from analysis.plots.style import (
    DATA,
    FIT,
    ONE_SIGMA,
    SIGNAL,
    TWO_SIGMA,
    Label,
    add_label,
    new_figure,
    plain,
    stacked_axes,
    styled,
)


@dataclass(frozen=True)
class SpuriousScan:
    """Signal fitted to a template without signal.

    Attributes:
        masses: (n,) GeV, rising.
        yields: (n,) spurious signal in events, NaN where a fit failed.
        errors: (n,) statistical error of the yield in data.
        template_errors: (n,) error of `yields` from the template's statistics.
        limit: largest |yield|/error that is accepted.
        function, template: names, for the legend.
    """

    masses: np.ndarray
    yields: np.ndarray
    errors: np.ndarray
    template_errors: np.ndarray
    limit: float
    function: str = ""
    template: str = "simulation"

    def __post_init__(self) -> None:
        shapes = {np.shape(getattr(self, name)) for name in ("masses", "yields", "errors", "template_errors")}
        if len(shapes) > 1 or not np.size(self.masses):
            raise ValueError(f"a spurious-signal scan needs arrays of one shape with at least one mass, got {shapes}")

    @classmethod
    def from_result(cls, entry: Mapping[str, Any]) -> SpuriousScan:
        """Take a `SpuriousSignal` as it stands in results.json."""
        names = ("masses", "yields", "errors", "template_errors")
        columns = {name: _array(entry[name]) for name in names}
        template = entry["truth"] or "simulation"
        return cls(**columns, limit=entry["limit"], function=entry["family"], template=template)


@styled
def spurious_figure(scan: SpuriousScan, *, label: Label | None = None, x_label: str = "Resonance mass [GeV]") -> Figure:
    """Draw the spurious signal in events over its ratio to the error that data would have.

    Above, bands of ±1 and ±2 errors; below, lines at the accepted ratio. Error bars are those of the template.
    """
    figure = new_figure(7.6, 6.6)
    main, panel = stacked_axes(figure, [1.5, 1.0])
    masses, error = np.asarray(scan.masses, dtype=float), np.asarray(scan.errors, dtype=float)
    margin = 0.03 * float(masses[-1] - masses[0]) or 0.03 * float(masses[0])
    band = masses if len(masses) > 1 else np.array([masses[0] - margin, masses[0] + margin])
    height = error if len(masses) > 1 else np.repeat(error, 2)
    main.fill_between(band, -2 * height, 2 * height, color=TWO_SIGMA, lw=0, label=r"$\pm 2\sigma_S$ expected in data")
    main.fill_between(band, -height, height, color=ONE_SIGMA, lw=0, label=r"$\pm 1\sigma_S$")
    name = f"{plain(scan.function)} on {plain(scan.template)}".strip()
    style: dict[str, Any] = {"color": DATA, "marker": "o", "ms": 4, "lw": 1.2, "elinewidth": 1.0}
    main.errorbar(masses, scan.yields, scan.template_errors, label=name, **style)
    panel.errorbar(masses, scan.yields / error, scan.template_errors / error, **style)
    for axes in (main, panel):
        axes.axhline(0, color=DATA, lw=0.8)
    for level in (-scan.limit, scan.limit):
        text = rf"accepted: $\pm${scan.limit:g}$\,\sigma_S$" if level > 0 else None
        panel.axhline(level, color=SIGNAL, ls="--", lw=1.4, label=text)
    largest = float(np.nanmax(np.abs(scan.yields) + scan.template_errors, initial=0.0))
    top = max(2.2 * float(np.nanmax(error, initial=0.0)), 1.15 * largest) or 1.0
    main.set_ylim(-1.1 * top, 1.9 * top)
    main.set_xlim(masses[0] - margin, masses[-1] + margin)
    reach = float(np.nanmax((np.abs(scan.yields) + scan.template_errors) / error, initial=0.0))
    reach = 1.2 * max(reach, 1.8 * scan.limit)
    panel.set_ylim(-reach, reach)
    main.set_ylabel("Spurious signal $S$ [events]")
    panel.set_ylabel(r"$S/\sigma_S$")
    panel.set_xlabel(x_label)
    # one legend for both panels: in the lower one points may lie anywhere
    both = [axes.get_legend_handles_labels() for axes in (main, panel)]
    main.legend([*both[0][0], *both[1][0]], [*both[0][1], *both[1][1]], loc="upper right")
    add_label(main, label or Label())
    figure.align_ylabels()
    return figure


@dataclass(frozen=True)
class InjectedSignals:
    """Fitted against injected signal at one mass.

    Attributes:
        mass: GeV.
        injected: (n,) events.
        fitted, fitted_error: (n,) mean of the fitted events and its error.
        spread: (n,) expected error of one fit, in events.
        pull, pull_error, pull_width: (n,) mean, its error and standard deviation of the pulls; NaN where there is none.
        threshold: on the mean pull.
        slope, slope_error, offset, offset_error: of the straight line through the fitted yields.
        p: of that line, None where it has no degree of freedom.
        name: e.g. "dijet3 on dijet3".
    """

    mass: float
    injected: np.ndarray
    fitted: np.ndarray
    fitted_error: np.ndarray
    spread: np.ndarray
    pull: np.ndarray
    pull_error: np.ndarray
    pull_width: np.ndarray
    threshold: float
    slope: float
    slope_error: float
    offset: float
    offset_error: float
    p: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        names = ("injected", "fitted", "fitted_error", "spread", "pull", "pull_error", "pull_width")
        shapes = {np.shape(getattr(self, name)) for name in names}
        if len(shapes) > 1 or not np.size(self.injected):
            raise ValueError(f"injected signals need arrays of one shape with at least one strength, got {shapes}")

    @classmethod
    def from_result(cls, entry: Mapping[str, Any]) -> InjectedSignals:
        """Take an `InjectionTest` as it stands in results.json."""
        sources = {
            "injected": "injected", "fitted": "fitted", "fitted_error": "fitted_error", "spread": "expected_error",
            "pull": "mean", "pull_error": "mean_error", "pull_width": "width",
        }  # fmt: skip
        values: dict[str, Any] = {
            own: _array([point[name] for point in entry["points"]]) for own, name in sources.items()
        }
        values |= {name: entry[name] for name in ("slope", "slope_error", "offset", "offset_error", "p")}
        name = f"{entry['fit']} on {entry['truth']}"
        return cls(mass=entry["mass"], threshold=entry["threshold"], name=name, **values)


@styled
def injection_figure(signals: InjectedSignals, *, label: Label | None = None) -> Figure:
    """Draw fitted against injected events with the diagonal, over a panel of pulls.

    The band is the expected error of one fit. In the panel thick bars are the error on the mean pull, thin ones the
    standard deviation of the pulls; dashed lines are the threshold on the mean.
    """
    figure = new_figure(7.6, 6.9)
    main, panel = stacked_axes(figure, [2.0, 1.0])
    injected = np.asarray(signals.injected, dtype=float)
    span = float(injected.max() - injected.min()) or 1.0
    ends = np.array([injected.min() - 0.06 * span, injected.max() + 0.06 * span])
    low, high = signals.fitted - signals.spread, signals.fitted + signals.spread
    main.fill_between(injected, low, high, color=FIT, alpha=0.25, lw=0, label="Expected error of one fit")
    main.plot(ends, ends, color=DATA, ls="--", lw=1.2, label="Fitted = injected")
    main.plot(ends, signals.offset + signals.slope * ends, color=SIGNAL, lw=1.4, label=_line(signals))
    main.errorbar(injected, signals.fitted, signals.fitted_error, color=DATA, fmt="o", ms=5, label="Mean of the toys")
    finite = np.concatenate([ends, low[np.isfinite(low)], high[np.isfinite(high)]])
    bottom, top = float(finite.min()), float(finite.max())
    main.set_ylim(bottom - 0.05 * (top - bottom), top + 0.5 * (top - bottom))
    main.set_xlim(*ends)
    main.set_ylabel("Fitted signal [events]")
    main.legend(loc="upper left", title=_title(signals), title_fontsize=12)
    main.get_legend().set_alignment("left")  # type: ignore[union-attr]
    _draw_pulls(panel, signals)
    panel.set_xlabel("Injected signal [events]")
    add_label(main, label or Label())
    figure.align_ylabels()
    return figure


def _draw_pulls(axes: Axes, signals: InjectedSignals) -> None:
    axes.axhline(0, color=DATA, lw=0.8)
    for level in (-signals.threshold, signals.threshold):
        axes.axhline(level, color=SIGNAL, ls="--", lw=1.2)
    axes.errorbar(signals.injected, signals.pull, signals.pull_width, color=FIT, fmt="none", elinewidth=1.2, capsize=3)
    axes.errorbar(signals.injected, signals.pull, signals.pull_error, color=DATA, fmt="o", ms=5, elinewidth=2.5)
    reach = float(np.nanmax(np.abs(signals.pull) + signals.pull_width, initial=1.0))
    axes.set_ylim(-1.35 * reach, 1.35 * reach)
    axes.set_ylabel(r"Pull: mean, $\pm 1$ s.d.")


def _line(signals: InjectedSignals) -> str:
    text = f"Slope {format_uncertain(signals.slope, signals.slope_error)}"
    text += f", offset {format_uncertain(signals.offset, signals.offset_error)}"
    return text if signals.p is None else f"{in_mathtext(text)}, {p_text(signals.p)}"


def _title(signals: InjectedSignals) -> str:
    return ", ".join(part for part in (plain(signals.name), format_mass(signals.mass)) if part)


def _array(values: Any) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
