"""The kinds of classifiers by name: what CWoLa, the supervised reference, SALAD and closure tests train."""

from __future__ import annotations

from typing import Literal

from ml.classifier import Classifier
from ml.mlp import MLPClassifier, MLPSettings
from ml.trees import BDTClassifier, BDTSettings

__all__ = ["BDTSettings", "Classifier", "ClassifierName", "MLPSettings", "classifier_of"]

ClassifierName = Literal["mlp", "bdt"]
"""mlp: dense networks; bdt: gradient-boosted trees."""


def classifier_of(settings: MLPSettings | BDTSettings) -> Classifier:
    """An untrained classifier of the kind that the settings belong to."""
    return MLPClassifier(settings) if isinstance(settings, MLPSettings) else BDTClassifier(settings)
