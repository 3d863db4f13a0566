"""Histograms that chunks fill on their own and that merge to the same bits in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boost_histogram as bh
import hist
import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.exact import exact_sums, to_floats


@dataclass(frozen=True)
class AxisSpec:
    """Binning of one variable: ``bins`` equal bins from ``start`` to ``stop``, or variable ``edges``.

    ``label`` is the axis title with its unit, in the notation of matplotlib. Raises InputError for a binning that
    is not increasing or is given both ways.
    """

    bins: int | None = None
    start: float | None = None
    stop: float | None = None
    edges: tuple[float, ...] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        regular = (self.bins, self.start, self.stop)
        if self.edges is not None:
            object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))
            if any(value is not None for value in regular):
                raise InputError(f"give either edges or bins, start and stop, not both: {self}.")
            if len(self.edges) < 2 or not np.all(np.diff(self.edges) > 0):
                raise InputError(f"edges must be at least two increasing numbers, got {list(self.edges)}.")
        elif self.bins is None or self.start is None or self.stop is None:
            raise InputError(f"a binning needs bins, start and stop, or edges, got {self}.")
        elif self.bins < 1 or not self.start < self.stop:
            raise InputError(f"bins must be positive and start below stop, got {self}.")

    def axis(self, name: str) -> Any:
        """The hist axis of this binning, called ``name``."""
        if self.edges is not None:
            return hist.axis.Variable(self.edges, name=name, label=self.label or name)
        assert self.bins is not None
        assert self.start is not None
        assert self.stop is not None
        return hist.axis.Regular(self.bins, self.start, self.stop, name=name, label=self.label or name)

    def index(self, values: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Bin of each value, underflow 0, the first bin 1, overflow (and NaN) last."""
        axis = self.axis("x")
        return np.asarray(axis.index(np.asarray(values, dtype=np.float64)), dtype=np.intp) + 1


DEFAULT_HISTOGRAMS: Mapping[str, AxisSpec] = {
    "mjj": AxisSpec(bins=80, start=1000, stop=9000, label=r"$m_{jj}$ [GeV]"),
    "deta": AxisSpec(bins=50, start=0, stop=5, label=r"$|\Delta\eta_{jj}|$"),
    **{
        f"j{jet}_{name}": AxisSpec(bins=bins, start=0, stop=stop, label=label % jet)
        for jet in (1, 2)
        for name, bins, stop, label in (
            ("pt", 80, 4000, r"$p_\mathrm{T}(j_%d)$ [GeV]"),
            ("m", 60, 1200, r"$m(j_%d)$ [GeV]"),
            ("tau21", 50, 1, r"$\tau_{21}(j_%d)$"),
            ("tau32", 50, 1, r"$\tau_{32}(j_%d)$"),
            ("nconst", 75, 300, r"constituents of $j_%d$"),
        )
    },
    **{f"j{jet}_eta": AxisSpec(bins=50, start=-2.5, stop=2.5, label=rf"$\eta(j_{jet})$") for jet in (1, 2)},
}


class ExactHistogram:
    """Bin contents and variances of one variable as exact sums; adds by ``+`` and ``+=`` in any order."""

    def __init__(self, values: np.ndarray, variances: np.ndarray) -> None:
        self.values = values
        self.variances = variances

    @classmethod
    def filled(cls, spec: AxisSpec, values: npt.ArrayLike, *, weight: npt.ArrayLike) -> ExactHistogram:
        """Histogram of ``values`` with event weights, under- and overflow included."""
        bins = spec.index(values)
        weights = np.asarray(weight, dtype=np.float64)
        n_bins = spec.axis("x").extent
        return cls(exact_sums(weights, bins, n_bins), exact_sums(weights**2, bins, n_bins))

    def __add__(self, other: ExactHistogram) -> ExactHistogram:
        if not isinstance(other, ExactHistogram) or len(other.values) != len(self.values):
            return NotImplemented
        return ExactHistogram(self.values + other.values, self.variances + other.variances)


def build_histogram(name: str, spec: AxisSpec, contents: Mapping[str, Mapping[str, ExactHistogram]]) -> hist.Hist:
    """The hist.Hist (dataset × variation × variable, Weight storage) of merged chunks.

    ``contents`` is {dataset: {variation: ExactHistogram}}; both category axes can grow, so that results of separate
    runs add.
    """
    datasets = sorted(contents)
    variations = _nominal_first({variation for inner in contents.values() for variation in inner})
    histogram = hist.Hist(
        hist.axis.StrCategory(datasets, name="dataset", growth=True),
        hist.axis.StrCategory(variations, name="variation", growth=True),
        spec.axis(name),
        storage=bh.storage.Weight(),
    )
    view: Any = histogram.view(flow=True)
    for dataset, inner in contents.items():
        for variation, content in inner.items():
            place = datasets.index(dataset), variations.index(variation)
            view["value"][place] = to_floats(content.values)
            view["variance"][place] = to_floats(content.variances)
    return histogram


def _nominal_first(names: set[str]) -> Sequence[str]:
    return sorted(names, key=lambda name: (name != "nominal", name))
