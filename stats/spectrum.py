"""A binned mass spectrum, checked once so that everything behind it can trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.values import as_floats

POOLED = 200.0  # effective events from which the weights of a bin and its neighbours are taken


@dataclass(frozen=True)
class Spectrum:
    """Events per mass bin.

    Attributes:
        edges: bin edges in GeV, strictly rising, shape (n_bins + 1,).
        counts: events, or sums of weights, per bin, shape (n_bins,); none negative.
        variances: variance of each bin, shape (n_bins,); equal to ``counts`` for unweighted events.

    Raises:
        StatisticsError: for what is no number, NaN or infinite, shapes that do not fit, unsorted edges, negative
            bins, filled bins without variance, or no bins at all.
    """

    edges: np.ndarray
    counts: np.ndarray
    variances: np.ndarray

    def __post_init__(self) -> None:
        for name in ("edges", "counts", "variances"):
            values = as_floats(getattr(self, name), f"Spectrum.{name}")
            if not np.all(np.isfinite(values)):
                raise StatisticsError(f"Spectrum.{name} holds {_first_bad(values)}: every entry must be finite.")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        _check_edges(self.edges)
        _check_contents(self.edges, self.counts, self.variances)

    @classmethod
    def from_counts(cls, edges: Any, counts: Any) -> Spectrum:
        """Unweighted events: the variance of a bin is its count."""
        return cls(edges, counts, counts)

    @classmethod
    def from_masses(cls, masses: Any, edges: Any, *, weights: Any = None) -> Spectrum:
        """Fill from one mass (GeV) per event; events outside the edges are left out, NaN is an error."""
        masses = as_floats(masses, "Masses")
        if np.isnan(masses).any():
            raise StatisticsError(f"{int(np.isnan(masses).sum())} of {masses.size} masses are NaN.")
        edges = as_floats(edges, "Bin edges")
        _check_edges(edges)
        if weights is None:
            return cls.from_counts(edges, np.histogram(masses, edges)[0])
        weights = as_floats(weights, "Weights")
        if weights.shape != masses.shape:
            raise StatisticsError(f"{weights.shape} weights for {masses.shape} masses: one per event is needed.")
        counts = np.histogram(masses, edges, weights=weights)[0]
        return cls(edges, counts, np.histogram(masses, edges, weights=weights**2)[0])

    @classmethod
    def from_hist(cls, histogram: Any) -> Spectrum:
        """From a one-dimensional ``hist.Hist`` (or any UHI histogram), without its under- and overflow."""
        if not all(hasattr(histogram, name) for name in ("axes", "values", "variances")):
            raise StatisticsError(
                f"Expected a hist.Hist or another UHI histogram, got a {type(histogram).__name__}: for plain arrays "
                "take Spectrum.from_counts(edges, counts)."
            )
        if len(histogram.axes) != 1:
            raise StatisticsError(
                f"Expected a histogram with one axis, got {len(histogram.axes)}: select dataset and variation first."
            )
        counts = np.asarray(histogram.values(), dtype=float)
        variances = histogram.variances()
        if variances is None:
            raise StatisticsError("The histogram was filled with weights but kept no variances: use Weight storage.")
        return cls(histogram.axes[0].edges, counts, np.asarray(variances, dtype=float))

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.counts.size)

    @property
    def widths(self) -> np.ndarray:
        """Bin widths in GeV, shape (n_bins,)."""
        return np.diff(self.edges)

    @property
    def centres(self) -> np.ndarray:
        """Bin centres in GeV, shape (n_bins,)."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def total(self) -> float:
        """Sum over bins."""
        return float(self.counts.sum())

    @property
    def is_counts(self) -> bool:
        """Whether the bins hold unweighted events: whole numbers with Poisson variance."""
        whole = np.array_equal(self.counts, np.round(self.counts))
        return bool(whole and np.allclose(self.variances, self.counts, rtol=1e-9, atol=1e-12))

    @property
    def scale(self) -> np.ndarray:
        """Effective events per unit weight, shape (n_bins,): 1 for unweighted events.

        A weighted bin is fitted as a Poisson count of its effective events (the scaled Poisson distribution
        of Bohm and Zech, arXiv:1309.1287), Σw · Σw/Σw². A single bin estimates Σw/Σw² badly, and low where it holds
        much: the sums run over as many neighbours on both sides as make ``POOLED`` effective events.
        """
        if self.is_counts or self.total == 0:
            return np.ones(self.n_bins)
        sums = np.concatenate([[0.0], self.counts.cumsum()])
        squares = np.concatenate([[0.0], self.variances.cumsum()])
        bins = np.arange(self.n_bins)
        scale = np.full(self.n_bins, np.nan)
        for reach in range(self.n_bins):
            first, last = np.maximum(bins - reach, 0), np.minimum(bins + reach + 1, self.n_bins)
            weight, square = sums[last] - sums[first], squares[last] - squares[first]
            enough = np.isnan(scale) & (weight**2 >= POOLED * square) & (weight > 0)
            scale[enough] = (weight / np.where(weight > 0, square, 1.0))[enough]
        return np.where(np.isnan(scale), sums[-1] / squares[-1], scale)

    def between(self, low: float, high: float) -> Spectrum:
        """The bins lying wholly inside [low, high] GeV."""
        inside = np.flatnonzero((self.edges[:-1] >= low - 1e-9) & (self.edges[1:] <= high + 1e-9))
        if inside.size == 0:
            raise StatisticsError(
                f"No bin lies inside [{low:g}, {high:g}] GeV: "
                f"the spectrum spans {self.edges[0]:g} to {self.edges[-1]:g} GeV."
            )
        first, last = int(inside[0]), int(inside[-1]) + 1
        return Spectrum(self.edges[first : last + 1], self.counts[first:last], self.variances[first:last])

    def outside(self, low: float, high: float) -> np.ndarray:
        """Mask of the bins lying wholly outside ]low, high[ GeV, shape (n_bins,)."""
        return np.asarray((self.edges[1:] <= low) | (self.edges[:-1] >= high))

    def rebin(self, edges: Any) -> Spectrum:
        """Merge neighbouring bins so that only ``edges`` (GeV, each one of the present edges) remain."""
        edges = as_floats(edges, "Bin edges")
        _check_edges(edges)
        places = np.clip(np.searchsorted(self.edges, edges - 1e-6), 0, self.edges.size - 1)
        strangers = edges[np.abs(self.edges[places] - edges) > 1e-6]
        if strangers.size:
            raise StatisticsError(f"{strangers[0]:g} GeV is not an edge of the spectrum: bins can only be merged.")
        bins = slice(int(places[0]), int(places[-1]))
        starts = places[:-1] - places[0]
        return Spectrum(
            self.edges[places],
            np.add.reduceat(self.counts[bins], starts),
            np.add.reduceat(self.variances[bins], starts),
        )


