"""Does the estimate close where there is no signal? Validation regions, and measures of dependence.

Two scores can be uncorrelated and still dependent: jets ordered by mass have a Pearson correlation of 0.02 and an ABCD
prediction of half the truth. So closure is the test, and the correlation coefficient only a remark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import chi2

from stats.abcd.coefficients import effective, pearson, pearson_error
from stats.abcd.plane import Plane
from stats.abcd.regions import estimate, plain_regions
from stats.errors import StatisticsError


@dataclass(frozen=True)
class ClosureCheck:
    """A plain estimate in a validation region, compared with what is there.

    Attributes:
        region: "inside" (neither score in its signal strip), "first" or "second" (beside the signal region: that
            score below its signal strip, the other one in it).
        boundary: index of the strip at which the validation region begins.
        tail: fraction of all events above that boundary, NaN where it is not known.
        predicted, uncertainty, observed: events.
        ratio: observed / predicted; its standard deviation is ``ratio_error``.
        pull: signed root of the likelihood ratio between independence and the counts themselves; with weighted
            events the difference over its standard deviation.
    """

    region: str
    boundary: int
    tail: float
    predicted: float
    uncertainty: float
    observed: float
    ratio: float
    ratio_error: float
    pull: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, None for NaN."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {n: None if isinstance(v, float) and not np.isfinite(v) else v for n, v in values.items()}


def closure_checks(plane: Plane, *, tails: Sequence[float] | None = None) -> tuple[ClosureCheck, ...]:
    """Plain estimates in validation regions, for every boundary inside the background region.

    Regions "inside" use events that neither score selects, where signal is rarest; those beside the signal region
    test the transfer itself, with more signal in them. Boundaries share events, so that the checks of one kind are
    correlated with each other. A region that an empty one predicts is left out.

    Args:
        plane: as many strips of both scores as there are to be boundaries, and at least three; the last are the
            signal strips.
        tails: fractions above the boundaries, for the record.

    Raises:
        StatisticsError: for a plane with fewer strips, or tails that do not fit it.
    """
    n_first, n_second = plane.counts.shape
    if n_first != n_second or n_first < 3 or (tails is not None and len(tails) != n_first - 1):
        raise StatisticsError(
            "Closure is checked on a plane with the same strips of both scores, three or more, and the tail above "
            f"each boundary: got {n_first} and {n_second} strips and {None if tails is None else len(tails)} tails."
        )
    last = n_first - 1
    found = []
    for boundary in range(1, last):
        tail = float("nan") if tails is None else float(tails[boundary - 1])
        split, selected = [0, boundary], [0, last]
        regions = {
            "inside": _below(plane, first=True, second=True).merged(split, split),
            "first": _below(plane, first=True, second=False).merged(split, selected),
            "second": _below(plane, first=False, second=True).merged(selected, split),
        }
        found += [check for name, part in regions.items() if (check := _check(part, name, boundary, tail)) is not None]
    return tuple(found)


def _below(plane: Plane, *, first: bool, second: bool) -> Plane:
    """The plane without the signal strips of one score or both."""
    rows, columns = slice(None, -1 if first else None), slice(None, -1 if second else None)
    return Plane(plane.counts[rows, columns], plane.variances[rows, columns])


def _check(plane: Plane, region: str, boundary: int, tail: float) -> ClosureCheck | None:
    try:
        # as if weighted: no interval, which takes most of the time, and nothing predicted from an empty region
        found = estimate(replace(plain_regions(plane), is_counts=False))
    except StatisticsError:
        return None
    difference = found.observed - found.predicted
    spread = float(np.sqrt(plane.variances[-1, -1] + found.uncertainty**2))
    pull = float(np.sign(difference) * np.sqrt(_g(plane.counts))) if plane.is_counts else difference / spread
    return ClosureCheck(
        region, boundary, tail, found.predicted, found.uncertainty, found.observed, found.closure,
        found.closure_error, pull,
    )  # fmt: skip


def independent(counts: np.ndarray) -> np.ndarray:
    """Counts expected from the margins of a table if rows and columns were independent."""
    expected: np.ndarray = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / counts.sum()
    return expected


def _g(counts: np.ndarray) -> float:
    """−2 log of the likelihood ratio of independence (G statistic)."""
    filled = counts > 0
    return max(float(2.0 * (counts[filled] * np.log(counts[filled] / independent(counts)[filled])).sum()), 0.0)


@dataclass(frozen=True)
class Dependence:
    """How strongly two scores depend on each other.

    Attributes:
        pearson: linear correlation coefficient of the scores, NaN where only counts were given.
        pearson_error: its standard deviation if they were independent.
        distance_correlation: of the strips' numbers (0 only where they are independent), Székely et al. 2007.
        mutual_information: nats, with the bias (rows − 1)(columns − 1)/2N of a finite sample taken off.
        p: of independence, from 2N times the mutual information (χ²); NaN where strips expect less than one event.
        n: events.
        ratios: (n_first, n_second) counts over those that independence expects: 1 everywhere where all closes.
    """

    pearson: float
    pearson_error: float
    distance_correlation: float
    mutual_information: float
    p: float
    n: float
    ratios: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Plain data, None for NaN."""
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "ratios"}
        numbers = {n: float(v) if np.isfinite(v) else None for n, v in values.items()}
        return {**numbers, "ratios": np.where(np.isfinite(self.ratios), self.ratios, 0.0).tolist()}


