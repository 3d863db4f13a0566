"""How much of what a score tells depends on the class of the background: areas under ROC curves, class by class.

The figure of merit of arXiv:1905.10384 (section 4.2, table 1): each class is a background of its own against the same
signal, and the difference is that between the largest and the smallest area.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ml.errors import TrainingError
from ml.metrics import auc, share_below, variance_of_mean


@dataclass(frozen=True)
class ClassAreas:
    """Areas under the ROC curves of one score, one for each class of the background, and of all classes together.

    Attributes:
        areas: class → (area, statistical uncertainty).
        overall: area and uncertainty for all classes as one background, each counting the same.
        difference: largest minus smallest area, and its uncertainty. It is never negative: for areas that are equal
            it is of the size of its uncertainty.
    """

    areas: Mapping[str, tuple[float, float]]
    overall: tuple[float, float]
    difference: tuple[float, float]


def class_areas(
    signal: np.ndarray,
    background: Mapping[str, np.ndarray],
    *,
    signal_weight: np.ndarray | None = None,
    background_weight: Mapping[str, np.ndarray] | None = None,
) -> ClassAreas:
    """Areas under the ROC curves of scores (n,) of signal against those of every class of the background.

    The signal is the same for all classes, so that its fluctuations cancel in the difference as far as it is at the
    same place in both: the uncertainty is DeLong's for correlated curves (Biometrics 44 (1988) 837).

    Raises:
        TrainingError: fewer than two classes, no events or weights in one of them or in the signal, scores that are not
            finite.
    """
    if len(background) < 2:
        raise TrainingError(f"areas by class need two classes or more: got {list(background)}")
    for name, scores in {"signal": signal, **background}.items():
        if not len(scores) or not np.isfinite(scores).all():
            raise TrainingError(f"{name}: {len(scores)} scores, of which all must be finite, and one at least there")
    weight = np.ones(len(signal)) if signal_weight is None else np.asarray(signal_weight, dtype=np.float64)
    given = background_weight or {name: np.ones(len(scores)) for name, scores in background.items()}
    weights = {name: np.asarray(given[name], dtype=np.float64) for name in background}
    areas = {name: _area(signal, scores, weight, weights[name]) for name, scores in background.items()}
    highest = max(areas, key=lambda name: areas[name][0])
    lowest = min(areas, key=lambda name: areas[name][0])
    above = [share_below(signal, background[name], weights[name]) for name in (highest, lowest)]
    variance = variance_of_mean(above[0] - above[1], weight) + sum(
        variance_of_mean(share_below(background[name], signal, weight), weights[name]) for name in (highest, lowest)
    )
    together = np.concatenate(list(background.values()))
    alike = np.concatenate([one / one.sum() for one in weights.values()])
    whole = _area(signal, together, weight, alike)
    return ClassAreas(
        areas=areas,
        overall=whole,
        difference=(areas[highest][0] - areas[lowest][0], float(np.sqrt(variance))),
    )


def _area(
    signal: np.ndarray, background: np.ndarray, signal_weight: np.ndarray, background_weight: np.ndarray
) -> tuple[float, float]:
    truth = np.repeat([1, 0], [len(signal), len(background)])
    weight = np.concatenate([signal_weight, background_weight])
    found = auc(np.concatenate([signal, background]), truth, weight=weight)
    return found.value, found.uncertainty
