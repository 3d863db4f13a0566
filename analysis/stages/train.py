"""Detectors trained on the searched samples, by cross-fitting, as one plan of jobs; and their scores."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import DetectorSettings
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.events import Events, joined
from analysis.files import read_json, write_json
from analysis.stages.exposed import exposure_sample
from analysis.stages.inputs import detector_sample
from analysis.stages.measures import MIN_BACKGROUND, measure
from analysis.stages.process import processed
from analysis.stages.score_files import read_scores, save_scores
from analysis.stages.searched import Searched, as_window, searched, window_of
from analysis.stages.simulated import simulation_name, simulation_sample
from analysis.store import code_key, content_key, library_versions
from ml import CrossFit, Detector, History, Sample, Scores, TrainingError, detector_from_settings
from ml.folds import fold_directory
from ml.kept import kept_history
from ml.plan import Job, Outcome, run_jobs

__all__ = ["MIN_BACKGROUND", "Trained", "crossfit_of", "run_trainings", "simulation_name", "train", "trained"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A detector's scores on one sample.

    Attributes:
        name, sample: the detector's and the sample's names.
        score, spread: (n_events,) of the searched sample, out of fold.
        members: (n_events, n_members) or None.
        fold_index: (n_events,) fold of each event.
        objects: (n_events, 2) float32, scores of each of two objects, None for detectors that score whole events.
        spare_score, spare_members, spare_objects: of the signal events that were not injected, or None.
        summary: settings, roles, times, loss histories and, where truth is known, figures of merit.
        key: changes when the scores do.
        folder: where the trained folds are.
        before: whether an earlier run trained it.
        repeat_scores, spare_repeat_scores: (n_events, n_repeats) float32, of independent trainings, of which `score`
            is the first; None where there is one.
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
    before: bool = False
    repeat_scores: np.ndarray | None = None
    spare_repeat_scores: np.ndarray | None = None
    objects: np.ndarray | None = None
    spare_objects: np.ndarray | None = None


def train(run: SearchRun) -> dict[tuple[str, str], Trained]:
    """Train every detector of a search on every sample; returns them by (sample, detector).

    What is not trained yet is one plan: its jobs run side by side where there are workers, and one that fails does not
    stop the others.
    """
    pairs = [(sample, detector) for sample in run.search.data for detector in run.search.detectors]
    with run.options.workers.kept():
        _train_together(run, [pair for pair in pairs if _remembered(*pair) not in run.memory])
        return {pair: trained(run, *pair) for pair in pairs}


def trained(run: SearchRun, sample: str, detector: str) -> Trained:
    """Return one detector's scores on one sample, training it when that was not done before."""
    return run.once(_remembered(sample, detector), lambda: _trained(_Training(run, searched(run, sample), detector)))


def crossfit_of(run: SearchRun, sample: str, detector: str, *, repeat: int = 0) -> CrossFit:
    """Return the trained folds of a detector on a sample; those of the first repeat are loaded once per run."""
    found = trained(run, sample, detector)
    assert found.folder is not None
    folder, settings = _place(found.folder, repeat), run.search.detectors[detector]
    if repeat:
        return CrossFit.load(folder, lambda: _untrained(settings))
    # networks take seconds to load, and several selections, signals and tests ask for the same
    folds: CrossFit = run.once(_folds(sample, detector), lambda: CrossFit.load(folder, lambda: _untrained(settings)))
    return folds


def _remembered(sample: str, detector: str) -> str:
    return f"trained {sample} {detector}"


def _folds(sample: str, detector: str) -> str:
    return f"folds {sample} {detector}"


def _place(folder: Path, repeat: int) -> Path:
    """Return where the folds of one of the independent trainings are, below the folder of all."""
    return folder / f"repeat-{repeat}" if repeat else folder


def _untrained(settings: DetectorSettings) -> Detector:
    return detector_from_settings(settings.type, settings.settings)


