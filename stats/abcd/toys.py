"""Do the estimates close on pseudo-data, with dependent scores and with signal in them?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from stats.abcd.counting import BACKGROUND_LIKE, counting_estimate
from stats.abcd.plane import plane_of, strips
from stats.abcd.regions import estimate, even_strips, extended_regions, plain_regions
from stats.errors import StatisticsError

METHODS = ("counting", "plain", "extended")


@dataclass(frozen=True)
class ToyClosure:
    """One method over many pseudo-data sets.

    Attributes:
        method: "counting" (without its systematic uncertainty), "plain" or "extended" (along the first score).
        ratio: predicted over true background in the signal region, of the sums over all toys.
        ratio_error: its standard deviation.
        pull: mean of (background − predicted) / √(background + σ²).
        pull_error: standard deviation of that mean.
        pull_width: standard deviation of the pulls, 1 where the uncertainties are right.
        toys: pseudo-data sets with an estimate.
        failed: those without one, their control regions being empty.
    """

    method: str
    ratio: float
    ratio_error: float
    pull: float
    pull_error: float
    pull_width: float
    toys: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def toy_closure(
    n_events: int,
    tail: float,
    *,
    toys: int,
    rng: np.random.Generator,
    correlation: float = 0.0,
    n_signal: int = 0,
    signal_shift: float = 2.0,
) -> dict[str, ToyClosure]:
    """Repeat all estimates on pseudo-data; returns what became of each method.

    Background scores are normal with a linear correlation; those of signal are shifted by ``signal_shift`` standard
    deviations, both, and otherwise alike. Signal sits in the control regions as in data: its part in the prediction
    is the contamination that the likelihood form takes off.

    Args:
        n_events: background events of each toy.
        tail: fraction of events above the threshold of each score.
        toys: at least 2.
        correlation: between −1 and 1.
        n_signal: signal events of each toy.

    Raises:
        StatisticsError: for numbers that make no toys, or toys none of which has an estimate.
    """
    if n_events < 1 or toys < 2 or not -1 < correlation < 1 or n_signal < 0:
        raise StatisticsError(
            f"Toys need events, two repetitions or more, and a correlation between −1 and 1: got {n_events} events, "
            f"{toys} toys, correlation {correlation:g}, {n_signal} signal events."
        )
    found, even = np.full((len(METHODS), toys, 3), np.nan), even_strips(tail)
    for index in range(toys):
        scores = rng.standard_normal((2, n_events + n_signal))
        scores[1] = correlation * scores[0] + np.sqrt(1.0 - correlation**2) * scores[1]
        scores[:, n_events:] += signal_shift
        found[:, index] = _one(scores, n_events, tail, even)
    return {method: _summary(method, values) for method, values in zip(METHODS, found, strict=True)}


def _one(scores: np.ndarray, n_background: int, tail: float, even: tuple[float, float]) -> np.ndarray:
    """(n_methods, 3): predicted, uncertainty and background in the signal region of one toy."""
    rows = {
        "counting": strips(scores[0], (1.0 - BACKGROUND_LIKE, tail)),
        "extended": strips(scores[0], even),
    }
    columns = strips(scores[1], (1.0 - BACKGROUND_LIKE, tail))
    background = float(((rows["counting"] == 2) & (columns == 2))[:n_background].sum())
    plane = plane_of(rows["counting"], columns, shape=(3, 3), weight=None)
    wide = plane_of(rows["extended"], columns, shape=(3, 3), weight=None)
    result = np.full((len(METHODS), 3), np.nan)
    for index, make in enumerate(
        (
            lambda: counting_estimate(plane, systematic=0.0),
            # as if weighted: without the interval, which takes most of the time
            lambda: estimate(replace(plain_regions(plane), is_counts=False)),
            lambda: estimate(replace(extended_regions(wide), is_counts=False)),
        )
    ):
        try:
            found: Any = make()
        except StatisticsError:
            continue
        result[index] = found.predicted, found.uncertainty, background
    return result


def _summary(method: str, values: np.ndarray) -> ToyClosure:
    valid = values[np.isfinite(values).all(axis=1)]
    predicted, uncertainty, background = valid.T
    if len(valid) < 2 or not background.sum() > 0:
        raise StatisticsError(
            f"Of {len(values)} toys {len(valid)} have a {method} estimate, with {background.sum():g} background events "
            "in the signal region: too few to judge closure. Take more events or a looser selection."
        )
    ratio = float(predicted.sum() / background.sum())
    pulls = (background - predicted) / np.sqrt(background + uncertainty**2)
    return ToyClosure(
        method=method,
        ratio=ratio,
        ratio_error=float(np.std(predicted - ratio * background, ddof=1) * np.sqrt(len(valid)) / background.sum()),
        pull=float(pulls.mean()),
        pull_error=float(pulls.std(ddof=1) / np.sqrt(len(valid))),
        pull_width=float(pulls.std(ddof=1)),
        toys=len(valid),
        failed=len(values) - len(valid),
    )
