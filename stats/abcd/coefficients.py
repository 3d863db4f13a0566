"""Correlation coefficients of two scores. They are a remark: closure is the test (`stats.abcd.closure`)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from stats.errors import StatisticsError


@dataclass(frozen=True)
class Correlation:
    """Linear and rank correlation of two scores.

    Attributes:
        pearson: linear coefficient, NaN where a score is constant.
        rank: Pearson's coefficient of the ranks (Spearman's), NaN likewise.
        error: standard deviation of both where the scores are independent, 1/√(n − 1).
        n: events; weighted ones as the number of unweighted ones with the same relative error.
    """

    pearson: float
    rank: float
    error: float
    n: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, None for NaN."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def correlation(
    first: np.ndarray,
    second: np.ndarray,
    *,
    fold: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Correlation:
    """Correlate two scores within each fold, and average over the folds by their events.

    Scores of different folds come from different models: taken together, their offsets would be a correlation.

    Args:
        first, second: (n_events,) scores.
        fold: (n_events,) fold of each event, or whatever else groups events whose scores compare.
        weight: (n_events,) event weights, 1 by default; ranks are those of the events.

    Raises:
        StatisticsError: fewer than two events, or lengths that differ.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    weights = np.ones(len(first)) if weight is None else np.asarray(weight, dtype=float)
    if len(first) < 2 or not len(first) == len(second) == len(weights):
        raise StatisticsError(
            f"A correlation takes two scores of the same events, two or more: got {len(first)} and {len(second)} "
            f"scores and {len(weights)} weights."
        )
    groups = np.zeros(len(first), dtype=int) if fold is None else np.asarray(fold)
    rows = [mask for one in np.unique(groups) if (mask := groups == one).sum() > 1]
    shares = [effective(weights[mask], int(mask.sum())) for mask in rows]
    found = [
        (
            pearson(first[mask], second[mask], weights[mask]),
            pearson(rankdata(first[mask]), rankdata(second[mask]), weights[mask]),
        )
        for mask in rows
    ]
    n = float(np.sum(shares))
    linear, rank = np.average(found, axis=0, weights=shares) if rows else (float("nan"), float("nan"))
    return Correlation(float(linear), float(rank), pearson_error(n), n)


def effective(weight: np.ndarray | None, n_events: int) -> float:
    """Number of unweighted events whose sum has the same relative error, (Σw)²/Σw²; ``n_events`` without weights."""
    if weight is None:
        return float(n_events)
    return float(np.sum(weight) ** 2 / np.sum(np.square(weight)))


def pearson(first: np.ndarray, second: np.ndarray, weight: np.ndarray | None) -> float:
    """Pearson's coefficient of weighted events, NaN where one of the scores is constant."""
    covariance = np.cov(np.stack([first, second]).astype(float), aweights=weight)
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1] / spread) if spread > 0 else float("nan")


def pearson_error(n: float) -> float:
    """Standard deviation of a correlation coefficient of ``n`` events if the scores are independent."""
    return float(1.0 / np.sqrt(max(n - 1.0, 1.0)))
