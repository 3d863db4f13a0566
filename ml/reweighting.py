"""Simulation reweighted to data: a classifier f(x, m) trained in the sidebands, interpolated into the window.

Andreassen, Nachman, Shih, arXiv:2001.05001, equation 2.1: where f tells data from simulation, w = f/(1 − f) is the
ratio of their densities, up to the ratio of their sizes (DCTR, arXiv:1907.08209). f is a network, because w is wanted
where nothing was trained on: a network runs smoothly in m from one sideband to the other, a tree in one step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ml.detector import History, Progress, child_seed
from ml.ensembles import require_truncation, truncated_mean
from ml.errors import TrainingError
from ml.labelled import data_and_simulation
from ml.mlp import MLPClassifier, MLPSettings
from ml.preprocessing import NormalScores, Standardiser, balanced_weights
from ml.sample import Sample
from ml.window import Window

PAPER_MLP = MLPSettings(hidden=(100, 100, 100), batch_size=200, epochs=50, patience=10)
"""The networks of arXiv:2001.05001, section 3."""


@dataclass(frozen=True)
class ReweightingSettings:
    """The networks f(x, m).

    Attributes:
        features: columns that f sees beside the mass; None for those of the window classifier, otherwise at least
            those: what is not reweighted, that classifier would take for an anomaly.
        members: size of the ensemble.
        truncation: share of members left out at either end, event by event, before f is the mean of the others.
        clip: largest ratio p(x, m | data)/p(x, m | simulation), and the inverse of the smallest.
        scaling: of the features: normal_scores (by their quantiles, see `ml.preprocessing.NormalScores`) or standard
            (mean 0, standard deviation 1). The mass always has the latter: quantiles would close the gap of the window.
        mlp: the networks.
    """

    features: tuple[str, ...] | None = None
    members: int = 10
    truncation: float = 0.1
    clip: float = 10.0
    scaling: Literal["normal_scores", "standard"] = "normal_scores"
    mlp: MLPSettings = field(default_factory=lambda: PAPER_MLP)

    def __post_init__(self) -> None:
        require_truncation(self.truncation)
        if self.members < 1:
            raise TrainingError(f"reweighting.members must be at least 1: got {self.members}")
        if not self.clip > 1:
            raise TrainingError(f"reweighting.clip is the largest ratio of densities, above 1: got {self.clip:g}")
        if "mjj" in (self.features or ()):
            raise TrainingError("reweighting.features lists 'mjj': the resonance mass is an input already")


@dataclass(frozen=True)
class Weights:
    """What simulated events are to be multiplied by to look like data.

    Attributes:
        value: (n,) the factor w(x|m), from the truncated mean of the members' outputs.
        members: (n, n_members) the factor of each member alone.
        output: (n,) truncated mean of f(x, m); 0.5 without reweighting.
        clipped: (n,) bool, where the ratio of densities was clipped.
        constant: the factor without reweighting: data per simulation in the sidebands.
    """

    value: np.ndarray
    members: np.ndarray
    output: np.ndarray
    clipped: np.ndarray
    constant: float

    @property
    def clipped_fraction(self) -> float:
        """Share of the events whose ratio was clipped."""
        return float(np.mean(self.clipped)) if len(self.clipped) else 0.0

    def columns(self) -> dict[str, np.ndarray]:
        """Everything per event, `constant` repeated: what `CrossFit.map` puts together."""
        constant = np.full(len(self.value), self.constant)
        return {name: getattr(self, name) for name in ("value", "members", "output", "clipped")} | {
            "constant": constant
        }


def effective_sample_size(weights: np.ndarray) -> float:
    """(Σw)²/Σw²: how many events of equal weight have the same relative statistical uncertainty; 0 for none."""
    weights = np.asarray(weights, dtype=np.float64)
    squares = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / squares if squares > 0 else 0.0


class Reweighter:
    """f(x, m), trained in the sidebands; every transformation is fitted there once, and saved.

    Data and simulation count the same in training, so that f/(1 − f) is the ratio of densities in the sidebands taken
    together. It is clipped, then one factor (one for each member, too) brings the sum of event weight × w over the
    simulated sideband events of the training to the data's: shapes, including that of the mass, come from the network,
    the yield from the sidebands.
    """

    def __init__(self, settings: ReweightingSettings, features: Sequence[str]) -> None:
        self.settings, self.features = settings, tuple(features)
        self._classifier = MLPClassifier(settings.mlp)
        self._scaler: Standardiser | NormalScores | None = None
        self._mass_scaler: Standardiser | None = None
        self._constant = np.nan
        self._factors = np.zeros(0)  # of the truncated mean, then of each member

    def fit(
        self,
        data: Sample,
        simulation: Sample,
        *,
        window: Window,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        """Train on the sidebands of `window`; validation bands and the window itself take no part.

        Raises:
            TrainingError: no events, or no positive sum of weights, in the sidebands of either; a feature that is
                missing, constant or NaN.
        """
        data, simulation = (s.select(window.sideband_index(s.mass) >= 0) for s in (data, simulation))
        both, labels = data_and_simulation(data, simulation, self.features)
        weights = balanced_weights(both.weight, labels, {0: 0.5, 1: 0.5})
        kind = NormalScores if self.settings.scaling == "normal_scores" else Standardiser
        self._scaler = kind.fit(both.features(self.features), weights, names=self.features)
        self._mass_scaler = Standardiser.fit(both.mass[:, None], weights, names=("the resonance mass",))
        x = self._inputs(both)
        members = [child_seed(seeds, i) for i in range(self.settings.members)]
        history = self._classifier.fit(x, labels, weights, seeds=members, progress=progress)
        self._normalise(data, simulation)
        return history

    def weights(self, sample: Sample) -> Weights:
        """The weights of events of any mass: interpolated in the window, extrapolated beyond the sidebands."""
        output, ratios, clipped = self._ratios(sample)
        weights = ratios * self._factors[:, None]
        return Weights(
            value=weights[0],
            members=np.ascontiguousarray(weights[1:].T),
            output=output,
            clipped=clipped,
            constant=self._constant,
        )

    def save(self, directory: Path) -> None:
        """Members and `reweighting.json`."""
        if self._scaler is None or self._mass_scaler is None:
            raise TrainingError("this reweighting is not trained: there is nothing to save")
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._classifier.save(directory)
        content = {
            "features": self.features,
            "scaler": self._scaler.to_dict(),
            "mass": self._mass_scaler.to_dict(),
            "constant": self._constant,
            "factors": self._factors.tolist(),
        }
        (directory / "reweighting.json").write_text(json.dumps(content))

    def load(self, directory: Path) -> None:
        """Read what `save` wrote, in place of a fit."""
        content = json.loads((Path(directory) / "reweighting.json").read_text())
        self.features = tuple(content["features"])
        kind = NormalScores if "quantiles" in content["scaler"] else Standardiser
        self._scaler = kind.from_dict(content["scaler"])
        self._mass_scaler = Standardiser.from_dict(content["mass"])
        self._constant, self._factors = float(content["constant"]), np.array(content["factors"])
        self._classifier.load(Path(directory))

    def _inputs(self, sample: Sample) -> np.ndarray:
        if self._scaler is None or self._mass_scaler is None:
            raise TrainingError("this reweighting is not trained: call fit or load first")
        features = self._scaler.apply(sample.features(self.features))
        return np.column_stack([features, self._mass_scaler.apply(sample.mass[:, None])])

    def _ratios(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Truncated-mean f (n,), clipped f/(1 − f) of it and of each member (1 + n_members, n), clipped or not (n,)."""
        members = self._classifier.predict(self._inputs(sample))
        output = truncated_mean(members, self.settings.truncation)
        clip = self.settings.clip
        # clipping f instead of f/(1 - f) keeps an f of exactly 1 from dividing by zero
        allowed = np.clip(np.vstack([output, members]), 1 / (1 + clip), clip / (1 + clip))
        return output, allowed / (1 - allowed), output != allowed[0]

    def _normalise(self, data: Sample, simulation: Sample) -> None:
        _, ratios, _ = self._ratios(simulation)
        target = float(np.sum(data.weight))
        self._constant = target / float(np.sum(simulation.weight))
        self._factors = target / (ratios @ simulation.weight)
