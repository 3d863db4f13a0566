"""What an autoencoder makes of a feature's distribution, and how far the medians of all features are off.

Source: arXiv:2103.06595, figure 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from analysis.plots.features import axis_label
from analysis.plots.style import DATA, FIT, SIGNAL, Label, add_label, new_figure, plain, styled


@dataclass(frozen=True)
class Reconstructed:
    """Events of one kind before and after the autoencoder.

    Attributes:
        label: name in the legend.
        values: (n_events,) of the feature that is drawn.
        reconstructed: (members, n_events) of it.
        pulls: (members, n_features), (median reconstructed − median)/standard deviation, see
            `ml.latent_marginals.median_pulls`.
        signal: known from the truth, and drawn in red.
    """

    label: str
    values: np.ndarray
    reconstructed: np.ndarray
    pulls: np.ndarray
    signal: bool = False

    def __post_init__(self) -> None:
        if np.ndim(self.reconstructed) != 2 or np.shape(self.reconstructed)[1] != len(self.values):
            raise ValueError(
                f"{self.label!r} has {len(self.values)} events, and reconstructed ones of shape "
                f"{np.shape(self.reconstructed)}: (members, events) is expected"
            )

    @property
    def shade(self) -> str:
        """Colour."""
        return SIGNAL if self.signal else FIT

    @property
    def name(self) -> str:
        """Label as it stands in a legend."""
        return plain(self.label) + (" (truth)" if self.signal else "")


@styled
def reconstruction_figure(
    samples: Sequence[Reconstructed],
    *,
    feature: str,
    features: Sequence[str],
    bins: int = 50,
    edges: np.ndarray | None = None,
    label: Label | None = None,
) -> Figure:
    """Draw input (outline) and reconstruction (filled, all members together) of `feature`, each of unit sum.

    Beside it stand the median pulls of all `features`, as mean and standard deviation over the members; the grey band
    is one standard deviation of the input.

    Raises:
        ValueError: no samples, samples without events, or pulls of another number of features.
    """
    if not samples or not all(len(sample.values) for sample in samples):
        raise ValueError("a figure of reconstructed events needs at least one sample, and events in each")
    for sample in samples:
        if np.ndim(sample.pulls) != 2 or np.shape(sample.pulls)[1] != len(features):
            raise ValueError(
                f"{sample.label!r} has pulls of shape {np.shape(sample.pulls)} for {len(features)} features"
            )
    figure = new_figure(10.6, 5.2)
    grid = GridSpec(1, 2, figure=figure, width_ratios=[1.9, 1])
    left, right = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    edges = _edges(samples, bins) if edges is None else edges
    for sample in samples:
        _histograms(left, sample, edges)
    left.set_xlim(edges[0], edges[-1])
    left.set_ylim(0, left.dataLim.y1 * (1.08 + 0.13 * len(samples)))
    left.set_xlabel(axis_label(feature))
    left.set_ylabel("Fraction of events")
    left.legend(loc="upper right")
    for index, sample in enumerate(samples):
        _pulls(right, sample, offset=0.16 * (index - (len(samples) - 1) / 2))
    _name_features(right, features)
    handles, names = right.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower right", ncols=len(names))
    add_label(left, label or Label())
    return figure


def _edges(samples: Sequence[Reconstructed], bins: int) -> np.ndarray:
    """Bins over the central 99% of every input, and of what is made of it."""
    parts = [np.ravel(values) for sample in samples for values in (sample.values, sample.reconstructed)]
    low = min(float(np.quantile(part, 0.005)) for part in parts)
    high = max(float(np.quantile(part, 0.995)) for part in parts)
    return np.linspace(low, high, bins + 1) if high > low else np.linspace(low - 0.5, low + 0.5, bins + 1)


def _histograms(axes: Axes, sample: Reconstructed, edges: np.ndarray) -> None:
    before, after = (
        np.histogram(values, edges)[0] / np.size(values) for values in (sample.values, sample.reconstructed)
    )
    axes.stairs(after, edges, fill=True, color=sample.shade, alpha=0.35, lw=0, label=f"{sample.name}, reconstructed")
    axes.stairs(before, edges, color=sample.shade, lw=1.8, label=f"{sample.name}, input")


def _pulls(axes: Axes, sample: Reconstructed, *, offset: float) -> None:
    pulls = np.asarray(sample.pulls, float)
    spread = pulls.std(axis=0, ddof=1 if len(pulls) > 1 else 0)
    axes.errorbar(
        pulls.mean(axis=0), np.arange(pulls.shape[1]) + offset, xerr=spread, fmt="^" if sample.signal else "o",
        color=sample.shade, ms=6, elinewidth=1.4, capsize=3, label=sample.name,
    )  # fmt: skip


def _name_features(axes: Axes, features: Sequence[str]) -> None:
    axes.axvline(0, color=DATA, lw=0.8, zorder=0)
    axes.axvspan(-1, 1, color="#999999", alpha=0.15, lw=0, zorder=-1, label=r"$\pm 1\,\sigma$ of the input")
    reach = max(1.15, 1.1 * float(np.abs([axes.dataLim.x0, axes.dataLim.x1]).max()))
    axes.set_xlim(-reach, reach)
    axes.set_yticks(np.arange(len(features)), [axis_label(name).split(" [")[0] for name in features])
    axes.set_yticks([], minor=True)
    axes.set_ylim(len(features) - 0.5, -0.5)
    axes.set_xlabel(r"Shift of the median [$\sigma$ of input]")
