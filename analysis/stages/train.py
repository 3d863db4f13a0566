"""Detectors trained on the searched samples, by cross-fitting; their scores; and, where truth is known, their worth."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import DetectorSettings, WindowSettings
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.events import Events, joined
from analysis.files import read_json, write_json
from analysis.stages.searched import Searched, as_sample, searched
from analysis.store import code_key, content_key, library_versions
from ml import CrossFit, Scores, Window, detector_from_settings
from ml.metrics import auc, background_rejection, max_sic, sic_at

logger = logging.getLogger(__name__)

MIN_BACKGROUND = 20  # events behind the largest SIC, see ml.metrics.max_sic


@dataclass(frozen=True)
class Trained:
    """A detector's scores on one sample.

    Attributes:
        name, sample: the detector's and the sample's names.
        score, spread: (n_events,) of the searched sample, out of fold.
        members: (n_events, n_members) or None.
        fold_index: (n_events,) fold of each event.
        spare_score, spare_members: of the signal events that were not injected, or None.
        summary: settings, times, loss histories and, where truth is known, figures of merit.
        key: changes when the scores do.
        folder: where the trained folds are.
    """

    name: str
    sample: str
    score: np.ndarray
    spread: np.ndarray
    members: np.ndarray | None
    fold_index: np.ndarray
    spare_score: np.ndarray | None
    spare_members: np.ndarray | None
    summary: dict[str, Any]
    key: str
    folder: Path | None = None


def train(run: SearchRun) -> dict[tuple[str, str], Trained]:
    """Train every detector of a search on every sample; returns them by (sample, detector)."""
    return {
        (sample, detector): trained(run, sample, detector)
        for sample in run.search.data
        for detector in run.search.detectors
    }


def trained(run: SearchRun, sample: str, detector: str) -> Trained:
    """Return one detector's scores on one sample, training it when that was not done before."""
    return run.once(f"trained {sample} {detector}", lambda: _trained(run, sample, detector))


def _trained(run: SearchRun, sample_name: str, name: str) -> Trained:
    sample, settings = searched(run, sample_name), run.search.detectors[name]
    key = content_key(
        sample.key, settings, run.search.window, run.search.seed, name, code_key("ml", __name__), library_versions()
    )  # fmt: skip
    folder = run.results_store.make(
        f"models/{sample_name}-{name}", key, lambda target: _train(run, sample, name, settings, target), resumable=True
    )
    with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
        values = {field: arrays.get(field) for field in _ARRAYS}
    summary = read_json(folder / "summary.json")
    return Trained(name=name, sample=sample_name, summary=summary, key=key, folder=folder, **values)


_ARRAYS = ("score", "spread", "members", "fold_index", "spare_score", "spare_members")


def _train(run: SearchRun, sample: Searched, name: str, settings: DetectorSettings, folder: Path) -> None:
    def factory() -> Any:
        return detector_from_settings(settings.type, settings.settings)

    detector = factory()
    features = tuple(detector.settings.features)
    everything = sample.events if sample.spare is None else joined(sample.events, sample.spare)
    category = None
    if detector.uses_labels:
        if not sample.truth_known:
            raise ConfigurationError(
                f"The detector {name!r} needs truth labels, but the truth of {sample.name!r} is not known. "
                "Leave it out of `detectors`."
            )
        category = everything["truth"].astype(np.int64)
    whole = as_sample(everything, features, category=category)
    searched_rows = np.arange(len(sample.events))
    training = whole if detector.uses_labels else whole.select(searched_rows)
    seeds = np.random.SeedSequence([run.search.seed, zlib.crc32(name.encode())])
    crossfit = CrossFit(factory, settings.folds, directory=folder)
    logger.info("training %s on %s: %d folds", name, sample.name, settings.folds)
    with run.bar(f"train {name} on {sample.name}") as bar:
        progress = None if bar is None else lambda fraction, _text: bar(round(1000 * fraction), 1000)
        history = crossfit.fit({"data": training}, window=as_window(run.search.window), seeds=seeds, progress=progress)
    scores = crossfit.score(whole)
    _save_scores(folder / "scores.npz", scores, crossfit.index(whole), len(sample.events))
    summary = {
        "type": settings.type,
        "uses_labels": detector.uses_labels,
        "settings": detector.describe()["settings"],
        "folds": settings.folds,
        "members": 1 if scores.members is None else scores.members.shape[1],
        "seconds": round(history.seconds, 2),
        "history": history.to_dict(),
        "measured": measure(everything, scores, run.search.window) if sample.truth_known else {},
    }
    write_json(folder / "summary.json", summary)


def as_window(settings: WindowSettings | None) -> Window | None:
    """Return the window as the detectors take it."""
    if settings is None:
        return None
    return Window(settings.signal, settings.sidebands, settings.validation)


def _save_scores(path: Path, scores: Scores, fold_index: np.ndarray, n_searched: int) -> None:
    arrays = {
        "score": scores.event[:n_searched],
        "spread": scores.spread[:n_searched],
        "fold_index": fold_index[:n_searched],
        "spare_score": scores.event[n_searched:],
    }
    if scores.members is not None:
        arrays |= {"members": scores.members[:n_searched], "spare_members": scores.members[n_searched:]}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def measure(events: Events, scores: Scores, window: WindowSettings | None) -> dict[str, dict[str, Any]]:
    """Return figures of merit against the truth, in the signal window where there is one.

    All signal events count, injected or not: each was scored by a fold that never saw it.
    """
    rows = events.inside(window.signal) if window is not None else np.ones(len(events), dtype=bool)
    truth, weight = events["truth"][rows], events["weight"][rows]
    if not (truth == 1).any() or (truth == 0).sum() < MIN_BACKGROUND:
        return {}
    event = scores.event[rows]
    members = None if scores.members is None else scores.members[rows]
    figures: dict[str, Callable[[], Any]] = {
        "auc": lambda: auc(event, truth, weight=weight, members=members),
        "max_sic": lambda: max_sic(event, truth, weight=weight, members=members, min_background=MIN_BACKGROUND),
        "sic_at_0.5": lambda: sic_at(event, truth, 0.5, weight=weight, members=members),
        "background_rejection_at_0.5": lambda: background_rejection(event, truth, 0.5, weight=weight, members=members),
    }
    return {name: figure().to_dict() for name, figure in figures.items()}
