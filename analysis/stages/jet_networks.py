"""Networks of a jet-tagging study: checked, trained, and their scores of the jets that they are tested with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.files import read_json, write_json
from analysis.stages.jet_samples import background_jets, detector_of, exposed_jets, sample_of, settings_of, tested_jets
from analysis.stages.process import processed
from analysis.stages.train import run_trainings
from analysis.store import code_key, content_key, library_versions
from analysis.validation import nearest
from ml import Detector, Sample, TrainingError
from ml.jet_scores import SCORES
from ml.jet_vae import JetVAE
from ml.plan import Job
from processors.jet_columns import SINGLE_JET_COLUMNS

PROBABILITY = "probability"  # the score of what is no autoencoder
ROLES = frozenset({"data", "exposure"})
NETWORK = "network"  # the folder of a trained one


@dataclass(frozen=True)
class JetNetwork:
    """A trained network's scores of the jets that it is tested with.

    Attributes:
        name: as in the search file.
        metric: its own score.
        summary: settings, counts and times.
        scores: metric → group (`background`, or the name of a type of jets) → (n_jets, n_members) float32, in the order
            of `analysis.stages.jet_samples.tested_jets`. The network's own metric comes first.
        key: changes when any score does.
        folder: where the network is kept.
    """

    name: str
    metric: str
    summary: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, np.ndarray]]
    key: str
    folder: Path

    def load(self, run: SearchRun) -> Detector:
        """Return the trained network."""
        return type(detector_of(settings_of(run), self.name)).load(self.folder / NETWORK)


def check_jet_networks(search: Search) -> None:
    """Raise ConfigurationError for networks, scores or processing that cannot be, before anything runs."""
    settings = search.jet_tagging
    if settings is None:
        return
    if search.processing.processor != "jet":
        raise ConfigurationError("`jet_tagging` reads single jets, and `processing.processor` is not `jet`: set it.")
    _check_window(search)
    for name in settings.networks:
        _check_network(search, name, detector_of(settings, name))
    for name in settings.examined.networks if settings.examined else ():
        if settings.networks[name].type != "jet_vae":
            raise ConfigurationError(
                f"`jet_tagging.examined.networks: {name}` is of type {settings.networks[name].type!r}, which neither "
                "reconstructs nor generates jets: name networks of type jet_vae."
            )


def metric_of(detector: Detector) -> str:
    """Return what a network's own score is called."""
    return detector.settings.chosen_score if isinstance(detector, JetVAE) else PROBABILITY


def jet_networks(run: SearchRun) -> dict[str, JetNetwork]:
    """Train every network that the search asks for; returns them by name."""
    settings = run.search.jet_tagging
    return {} if settings is None else {name: jet_network(run, name) for name in settings.networks}


def jet_network(run: SearchRun, name: str) -> JetNetwork:
    """Return one network's scores, training it when that was not done before."""
    found: JetNetwork = run.once(f"jet network {name}", lambda: _trained(run, name))
    return found


def _check_window(search: Search) -> None:
    settings, jet = search.jet_tagging, search.processing.jet
    assert settings is not None
    low, high = settings.test_pt
    if low < jet.min_jet_pt or (jet.max_jet_pt is not None and high > jet.max_jet_pt):
        upper = "" if jet.max_jet_pt is None else f" and below {jet.max_jet_pt:g}"
        raise ConfigurationError(
            f"`jet_tagging.test_pt: [{low:g}, {high:g}]` goes beyond the jets that `processing.jet` keeps (above "
            f"{jet.min_jet_pt:g}{upper} GeV): widen those, or narrow the window."
        )


def _check_network(search: Search, name: str, detector: Detector) -> None:
    settings, key = search.jet_tagging, f"jet_tagging.networks.{name}"
    assert settings is not None
    beyond = detector.roles - ROLES
    if beyond or detector.needs_images is not None:
        raise ConfigurationError(
            f"`{key}.type: {settings.networks[name].type}` trains on {', '.join(sorted(beyond)) or 'images'}, which "
            "single jets do not have here: take jet_vae, jet_classifier, or a detector that trains on data alone."
        )
    if "exposure" in detector.roles and settings.exposure is None:
        raise ConfigurationError(f"`{key}` is shown outliers, and there are none: add `jet_tagging.exposure: DATASET`.")
    for column in detector.settings.columns:
        if column not in SINGLE_JET_COLUMNS:
            raise ConfigurationError(
                f"`{key}` asks for the column {column!r}, which single jets do not have"
                f"{nearest(column, list(SINGLE_JET_COLUMNS))}"
            )
    wanted = detector.needs_constituents
    if wanted is not None and (wanted.jets != ("j1",) or search.processing.constituents < wanted.count):
        raise ConfigurationError(
            f"`{key}` learns from the {wanted.count} hardest constituents of {', '.join(wanted.jets)}, and the search "
            f"keeps {search.processing.constituents or 'none'} of j1: add "
            f"`processing: {{constituents: {wanted.count}}}`, and let its `jets` be [j1]."
        )
    for metric in settings.networks[name].metrics:
        known = _metrics(detector)
        if metric not in known:
            slow = ": add `emd: true` to its `settings`" if metric == "emd" and isinstance(detector, JetVAE) else ""
            raise ConfigurationError(
                f"`{key}.metrics: {metric}` is no score of this network{slow or nearest(metric, known)}"
            )


