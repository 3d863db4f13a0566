"""Detectors by the name a search file gives them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ml.detector import Detector
from ml.errors import TrainingError, nearest_names
from ml.settings import settings_from_mapping

DETECTORS: dict[str, tuple[str, str, str]] = {
    "adversarial_autoencoder": ("ml.adversarial", "AdversarialAutoencoder", "AdversarialAutoencoderSettings"),
    "adversarial_classifier": ("ml.adversarial", "AdversarialClassifier", "AdversarialClassifierSettings"),
    "autoencoder": ("ml.autoencoder", "Autoencoder", "AutoencoderSettings"),
    "cwola": ("ml.cwola", "CWoLa", "CWoLaSettings"),
    "image_autoencoder": ("ml.image_autoencoder", "ImageAutoencoder", "ImageAutoencoderSettings"),
    "jet_classifier": ("ml.jet_classifier", "JetClassifier", "JetClassifierSettings"),
    "jet_vae": ("ml.jet_vae", "JetVAE", "JetVAESettings"),
    "latent_vae": ("ml.latent_vae", "LatentVAE", "LatentVAESettings"),
    "mixture_objects": ("ml.mixture_objects", "MixtureObjects", "MixtureObjectsSettings"),
    "salad": ("ml.salad", "SALAD", "SALADSettings"),
    "supervised": ("ml.supervised", "Supervised", "SupervisedSettings"),
    "supervised_objects": ("ml.supervised_objects", "SupervisedObjects", "SupervisedObjectsSettings"),
    "tnt": ("ml.tnt", "TNT", "TNTSettings"),
}
"""Type → module, detector class and settings class; imported when first asked for."""


def detector_class(type_: str) -> tuple[type[Detector], type]:
    """The detector and settings classes of a type; TrainingError (with the nearest names) for an unknown one."""
    if type_ not in DETECTORS:
        raise TrainingError(f"no detector of type {type_!r}: {nearest_names(type_, DETECTORS)}")
    module, detector, settings = DETECTORS[type_]
    loaded = importlib.import_module(module)
    return getattr(loaded, detector), getattr(loaded, settings)


def detector_from_settings(type_: str, settings: Mapping[str, Any] | None = None) -> Detector:
    """An untrained detector from plain settings, as they stand in a search file.

    Raises:
        TrainingError: an unknown type or key (with the nearest names), or a value of the wrong kind.
    """
    detector, settings_class = detector_class(type_)
    built: Any = settings_from_mapping(settings_class, settings or {}, where=f"settings of detector {type_!r}")
    return detector(built)  # type: ignore[call-arg]