@dataclass(frozen=True)
class _Training:
    """One detector on one sample: what decides its scores, and the jobs that make them."""

    run: SearchRun
    sample: Searched
    name: str

    @property
    def settings(self) -> DetectorSettings:
        return self.run.search.detectors[self.name]

    @property
    def artefact(self) -> str:
        return f"models/{self.sample.name}-{self.name}"

    def key(self) -> str:
        """Return what changes when the scores or figures of merit do."""
        simulation, exposure = simulation_name(self.run, self.name), self.settings.exposure
        base = None if self.settings.of is None else replace(self, name=self.settings.of).key()
        return content_key(
            self.sample.key, self.settings.model_dump(exclude={"search", "simulation", "window", "figures"}), base,
            window_of(self.run, self.name), None if simulation is None else processed(self.run, simulation).key,
            None if exposure is None else processed(self.run, exposure).key,
            self.run.search.seed, self.name, library_versions(),
            code_key("ml", "analysis.constituents", "analysis.stages.exposed", "analysis.stages.inputs",
                     "analysis.stages.measures", "analysis.stages.simulated", __name__),
        )  # fmt: skip

    def events(self) -> Events:
        """Return the searched events, then the signal that was not injected."""
        spare = self.sample.spare
        return self.sample.events if spare is None else joined(self.sample.events, spare)

    def everything(self, events: Events, *, labels: bool = False) -> Sample:
        """Return events as the detector sees them; only references see labels."""
        category = events["truth"].astype(np.int64) if labels else None
        return detector_sample(events, self.settings, category=category)

    def roles(self) -> dict[str, Sample]:
        """Return what the detector trains on. References train on all events that will be scored, out of fold."""
        labels = _untrained(self.settings).uses_labels
        if labels and not self.sample.truth_known:
            raise ConfigurationError(
                f"The detector {self.name!r} needs truth labels, but the truth of {self.sample.name!r} is not known. "
                "Leave it out of `detectors`."
            )
        data = self.everything(self.events() if labels else self.sample.events, labels=labels)
        beside = {
            "simulation": simulation_sample(self.run, self.name),
            "exposure": exposure_sample(self.run, self.name),
        }
        return {"data": data, **{role: sample for role, sample in beside.items() if sample is not None}}

    def check(self, samples: Mapping[str, Sample]) -> None:
        """Raise TrainingError, with the names of detector and data sets, for samples that cannot be trained on."""
        try:
            folds = CrossFit(lambda: _untrained(self.settings), self.settings.folds)
            folds.check(samples, window=as_window(window_of(self.run, self.name)))
        except TrainingError as error:
            simulation = simulation_name(self.run, self.name)
            beside = "" if simulation is None else f" with the simulation {simulation!r}"
            raise TrainingError(f"{self.name} cannot be trained on {self.sample.name!r}{beside}: {error}") from error

    def crossfit(self, folder: Path, repeat: int) -> CrossFit:
        """Return the untrained folds of one of the independent trainings, kept below `folder`."""
        return CrossFit(lambda: _untrained(self.settings), self.settings.folds, directory=_place(folder, repeat))

    def jobs(self, folder: Path) -> list[Job]:
        """Return the trainings of all folds of all repeats, repeat after repeat."""
        samples, window = self.roles(), as_window(window_of(self.run, self.name))
        self.check(samples)
        entropy = [self.run.search.seed, zlib.crc32(self.name.encode())]
        what = f"{self.name} on {self.sample.name}"
        return [
            job
            for repeat in range(self.settings.repeats)
            for job in self.crossfit(folder, repeat).jobs(
                samples,
                window=window,
                seeds=np.random.SeedSequence([*entropy, repeat] if repeat else entropy),
                name=f"{what}, repeat {repeat}" if repeat else what,
            )
        ]

    def remember(self, outcomes: Sequence[Outcome]) -> None:
        """Keep what a common plan trained, so that its samples are not hashed again; not the samples themselves."""
        slim = [replace(outcome, job=replace(outcome.job, samples={})) for outcome in outcomes]
        self.run.memory[f"outcomes {self.artefact}"] = slim

    def remembered(self) -> list[Outcome] | None:
        """Return what a common plan trained, None where it did not or where another run has removed it since."""
        outcomes: list[Outcome] | None = self.run.memory.pop(f"outcomes {self.artefact}", None)
        kept = outcomes is not None and all(one.job.directory and one.job.directory.is_dir() for one in outcomes)
        return outcomes if kept else None


def _train_together(run: SearchRun, pairs: Sequence[tuple[str, str]]) -> None:
    """Run the jobs of all detectors whose scores are not there yet, but for those that are made from another's."""
    trainings = [
        _Training(run, searched(run, sample), detector)
        for sample, detector in pairs
        if run.search.detectors[detector].of is None
    ]
    missing = [one for one in trainings if run.results_store.find(one.artefact, one.key()) is None]
    with ExitStack() as stack:
        folders = [stack.enter_context(run.results_store.unfinished(one.artefact, one.key())) for one in missing]
        plans = [(one, one.jobs(folder)) for one, folder in zip(missing, folders, strict=True) if folder is not None]
        jobs = [job for _, own in plans for job in own]
        if jobs:
            logger.info("training %d detectors on samples: %d jobs", len(plans), len(jobs))
            outcomes = iter(run_trainings(run, jobs, "train"))
            for one, own in plans:
                one.remember([next(outcomes) for _ in own])


