"""Settings of the latent-space autoencoder: what is refused where it is written, and what a recipe stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ml import TrainingError, detector_from_settings
from ml.latent_scaling import fit_scaler
from ml.latent_settings import LatentVAESettings
from ml.settings import settings_from_mapping
from tests.ml.conftest import FEATURES

TINY: dict[str, Any] = {"features": list(FEATURES), "steps": 200, "point": 40}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"alpha": -1.0}, "alpha must be above 0"),
        ({"members": 0}, "members must be at least 1"),
        ({"latent": 0}, "latent must be at least 1"),
        ({"point": 0}, r"between two points \(0\)"),
        ({"contrast": 1.0}, "contrast must be above 1, where the latent space collapses"),
        ({"stretch": 1.0}, "stretch must be above 1, so that one direction is the widest"),
        ({"stretch": 2.0, "scaling": "maxabs"}, "stretch has no effect with scaling 'maxabs'"),
        ({"stretch": 2.0, "recipe": "paper"}, "stretch has no effect with scaling 'maxabs'"),
        ({"rise": 0}, "rise must be at least 1"),
        ({"hidden": [8, 0]}, "at least one unit"),
        ({"activation": "softmax"}, "no activation 'softmax'"),
        ({"steps": 30}, r"steps \(30\) must be at least those between two points \(40\)"),
        ({"features": ["j1_m", "j1_m"]}, "features must be distinct"),
        ({"features": []}, "features must be distinct, and at least one"),
        ({"features": ["j1_m", "mjj"]}, "the resonance mass 'mjj' cannot be a feature"),
        ({"validation_fraction": 0.0}, "validation_fraction must be between 0 and 1"),
        ({"validation_fraction": 1.0}, "validation_fraction must be between 0 and 1"),
        ({"optimizer": "adamm"}, "no optimiser 'adamm': did you mean 'adam"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"orientation": ["-j3_m"]}, r"orientation names \['j3_m'\], which are not among the features"),
        ({"score": "klo"}, "score is 'klo'"),
        ({"recipe": "papers"}, "recipe is 'papers'"),
        ({"stopping": "peek"}, "stopping is 'peek'"),
        ({"alhpa": 1.0}, "no key 'alhpa': did you mean 'alpha'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("latent_vae", TINY | settings)


def test_settings_given_stand_above_the_recipe() -> None:
    paper = settings_from_mapping(LatentVAESettings, {"recipe": "paper", "alpha": 1000.0}).resolved
    assert (paper.alpha, paper.optimizer, paper.score) == (1000.0, "adadelta", "kl")
    assert paper.resolved is paper
    assert (paper.members, paper.hidden, paper.activation, paper.batch_size) == (20, (64, 64, 64), "selu", 1000)
    assert LatentVAESettings(stretch=2.0).resolved.stretch == 2.0
    assert LatentVAESettings().resolved.recipe == "robust"


def test_the_scaling_is_stretched_as_the_setting_says() -> None:
    x = np.random.default_rng(0).normal(size=(5000, len(FEATURES)))
    for stretch in (1.5, 4.0):
        scaler = fit_scaler(LatentVAESettings(features=FEATURES, stretch=stretch), x, np.ones(len(x)))
        widest = np.linalg.eigvalsh(np.cov(scaler.apply(x), rowvar=False))[-1]
        assert np.sqrt(widest) == pytest.approx(stretch, rel=0.02)
