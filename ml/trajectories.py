"""How the scores of a latent-space autoencoder do while it trains.

Source: arXiv:2103.06595, figure 2. The truth, where it is known, measures the scores and takes no part in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.detector import Progress, child_seed
from ml.errors import TrainingError
from ml.latent_scaling import fit_scaler
from ml.latent_scores import SCORES, Orientation, oriented_sum, scores_of
from ml.latent_settings import LatentVAESettings
from ml.latent_vae import LatentVAE, contrasted, trainer_for
from ml.metrics import auc, background_rejection
from ml.sample import Sample
from ml.training import OptimizerState, Schedule
from ml.variational import Parameters, kl_divergence

LOSSES = ("loss", "kl", "reconstruction")
EFFICIENCY = 0.5  # of the signal, at which background rejection is measured
ORIENTING = 20_000  # training events that tell which end of the latent space is anomalous


@dataclass(frozen=True)
class Trajectory:
    """What every member of an ensemble was worth at points of its training.

    Attributes:
        steps: (n_points,) optimiser steps taken so far.
        losses: name of `LOSSES` → (n_points, members), what is minimised: the mean over the training events during the
            last epoch before the point, with z sampled.
        auc: score → (n_points, members) area under the ROC curve; NaN where a member's posterior had collapsed, so that
            it has no such score. Nothing where no truth was given.
        rejection: score → (n_points, members) background rejection 1/ε_B at ε_S = 0.5, likewise.
        optimizer: its name.
    """

    steps: np.ndarray
    losses: Mapping[str, np.ndarray]
    auc: Mapping[str, np.ndarray]
    rejection: Mapping[str, np.ndarray]
    optimizer: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; NaN becomes None."""
        tables = {name: getattr(self, name) for name in ("losses", "auc", "rejection")}
        listed = {name: {key: _listed(values) for key, values in table.items()} for name, table in tables.items()}
        return {"steps": [int(step) for step in self.steps], **listed, "optimizer": self.optimizer}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Trajectory:
        """The inverse of `to_dict`."""

        def table(name: str) -> dict[str, np.ndarray]:
            return {key: np.array(rows, dtype=np.float64) for key, rows in content[name].items()}

        return cls(
            steps=np.array(content["steps"], dtype=np.int64),
            losses=table("losses"),
            auc=table("auc"),
            rejection=table("rejection"),
            optimizer=str(content["optimizer"]),
        )


