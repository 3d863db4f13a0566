"""The interface of an ensemble of binary classifiers, whatever it is made of."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.detector import History, Progress


class Classifier(abc.ABC):
    """Members of an ensemble that tell label 1 from label 0; inputs are standardised."""

    @abc.abstractmethod
    def fit(
        self,
        x: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        *,
        seeds: Sequence[np.random.SeedSequence],
        progress: Progress | None = None,
    ) -> History:
        """Train one member per seed on x (n, features), labels (n,) of 0 and 1, weights (n,) of mean near 1."""

    @abc.abstractmethod
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Probability of label 1 by each member, (members, n) float64."""

    @abc.abstractmethod
    def save(self, directory: Path) -> None:
        """Write the members into `directory`."""

    @abc.abstractmethod
    def load(self, directory: Path) -> None:
        """Read what `save` wrote, in place of a fit."""
