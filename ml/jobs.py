"""One training as a job: what decides it, whether it is finished on disk, and how it is done."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ml.detector import Detector, History, Progress
from ml.kept import is_kept, keep, kept_history, training_key
from ml.sample import Sample
from ml.window import Window


@dataclass(frozen=True)
class Job:
    """One training: all members of one detector, on one fold of its samples.

    Attributes:
        name: how messages call it.
        detector: untrained; the job trains a copy.
        samples: by role.
        window: what the detector's `fit` takes.
        seeds: of this training alone.
        fold: (k, i): the events with `fold % k != i` train; None for all events.
        directory: where the finished training is kept; None keeps it in memory alone.
    """

    name: str
    detector: Detector
    samples: Mapping[str, Sample]
    window: Window | None
    seeds: np.random.SeedSequence
    fold: tuple[int, int] | None = None
    directory: Path | None = None

    def training(self) -> dict[str, Sample]:
        """The events that train, by role."""
        return dict(self.samples) if self.fold is None else without_fold(self.samples, *self.fold)

    def key(self) -> str:
        """Changes with anything that decides the result."""
        return training_key(self.detector, self.training(), self.window, self.seeds)


@dataclass(frozen=True)
class Outcome:
    """A finished job: how it went, and the trained detector, or where it was saved."""

    job: Job
    history: History
    detector: Detector | None = None

    def load(self) -> Detector:
        """The trained detector, read from disk where the job has a directory."""
        if self.detector is not None:
            return self.detector
        assert self.job.directory is not None
        return type(self.job.detector).load(self.job.directory)


def without_fold(samples: Mapping[str, Sample], folds: int, own: int) -> dict[str, Sample]:
    """The events that train number `own` of `folds` detectors, by role: all of them where there is one."""
    if folds == 1:
        return dict(samples)
    return {role: sample.select(sample.fold % folds != own) for role, sample in samples.items()}


def is_finished(job: Job, key: str | None) -> bool:
    """Whether the job's directory holds a training with this key."""
    return job.directory is not None and key is not None and is_kept(job.directory, key)


def finished(job: Job) -> Outcome:
    """The outcome of a job that is finished on disk."""
    assert job.directory is not None
    return Outcome(job, kept_history(job.directory))


def train(job: Job, key: str | None, progress: Progress | None = None) -> Outcome:
    """Train here; the detector stays in memory only where it has no place on disk."""
    detector = copy.deepcopy(job.detector)
    history = _fit(detector, job, progress)
    if job.directory is None or key is None:
        return Outcome(job, history, detector)
    keep(detector, history, job.directory, key)
    return Outcome(job, history)


def _fit(detector: Detector, job: Job, progress: Progress | None) -> History:
    return detector.fit(job.training(), window=job.window, seeds=job.seeds, progress=progress)
