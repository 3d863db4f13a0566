"""Cross-fitting: every event is scored by models that never saw it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.sample import Sample
from ml.window import Window

logger = logging.getLogger(__name__)


class CrossFit:
    """k detectors: number i is trained on the events with `fold % k != i` and scores the others.

    Scoring always goes by `fold % k`, whatever the sample. An event that took part in training meets the one detector
    that did not see it; an event that did not (a pure signal sample, more simulation) meets one detector just the same,
    so that efficiencies and thresholds, which belong to a fold, are those of the searched sample.

    Args:
        factory: makes an untrained detector.
        folds: k, at least 2.
        directory: where finished folds are kept, one folder each, written whole or not at all. A fold found there is
            used if settings, seeds, window and training events are the same, so that a training that was killed
            continues with identical results. None keeps nothing.
    """

    def __init__(self, factory: Callable[[], Detector], folds: int = 5, *, directory: Path | None = None) -> None:
        if folds < 2:
            raise TrainingError(f"cross-fitting needs at least 2 folds: got {folds}")
        self._factory, self.folds = factory, folds
        self._directory = None if directory is None else Path(directory)
        self.detectors: list[Detector] = []

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train all folds, or take finished ones from `directory`; fold i draws from the child of `seeds` with key i.

        Returns:
            A history with one part per fold, named by its number.

        Raises:
            TrainingError: as the detector's `fit`, with the fold named.
        """
        started, parts, detectors = time.perf_counter(), {}, []
        for fold in range(self.folds):
            report = None if progress is None else _share(progress, fold, self.folds)
            detector, parts[str(fold)] = self._one(fold, samples, window, child_seed(seeds, fold), report)
            detectors.append(detector)
            if progress is not None:
                progress((fold + 1) / self.folds, f"fold {fold + 1} of {self.folds} done")
        self.detectors = detectors
        return History(parts=parts, seconds=time.perf_counter() - started)

    def score(self, sample: Sample) -> Scores:
        """Scores in the order of `sample`, each event by detector number `fold % k`."""
        if not self.detectors:
            raise TrainingError("these folds are not trained: call fit or load first")
        index = self.index(sample)
        rows = [np.flatnonzero(index == fold) for fold in range(self.folds)]
        parts = [
            detector.score(sample.select(own)) if len(own) else None
            for detector, own in zip(self.detectors, rows, strict=True)
        ]
        return _interleave(parts, rows, len(sample))

    def index(self, sample: Sample) -> np.ndarray:
        """(n_events,) the fold of each event: `fold % k`."""
        return (np.asarray(sample.fold) % self.folds).astype(np.int64)

    def save(self, directory: Path) -> None:
        """Write all folds into `directory`/fold-0, fold-1, …"""
        if not self.detectors:
            raise TrainingError("these folds are not trained: there is nothing to save")
        for fold, detector in enumerate(self.detectors):
            detector.save(_fold_directory(Path(directory), fold))

    @classmethod
    def load(cls, directory: Path, factory: Callable[[], Detector]) -> CrossFit:
        """Read the folds that `save`, or `fit` with a directory, left; `factory` tells the class of the detector."""
        found = sorted(Path(directory).glob("fold-*"), key=lambda p: int(p.name.removeprefix("fold-")))
        if [p.name for p in found] != [f"fold-{i}" for i in range(len(found))] or len(found) < 2:
            raise TrainingError(f"{directory} does not hold a whole set of folds: found {[p.name for p in found]}")
        loaded = cls(factory, len(found))
        kind = type(factory())
        loaded.detectors = [kind.load(path) for path in found]
        return loaded

    def _one(
        self,
        fold: int,
        samples: Mapping[str, Sample],
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None,
    ) -> tuple[Detector, History]:
        detector = self._factory()
        training = {role: sample.select(self.index(sample) != fold) for role, sample in samples.items()}
        if self._directory is None:
            return detector, _fit_fold(detector, fold, training, window, seeds, progress)
        key = _key(detector, training, window, seeds)
        kept = _fold_directory(self._directory, fold)
        if _finished(kept, key):
            logger.info("fold %d is finished in %s", fold, kept)
            history = History.from_dict(json.loads((kept / "fold.json").read_text())["history"])
            return type(detector).load(kept), history
        history = _fit_fold(detector, fold, training, window, seeds, progress)
        _keep(detector, history, kept, key)
        return detector, history


def _fit_fold(
    detector: Detector,
    fold: int,
    training: Mapping[str, Sample],
    window: Window | None,
    seeds: np.random.SeedSequence,
    progress: Progress | None,
) -> History:
    try:
        return detector.fit(training, window=window, seeds=seeds, progress=progress)
    except TrainingError as error:
        raise TrainingError(f"training fold {fold}: {error}") from error


def _key(
    detector: Detector, training: Mapping[str, Sample], window: Window | None, seeds: np.random.SeedSequence
) -> str:
    """What decides the result of a training, hashed."""
    content = {
        "detector": detector.describe(),
        "window": None if window is None else asdict(window),
        "seeds": [str(seeds.entropy), [int(k) for k in seeds.spawn_key]],
        "samples": {role: s.digest(labels=detector.uses_labels) for role, s in sorted(training.items())},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _fold_directory(directory: Path, fold: int) -> Path:
    return directory / f"fold-{fold}"


def _finished(kept: Path, key: str) -> bool:
    file = kept / "fold.json"
    return file.is_file() and json.loads(file.read_text())["key"] == key


def _keep(detector: Detector, history: History, kept: Path, key: str) -> None:
    """Write a fold beside its place, then rename: a folder with the final name is whole."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    for left_over in kept.parent.glob(f".{kept.name}-*"):
        shutil.rmtree(left_over)
    temporary = Path(tempfile.mkdtemp(prefix=f".{kept.name}-", dir=kept.parent))
    temporary.chmod(0o755)
    detector.save(temporary)
    (temporary / "fold.json").write_text(json.dumps({"key": key, "history": history.to_dict()}))
    if kept.exists():
        (kept / "fold.json").unlink(missing_ok=True)  # first: a removal that is cut short must not look whole
        shutil.rmtree(kept)
    temporary.rename(kept)


def _share(progress: Progress, fold: int, folds: int) -> Progress:
    return lambda fraction, text: progress((fold + fraction) / folds, f"fold {fold + 1} of {folds}: {text}")


def _interleave(parts: list[Scores | None], rows: list[np.ndarray], events: int) -> Scores:
    """Put the scores of the folds back into the order of the events."""
    given = [(p, r) for p, r in zip(parts, rows, strict=True) if p is not None]

    def place(values: list[np.ndarray]) -> np.ndarray:
        whole = np.empty((events, *values[0].shape[1:]), values[0].dtype)
        for value, (_, own) in zip(values, given, strict=True):
            whole[own] = value
        return whole

    def optional(name: str) -> np.ndarray | None:
        values = [getattr(p, name) for p, _ in given]
        return None if any(v is None for v in values) else place(values)

    if not given:
        raise TrainingError("no events to score")
    first = given[0][0]
    extras = {name: place([p.extras[name] for p, _ in given]) for name in first.extras}
    event, spread = place([p.event for p, _ in given]), place([p.spread for p, _ in given])
    return replace(
        first, event=event, spread=spread, objects=optional("objects"), members=optional("members"), extras=extras
    )
