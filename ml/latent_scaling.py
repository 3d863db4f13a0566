"""How features reach a latent-space autoencoder and come back, by the name that the settings give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ml.latent_settings import LatentVAESettings, ScalingName
from ml.preprocessing import MaxAbs, NormalScores, Standardiser
from ml.whitening import OrientedScores

Scaler = MaxAbs | Standardiser | NormalScores | OrientedScores

_SCALERS: dict[ScalingName, type[Scaler]] = {
    "maxabs": MaxAbs,
    "standard": Standardiser,
    "normal": NormalScores,
    "oriented": OrientedScores,
}


def fit_scaler(settings: LatentVAESettings, x: np.ndarray, weight: np.ndarray) -> Scaler:
    """Of training events x (n_events, n_features) with weights (n_events,); TrainingError for constant features."""
    full = settings.resolved
    assert full.scaling is not None
    assert full.orientation is not None
    if full.scaling == "oriented":
        return OrientedScores.fit(
            x, weight, names=full.features, orientation=full.orientation, stretch=full.stretch
        )
    scaler: Scaler = _SCALERS[full.scaling].fit(x, weight, names=full.features)  # type: ignore[call-arg]
    return scaler


def scaler_from_dict(scaling: ScalingName, content: Mapping[str, Any]) -> Scaler:
    """The inverse of a scaler's `to_dict`."""
    return _SCALERS[scaling].from_dict(content)
