"""ROC curves of detectors, and of what they say of each of two objects, where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.plots import RocCurve
from analysis.stages.searched import Searched, window_of
from analysis.stages.train import MIN_BACKGROUND, Trained
from ml.metrics import auc, roc
from ml.selection import fold_quantiles


def detector_label(name: str, summary: Mapping[str, Any]) -> str:
    """Return a detector's name in a legend, with what it is made of unless the name says so.

    >>> detector_label("cwola", {"settings": {"classifier": "bdt"}}), detector_label("cwola_networks", {})
    ('cwola, trees', 'cwola_networks')
    >>> detector_label("tnt", {"settings": {"inputs": "images", "classifier": "bdt"}})
    'tnt, images'
    """
    settings = summary.get("settings") or {}
    if settings.get("iterations") == 0:
        return name  # Tag N' Train without training: its classifiers are the weak ones
    if settings.get("inputs") == "images":
        made_of: str | None = "images"  # seen by convolutional networks, whatever the classifier of features
    else:
        made_of = {"bdt": "trees", "mlp": "networks"}.get(settings.get("classifier", ""))
    return name if made_of is None or made_of in name else f"{name}, {made_of}"


def detector_curve(run: SearchRun, sample: Searched, found: Trained) -> RocCurve | None:
    """Return the ROC in the detector's window, or None where truth or one of the classes is missing."""
    judged = _judged(run, sample, found)
    if judged is None:
        return None
    members = _stacked(found.members, found.spare_members)
    repeats = _stacked(found.repeat_scores, found.spare_repeat_scores)
    several = members if repeats is None else repeats
    each = [] if several is None else [roc(column, judged.truth) for column in judged.ranked(several).T]
    area = found.summary["measured"].get("auc")
    return judged.curve(
        found,
        judged.ranked(_all(found.score, found.spare_score)),
        members=[(one.signal, one.background) for one in each],
        repeated=repeats is not None,
        auc=None if area is None else (area["value"], area["uncertainty"]),
    )


def object_curve(run: SearchRun, sample: Searched, found: Trained, k: int) -> RocCurve | None:
    """Return the ROC of a detector's scores of object k (0 or 1) in its window.

    None where truth or one of the classes is missing, and for detectors that score whole events.
    """
    judged = None if found.objects is None else _judged(run, sample, found)
    if judged is None or found.objects is None:
        return None
    spare = None if found.spare_objects is None else found.spare_objects[:, k]
    ranks = judged.ranked(_all(found.objects[:, k], spare))
    area = auc(ranks, judged.truth, weight=judged.weight)
    return judged.curve(found, ranks, auc=(area.value, area.uncertainty))


@dataclass(frozen=True)
class _Judged:
    """The events that a detector is judged on: in its window the searched ones, then signal that was not injected.

    Attributes:
        rows: (n_events,) which of all events, searched and then spare ones, are inside the window.
        truth, fold, weight: (n_inside,) of these.
        own: how many of these are searched events.
    """

    rows: np.ndarray
    truth: np.ndarray
    fold: np.ndarray
    weight: np.ndarray
    own: int

    def ranked(self, values: np.ndarray) -> np.ndarray:
        """Return scores of all events by their quantiles in their fold: see `ml.selection.fold_quantiles`."""
        inside, own = values[self.rows], self.own
        return fold_quantiles(
            inside, self.fold, reference=inside[:own], reference_fold=self.fold[:own], weight=self.weight[:own]
        )

    def curve(self, found: Trained, ranks: np.ndarray, **more: Any) -> RocCurve:
        """Return the curve of scores by their quantiles, (n_inside,).

        Every fold has a threshold of its own, so that no selection is tighter than that of the fold which has the most
        events of one highest score.
        """
        highest = min(float(ranks[self.fold == fold].max()) for fold in np.unique(self.fold))
        curve = roc(np.minimum(ranks, highest), self.truth)
        return RocCurve(
            detector_label(found.name, found.summary),
            curve.signal,
            curve.background,
            int((self.truth == 1).sum()),
            int((self.truth == 0).sum()),
            uses_labels=bool(found.summary["uses_labels"]),
            **more,
        )


def _judged(run: SearchRun, sample: Searched, found: Trained) -> _Judged | None:
    """Return what a detector is judged on, None where truth or one of the classes is missing."""
    if not sample.truth_known:
        return None
    truth, mass, weight = (sample.events[name] for name in ("truth", "mjj", "weight"))
    fold = found.fold_index
    if sample.spare is not None and found.spare_score is not None:
        truth, mass, weight = (
            np.append(values, sample.spare[name])
            for values, name in ((truth, "truth"), (mass, "mjj"), (weight, "weight"))
        )
        fold = np.append(fold, sample.spare["fold"] % found.summary["folds"])
    rows = np.ones(len(mass), dtype=bool)
    window = window_of(run, found.name)
    if window is not None:
        rows = (mass >= window.signal[0]) & (mass < window.signal[1])
    if not (truth[rows] == 1).any() or (truth[rows] == 0).sum() < MIN_BACKGROUND:
        return None
    return _Judged(rows, truth[rows], fold[rows], weight[rows], int(rows[: len(sample.events)].sum()))


def _all(searched: np.ndarray, spare: np.ndarray | None) -> np.ndarray:
    """Return scores of the searched events, then of the signal that was not injected, if any."""
    return searched if spare is None else np.append(searched, spare)


def _stacked(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Return rows of both, the first alone where there is no second."""
    return first if first is None or second is None else np.concatenate([first, second])
