"""Events of two objects as two samples, and what rank an object's score has among those it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import logit

from ml.errors import TrainingError
from ml.image_batches import ObjectImages
from ml.sample import Sample

OrderName = Literal["pt", "mass"]
ORDERED_BY: dict[OrderName, str] = {"pt": "pt", "mass": "m"}
OBJECTS = ("first", "second")
"""Names of the two objects of an event."""
CERTAIN = 1e-7  # outputs nearer to 0 or 1 are taken for this
CombinationName = Literal["both", "odds"]


def jet_names(names: Sequence[str]) -> tuple[str, ...]:
    """Columns of an object: "m" is "jet_m"."""
    return tuple(f"jet_{name}" for name in names)


def event_names(names: Sequence[str]) -> tuple[str, ...]:
    """Columns of an event that hold the named quantities of both jets: "m" is in "j1_m" and "j2_m"."""
    return tuple(f"{jet}_{name}" for jet in ("j1", "j2") for name in names)


def objects_of(
    sample: Sample, names: Sequence[str], *, order: OrderName, images: bool = False
) -> tuple[Sample, Sample]:
    """The two jets of every event, the one of larger transverse momentum (or mass) first, event by event.

    Args:
        sample: events with the columns `event_names(names)`; equal jets stay as they are.
        names: quantities of each jet, among them the one that orders: "pt" or "m".
        order: what orders.
        images: whether the objects have images, those of the event in their order, where the sample has any.

    Returns:
        Two samples of as many rows, in the order of the events, with the columns `jet_names(names)`, without category.

    Raises:
        TrainingError: a column that is missing or not finite.
    """
    key = ORDERED_BY[order]
    if key not in names:
        raise TrainingError(f"objects ordered by {order} need {key!r} of each jet: got {list(names)}")
    columns = sample.features(event_names(names))
    jets = columns[:, : len(names)], columns[:, len(names) :]
    swapped = np.greater(*(own[:, list(names).index(key)] for own in jets[::-1]))
    batch = sample.batch if images else None
    first, second = (
        replace(
            sample,
            columns=dict(zip(jet_names(names), np.where(other[:, None], jets[1], jets[0]).T, strict=True)),
            category=None,
            batch=None if batch is None else ObjectImages(batch, other.astype(np.int8)),
        )
        for other in (swapped, ~swapped)
    )
    return first, second


def joint_score(
    places: Sequence[np.ndarray], outputs: Sequence[np.ndarray], *, combination: CombinationName
) -> np.ndarray:
    """One score of an event, in the shape of the arrays, from its two objects.

    "both" is the lower percentile: events above X have both objects above the percentile X (arXiv:2002.12376, footnote
    5). "odds" is the sum of the logarithms of both classifiers' odds: where the objects of an event are independent in
    signal and in background, its likelihood ratio is the product of theirs, so that an outstanding object makes up for
    an ordinary one.

    Args:
        places: percentiles of the first and of the second objects.
        outputs: of their classifiers, from 0 to 1.
    """
    if combination == "both":
        return np.minimum(*places)
    return np.add(*(logit(np.clip(np.asarray(own, np.float64), CERTAIN, 1 - CERTAIN)) for own in outputs))


@dataclass(frozen=True)
class Percentiles:
    """The share of training objects that score lower, as a table: nothing is refitted on what is scored.

    Between two entries the share is interpolated, beyond the last ones it goes on to 0 and 1 without ever reaching
    them, so that it rises strictly with the score, also above the highest score of the training.

    Attributes:
        scores: (n,) rising.
        levels: (n,) rising, between 0 and 1; objects of equal score count half as lower.
    """

    scores: np.ndarray
    levels: np.ndarray

    LINEAR: ClassVar[int] = 1000  # entries up to the upper 1%, and
    TAIL: ClassVar[int] = 1000  # from there on, evenly in the logarithm of what is above

    @classmethod
    def fit(cls, scores: np.ndarray, weight: np.ndarray) -> Percentiles:
        """Table of scores (n_events,) with event weights (n_events,), none of them negative.

        Raises:
            TrainingError: scores that are not finite, or weights of sum 0.
        """
        scores, weight = np.asarray(scores, np.float64), np.asarray(weight, np.float64)
        if not np.isfinite(scores).all():
            raise TrainingError(f"{int((~np.isfinite(scores)).sum())} scores are not finite: they have no percentile")
        counted = weight > 0
        if not counted.any():
            raise TrainingError("percentiles need events with a positive sum of weights")
        distinct, place = np.unique(scores[counted], return_inverse=True)
        own = np.bincount(place, weights=weight[counted])
        levels = (np.cumsum(own) - own / 2) / own.sum()
        if len(distinct) > cls.LINEAR + cls.TAIL:
            above = np.concatenate([np.linspace(1, 0.01, cls.LINEAR), np.geomspace(0.01, 1 - levels[-1], cls.TAIL)])
            chosen = np.unique([0, *np.searchsorted(levels, 1 - above).clip(max=len(levels) - 1), len(levels) - 1])
            distinct, levels = distinct[chosen], levels[chosen]
        return cls(scores=distinct, levels=levels)

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Percentiles (n_events,) float64, above 0 and below 1, of scores (n_events,)."""
        scores = np.asarray(scores, np.float64)
        within = np.interp(scores, self.scores, self.levels)
        low, high = self.scores[0], self.scores[-1]
        middle = float(np.interp(0.5, self.levels, self.scores))
        # logarithms fall so slowly that no distance is lost to rounding
        below = self.levels[0] / (1 + np.log1p(np.maximum(low - scores, 0) / (middle - low or 1.0)))
        above = (1 - self.levels[-1]) / (1 + np.log1p(np.maximum(scores - high, 0) / (high - middle or 1.0)))
        return np.where(scores < low, below, np.where(scores > high, 1 - above, within))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"scores": self.scores.tolist(), "levels": self.levels.tolist()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Percentiles:
        """The inverse of `to_dict`."""
        return cls(scores=np.array(content["scores"]), levels=np.array(content["levels"]))