def dependence(
    plane: Plane, *, first: np.ndarray | None = None, second: np.ndarray | None = None, weight: np.ndarray | None = None
) -> Dependence:
    """Measure the dependence of two scores on a plane of their strips, and Pearson's coefficient on the scores.

    Args:
        plane: several strips of each score; leave the signal strips out to look where no signal is.
        first, second, weight: (n_events,) scores for Pearson's coefficient.

    Raises:
        StatisticsError: for a plane without events.
    """
    counts = plane.counts[np.ix_(plane.counts.sum(axis=1) > 0, plane.counts.sum(axis=0) > 0)]
    if not counts.size:
        raise StatisticsError("No event lies in the plane of the two scores: there is no dependence to measure.")
    # weighted events count as the number of unweighted ones with the same relative error
    n = float(plane.counts.sum() ** 2 / plane.variances.sum())
    scaled = counts * n / counts.sum()
    ndof, g = (len(counts) - 1) * (counts.shape[1] - 1), _g(scaled)
    valid = ndof > 0 and independent(scaled).min() >= 1.0
    ratios = np.full(plane.counts.shape, np.nan)
    expected = independent(plane.counts)
    np.divide(plane.counts, expected, out=ratios, where=expected > 0)
    return Dependence(
        pearson=float("nan") if first is None or second is None else pearson(first, second, weight),
        pearson_error=float("nan") if first is None else pearson_error(effective(weight, len(first))),
        distance_correlation=_distance_correlation(plane.counts / plane.counts.sum()),
        mutual_information=max((g - ndof) / (2.0 * n), 0.0),
        p=float(chi2.sf(g, ndof)) if valid else float("nan"),
        n=n,
        ratios=ratios,
    )


def _distance_correlation(probability: np.ndarray) -> float:
    """Distance correlation of the row and column numbers of a table of probabilities."""

    def centred(margin: np.ndarray) -> np.ndarray:
        distance = np.abs(np.subtract.outer(np.arange(len(margin)), np.arange(len(margin)))).astype(float)
        mean = distance @ margin
        result: np.ndarray = distance - mean - mean[:, None] + margin @ mean
        return result

    margins = probability.sum(axis=1), probability.sum(axis=0)
    rows, columns = centred(margins[0]), centred(margins[1])
    joint = float(np.sum(probability * (rows @ probability @ columns)))
    own = [float(margin @ (matrix**2) @ margin) for margin, matrix in zip(margins, (rows, columns), strict=True)]
    return float(np.sqrt(max(joint, 0.0) / np.sqrt(own[0] * own[1]))) if min(own) > 0 else float("nan")