def _metrics(detector: Detector) -> list[str]:
    """Return every score that a network has."""
    if not isinstance(detector, JetVAE):
        return [PROBABILITY]
    return [*SCORES, *(["emd"] if detector.settings.computes_emd else [])]


def _trained(run: SearchRun, name: str) -> JetNetwork:
    settings = settings_of(run)
    own = settings.networks[name]
    detector = detector_of(settings, name)
    exposure = [settings.exposure, settings.exposure_events] if "exposure" in detector.roles else None
    key = content_key(
        [processed(run, dataset).key for dataset in settings.datasets], own.model_dump(exclude={"plain"}), name,
        settings.background, settings.background_test, exposure, settings.jets, settings.test_pt, settings.events,
        settings.test_events, settings.background_test_events, run.search.seed, library_versions(),
        code_key("ml", "analysis.constituents", "analysis.stages.searched", "analysis.stages.jet_samples", __name__),
    )  # fmt: skip
    folder = run.results_store.make(f"models/{name}", key, lambda target: _fill(run, name, target), resumable=True)
    scores: dict[str, dict[str, np.ndarray]] = {}
    with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
        for place in arrays.files:
            metric, group = place.split(":", 1)
            scores.setdefault(metric, {})[group] = arrays[place]
    return JetNetwork(name, metric_of(detector), read_json(folder / "summary.json"), scores, key, folder)


def _fill(run: SearchRun, name: str, folder: Path) -> None:
    settings = settings_of(run)
    untrained = detector_of(settings, name)
    samples = _samples(run, untrained)
    try:
        untrained.check(samples, window=None)
    except TrainingError as error:
        raise TrainingError(f"{name} cannot be trained on {settings.background!r}: {error}") from error
    seeds = np.random.SeedSequence([run.search.seed, zlib.crc32(name.encode())])
    job = Job(name=name, detector=untrained, samples=samples, window=None, seeds=seeds, directory=folder / NETWORK)
    (outcome,) = run_trainings(run, [job], f"train {name}")
    detector = outcome.load()
    metrics = dict.fromkeys((metric_of(detector), *settings.networks[name].metrics))
    arrays: dict[str, np.ndarray] = {}
    for group, jets in tested_jets(run).items():
        found = scores_of(detector, sample_of(detector, jets))
        arrays |= {f"{metric}:{group}": found[metric] for metric in metrics}
    np.savez(folder / "scores.npz", **arrays)  # type: ignore[arg-type]
    write_json(
        folder / "summary.json",
        {
            "type": settings.networks[name].type,
            "uses_labels": detector.uses_labels,
            "settings": detector.describe()["settings"],
            "metric": metric_of(detector),
            "members": int(next(iter(arrays.values())).shape[1]),
            "training_events": {role: len(sample) for role, sample in samples.items()},
            "seconds": round(outcome.history.seconds, 2),
            "facts": dict(outcome.history.facts),
            "history": outcome.history.to_dict(),
        },
    )


def _samples(run: SearchRun, detector: Detector) -> dict[str, Sample]:
    samples = {"data": sample_of(detector, background_jets(run))}
    if "exposure" in detector.roles:
        samples["exposure"] = sample_of(detector, exposed_jets(run))
    return samples


def scores_of(detector: Detector, sample: Sample) -> dict[str, np.ndarray]:
    """Return every score of a trained network, (n_jets, n_members) float32 each, by its name."""
    if isinstance(detector, JetVAE):
        return {name: one.T.astype(np.float32) for name, one in detector.member_scores(sample).items()}
    scores = detector.score(sample)
    return {PROBABILITY: scores.event[:, np.newaxis] if scores.members is None else scores.members}
