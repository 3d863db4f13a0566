"""Networks that must not tell the classes of their background apart: trained, and scored out of fold."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.events import Events
from analysis.files import read_json, write_json
from analysis.settings import NOMINAL
from analysis.stages.process import processed
from analysis.stages.searched import as_sample
from analysis.stages.smeared import (
    MASS,
    background,
    contaminated,
    detector_of,
    events_of,
    of_all_classes,
    selected_cross_section,
    settings_of,
)
from analysis.stages.train import run_trainings
from analysis.store import code_key, content_key, library_versions
from analysis.validation import nearest
from ml import CrossFit, History, Sample
from ml.plan import Outcome
from processors.ttbar_columns import TTBAR_COLUMNS

logger = logging.getLogger(__name__)

TYPES = ("adversarial_autoencoder", "adversarial_classifier")
SIGNAL = "signal"  # the role, and the group of scores


@dataclass(frozen=True)
class Network:
    """A trained network's scores.

    Attributes:
        name: as in the search file.
        contamination: fraction of its training events that were signal.
        summary: settings, counts and times.
        scores: "smearing/class" or "signal/name" → (n_events, n_members) float32, out of fold, in the order of
            `analysis.stages.smeared.events_of`.
        folds: likewise, (n_events,) fold of each event.
        key: changes when any score does.
    """

    name: str
    contamination: float
    summary: Mapping[str, Any]
    scores: Mapping[str, np.ndarray]
    folds: Mapping[str, np.ndarray]
    key: str

    @property
    def title(self) -> str:
        """The name, with the contamination where there is one."""
        return f"{self.name} with {100 * self.contamination:g}% signal" if self.contamination else self.name


def check_networks(search: Search) -> None:
    """Raise ConfigurationError for networks, columns or processing that cannot be, before anything runs."""
    settings = search.adversarial
    if settings is None:
        return
    if search.processing.processor != "ttbar":
        raise ConfigurationError(
            "`adversarial` reads top pairs, and `processing.processor` is not `ttbar`: set it. (In a search for "
            "dijets, give a detector of type adversarial_autoencoder under `detectors`.)"
        )
    for name, own in settings.networks.items():
        if own.type not in TYPES:
            raise ConfigurationError(
                f"The network {name!r} is of type {own.type!r}: `adversarial.networks` are of type "
                f"{' or '.join(TYPES)}; other detectors stand under `detectors` of a search for bumps."
            )
        for column in detector_of(settings, name).settings.columns:
            if column == MASS:
                raise ConfigurationError(
                    f"The network {name!r} asks for {MASS!r}, the resonance mass: selections by it would carve the "
                    "spectrum that limits are set on. Leave it out."
                )
            if column not in TTBAR_COLUMNS:
                raise ConfigurationError(
                    f"The network {name!r} asks for the column {column!r}, which processed events do not have"
                    f"{nearest(column, list(TTBAR_COLUMNS))}"
                )
    known = {NOMINAL, *search.processing.smearings}
    for smearing, classes in settings.backgrounds.items():
        for name, one in classes.items():
            if one.variation not in known:
                raise ConfigurationError(
                    f"`adversarial.backgrounds.{smearing}.{name}.variation: {one.variation}` is none of "
                    f"`processing.smearings`{nearest(one.variation, sorted(known))}"
                )


def networks(run: SearchRun) -> dict[tuple[str, float], Network]:
    """Train every network that the search asks for, one after the other; returns them by name and contamination."""
    settings = run.search.adversarial
    if settings is None:
        return {}
    asked = [(name, 0.0) for name in settings.networks]
    if settings.contamination is not None:
        name = settings.contamination.network
        asked += [(name, fraction) for fraction in settings.contamination.fractions]
        # hours of training must not end in a lack of signal, or of a cross section
        _ = contaminated(run, settings.trained_with(name), max(settings.contamination.fractions))
    if settings.limits is not None:
        for one in (one for classes in settings.backgrounds.values() for one in classes.values()):
            _ = selected_cross_section(run, one.dataset, one.variation)
    return {one: network(run, *one) for one in asked}


def network(run: SearchRun, name: str, contamination: float = 0.0) -> Network:
    """Return one network's scores, training it when that was not done before."""
    found: Network = run.once(f"network {name} {contamination}", lambda: _trained(run, name, contamination))
    return found


