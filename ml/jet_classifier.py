"""The labelled reference on jet constituents: the jets of a search against those that are exposed as outliers.

Source: arXiv:2007.01850, appendix B. What it finds of classes that it never saw is compared with `jet_vae` (figure 20).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ml.constituent_batches import WantedConstituents
from ml.detector import Detector, History, Progress, Scores, child_seed
from ml.errors import TrainingError
from ml.jet_inputs import (
    JetInputs,
    JetInputSettings,
    blocks_of,
    check_jets,
    fit_standardiser,
    jet_inputs,
    mass_odds,
)
from ml.jet_scores import combined, objects_of
from ml.jet_vae_settings import CombineName
from ml.mass_matching import BINS
from ml.mlp import MLPClassifier, MLPSettings
from ml.preprocessing import Standardiser, balanced_weights
from ml.sample import Sample
from ml.settings import load_settings, save_settings
from ml.window import Window

ROLES = ("data", "exposure")
"""Class 0 and class 1."""


def _paper() -> MLPSettings:
    return MLPSettings(hidden=(256, 128, 64, 6), batch_size=100, validation_fraction=0.2)


@dataclass(frozen=True)
class JetClassifierSettings(JetInputSettings):
    """A dense classifier of jet constituents.

    Attributes:
        members: size of the ensemble.
        mass_reweighting: weight the exposed jets to the jet masses of the data, so that the mass tells nothing.
        mass_bins: of the histograms that they are weighted by.
        combine: how the jets' scores make that of the event, where there are several.
        mlp: the network and its training; the paper's are 256-128-64-6 ReLU.
    """

    members: int = 1
    mass_reweighting: bool = False
    mass_bins: int = BINS
    combine: CombineName = "mean"
    mlp: MLPSettings = field(default_factory=_paper)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.members < 1 or self.mass_bins < 1:
            raise TrainingError(f"members and mass_bins must be at least 1: got {self.members} and {self.mass_bins}")
        if self.mass_bins != BINS and not self.mass_reweighting:
            raise TrainingError("mass_bins has no effect without mass_reweighting: leave it out")

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a sample must have: the jet masses, where they are read."""
        return self.masses if self.mass_reweighting else ()


class JetClassifier(Detector):
    """Jets of role "data" (class 0) against jets of role "exposure" (class 1), the classes of equal weight.

    The score is the probability of class 1. `Scores.objects`, where there are two jets, is that of each.
    """

    needs: ClassVar[frozenset[str]] = frozenset(ROLES)
    uses_labels: ClassVar[bool] = True
    windowed = False
    settings: JetClassifierSettings

    def __init__(self, settings: JetClassifierSettings | None = None) -> None:
        self.settings = settings or JetClassifierSettings()
        self.needs_constituents: WantedConstituents = self.settings.wanted
        self._classifier = MLPClassifier(self.settings.mlp)
        self._scaler: Standardiser | None = None

    def check(self, samples: Mapping[str, Sample], *, window: Window | None) -> None:
        """See `Detector.check`: also constituents or jet masses that are missing."""
        super().check(samples, window=window)
        for role in ROLES:
            check_jets(samples[role], self.settings, role=role, masses=self.settings.mass_reweighting)

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """See `Detector.fit`; `window` takes no part. Momenta are standardised by those of the data."""
        self.check(samples, window=window)
        settings = self.settings
        self._scaler = fit_standardiser(samples["data"], settings)
        data, exposed = (
            jet_inputs(samples[role], settings, self._scaler, masses=settings.mass_reweighting) for role in ROLES
        )
        labels = np.repeat([0, 1], [len(data), len(exposed)])
        raw = np.concatenate([data.weight, self._exposed_weights(data, exposed)])
        return self._classifier.fit(
            np.concatenate([data.x, exposed.x]),
            labels,
            balanced_weights(raw, labels, {0: 0.5, 1: 0.5}, names=dict(enumerate(ROLES))),
            seeds=[child_seed(seeds, member) for member in range(settings.members)],
            progress=progress,
        )

    def score(self, sample: Sample) -> Scores:
        """Mean over members of the probability of class 1, joined over jets; see `Detector.score`."""
        settings = self.settings
        blocks = [self._classifier.predict(x) for x in blocks_of(sample, settings, self._trained())]
        jets = np.concatenate(blocks, axis=1).reshape(settings.members, len(sample), len(settings.jets))
        scores = Scores.from_members(combined(jets, settings.combine))
        return replace(scores, objects=objects_of(jets, settings.jets))

    def save(self, directory: Path) -> None:
        """Members, `network.json`, `preprocessing.json` and `settings.json`."""
        directory, scaler = Path(directory), self._trained()
        directory.mkdir(parents=True, exist_ok=True)
        self._classifier.save(directory)
        (directory / "preprocessing.json").write_text(json.dumps({"standardiser": scaler.to_dict()}))
        save_settings(self.settings, directory)

    @classmethod
    def load(cls, directory: Path) -> JetClassifier:
        """See `Detector.load`."""
        directory = Path(directory)
        detector = cls(load_settings(JetClassifierSettings, directory))
        content = json.loads((directory / "preprocessing.json").read_text())
        detector._scaler = Standardiser.from_dict(content["standardiser"])
        detector._classifier.load(directory)
        return detector

    def _exposed_weights(self, data: JetInputs, exposed: JetInputs) -> np.ndarray:
        if not self.settings.mass_reweighting:
            return exposed.weight
        return mass_odds(exposed, data, bins=self.settings.mass_bins)

    def _trained(self) -> Standardiser:
        if self._scaler is None:
            raise TrainingError("this detector is not trained: call fit or load first")
        return self._scaler
