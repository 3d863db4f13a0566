"""Scores against mass: does a detector know the mass it must not know?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from analysis.plots.mathtext import p_text
from analysis.plots.style import Label, add_label, colour, legend_below, new_figure, plain, shade_window, styled

_INSIDE = 4  # more profiles have their legend below the axes


@dataclass(frozen=True)
class Profile:
    """Mean of something in slices of m_jj.

    Attributes:
        label: name in the legend.
        edges: (n + 1,) slice edges in GeV.
        mean: (n,) mean in each slice, NaN where it has too few events.
        error: (n,) standard error of the mean.
    """

    label: str
    edges: np.ndarray
    mean: np.ndarray
    error: np.ndarray

    @property
    def flatness(self) -> tuple[float, int, float] | None:
        """χ², degrees of freedom and p of a constant; None with fewer than two slices."""
        fine = np.isfinite(self.mean) & np.isfinite(self.error) & (self.error > 0)
        if fine.sum() < 2:
            return None
        mean, weight = self.mean[fine], self.error[fine] ** -2
        chi2 = float(np.sum(weight * (mean - np.average(mean, weights=weight)) ** 2))
        return chi2, int(fine.sum()) - 1, float(stats.chi2.sf(chi2, fine.sum() - 1))


def mean_profile(
    label: str,
    mass: np.ndarray,
    values: np.ndarray,
    *,
    edges: np.ndarray,
    weights: np.ndarray | None = None,
    minimum: int = 5,
) -> Profile:
    """Average `values` (n,) in slices of `mass` (n,) GeV, with the standard error of the weighted mean.

    Slices with fewer than `minimum` events are NaN. With `values` a selection's mask (0 or 1) this is its efficiency
    against mass.
    """
    values = np.asarray(values, dtype=float)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    slices = np.digitize(mass, edges) - 1
    inside = (slices >= 0) & (slices < len(edges) - 1) & np.isfinite(values)
    slices, values, weights = slices[inside], values[inside], weights[inside]

    def total(of: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.bincount(slices, of, minlength=len(edges) - 1)
        return sums

    count, norm = total(np.ones(len(values))), total(weights)
    enough = (count >= max(minimum, 2)) & (norm > 0)
    norm = np.where(enough, norm, 1.0)
    mean = total(weights * values) / norm
    squares = total(weights**2 * (values - mean[slices]) ** 2)
    error = np.sqrt(squares * count / np.maximum(count - 1, 1)) / norm
    return Profile(label, edges, np.where(enough, mean, np.nan), np.where(enough, error, np.nan))


@styled
def profile_figure(
    profiles: Profile | Sequence[Profile],
    *,
    window: tuple[float, float] | None = None,
    y_label: str = "Mean anomaly score",
    x_label: str = r"$m_{JJ}$ [GeV]",
    label: Label | None = None,
) -> Figure:
    """Draw means in slices of m_jj; the legend gives χ²/ndof and p of a constant.

    Raises:
        ValueError: no profile was given.
    """
    profiles = [profiles] if isinstance(profiles, Profile) else list(profiles)
    if not profiles:
        raise ValueError("this figure needs at least one profile")
    figure = new_figure(7.2 if len(profiles) <= _INSIDE else 9.0, 5.0 if len(profiles) <= _INSIDE else 7.2)
    axes = figure.add_subplot()
    shade_window(axes, window, label="Signal window")
    for index, profile in enumerate(profiles):
        centres, half = (profile.edges[1:] + profile.edges[:-1]) / 2, np.diff(profile.edges) / 2
        fine = np.isfinite(profile.mean)
        text, flat = plain(profile.label), profile.flatness
        if flat is not None:
            text += rf": constant $\chi^2$/ndof = {flat[0]:.1f}/{flat[1]}, {p_text(flat[2])}"
        axes.errorbar(
            centres[fine], profile.mean[fine], profile.error[fine], half[fine], color=colour(index),
            fmt="osD^v"[index % 5], ms=4, elinewidth=1.1, label=text,
        )  # fmt: skip
    _set_range(axes, profiles)
    axes.set_xlim(min(p.edges[0] for p in profiles), max(p.edges[-1] for p in profiles))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(profiles) <= _INSIDE:
        axes.legend(loc="upper right")
    else:
        legend_below(axes, columns=1)
    add_label(axes, label or Label())
    return figure


def _set_range(axes: Axes, profiles: Sequence[Profile]) -> None:
    """Leave room for the legend above the points."""
    low = np.concatenate([p.mean - p.error for p in profiles])
    high = np.concatenate([p.mean + p.error for p in profiles])
    if not np.any(np.isfinite(low)):
        return
    bottom, top = float(np.nanmin(low)), float(np.nanmax(high))
    span = (top - bottom) or max(abs(top), 1.0)
    room = 0.25 + 0.12 * len(profiles) if len(profiles) <= _INSIDE else 0.1
    axes.set_ylim(bottom - 0.1 * span, top + span * room)
