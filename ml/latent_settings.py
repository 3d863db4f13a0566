"""Settings of the latent-space autoencoder: the paper's recipe, and the one that holds without labels."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from ml.errors import TrainingError
from ml.optimizers import check_optimizer
from ml.tagger import DEFAULT_FEATURES, require_features
from ml.variational import VariationalNetwork

ScoreName = Literal["coordinate", "kl", "oriented_kl", "reconstruction", "elbo"]
ScalingName = Literal["maxabs", "standard", "normal", "oriented"]

STRETCH = 3.0

RECIPES: dict[str, dict[str, Any]] = {
    "paper": {
        "alpha": 5000.0,
        "point": 1000,
        "scaling": "maxabs",
        "optimizer": "adadelta",
        "learning_rate": 1e-3,
        "stopping": "peak",
        "steps": 100_000,
        "score": "kl",
    },
    "robust": {
        "point": 250,
        "scaling": "oriented",
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "stopping": "none",
        "steps": 4_000,
        "score": "coordinate",
    },
}
"""What the settings that are None stand for."""


@dataclass(frozen=True)
class LatentVAESettings:
    """An ensemble of variational autoencoders with few latent dimensions (arXiv:2103.06595).

    Attributes:
        recipe: what settings that are None stand for, see `RECIPES`: `robust`, or that of the `paper`.
        features: columns of the sample; the resonance mass is refused.
        members: size of the ensemble.
        latent: dimensions of the latent space.
        hidden, activation: of encoder and decoder.
        alpha: weight of the mean squared error beside the KL divergence (equation 1); None with the `robust` recipe
            takes it from the data, see `contrast`.
        contrast: alpha in units of the one below which the latent space collapses, n_features/(2λ) with the largest
            eigenvalue λ of the covariance of the scaled features (as for probabilistic principal components,
            arXiv:1911.02469), where alpha is None.
        scaling: maxabs (divided by the largest absolute value), standard (mean 0, width 1), normal (normal scores) or
            oriented (see `ml.whitening.OrientedScores`).
        stretch: with the scaling `oriented`, width of the direction of anomalies over that of every other.
        score: what an event's score is, see `ml.latent_scores`.
        orientation: features that grow towards anomalies, or, with a leading "-", fall: they tell which end of the
            latent space is the anomalous one. By default jet masses grow and ratios of N-subjettiness fall.
        optimizer, learning_rate: see `ml.optimizers.make_optimizer`.
        batch_size: events per step.
        steps: most optimiser steps of a member; steps, not epochs, as those of a small sample have few.
        stopping: peak (the KL divergence rises and falls, see `ml.stopping.PeakStopping`), minimum (early stopping on
            the loss) or none (the last weights).
        point: steps between the points that a stopping rule looks at.
        rise, fall: points in a row that make a peak.
        patience: points without a new minimum.
        validation_fraction: share of the events that a member does not train on, other ones for each.
    """

    recipe: Literal["robust", "paper"] = "robust"
    features: tuple[str, ...] = DEFAULT_FEATURES
    members: int = 20
    latent: int = 1
    hidden: tuple[int, ...] = (64, 64, 64)
    activation: str = "selu"
    alpha: float | None = None
    contrast: float = 1.5
    scaling: ScalingName | None = None
    stretch: float = STRETCH
    score: ScoreName | None = None
    orientation: tuple[str, ...] | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    batch_size: int = 1000
    steps: int | None = None
    stopping: Literal["peak", "minimum", "none"] | None = None
    point: int | None = None
    rise: int = 5
    fall: int = 5
    patience: int = 5
    validation_fraction: float = 0.1

    def __post_init__(self) -> None:
        for name in ("members", "latent", "batch_size", "rise", "fall", "patience"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1: got {getattr(self, name)}")
        require_features(self.features)
        if not 0 < self.validation_fraction < 1:
            raise TrainingError(f"validation_fraction must be between 0 and 1: got {self.validation_fraction:g}")
        self._check_resolved(self.resolved)

    def _check_resolved(self, full: LatentVAESettings) -> None:
        assert full.steps is not None
        assert full.point is not None
        assert full.optimizer is not None
        assert full.learning_rate is not None
        if full.alpha is not None and not full.alpha > 0:
            raise TrainingError(f"alpha must be above 0: got {full.alpha:g}")
        if not self.contrast > 1:
            raise TrainingError(f"contrast must be above 1, where the latent space collapses: got {self.contrast:g}")
        if not 1 <= full.point <= full.steps:
            raise TrainingError(f"steps ({full.steps}) must be at least those between two points ({full.point})")
        if not 1 < self.stretch < math.inf:
            raise TrainingError(f"stretch must be above 1, so that one direction is the widest: got {self.stretch:g}")
        if self.stretch != STRETCH and full.scaling != "oriented":
            raise TrainingError(f"stretch has no effect with scaling {full.scaling!r}: leave it out, or use 'oriented'")
        check_optimizer(full.optimizer, full.learning_rate)
        _ = self.network.encoder, self.network.decoder
        unknown = sorted({name.removeprefix("-") for name in self.orientation or ()} - set(self.features))
        if unknown:
            raise TrainingError(f"orientation names {unknown}, which are not among the features {list(self.features)}")

    @property
    def resolved(self) -> LatentVAESettings:
        """The same settings, with those of the recipe in place of None."""
        missing = {name: value for name, value in RECIPES[self.recipe].items() if getattr(self, name) is None}
        if self.orientation is None:
            missing["orientation"] = default_orientation(self.features)
        return dataclasses.replace(self, **missing) if missing else self

    @property
    def network(self) -> VariationalNetwork:
        """Encoder and decoder."""
        return VariationalNetwork(len(self.features), self.latent, self.hidden, self.activation)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have."""
        return self.features


def default_orientation(features: tuple[str, ...]) -> tuple[str, ...]:
    """Jet masses grow towards anomalies, ratios of N-subjettiness fall: heavy particles that decay to several quarks
    make heavier jets with more prongs than quarks and gluons do."""
    return tuple(f"-{name}" if "_tau" in name else name for name in features if name.endswith("_m") or "_tau" in name)
