"""Iterations of Tag N' Train: what each classifier of an object is trained on, and how stable its scores are."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ml.detector import History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.inputs import tagger_of
from ml.objects import OBJECTS, Percentiles
from ml.preprocessing import balanced_weights
from ml.sample import Sample
from ml.tagging import NEITHER, POOR, RICH, Split, pt_weights, ranks, soft_labels, tag
from ml.tnt_settings import TNTSettings
from ml.window import MIN_EVENTS, Window

logger = logging.getLogger(__name__)


class Scorer(Protocol):
    """A trained classifier of one object: a `Tagger`, an `ImageTagger`, or any `Detector`."""

    def score(self, sample: Sample) -> Scores:
        """Scores of the objects."""

    def save(self, directory: Path) -> None:
        """Write it."""


Copies = list[Scorer]
"""The classifiers of one object in one iteration."""


class Iteration:
    """What one iteration leaves: the classifiers of both objects, and the percentiles of their training scores.

    Args:
        percentiles: of each object.
        copies: of each object's classifier; None where they are read when they are first asked for, as earlier
            iterations rarely are.
        saved: the folder that they are read from then, and saved from as files.
        scorer: reads one copy.
    """

    def __init__(
        self,
        percentiles: Sequence[Percentiles],
        copies: Sequence[Copies] | None = None,
        *,
        saved: Path | None = None,
        scorer: Callable[[Path], Scorer] | None = None,
    ) -> None:
        self.percentiles, self._copies, self._saved, self._scorer = list(percentiles), copies, saved, scorer

    @property
    def copies(self) -> Sequence[Copies]:
        """The copies of each object's classifier."""
        if self._copies is None:
            assert self._saved is not None
            assert self._scorer is not None
            self._copies = [[self._scorer(folder) for folder in numbered(self._saved / name)] for name in OBJECTS]
        return self._copies

    def save(self, directory: Path) -> None:
        """`percentiles.json`, and what the copies save in `first/0`, `first/1`, …, `second/0`, …"""
        if self._copies is None and self._saved is not None:
            for name in OBJECTS:
                shutil.copytree(self._saved / name, directory / name)
        else:
            for name, copies in zip(OBJECTS, self.copies, strict=True):
                for i, copy in enumerate(copies):
                    copy.save(directory / name / str(i))
        tables = {name: table.to_dict() for name, table in zip(OBJECTS, self.percentiles, strict=True)}
        (directory / "percentiles.json").write_text(json.dumps(tables))

    @classmethod
    def load(cls, directory: Path, scorer: Callable[[Path], Scorer]) -> Iteration:
        """Read what `save` wrote; `scorer` reads one copy."""
        tables = json.loads((directory / "percentiles.json").read_text())
        return cls([Percentiles.from_dict(tables[name]) for name in OBJECTS], saved=directory, scorer=scorer)


