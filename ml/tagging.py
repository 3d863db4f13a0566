"""Tagging: which events are rich in signal or in background by the score of one object; pure functions.

Source: arXiv:2002.12376, sections 2 and 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.errors import TrainingError
from ml.selection import fold_quantiles

RICH, POOR, NEITHER = 1, 0, -1


@dataclass(frozen=True)
class Split:
    """Which events train which copy of the classifiers of an iteration, and which copy may tag them.

    `disjoint`: every iteration, the weak classifiers' among them, has events of its own and one copy. `folds`: copy i
    of every iteration trains on the events of all parts but i, and tags those of part i, which it never trained on.

    Attributes:
        part: (n_events,) part of each event.
        parts: how many there are.
        folds: whether parts are folds.
    """

    part: np.ndarray
    parts: int
    folds: bool

    @property
    def copies(self) -> int:
        """Classifiers per object and iteration."""
        return self.parts if self.folds else 1

    @property
    def tagged_by(self) -> np.ndarray:
        """(n_events,) the copy of the previous iteration that tags each event."""
        return self.part if self.folds else np.zeros(len(self.part), dtype=np.int64)

    def training(self, iteration: int, copy: int) -> np.ndarray:
        """Rows of the events that a copy trains on."""
        return np.flatnonzero(self.part != copy if self.folds else self.part == iteration)


def parts_of(event_id: np.ndarray, parts: int, *, salt: int) -> np.ndarray:
    """Part of each event, (n_events,) int from 0 to `parts` − 1, by a hash of its identifier and `salt`.

    It does not depend on the other events nor on how folds were made of the same identifiers: those who cross-fit leave
    out `fold % k`, which must not empty a part.

    Raises:
        TrainingError: identifiers that are not integers.
    """
    event_id = np.asarray(event_id)
    if event_id.dtype.kind not in "iu":
        raise TrainingError(f"'event_id' holds {event_id.dtype}: events are shared out by an integer identifier")
    # SplitMix64's finaliser (Steele, Lea, Flood 2014): every input bit moves every output bit; it wraps around
    z = event_id.astype(np.uint64) + np.uint64(salt % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return ((z ^ (z >> np.uint64(31))) % np.uint64(parts)).astype(np.int64)


def ranks(scores: np.ndarray, groups: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Share (n_events,) of the weight of an event's group that scores lower, equal scores counted half.

    Scores of different groups (copies of a classifier) are not comparable, their ranks are.
    """
    return fold_quantiles(scores, groups, reference=scores, reference_fold=groups, weight=weight)


def tag(
    rank: np.ndarray, *, signal_fraction: float, background_fraction: float, eligible: np.ndarray | None = None
) -> np.ndarray:
    """RICH, POOR or NEITHER for each event, (n_events,) int, from the rank of its tagging score.

    Args:
        rank: (n_events,) from `ranks`.
        signal_fraction: share of all events, those of highest score, that may be rich in signal.
        background_fraction: share of all events, those of lowest score, that are rich in background.
        eligible: (n_events,) bool: events that may be rich in signal (those in the mass window); None for all. The
            background-rich sample has no such cut, so that it populates the window, too.
    """
    rich = rank > 1 - signal_fraction
    if eligible is not None:
        rich &= eligible
    return np.where(rich, RICH, np.where(rank <= background_fraction, POOR, NEITHER))


def soft_labels(
    rank: np.ndarray, tags: np.ndarray, *, signal_fraction: float, background_fraction: float
) -> np.ndarray:
    """Labels (n_events,) between 0 and 1 in place of `tags` (footnote 4): ½ at either threshold.

    They rise linearly with the rank to 1 for the event of the highest score, and fall to 0 for that of the lowest.
    """
    rich = 0.5 + 0.5 * (rank - (1 - signal_fraction)) / signal_fraction
    poor = 0.5 * rank / background_fraction
    return np.clip(np.where(tags == RICH, rich, poor), 0.0, 1.0)


def pt_weights(
    pt: np.ndarray, tags: np.ndarray, weight: np.ndarray, *, bins: int = 20, clip: float = 10.0
) -> np.ndarray:
    """Factors (n_events,) that give background-rich objects the pT distribution of signal-rich ones; 1 for the others.

    The ratio of both distributions in `bins` bins of equal signal-rich weight, within 1/`clip` and `clip`. The
    classifier that is trained with it learns no more than that from the difference in pT, so that it sculpts the
    resonance mass less.

    Args:
        pt: (n_events,) of the objects that train.
        tags: (n_events,) RICH, POOR or NEITHER.
        weight: (n_events,) event weights.
    """
    rich, poor = tags == RICH, tags == POOR
    inner = np.unique(np.quantile(pt[rich], np.linspace(0, 1, bins + 1)[1:-1])) if rich.any() else np.zeros(0)
    bin_ = np.searchsorted(inner, pt, side="right")
    shares = [np.bincount(bin_[own], weight[own], len(inner) + 1) / weight[own].sum() for own in (rich, poor)]
    ratio = np.divide(shares[0], shares[1], out=np.ones(len(inner) + 1), where=shares[1] > 0)
    return np.where(poor, np.clip(ratio, 1 / clip, clip)[bin_], 1.0)