def run_trainings(run: SearchRun, jobs: Sequence[Job], label: str) -> list[Outcome]:
    """Run the jobs of one plan where the options say, with a progress bar called `label`."""
    with run.options.workers.training() as executor, run.bar(label) as bar:
        progress = None if bar is None else lambda fraction, text: bar(round(1000 * fraction), 1000, text)
        return run_jobs(jobs, executor=executor, progress=progress)


def _trained(training: _Training) -> Trained:
    key, store = training.key(), training.run.results_store
    before = store.find(training.artefact, key) is not None
    folder = store.make(training.artefact, key, lambda target: _fill(training, target), resumable=True)
    values = read_scores(folder / "scores.npz")
    summary = read_json(folder / "summary.json")
    return Trained(
        name=training.name, sample=training.sample.name, summary=summary, key=key, folder=folder,
        before=before, **values
    )  # fmt: skip


def _fill(training: _Training, folder: Path) -> None:
    run, name, sample = training.run, training.name, training.sample
    events = training.events()
    whole = training.everything(events)
    made = _made if training.settings.of else _jobs_done
    folds = made(training, folder)
    scores = [crossfit.score(whole) for crossfit, _ in folds]
    first = folds[0][0]
    run.memory[_folds(sample.name, name)] = first
    save_scores(folder / "scores.npz", scores, first.index(whole), len(sample.events))
    histories = [history for _, own in folds for history in own]
    write_json(folder / "summary.json", _summary(training, histories, scores, events))


Folds = tuple[CrossFit, list[History]]


def _jobs_done(training: _Training, folder: Path) -> list[Folds]:
    """Return the folds of every repeat that jobs have trained or train now, and their histories."""
    outcomes, folds = training.remembered(), training.settings.folds
    if outcomes is None:
        what = f"train {training.name} on {training.sample.name}"
        outcomes = run_trainings(training.run, training.jobs(folder), what)
    found = []
    for repeat in range(training.settings.repeats):
        mine = outcomes[repeat * folds : (repeat + 1) * folds]
        crossfit = training.crossfit(folder, repeat)
        crossfit.detectors = [outcome.load() for outcome in mine]
        found.append((crossfit, [outcome.history for outcome in mine]))
    return found


def _made(training: _Training, folder: Path) -> list[Folds]:
    """Return the folds of every repeat that are made from another detector's training, kept below `folder`."""
    run, base = training.run, training.settings.of
    assert base is not None
    trained_folder = trained(run, training.sample.name, base).folder
    assert trained_folder is not None
    wanted, settings = _untrained(training.settings).settings, run.search.detectors[base]
    found = []
    for repeat in range(training.settings.repeats):
        place = _place(trained_folder, repeat)
        crossfit = training.crossfit(folder, repeat)
        # read anew: what the run holds in memory was read before its folder had its last name
        whole = CrossFit.load(place, lambda: _untrained(settings))
        crossfit.detectors = [one.variant(wanted) for one in whole.detectors]
        crossfit.save(_place(folder, repeat))
        kept = [kept_history(fold_directory(place, fold)) for fold in range(crossfit.folds)]
        histories = [one.variant_history(own) for one, own in zip(crossfit.detectors, kept, strict=True)]
        found.append((crossfit, histories))
    return found


def _summary(
    training: _Training, histories: Sequence[History], scores: Sequence[Scores], events: Events
) -> dict[str, Any]:
    run, settings, detector = training.run, training.settings, _untrained(training.settings)
    simulation = simulation_name(run, training.name)
    seconds = sum(history.seconds for history in histories)
    parts = {str(fold): history for fold, history in enumerate(histories[: settings.folds])}
    window = window_of(run, training.name)
    return {
        "type": settings.type,
        "of": settings.of,
        "uses_labels": detector.uses_labels,
        "settings": detector.describe()["settings"],
        "roles": {"data": training.sample.name} | ({} if simulation is None else {"simulation": simulation}),
        "folds": settings.folds,
        "repeats": settings.repeats,
        "members": 1 if scores[0].members is None else scores[0].members.shape[1],
        "seconds": round(seconds, 2),
        "history": History(parts=parts, seconds=sum(part.seconds for part in parts.values())).to_dict(),
        "measured": (
            measure(events, scores, window, folds=settings.folds, searched=len(training.sample.events))
            if training.sample.truth_known
            else {}
        ),
    }
