"""The counting form of Tag N' Train (arXiv:2002.12376, section 4.1).

The efficiency of each score's selection on background is measured on events that the other score finds
background-like; the product of both efficiencies and the number of events predicts the background after both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.abcd.plane import Plane, plane_of, strips
from stats.abcd.propagation import power_product
from stats.abcd.significance import Significance, excess_significance
from stats.errors import StatisticsError

BACKGROUND_LIKE = 0.4  # of the events, with the lowest score
SYSTEMATIC = 0.03  # relative


@dataclass(frozen=True)
class CountingEstimate:
    """Background in the signal region from the efficiencies of two scores.

    Attributes:
        predicted: events.
        statistical: its standard deviation from the counts, events in both efficiencies' samples counted once.
        systematic: relative, added in quadrature.
        observed: events in the signal region.
        efficiencies: (first, second) measured on background-like events.
        efficiency_errors: their binomial standard deviations.
        total: events before any selection.
        significance: of ``observed`` over ``predicted`` ± ``uncertainty``.
    """

    predicted: float
    statistical: float
    systematic: float
    observed: float
    efficiencies: tuple[float, float]
    efficiency_errors: tuple[float, float]
    total: float
    significance: Significance

    @property
    def uncertainty(self) -> float:
        """Statistical ⊕ systematic standard deviation in events."""
        return float(np.hypot(self.statistical, self.systematic * self.predicted))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as in ``results.json``."""
        return {
            "predicted": self.predicted,
            "uncertainty": self.uncertainty,
            "statistical": self.statistical,
            "systematic": self.systematic,
            "observed": self.observed,
            "efficiencies": list(self.efficiencies),
            "efficiency_errors": list(self.efficiency_errors),
            "total": self.total,
            **_named(self.significance),
        }


def _named(significance: Significance) -> Mapping[str, Any]:
    names = {"simple": "z_simple", "p": "p", "z": "z", "expected_simple": "expected_z_simple", "expected": "expected_z"}
    return {names[name]: value for name, value in significance.to_dict().items()}


def tag_n_train(
    first: np.ndarray,
    second: np.ndarray,
    *,
    tail: float,
    background_like: float = BACKGROUND_LIKE,
    systematic: float = SYSTEMATIC,
    fold: np.ndarray | None = None,
    second_fold: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    truth: np.ndarray | None = None,
) -> CountingEstimate:
    """Estimate the background among events whose two scores both lie above the same percentile.

    Args:
        first, second: (n_events,) scores, larger being more anomalous.
        tail: fraction of events above the threshold of each score, the paper's percentile X; the selection keeps the
            fraction ``tail``² where the scores are independent.
        background_like: fraction of the events with the lowest score on which the other one is measured.
        systematic: relative uncertainty of the prediction, the paper's 3%.
        fold, second_fold: (n_events,); thresholds are set within each fold, then the folds are summed.
        weight: (n_events,) event weights, 1 by default.
        truth: (n_events,) 1 for signal, for the expected significance; not used in the estimate.

    Raises:
        StatisticsError: for scores or fractions that make no sense, and where no background-like event passes.
    """
    if not 0 < tail < 1 - background_like or not 0 < background_like < 1:
        raise StatisticsError(
            f"Selected tails of {tail:g} and a background-like fraction of {background_like:g} of the same events "
            "must both lie above 0 and together below 1."
        )
    tails = (1.0 - background_like, tail)
    weights = np.ones(len(first)) if weight is None else np.asarray(weight, dtype=float)
    rows = strips(first, tails, fold=fold, weight=weight)
    columns = strips(second, tails, fold=fold if second_fold is None else second_fold, weight=weight)
    plane = plane_of(rows, columns, shape=(3, 3), weight=weight)
    signal = None
    if truth is not None:
        signal = float(weights[(rows == 2) & (columns == 2) & (np.asarray(truth) == 1)].sum())
    return counting_estimate(plane, systematic=systematic, signal=signal)


def counting_estimate(plane: Plane, *, systematic: float = SYSTEMATIC, signal: float | None = None) -> CountingEstimate:
    """The same from counts: a plane of three strips per score, background-like, between, and selected.

    With n the counts, rows and columns from background-like (0) to selected (2), the prediction is
    N · (n₂₀ / n.₀) · (n₀₂ / n₀.), and its statistical error follows from independent Poisson cells: n₀₀ is part of
    both denominators, N of everything.

    Args:
        signal: true number of signal events in the signal region, where it is known.
    """
    if plane.counts.shape != (3, 3):
        raise StatisticsError(
            "The counting estimate takes three strips of each score (background-like, between, selected), got "
            f"{plane.counts.shape[0]} and {plane.counts.shape[1]}."
        )
    if not 0 <= systematic < np.inf:
        raise StatisticsError(f"A relative systematic uncertainty is finite and not negative, got {systematic:g}.")
    everything = np.ones((3, 3), dtype=bool)
    ratios = [_efficiency_cells(axis) for axis in (0, 1)]
    factors = [(everything, 1.0), *((passed, 1.0) for passed, _ in ratios), *((sample, -1.0) for _, sample in ratios)]
    _refuse_empty(plane.counts, ratios)
    predicted, statistical = power_product(factors, plane.counts, plane.variances)
    measured = [power_product([(p, 1.0), (s, -1.0)], plane.counts, plane.variances) for p, s in ratios]
    uncertainty = float(np.hypot(statistical, systematic * predicted))
    return CountingEstimate(
        predicted=predicted,
        statistical=statistical,
        systematic=systematic,
        observed=plane.observed,
        efficiencies=(measured[0][0], measured[1][0]),
        efficiency_errors=(measured[0][1], measured[1][1]),
        total=plane.total,
        significance=excess_significance(plane.observed, predicted, uncertainty, signal=signal),
    )


def _efficiency_cells(axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the events that pass one score and of all, both among those background-like in the other."""
    sample = np.zeros((3, 3), dtype=bool)
    sample[:, 0] = True
    passed = sample.copy()
    passed[:2] = False
    return (passed, sample) if axis == 0 else (passed.T, sample.T)


def _refuse_empty(counts: np.ndarray, ratios: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for (passed, sample), name in zip(ratios, ("first", "second"), strict=True):
        if counts[passed].sum() <= 0:
            raise StatisticsError(
                f"None of the {counts[sample].sum():g} background-like events passes the selection on the {name} "
                "score: its efficiency cannot be measured. Take a looser selection, a larger background-like fraction "
                "or more events."
            )
