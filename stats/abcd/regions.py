"""Plain and extended ABCD estimates from the regions of two scores.

Regions are named as usual: A is selected by both scores, B by the second alone, C by the first alone, D by neither.
The extended estimate splits B and D into a strip near the signal region and one far from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri

from stats.abcd.plane import Plane
from stats.abcd.propagation import likelihood_interval, power_product
from stats.abcd.significance import Significance, excess_significance
from stats.errors import StatisticsError

PLAIN = {"B": 1.0, "C": 1.0, "D": -1.0}
EXTENDED = {"C": 1.0, "B": 2.0, "D": -2.0, "D_far": 1.0, "B_far": -1.0}


@dataclass(frozen=True)
class Regions:
    """Events and their variances by region, "A" the signal region."""

    counts: dict[str, float]
    variances: dict[str, float]
    is_counts: bool

    @property
    def powers(self) -> dict[str, float]:
        """The power of each control region in the estimate."""
        return EXTENDED if "B_far" in self.counts else PLAIN


@dataclass(frozen=True)
class RegionEstimate:
    """Background in region A from its control regions.

    Attributes:
        method: "plain" or "extended".
        predicted: events.
        uncertainty: standard deviation from the control regions' counts, first order.
        low, high: one standard deviation interval of the profile likelihood, NaN for weighted events.
        observed: events in A; they are not part of the prediction.
        closure: observed / predicted, NaN for a prediction of 0.
        closure_error: its standard deviation, from both.
        regions: events by region.
    """

    method: str
    predicted: float
    uncertainty: float
    low: float
    high: float
    observed: float
    closure: float
    closure_error: float
    regions: dict[str, float]

    def significance(self, *, systematic: float = 0.0, signal: float | None = None) -> Significance:
        """Significance of the excess, with a relative systematic uncertainty in quadrature."""
        uncertainty = float(np.hypot(self.uncertainty, systematic * self.predicted))
        return excess_significance(self.observed, self.predicted, uncertainty, signal=signal)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, None for NaN."""
        names = ("predicted", "uncertainty", "low", "high", "observed", "closure", "closure_error")
        numbers = {name: value if np.isfinite(value := getattr(self, name)) else None for name in names}
        return {"method": self.method, **numbers, "regions": dict(self.regions)}


def plain_regions(plane: Plane) -> Regions:
    """The four regions: everything below the last strip of each score is one control strip."""
    return _regions(plane.merged([0, len(plane.counts) - 1], [0, plane.counts.shape[1] - 1]))


def extended_regions(plane: Plane, *, axis: int = 0) -> Regions:
    """The six regions: strips far from and near to the signal region along ``axis`` (0: first score)."""
    if plane.counts.shape[axis] != 3:
        raise StatisticsError(
            f"The extended estimate takes three strips along one score (far, near, selected), got "
            f"{plane.counts.shape[axis]}."
        )
    turned = plane if axis == 0 else Plane(plane.counts.T, plane.variances.T)
    return _regions(turned.merged([0, 1, 2], [0, turned.counts.shape[1] - 1]))


def _regions(plane: Plane) -> Regions:
    names = (("D", "B"), ("C", "A")) if len(plane.counts) == 2 else (("D_far", "B_far"), ("D", "B"), ("C", "A"))
    place = {name: (i, j) for i, row in enumerate(names) for j, name in enumerate(row)}
    counts, variances = ({n: float(v[p]) for n, p in place.items()} for v in (plane.counts, plane.variances))
    return Regions(counts, variances, plane.is_counts)


def plain_estimate(plane: Plane) -> RegionEstimate:
    """A = B · C / D, for scores that are independent on background.

    Raises:
        StatisticsError: where D is empty; with weighted events also where B or C is.
    """
    return estimate(plain_regions(plane))


def extended_estimate(plane: Plane, *, axis: int = 0) -> RegionEstimate:
    """A = C · (B/D)² · (D_far / B_far): the ratio of selected to rejected extrapolated along one score.

    Equation 16 of Choi and Oh, "Improved extrapolation methods of data-driven background estimations in high energy
    physics" (Eur. Phys. J. C 81 (2021) 643, arXiv:1906.10831), with five control regions. It is exact where the
    logarithm of the ratio, r(x) = P(second selected | x) / P(second rejected | x), changes by as much from the near
    strip to the signal strip as from the far to the near one; `even_strips` chooses them so.

    Raises:
        StatisticsError: where D or B_far is empty; with weighted events also where any other control region is.
    """
    return estimate(extended_regions(plane, axis=axis))


def estimate(regions: Regions) -> RegionEstimate:
    """The prediction of the control regions, its errors, and how it compares with region A."""
    names = list(regions.powers)
    counts, variances = (np.array([values[n] for n in names]) for values in (regions.counts, regions.variances))
    powers = np.array([regions.powers[n] for n in names])
    low = high = float("nan")
    if regions.is_counts:
        low, high = likelihood_interval(counts, powers)
    if np.any(counts[powers > 0] == 0) and regions.is_counts:
        # a product of 0 has no first-order error: the interval's upper end is what is known
        predicted, uncertainty = 0.0, high
    else:
        masks = [(np.arange(len(names)) == i, power) for i, power in enumerate(powers)]
        predicted, uncertainty = power_product(masks, counts, variances)
    observed = regions.counts["A"]
    closure = observed / predicted if predicted else float("nan")
    error = np.sqrt(regions.variances["A"] + (closure * uncertainty) ** 2) / predicted if predicted else float("nan")
    method = "extended" if regions.powers is EXTENDED else "plain"
    return RegionEstimate(
        method, predicted, uncertainty, low, high, observed, closure, float(error), dict(regions.counts)
    )


def even_strips(efficiency: float) -> tuple[float, float]:
    """Tails of the far, near and signal strips of a score such that the three are evenly spaced.

    The coordinate is the normal score (the quantile of a standard normal at the event's rank): for scores joined by a
    Gaussian copula the logarithm of the ratio is nearly linear in it. Evenly spaced are the strips' means.

    >>> even_strips(0.01)[0] < 0.5
    True

    Raises:
        StatisticsError: for efficiencies (of the signal strip) not between 0 and 0.5.
    """
    if not 0 < efficiency < 0.5:
        raise StatisticsError(
            f"The extended estimate needs two control strips below the selected one: an efficiency between 0 and 0.5, "
            f"got {efficiency:g}."
        )
    edge = float(ndtri(1.0 - efficiency))
    function = partial(_unevenness, efficiency=efficiency)
    # a far strip as small as the selected one is always a solution; the one taken is that with most events far away
    top = minimize_scalar(lambda cut: -function(cut), bounds=(-edge, edge), method="bounded")
    if -top.fun <= 1e-9:
        return 1.0 - efficiency, efficiency
    return float(ndtr(-brentq(function, float(top.x), edge - 1e-3))), efficiency


def _unevenness(cut: float, *, efficiency: float) -> float:
    """Distance signal–near minus near–far, in normal scores, of strips divided at ``cut``."""
    edge = ndtri(1.0 - efficiency)
    density = np.exp(-0.5 * np.array([cut, edge]) ** 2) / np.sqrt(2.0 * np.pi)
    far = -density[0] / ndtr(cut)
    near = (density[0] - density[1]) / (ndtr(edge) - ndtr(cut))
    return float(density[1] / efficiency - 2.0 * near + far)