def numbered(directory: Path) -> list[Path]:
    """The folders in a directory whose names are numbers, in their order."""
    return sorted((path for path in directory.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


@dataclass(frozen=True)
class Iterations:
    """Trains the classifiers of both objects, iteration by iteration.

    Attributes:
        settings: of the detector.
        objects: both objects of the training events.
        split: which events train which classifier.
        window: the signal window, None without a cut on the mass.
        seeds: object k's copy c of iteration i draws from the child with key (i, k, c).
        progress: called with the finished fraction.
    """

    settings: TNTSettings
    objects: tuple[Sample, Sample]
    split: Split
    window: Window | None
    seeds: np.random.SeedSequence
    progress: Progress | None = None

    def run(self) -> tuple[list[Iteration], History]:
        """Train all iterations; the weak classifiers are number 0.

        Returns:
            What each iteration leaves; and a history: a part for each iteration, with one for each object, and two
            label-free figures for each iteration, `rank_correlation` (iterations, 2) of an object's scores with those
            of the iteration before, and `object_correlation` (iterations, 1) of the two objects' scores.
        """
        started = time.perf_counter()
        done: list[Iteration] = []
        parts, previous = {}, None
        stable: dict[str, list[list[float]]] = {"rank_correlation": [], "object_correlation": []}
        for iteration in range(self.settings.iterations + 1):
            trained = [self._train(iteration, k, previous) for k in range(2)]
            models = [copies for copies, _ in trained]
            scores = [_all_scores(copies, own) for copies, own in zip(models, self.objects, strict=True)]
            tags = [self._out_of_copy(own) for own in scores]
            self._note(iteration, tags, previous, stable)
            parts[str(iteration)] = History(parts={name: h for name, (_, h) in zip(OBJECTS, trained, strict=True)})
            previous = tags
            done.append(Iteration(_percentiles(scores, self.objects[0].weight), models))
        figures = {name: np.array(rows) for name, rows in stable.items()}
        return done, History(losses=figures, parts=parts, seconds=time.perf_counter() - started)

    def _train(self, iteration: int, k: int, previous: list[np.ndarray] | None) -> tuple[Copies, History]:
        """The copies of object k's classifier; `previous` are the ranks of both objects' scores an iteration ago.

        Both objects are tagged by what the iteration before has made: by each other's new classifiers they would become
        correlated (footnote 2).
        """
        copies: Copies = []
        parts: dict[str, History] = {}
        for copy in range(self.split.copies):
            rows = self.split.training(iteration, copy)
            seeds, progress = child_seed(self.seeds, iteration, k, copy), self._within(iteration, k, copy)
            own = self.objects[k].select(rows)
            if previous is None:
                weak = self.settings.weak_detector()
                parts[str(copy)] = weak.fit({"data": own}, window=None, seeds=seeds, progress=progress)
                copies.append(weak)
                continue
            by = k if self.settings.tag_with == "same" else 1 - k
            tagger = tagger_of(self.settings.tagger)
            chosen = self._tagged(own, previous[by][rows], self.split.tagged_by[rows], iteration, k)
            parts[str(copy)] = tagger.fit(*chosen, seeds=seeds, progress=progress)
            copies.append(tagger)
        return copies, parts["0"] if len(parts) == 1 else History(parts=parts)

    def _tagged(
        self, own: Sample, scores: np.ndarray, groups: np.ndarray, iteration: int, k: int
    ) -> tuple[Sample, np.ndarray, np.ndarray]:
        """Objects that train, their labels and weights; both classes sum to the same."""
        fractions = self.settings.fractions(iteration)
        rank = ranks(scores, groups, own.weight)
        eligible = None if self.window is None else self.window.in_signal(own.mass)
        tags = tag(rank, **fractions, eligible=eligible)
        what = f"iteration {iteration}, {OBJECTS[k]} object"
        for name, label in (("signal", RICH), ("background", POOR)):
            require_rich(name, int(np.count_nonzero(tags == label)), what=what, mass=eligible is not None)
        weight = np.asarray(own.weight, np.float64)
        if self.settings.pt_reweighting:
            weight = weight * pt_weights(own.columns["jet_pt"], tags, weight)
            poor = weight[tags == POOR]
            effective = poor.sum() ** 2 / (poor**2).sum()
            logger.info("%s: %d background-rich events weighted in pT are worth %.0f", what, len(poor), effective)
        used = tags != NEITHER
        labels = soft_labels(rank, tags, **fractions)[used] if self.settings.soft_labels else tags[used]
        shares, names = {RICH: 0.5, POOR: 0.5}, {RICH: "signal-rich", POOR: "background-rich"}
        return own.select(used), labels, balanced_weights(weight[used], tags[used], shares, names=names)

    def _out_of_copy(self, scores: np.ndarray) -> np.ndarray:
        """(n_events,) of scores (copies, n_events): each event's by the copy that tags it."""
        return scores[self.split.tagged_by, np.arange(scores.shape[1])]

    def _note(
        self,
        iteration: int,
        tags: list[np.ndarray],
        previous: list[np.ndarray] | None,
        stable: Mapping[str, list[list[float]]],
    ) -> None:
        """Note and log how stable both objects' scores are, and how they depend on each other: no label is needed."""
        groups, weight = self.split.tagged_by, self.objects[0].weight
        now = [ranks(own, groups, weight) for own in tags]
        before = [np.nan, np.nan]
        if previous is not None:
            before = [_correlation(ranks(p, groups, weight), n, weight) for p, n in zip(previous, now, strict=True)]
        between = _correlation(now[0], now[1], weight)
        stable["rank_correlation"].append(before)
        stable["object_correlation"].append([between])
        logger.info(
            "iteration %d: rank correlation with the scores before %.3f and %.3f, of both objects' scores %.3f",
            iteration, *before, between,
        )  # fmt: skip

    def _within(self, iteration: int, k: int, copy: int) -> Progress | None:
        progress = self.progress
        if progress is None:
            return None
        done = (2 * iteration + k) * self.split.copies + copy
        total = 2 * (self.settings.iterations + 1) * self.split.copies
        what = f"iteration {iteration}, {OBJECTS[k]} object"
        return lambda fraction, text: progress((done + fraction) / total, f"{what}: {text}")


def require_rich(name: str, events: float, *, what: str, mass: bool) -> None:
    """Raise TrainingError for a sample rich in signal or background of fewer than `MIN_EVENTS` events."""
    if events < MIN_EVENTS:
        cut = " and the signal window" if mass and name == "signal" else ""
        raise TrainingError(
            f"{what}: {events:.0f} events are rich in {name} by tag{cut}, and a classifier learns nothing from fewer "
            f"than {MIN_EVENTS}: use more data, a larger fraction of it"
            + (", a wider window" if cut else "")
            + ", fewer iterations or scheme 'folds'"
        )


def _all_scores(copies: Copies, sample: Sample) -> np.ndarray:
    """(copies, n_events) float64."""
    return np.stack([np.asarray(copy.score(sample).event, np.float64) for copy in copies])


def _percentiles(scores: Sequence[np.ndarray], weight: np.ndarray) -> list[Percentiles]:
    """Of each object's mean over the copies; `scores` are (copies, n_events) of each."""
    return [Percentiles.fit(own.mean(axis=0).astype(np.float32), weight) for own in scores]


def _correlation(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> float:
    """Weighted correlation; NaN where one of them is constant."""
    share = weight / weight.sum()
    a, b = first - share @ first, second - share @ second
    scale = np.sqrt((share @ a**2) * (share @ b**2))
    return float(share @ (a * b) / scale) if scale > 0 else float("nan")