def trajectory(
    settings: LatentVAESettings,
    sample: Sample,
    *,
    seeds: np.random.SeedSequence,
    steps: int,
    point: int,
    probe: Sample,
    truth: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    """Train the ensemble that the settings describe and look at it every so many steps; nothing stops it early.

    Member i starts from the same weights as in `ml.latent_vae.LatentVAE.fit` with the same seeds. All events train.

    Args:
        settings: network, α, optimiser, batch; their own `steps`, `point` and stopping rule take no part.
        sample: training events.
        seeds: of all members.
        steps: optimiser steps of each member, in all, rounded to whole points.
        point: steps from one point to the next, rounded to whole epochs (at least one): a pass over the sample.
        probe: (n_probe,) events that figures of merit are measured on, weighted; losses do not see them.
        truth: (n_probe,) 1 signal, 0 background; without it there are no figures of merit.
        progress: called after each point.

    Raises:
        TrainingError: what `LatentVAE.fit` refuses; steps fewer than a point; truth of another length than the probe,
            or of one class only.
    """
    LatentVAE(settings).check({"data": sample}, window=None)
    _check(steps, point, probe, truth)
    run = _Training(settings.resolved, sample, seeds)
    epochs = max(1, round(point / run.steps_per_epoch))
    stretch = epochs * run.steps_per_epoch
    points = max(1, round(steps / stretch))
    x = run.scaler.apply(probe.features(settings.features))
    records = []
    for number in range(points):
        losses = run.train(number, epochs)
        records.append((losses, *run.record(x, np.asarray(probe.weight, np.float64), truth)))
        if progress is not None:
            progress((number + 1) / points, f"{(number + 1) * stretch} of {points * stretch} steps")
    losses, areas, rejections = ({n: np.stack([r[i][n] for r in records]) for n in records[0][i]} for i in range(3))
    optimizer = settings.resolved.optimizer
    assert optimizer is not None
    return Trajectory(np.arange(1, points + 1) * stretch, losses, areas, rejections, optimizer)


class _Training:
    """An ensemble between two points of its training."""

    def __init__(self, settings: LatentVAESettings, sample: Sample, seeds: np.random.SeedSequence) -> None:
        assert settings.optimizer is not None
        assert settings.learning_rate is not None
        self._settings = settings
        x, weight = sample.features(settings.features), np.asarray(sample.weight, np.float64) / np.mean(sample.weight)
        self.scaler = fit_scaler(settings, x, weight)
        self.steps_per_epoch = len(x) // settings.batch_size
        self._data = {"x": self.scaler.apply(x), "weight": weight}
        self._alpha = settings.alpha or contrasted(self._data["x"], weight, contrast=settings.contrast)
        self._rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), ORIENTING)).astype(int))
        target = oriented_sum(x, settings.features, settings.orientation or (), weight=weight)
        self._target = target[self._rows]
        self._seeds = [child_seed(seeds, member) for member in range(settings.members)]
        self._parameters: Parameters = settings.network.initial([child_seed(seed, 0) for seed in self._seeds])
        self._trainer = trainer_for((settings.network, self._alpha, settings.optimizer, settings.learning_rate))
        self._state = OptimizerState()

    def train(self, number: int, epochs: int) -> dict[str, np.ndarray]:
        """Go on for so many epochs; every stretch shuffles and samples anew. Losses (members,) of the last epoch."""
        schedule = Schedule(
            epochs=epochs,
            batch_size=self._settings.batch_size,
            validation_fraction=0.0,
            patience=None,
            restore_best=False,
        )
        seeds = [child_seed(seed, 1, number) for seed in self._seeds]
        self._parameters, history = self._trainer.fit(
            self._parameters, self._data, schedule=schedule, seeds=seeds, state=self._state
        )
        return {name: history.losses[name][-1] for name in LOSSES}

    def record(self, x: np.ndarray, weight: np.ndarray, truth: np.ndarray | None) -> tuple[dict[str, np.ndarray], ...]:
        """Areas and rejections, (members,) each by name, on scaled features x (n_probe, n_features)."""
        if truth is None:
            return {}, {}
        scores = self._scores(self._settings.network.terms(self._parameters, x))
        areas = {n: np.array([_auc(one, truth, weight) for one in scores[n]]) for n in SCORES}
        return areas, {n: np.array([_rejection(one, truth, weight) for one in scores[n]]) for n in SCORES}

    def _scores(self, terms: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every score of every member, (members, n_probe); NaN coordinates for members that have none."""
        mean, log_variance = self._settings.network.encode(self._parameters, self._data["x"][self._rows])
        kl, weight = kl_divergence(mean, log_variance), self._data["weight"][self._rows]
        try:
            orientation = Orientation.fit(mean, kl, self._target, weight)
        except TrainingError:  # all collapsed, perhaps only for now: the other scores are still of interest
            orientation = Orientation.unknown(len(mean), mean.shape[2])
        return scores_of(terms, orientation, alpha=self._alpha)


def _check(steps: int, point: int, probe: Sample, truth: np.ndarray | None) -> None:
    """Refuse before the training what could not be measured after it."""
    if not 1 <= point <= steps:
        raise TrainingError(f"a point must be at least 1 step and at most all of them: got {point} of {steps}")
    if not len(probe):
        raise TrainingError("the probe sample has no events: there is nothing to measure the training on")
    if truth is not None:
        auc(np.zeros(len(probe)), truth, weight=probe.weight)  # unequal lengths, or one class only


def _auc(scores: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    return np.nan if np.isnan(scores).all() else auc(scores, truth, weight=weight).value


def _rejection(scores: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    if np.isnan(scores).all():
        return np.nan
    return background_rejection(scores, truth, EFFICIENCY, weight=weight).value


def _listed(values: np.ndarray) -> list[list[float | None]]:
    return [[float(v) if np.isfinite(v) else None for v in row] for row in values]
