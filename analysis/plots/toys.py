"""Distributions of a test statistic from toys, with its asymptotic form and the value of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.numbers import format_count
from analysis.plots.style import DATA, FIT, PALETTE, SIGNAL, Label, add_label, new_figure, plain, styled

BINS = 40


@dataclass(frozen=True)
class StatisticSample:
    """Toys of one hypothesis.

    Attributes:
        name: in the legend.
        toys: (N,) test statistic; infinite where a fit failed.
        edges, tails: (n,) values and the asymptotic probability of at least each; None without a curve.
    """

    name: str
    toys: np.ndarray
    edges: np.ndarray | None = None
    tails: np.ndarray | None = None


def statistic_bins(observed: float, *toys: np.ndarray) -> np.ndarray:
    """Edges of the histogram of test statistics, from 0 to beyond the data and 99.9% of all toys, shape (41,)."""
    fine = np.concatenate([np.asarray(sample)[np.isfinite(sample)] for sample in toys])
    highest = max(observed, float(np.quantile(fine, 0.999)) if fine.size else 0.0, 1.0)
    return np.linspace(0.0, 1.1 * highest, BINS + 1)


@styled
def statistic_figure(
    samples: StatisticSample | list[StatisticSample],
    observed: float,
    *,
    x_label: str = r"$\tilde{q}_\mu$",
    title: str = "",
    label: Label | None = None,
) -> Figure:
    """Draw the share of toys per bin of the test statistic, a step line for the asymptotic one, and the observed value.

    Toys beyond the axis, and those without a fit, are counted in the legend.

    Raises:
        ValueError: no sample, or one without toys.
    """
    samples = [samples] if isinstance(samples, StatisticSample) else list(samples)
    if not samples or any(not len(sample.toys) for sample in samples):
        raise ValueError("a figure of a test statistic needs toys")
    figure = new_figure(7.6, 5.6)
    axes = figure.add_subplot()
    edges = statistic_bins(observed, *(sample.toys for sample in samples))
    lowest = min(0.5 / len(sample.toys) for sample in samples)
    handles: list[Any] = []
    for sample, shade in zip(samples, (SIGNAL, FIT, PALETTE[3]), strict=False):
        handles += _draw_sample(axes, sample, edges, shade)
    # the line ends below the legend
    handles.append(axes.axvline(observed, ymax=0.66, color=DATA, lw=2, label=f"observed {observed:.3g}"))
    axes.set_yscale("log")
    axes.set_ylim(lowest, (1.0 / lowest) ** 0.5)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(x_label)
    axes.set_ylabel(f"Share of toys / {edges[1] - edges[0]:.2g}")
    axes.legend(handles=handles, loc="upper right", title=plain(title) or None, title_fontsize=12)
    add_label(axes, label or Label())
    return figure


def _draw_sample(axes: Axes, sample: StatisticSample, edges: np.ndarray, shade: str) -> list[Any]:
    """Draw toys and curve; returns what the legend shows of them."""
    toys = np.asarray(sample.toys, dtype=float)
    fine = toys[np.isfinite(toys)]
    counts = np.histogram(fine, edges)[0]
    failed, beyond = toys.size - fine.size, int((fine > edges[-1]).sum())
    notes = [f"{format_count(toys.size)} toys"]
    notes += [f"{format_count(beyond)} beyond the axis"] * bool(beyond) + [f"{failed} without a fit"] * bool(failed)
    centres = 0.5 * (edges[1:] + edges[:-1])
    filled = counts > 0
    points = axes.errorbar(
        centres[filled], counts[filled] / toys.size, yerr=np.sqrt(counts[filled]) / toys.size,
        color=shade, fmt="o", ms=3.5, lw=1.0, label=f"{plain(sample.name)} ({', '.join(notes)})",
    )  # fmt: skip
    if sample.edges is None or sample.tails is None:
        return [points]
    tails = np.interp(edges, sample.edges, sample.tails)
    return [points, axes.stairs(tails[:-1] - tails[1:], edges, color=shade, lw=1.4, baseline=None, label="asymptotic")]
