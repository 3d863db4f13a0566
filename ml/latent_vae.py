"""Latent-space autoencoder: an ensemble of variational autoencoders with a one-dimensional latent space.

Source: arXiv:2103.06595, sections III and IV. No label takes part: not in training, stopping or the sign of the score.
"""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.labelled import require_columns
from ml.latent_scaling import Scaler, fit_scaler, scaler_from_dict
from ml.latent_scores import ORIENTED, SCORES, Orientation, oriented_sum, scores_of
from ml.latent_settings import LatentVAESettings
from ml.optimizers import make_optimizer
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.stopping import EarlyStopping, PeakStopping, StoppingRule
from ml.training import Schedule, Trainer
from ml.variational import (
    Parameters,
    VariationalNetwork,
    evidence_lower_bound,
    kl_divergence,
)
from ml.window import Window

logger = logging.getLogger(__name__)

ALIGNED = 0.5  # correlation with the oriented features below which a member's coordinate is doubted
BLOCK = 50_000  # events scored at a time: what every member says of them is held in memory


class LatentVAE(Detector):
    """Trains on all events it is given, whatever their mass, and scores each by what the ensemble makes of it.

    `Scores.extras` holds every score of `ml.latent_scores.SCORES`, averaged over the members, and as `…_spread` its
    standard deviation over them. A member whose posterior collapsed has no direction: it takes no part in what needs
    one, nor in `Scores.members` then. NaN is what needs a direction that neither features nor any member give.
    """

    windowed = False
    cross_fitted = False
    settings: LatentVAESettings

    def __init__(self, settings: LatentVAESettings | None = None) -> None:
        self.settings = settings or LatentVAESettings()
        self._parameters: Parameters = {}
        self._scaler: Scaler | None = None
        self._orientation: Orientation | None = None
        self._alpha = 0.0

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also features that are missing, constant, NaN or without direction, too few events."""
        super().check(samples, window=window)
        require_columns({"data": samples["data"]}, self.settings.columns)
        if self.settings.resolved.score in ORIENTED:
            _ = self._target(samples["data"].features(self.settings.features), np.asarray(samples["data"].weight))
        self._steps_per_epoch(len(samples["data"]))

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """See `Detector.fit`; `window` takes no part. Member i draws from the child of `seeds` with key i."""
        self.check(samples, window=window)
        data, settings = samples["data"], self.settings.resolved
        x = data.features(settings.features)
        weight = np.asarray(data.weight, np.float64) / np.mean(data.weight)
        self._scaler = fit_scaler(settings, x, weight)
        members = [child_seed(seeds, member) for member in range(settings.members)]
        scaled = self._scaler.apply(x)
        self._alpha = settings.alpha or contrasted(scaled, weight, contrast=settings.contrast)
        self._parameters, history = trainer_for(self._key()).fit(
            settings.network.initial([child_seed(seed, 0) for seed in members]),
            {"x": scaled, "weight": weight, "draws": _draws(seeds, (len(x), settings.latent))},
            schedule=self._schedule(len(data)),
            seeds=[child_seed(seed, 1) for seed in members],
            stopping=lambda count: self._rule(count, len(data)),
            progress=progress,
        )
        self._orient(scaled, x, weight)
        return self._with_facts(history, len(data))

    def score(self, sample: Sample) -> Scores:
        """Mean over members of the score that the settings name; see `Detector.score`.

        Raises:
            TrainingError: also a score that needs a direction, which no member has.
        """
        score, orientation = self.settings.resolved.score, self.orientation
        assert score is not None
        counted = orientation.counted(score)
        if not counted.any():
            raise TrainingError(
                f"{score!r} needs to know which end of the latent space is anomalous, and no member does: take the "
                "score 'kl', 'reconstruction' or 'elbo'"
            )
        blocks = [
            (np.asarray(found[score])[counted], _summarised(found, orientation)) for found in self.member_scores(sample)
        ]
        event = Scores.from_members(np.concatenate([members for members, _ in blocks], axis=1))
        extras = {name: np.concatenate([means[name] for _, means in blocks]) for name in blocks[0][1]}
        return Scores(event=event.event, spread=event.spread, members=event.members, extras=extras)

    def member_scores(self, sample: Sample) -> Iterator[dict[str, np.ndarray]]:
        """Every score of every member, (members, n_block) each, for one block of events after the other.

        Oriented scores of members without direction are NaN, see `Orientation.known`.
        """
        settings, x = self.settings.resolved, self.scaled(sample)
        for start in range(0, max(len(x), 1), BLOCK):
            terms = settings.network.terms(self._parameters, x[start : start + BLOCK])
            yield scores_of(terms, self.orientation, alpha=self._alpha)

    def scaled(self, sample: Sample) -> np.ndarray:
        """The features as the networks see them, (n_events, n_features) float32."""
        return self.scaler.apply(sample.features(self.settings.features))

    def encode(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Latent means and logarithms of variances, (members, n_events, latent) each."""
        x = self.scaled(sample)
        return self.settings.network.encode(self._parameters, x)

    @property
    def parameters(self) -> Parameters:
        """Weights of both networks, each array with a leading member axis."""
        return self._parameters

    @property
    def scaler(self) -> Scaler:
        """What brings features to the networks and back."""
        if self._scaler is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        return self._scaler

    @property
    def orientation(self) -> Orientation:
        """Which way each member's latent space points towards anomalies, and its coordinate."""
        if self._orientation is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        return self._orientation

    def save(self, directory: Path) -> None:
        """`encoder/` and `decoder/` with one Keras model per member, `settings.json` and `preprocessing.json`."""
        if self._orientation is None:
            raise TrainingError("this detector is not trained: there is nothing to save")
        directory = Path(directory)
        self.settings.network.save(self._parameters, directory)
        fitted = {"alpha": self._alpha, "scaler": self.scaler.to_dict(), "orientation": self._orientation.to_dict()}
        (directory / "preprocessing.json").write_text(json.dumps(fitted, allow_nan=False))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> LatentVAE:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(LatentVAESettings, directory))
        fitted = json.loads((directory / "preprocessing.json").read_text())
        settings = detector.settings.resolved
        assert settings.scaling is not None
        detector._scaler = scaler_from_dict(settings.scaling, fitted["scaler"])
        detector._alpha = float(fitted["alpha"])
        detector._orientation = Orientation.from_dict(fitted["orientation"])
        detector._parameters = settings.network.load(directory)
        return detector

    def _orient(self, scaled: np.ndarray, x: np.ndarray, weight: np.ndarray) -> None:
        settings = self.settings.resolved
        mean, log_variance = settings.network.encode(self._parameters, scaled)
        try:
            target = self._target(x, weight)
            self._orientation = Orientation.fit(mean, kl_divergence(mean, log_variance), target, weight)
        except TrainingError as error:
            if settings.score in ORIENTED:
                raise
            logger.warning("coordinate and oriented_kl are not known: %s", error)
            self._orientation = Orientation.unknown(settings.members, settings.latent)
            return
        known = self._orientation.known
        if not known.all():
            logger.warning(
                "the latent space of the members %s, %d of %d, does not depend on the events (their posteriors "
                "collapsed on the prior): coordinate and oriented_kl are averaged without them; a larger alpha gives "
                "the reconstruction more weight", np.flatnonzero(~known).tolist(), (~known).sum(), len(known),
            )  # fmt: skip
        followed = "alignment" if settings.score == "coordinate" else "kl_alignment"
        loose = np.abs(getattr(self._orientation, followed)) < ALIGNED
        if settings.score in ORIENTED and loose.any():
            logger.warning(
                "the %s of %d of %d members hardly follows the features that point to anomalies (correlation below "
                "%g): their scores are nearly of arbitrary direction; use features that vary together, or name others "
                "under orientation", settings.score, loose.sum(), len(loose), ALIGNED,
            )  # fmt: skip

    def _with_facts(self, history: History, events: int) -> History:
        """The history, with the epochs that are kept and, of the peak rule, which members had a whole peak."""
        settings, epochs = self.settings.resolved, len(next(iter(history.losses.values())))
        if settings.stopping == "none":
            history = replace(history, best_epoch=np.full(settings.members, epochs - 1))
        kept = (np.asarray(history.best_epoch) + 1) * self._steps_per_epoch(events)
        facts: dict[str, Any] = {"kept_steps": kept.tolist(), "alpha": self._alpha}
        if settings.stopping == "peak":
            rule = self._rule(settings.members, events)
            assert isinstance(rule, PeakStopping)
            for epoch, losses in enumerate(history.losses["validation_kl"]):
                rule.update(epoch, losses)
            facts["peaked"] = rule.peaked.tolist()
            if not rule.peaked.all():
                logger.warning(
                    "the KL divergence of %d of %d members did not rise and fall within %d steps: they keep the "
                    "highest point since a rise, or the last weights; more steps show the peak",
                    (~rule.peaked).sum(), settings.members, epochs * self._steps_per_epoch(events),
                )  # fmt: skip
        return replace(history, facts=facts)

    def _target(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        settings = self.settings.resolved
        assert settings.orientation is not None
        return oriented_sum(x, settings.features, settings.orientation, weight=weight)

    def _key(self) -> tuple[VariationalNetwork, float, str, float]:
        settings = self.settings.resolved
        assert settings.optimizer is not None
        assert settings.learning_rate is not None
        return settings.network, self._alpha, settings.optimizer, settings.learning_rate

    def _steps_per_epoch(self, events: int) -> int:
        training = events - round(self.settings.validation_fraction * events)
        if training < self.settings.batch_size:
            raise TrainingError(
                f"{training} training events are less than one batch of {self.settings.batch_size}: take a smaller "
                "batch_size, or more events"
            )
        return training // self.settings.batch_size

    def _schedule(self, events: int) -> Schedule:
        settings = self.settings.resolved
        assert settings.steps is not None
        return Schedule(
            epochs=math.ceil(settings.steps / self._steps_per_epoch(events)),
            batch_size=settings.batch_size,
            validation_fraction=settings.validation_fraction,
            patience=None,
            restore_best=settings.stopping != "none",
            monitor="validation_kl" if settings.stopping == "peak" else None,
        )

    def _rule(self, members: int, events: int) -> StoppingRule:
        settings = self.settings.resolved
        assert settings.point is not None
        every = max(1, round(settings.point / self._steps_per_epoch(events)))
        if settings.stopping == "peak":
            return PeakStopping(members, rise=settings.rise, fall=settings.fall, every=every)
        patience = settings.patience * every if settings.stopping == "minimum" else None
        return EarlyStopping(members, patience=patience)


def _summarised(found: Mapping[str, np.ndarray], orientation: Orientation) -> dict[str, np.ndarray]:
    """Mean and standard deviation of scores (members, n_block) over the members that count, float32 (n_block,)."""
    result = {}
    for name in SCORES:
        counted = orientation.counted(name)
        values = found[name][counted] if counted.any() else found[name]  # NaN where no member is known
        result[name] = values.mean(axis=0).astype(np.float32)
        result[f"{name}_spread"] = values.std(axis=0, ddof=1 if len(values) > 1 else 0).astype(np.float32)
    return result


def _draws(seeds: np.random.SeedSequence, shape: tuple[int, int]) -> np.ndarray:
    """What validation samples z with: always the same, so that epochs differ by their weights alone."""
    return np.random.default_rng(child_seed(seeds, 0, 2)).standard_normal(shape, np.float32)


def contrasted(x: np.ndarray, weight: np.ndarray, *, contrast: float) -> float:
    """`contrast` times the smallest α with which the latent space tells events apart, to two digits.

    The loss is that of a decoder with variance n/(2α) per feature; a linear one uses its latent dimension if that is
    less than the largest eigenvalue λ of the covariance (arXiv:1911.02469): α > n/(2λ).

    Args:
        x: scaled features (n_events, n).
        weight: (n_events,).
        contrast: above 1.
    """
    largest = float(np.linalg.eigvalsh(np.atleast_2d(np.cov(x, rowvar=False, aweights=weight)))[-1])
    return float(f"{contrast * x.shape[1] / (2 * largest):.1e}")


@functools.lru_cache(maxsize=8)
def trainer_for(key: tuple[VariationalNetwork, float, str, float]) -> Trainer:
    """One trainer per network, loss and optimiser: folds and samples share what it compiled."""
    network, alpha, optimizer, learning_rate = key
    return Trainer(evidence_lower_bound(network, alpha=alpha), lambda: make_optimizer(optimizer, learning_rate))
