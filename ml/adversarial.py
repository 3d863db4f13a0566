"""Detectors whose score an adversary keeps independent of a nuisance: an autoencoder and a classifier.

Source: arXiv:1905.10384; the nuisance there is the direction in which an event was smeared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import expit

from ml.adversarial_detector import AdversarialDetector, TrainingEvents
from ml.adversarial_settings import AdversarialAutoencoderSettings, AdversarialClassifierSettings
from ml.detector import Scores
from ml.errors import TrainingError
from ml.labelled import require_columns
from ml.nuisance import CATEGORY, nuisance_values
from ml.preprocessing import balanced_weights
from ml.sample import Sample

__all__ = [
    "AdversarialAutoencoder",
    "AdversarialAutoencoderSettings",
    "AdversarialClassifier",
    "AdversarialClassifierSettings",
]

BLOCK = 100_000  # events scored at a time


class AdversarialAutoencoder(AdversarialDetector):
    """Trains on all events it is given; the score is the mean squared error of the standardised features.

    The adversary reads the nuisance from that error. No label of signal takes part.
    """

    cross_fitted = False
    settings_class = AdversarialAutoencoderSettings
    settings: AdversarialAutoencoderSettings
    output_activation = "linear"
    constant_loss = 1.0  # features have variance 1

    def score(self, sample: Sample) -> Scores:
        """Mean over members of the squared error per feature, in units of the training variances."""
        scaler = self.trained_scaler()
        x = scaler.apply(sample.features(self.settings.features))
        errors = []
        for start in range(0, max(len(x), 1), BLOCK):
            block = x[start : start + BLOCK]
            errors.append(self.anomaly(self.settings.network.predict(self.counting(), block), block))
        return Scores.from_members(np.concatenate(errors, axis=1))

    def anomaly(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `AdversarialDetector.anomaly`."""
        return np.square(output - x).mean(axis=2, dtype=np.float64)

    def events_of(self, samples: Mapping[str, Sample]) -> TrainingEvents:
        """See `AdversarialDetector.events_of`."""
        data, settings = samples["data"], self.settings
        require_columns({"data": data}, settings.columns)
        weight = np.asarray(data.weight, np.float64) / np.mean(data.weight)
        return TrainingEvents(
            x=data.features(settings.features),
            mass=np.asarray(data.mass),
            weight=weight,
            label=np.zeros(len(data), np.float32),
            raw=weight,
            nuisance=nuisance_values(data, settings.nuisance) if settings.adversary else None,
        )


class AdversarialClassifier(AdversarialDetector):
    """Signal against background, each of half the weight; the adversary reads the nuisance from the output.

    With a sample of role "signal" the events of role "data" are background, and their `category` may be the nuisance.
    Without one, `category` of "data" is the truth (1 signal, 0 background; others do not train), as for `supervised`,
    and the nuisance is the mass or a column.
    """

    uses_labels: ClassVar[bool] = True
    settings_class = AdversarialClassifierSettings
    settings: AdversarialClassifierSettings
    output_activation = "sigmoid"
    constant_loss = math.log(2.0)  # signal and background have half of the weight each

    def score(self, sample: Sample) -> Scores:
        """Mean over members of the probability of signal."""
        scaler = self.trained_scaler()
        x = scaler.apply(sample.features(self.settings.features))
        return Scores.from_members(self.anomaly(self.settings.network.predict(self.counting(), x), x))

    def anomaly(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        """See `AdversarialDetector.anomaly`."""
        return np.asarray(expit(output[..., 0].astype(np.float64)))

    def events_of(self, samples: Mapping[str, Sample]) -> TrainingEvents:
        """See `AdversarialDetector.events_of`."""
        settings = self.settings
        parts = {"data": samples["data"]}
        if "signal" in samples:
            parts["signal"] = self.role(samples, "signal")
        elif settings.adversary and settings.nuisance == CATEGORY:
            raise TrainingError(
                "without a sample of role 'signal' the category of the data is the truth, and cannot be the nuisance "
                "as well: give a sample of role 'signal', or name another `nuisance` (mass, or a column)"
            )
        else:
            parts = _by_truth(parts["data"])
        # the nuisance of signal takes no part
        require_columns({"data": parts["data"]}, settings.columns)
        require_columns({"signal": parts["signal"]}, settings.features)
        sizes = [len(parts[role]) for role in ("data", "signal")]
        label = np.repeat(np.array([0, 1]), sizes)
        raw = np.concatenate([parts[r].weight / np.mean(parts[r].weight) for r in ("data", "signal")])
        return TrainingEvents(
            x=np.concatenate([parts[role].features(settings.features) for role in ("data", "signal")]),
            mass=np.concatenate([parts[role].mass for role in ("data", "signal")]),
            weight=balanced_weights(raw, label, {0: 0.5, 1: 0.5}, names={0: "background", 1: "signal"}),
            label=label.astype(np.float32),
            raw=raw,
            nuisance=nuisance_values(parts["data"], settings.nuisance) if settings.adversary else None,
        )


def _by_truth(data: Sample) -> dict[str, Sample]:
    """Background and signal of a sample by its category."""
    if data.category is None:
        raise TrainingError(
            "an adversarial classifier needs a sample of role 'signal', or the category of each event of the data "
            "(1 signal, 0 background)"
        )
    parts = {role: data.select(np.asarray(data.category) == truth) for role, truth in (("data", 0), ("signal", 1))}
    for role, part in parts.items():
        if not len(part) or not np.sum(part.weight) > 0:
            raise TrainingError(
                f"no {'signal' if role == 'signal' else 'background'} events of positive weight among the {len(data)} "
                "of the data (category 1 is signal, 0 background): an adversarial classifier needs both"
            )
    return parts