def _trained(run: SearchRun, name: str, contamination: float) -> Network:
    settings = settings_of(run)
    key = content_key(
        [processed(run, dataset).key for dataset in settings.datasets], settings.networks[name].model_dump(), name,
        settings.backgrounds, settings.signal, settings.tested, settings.events, settings.signal_events,
        settings.features, contamination, run.search.seed, library_versions(),
        code_key("ml", "analysis.stages.searched", "analysis.stages.smeared", __name__),
    )  # fmt: skip
    artefact = f"models/{name}" + (f"-contaminated-{contamination:g}" if contamination else "")
    folder = run.results_store.make(
        artefact, key, lambda target: _fill(run, name, contamination, target), resumable=True
    )
    with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
        values = {group: arrays[group] for group in arrays.files}
    scores = {group.removeprefix("score:"): one for group, one in values.items() if group.startswith("score:")}
    folds = {group.removeprefix("fold:"): one for group, one in values.items() if group.startswith("fold:")}
    return Network(name, contamination, read_json(folder / "summary.json"), scores, folds, key)


def _fill(run: SearchRun, name: str, contamination: float, folder: Path) -> None:
    settings = settings_of(run)
    own = settings.networks[name]
    crossfit = CrossFit(lambda: detector_of(settings, name), own.folds, directory=folder / "folds")
    samples = _roles(run, name, contamination)
    what = f"{name} with {contamination:g} signal" if contamination else name
    outcomes = _train(run, crossfit, samples, name, what)
    crossfit.detectors = [outcome.load() for outcome in outcomes]
    columns = crossfit.detectors[0].settings.columns
    arrays: dict[str, np.ndarray] = {}
    for group, events in _scored(run).items():
        sample = as_sample(events, columns, mass=MASS)
        scores = crossfit.score(sample)
        members = scores.event[:, np.newaxis] if scores.members is None else scores.members
        if scores.members is None:
            logger.warning("%s: different numbers of trainings count in its folds; only their mean is measured", what)
        arrays |= {f"score:{group}": members, f"fold:{group}": crossfit.index(sample)}
    np.savez(folder / "scores.npz", **arrays)  # type: ignore[arg-type]
    histories = [outcome.history for outcome in outcomes]
    write_json(
        folder / "summary.json",
        {
            "type": own.type,
            "uses_labels": crossfit.detectors[0].uses_labels,
            "settings": crossfit.detectors[0].describe()["settings"],
            "smearing": settings.trained_with(name),
            "folds": own.folds,
            "members": int(next(iter(arrays.values())).shape[1]),
            "contamination": contamination,
            "opponent": _opponent(histories),
            "training_events": {role: len(sample) for role, sample in samples.items()},
            "seconds": round(sum(history.seconds for history in histories), 2),
            "history": {str(fold): history.to_dict() for fold, history in enumerate(histories)},
        },
    )


def _opponent(histories: Sequence[History]) -> dict[str, Any] | None:
    """Return how the adversaries of all trainings of all folds ended; None for networks without one."""
    if "class_distance" not in histories[0].facts:
        return None
    flags = {name: sum(map(sum, (one.facts[name] for one in histories))) for name in ("blind", "useless", "collapsed")}
    return {
        "accuracy": _mean(np.concatenate([one.facts["accuracy"] for one in histories])),
        "chance": histories[0].facts["chance"],
        "class_distance": _mean(np.concatenate([one.facts["class_distance"] for one in histories])),
        "trainings": sum(len(one.facts["accuracy"]) for one in histories),
        **{name: int(count) for name, count in flags.items()},
    }


def _mean(values: np.ndarray) -> dict[str, float]:
    return {"value": float(np.mean(values)), "uncertainty": float(np.std(values))}


def _roles(run: SearchRun, name: str, contamination: float) -> dict[str, Sample]:
    settings = settings_of(run)
    detector, smearing = detector_of(settings, name), settings.trained_with(name)
    columns = detector.settings.columns
    events, category = (
        contaminated(run, smearing, contamination) if contamination else of_all_classes(background(run, smearing))
    )
    samples = {"data": as_sample(events, columns, category=category, mass=MASS)}
    if detector.uses_labels:
        samples[SIGNAL] = as_sample(events_of(run, settings.signal), columns, mass=MASS)
    return samples


def _train(run: SearchRun, crossfit: CrossFit, samples: Mapping[str, Sample], name: str, what: str) -> list[Outcome]:
    seeds = np.random.SeedSequence([run.search.seed, zlib.crc32(name.encode())])
    crossfit.check(samples, window=None)
    jobs = crossfit.jobs(samples, window=None, seeds=seeds, name=what)
    logger.info("training %s: %d jobs", what, len(jobs))
    return run_trainings(run, jobs, f"train {what}")


def _scored(run: SearchRun) -> dict[str, Events]:
    """Return everything that networks are tested with, by group."""
    settings = settings_of(run)
    found = {
        f"{smearing}/{name}": events
        for smearing in settings.backgrounds
        for name, events in background(run, smearing).items()
    }
    return found | {f"{SIGNAL}/{name}": events_of(run, name) for name in settings.tested}
