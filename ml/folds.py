"""Cross-fitting: every event is scored by models that never saw it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.jobs import without_fold
from ml.plan import Executor, Job, run_jobs
from ml.sample import Sample
from ml.window import Window

T = TypeVar("T")


class CrossFit:
    """k detectors: number i is trained on the events with `fold % k != i` and scores the others.

    Scoring always goes by `fold % k`, whatever the sample. An event that took part in training meets the one detector
    that did not see it; an event that did not (a pure signal sample, more simulation) meets one detector just the same,
    so that efficiencies and thresholds, which belong to a fold, are those of the searched sample.

    Args:
        factory: makes an untrained detector.
        folds: k, at least 2; 1, which trains on all events, only for detectors that are not `cross_fitted`.
        directory: where finished folds are kept, one folder each, written whole or not at all. A fold found there is
            used if settings, seeds, window and training events are the same, so that a training that was killed
            continues with identical results. None keeps nothing.
    """

    def __init__(self, factory: Callable[[], Detector], folds: int = 5, *, directory: Path | None = None) -> None:
        if folds < 1 or (folds == 1 and factory().cross_fitted):
            raise TrainingError(f"cross-fitting needs at least 2 folds: got {folds}")
        self._factory, self.folds = factory, folds
        self._directory = None if directory is None else Path(directory)
        self.detectors: list[Detector] = []

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """Raise TrainingError where no detector could train on all events, or on those without one of the folds."""
        detector = self._factory()
        detector.check(samples, window=window)
        for fold in range(self.folds) if self.folds > 1 else ():
            try:
                detector.check(without_fold(samples, self.folds, fold), window=window)
            except TrainingError as error:
                raise TrainingError(f"without the events of fold {fold} of {self.folds}: {error}") from error

    def jobs(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        name: str = "",
    ) -> list[Job]:
        """The trainings of all folds, for `ml.plan.run_jobs`; fold i draws from the child of `seeds` with key i."""
        return [
            Job(
                name=f"{name}, fold {fold}" if name else f"fold {fold}",
                detector=self._factory(),
                samples=samples,
                window=window,
                seeds=child_seed(seeds, fold),
                fold=(self.folds, fold),
                directory=None if self._directory is None else fold_directory(self._directory, fold),
            )
            for fold in range(self.folds)
        ]

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
        executor: Executor | None = None,
    ) -> History:
        """Train all folds, or take finished ones from `directory`; fold i draws from the child of `seeds` with key i.

        Args:
            samples: by role; of each, the events of the other folds train.
            window: see `Detector.fit`.
            seeds: of all folds.
            progress: called with the finished fraction of all folds.
            executor: workers for the folds, see `ml.plan.run_jobs`; needs a directory. None trains in this process.

        Returns:
            A history with one part per fold, named by its number.

        Raises:
            TrainingError: as the detector's `fit`, with the fold named; other folds are finished and kept.
        """
        started = time.perf_counter()
        report = None if progress is None else _of_folds(progress)
        outcomes = run_jobs(self.jobs(samples, window=window, seeds=seeds), executor=executor, progress=report)
        self.detectors = [outcome.load() for outcome in outcomes]
        parts = {str(fold): outcome.history for fold, outcome in enumerate(outcomes)}
        return History(parts=parts, seconds=time.perf_counter() - started)

    def score(self, sample: Sample) -> Scores:
        """Scores in the order of `sample`, each event by detector number `fold % k`."""
        parts, rows = self._by_fold(sample, lambda detector, part: detector.score(part))
        return _interleave(parts, rows, len(sample))

    def map(
        self, sample: Sample, function: Callable[[Detector, Sample], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Anything that the detectors can say of events, each asked of the one that never saw the event.

        Args:
            sample: (n_events,).
            function: (detector, its part of the sample) → named arrays (n_part, …), the same names for every fold.

        Returns:
            The arrays (n_events, …) in the order of `sample`.

        Raises:
            TrainingError: no events, or arrays of another length than their part or of other names than another fold's.
        """
        parts, rows = self._by_fold(sample, function)
        for part, own in zip(parts, rows, strict=True):
            if set(part) != set(parts[0]):
                raise TrainingError(f"the folds gave different arrays: {sorted(parts[0])} and {sorted(part)}")
            for name, values in part.items():
                if len(values) != len(own):
                    raise TrainingError(f"{name!r} has {len(values)} entries for the {len(own)} events of a fold")
        return {name: _place([np.asarray(part[name]) for part in parts], rows, len(sample)) for name in parts[0]}

    def index(self, sample: Sample) -> np.ndarray:
        """(n_events,) the fold of each event: `fold % k`."""
        return (np.asarray(sample.fold) % self.folds).astype(np.int64)

    def save(self, directory: Path) -> None:
        """Write all folds into `directory`/fold-0, fold-1, …"""
        if not self.detectors:
            raise TrainingError("these folds are not trained: there is nothing to save")
        for fold, detector in enumerate(self.detectors):
            detector.save(fold_directory(Path(directory), fold))

    @classmethod
    def load(cls, directory: Path, factory: Callable[[], Detector]) -> CrossFit:
        """Read the folds that `save`, or `fit` with a directory, left; `factory` tells the class of the detector."""
        found = sorted(Path(directory).glob("fold-*"), key=lambda p: int(p.name.removeprefix("fold-")))
        if [p.name for p in found] != [f"fold-{i}" for i in range(len(found))] or not found:
            raise TrainingError(f"{directory} does not hold a whole set of folds: found {[p.name for p in found]}")
        loaded = cls(factory, len(found))
        kind = type(factory())
        loaded.detectors = [kind.load(path) for path in found]
        return loaded

    def _by_fold(self, sample: Sample, function: Callable[[Detector, Sample], T]) -> tuple[list[T], list[np.ndarray]]:
        """What `function` says for each fold that has events, and the rows of those events."""
        if not self.detectors:
            raise TrainingError("these folds are not trained: call fit or load first")
        if not len(sample):
            raise TrainingError("no events to score")
        index = self.index(sample)
        rows = [np.flatnonzero(index == fold) for fold in range(self.folds)]
        asked = [(detector, own) for detector, own in zip(self.detectors, rows, strict=True) if len(own)]
        return [function(detector, sample.select(own)) for detector, own in asked], [own for _, own in asked]


def fold_directory(directory: Path, fold: int) -> Path:
    """Where a fold is kept below `directory`."""
    return directory / f"fold-{fold}"


def _of_folds(progress: Progress) -> Progress:
    return lambda fraction, text: progress(fraction, f"fold {text}")


def _place(values: Sequence[np.ndarray], rows: Sequence[np.ndarray], events: int) -> np.ndarray:
    """Put the values of the folds back into the order of the events."""
    whole = np.empty((events, *values[0].shape[1:]), values[0].dtype)
    for value, own in zip(values, rows, strict=True):
        whole[own] = value
    return whole


def _interleave(parts: Sequence[Scores], rows: Sequence[np.ndarray], events: int) -> Scores:
    """Put the scores of the folds back into the order of the events."""

    def optional(name: str) -> np.ndarray | None:
        values = [getattr(part, name) for part in parts]
        if any(v is None for v in values) or len({v.shape[1:] for v in values}) > 1:
            return None  # folds that count unequal numbers of members have no member in common
        return _place(values, rows, events)

    extras = {name: _place([p.extras[name] for p in parts], rows, events) for name in parts[0].extras}
    event, spread = (_place([getattr(p, name) for p in parts], rows, events) for name in ("event", "spread"))
    return Scores(event=event, spread=spread, objects=optional("objects"), members=optional("members"), extras=extras)