def _first_bad(values: np.ndarray) -> str:
    index = int(np.flatnonzero(~np.isfinite(values.ravel()))[0])
    return f"{values.ravel()[index]} at index {index}"


def _check_edges(edges: np.ndarray) -> None:
    if edges.ndim != 1 or edges.size < 2:
        raise StatisticsError(
            f"A spectrum needs at least one bin, that is two edges; got edges of shape {edges.shape}."
        )
    if not np.all(np.diff(edges) > 0):
        index = int(np.flatnonzero(~(np.diff(edges) > 0))[0])
        raise StatisticsError(f"Bin edges must rise: edge {index + 1} ({edges[index + 1]:g}) follows {edges[index]:g}.")


def _check_contents(edges: np.ndarray, counts: np.ndarray, variances: np.ndarray) -> None:
    n_bins = edges.size - 1
    if counts.shape != (n_bins,) or variances.shape != (n_bins,):
        raise StatisticsError(
            f"{edges.size} edges make {n_bins} bins; got counts {counts.shape} and variances {variances.shape}."
        )
    for name, values in (("counts", counts), ("variances", variances)):
        if (values < 0).any():
            index = int(np.flatnonzero(values < 0)[0])
            raise StatisticsError(
                f"Spectrum.{name} is negative ({values[index]:g}) in bin {index}, {edges[index]:g} to "
                f"{edges[index + 1]:g} GeV: a Poisson likelihood has no answer there. Merge bins until none is."
            )
    if ((counts > 0) & (variances == 0)).any():
        raise StatisticsError("A filled bin has no variance: give the sum of squared weights of every bin.")
