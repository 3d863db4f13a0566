"""Settings of the jet autoencoder: the paper's by default, and what cannot be is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ml import TrainingError
from ml.constituent_batches import WantedConstituents
from ml.jet_losses import JetLoss
from ml.jet_vae_settings import JetVAESettings
from ml.recurrent import RecurrentVariationalNetwork
from ml.settings import settings_from_mapping


def made(**settings: Any) -> JetVAESettings:
    return settings_from_mapping(JetVAESettings, settings)


def test_the_defaults_are_the_papers() -> None:
    settings = made()
    assert settings.network.encoder.widths == (80, 256, 128, 64, 20)
    assert settings.network.decoder.widths == (10, 64, 128, 256, 80)
    assert (settings.training.epochs, settings.training.batch_size, settings.beta) == (50, 100, 0.1)
    assert settings.wanted == WantedConstituents(("j1",), 20)
    assert settings.loss == JetLoss(0.1)
    assert settings.columns == ()
    assert made(decorrelation="disco").loss == JetLoss(0.1, "disco", 100.0)
    assert made(decorrelation="mse_oe").loss == JetLoss(0.1, "mse_oe", 500.0)
    assert made(decorrelation="kl_oe").loss == JetLoss(0.1, "kl_oe", 2.0, 1.0)


def test_the_score_is_the_one_that_is_made_independent_of_the_mass() -> None:
    expected = {"none": "nll", "disco": "beta_nll", "mse_oe": "mse", "kl_oe": "kl"}
    assert {kind: made(decorrelation=kind).chosen_score for kind in expected} == expected
    assert made(decorrelation="kl_oe", score="emd").chosen_score == "emd"


def test_a_decorrelation_of_no_strength_is_none() -> None:
    for changed in ({"decorrelation": "disco", "kappa": 0}, {"decorrelation": "mse_oe", "exposure_weight": 0}):
        settings = made(**changed)
        assert settings.loss == made().loss
        assert settings.chosen_score == "nll"
        assert not settings.exposes
        assert settings.columns == ()


def test_masses_are_read_where_they_are_needed() -> None:
    settings = made(decorrelation="kl_oe", jets=["j2", "j1"])
    assert settings.exposes
    assert settings.columns == ("j2_m", "j1_m")
    assert made(decorrelation="disco", mass_columns=["groomed"]).columns == ("groomed",)


def test_terms_that_compare_pairs_are_validated_in_batches_of_training() -> None:
    assert made().training.evaluation_batch == 5000
    assert made(decorrelation="disco").training.evaluation_batch == 100


def test_short_trainings_have_fewer_cycles() -> None:
    assert made(epochs=1, decorrelation="disco").strengths == [1.0]
    assert made(epochs=4, decorrelation="disco").strengths == [0, 1, 0, 1]
    assert made(epochs=4, decorrelation="disco", cycles=0).strengths == [1] * 4
    assert made(epochs=50, decorrelation="disco").strengths.count(0.0) == 4


def test_recurrent_networks_are_chosen_by_name() -> None:
    assert made(architecture="recurrent", hidden=[32]).network == RecurrentVariationalNetwork(80, 10, (32,), "relu")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kappa": 5}, "kappa has no effect with decorrelation 'none'"),
        ({"decorrelation": "mse_oe", "margin": 2}, "margin has no effect with decorrelation 'mse_oe'"),
        ({"decorrelation": "disco", "mass_bins": 9}, "mass_bins has no effect"),
        ({"decorrelation": "disco", "batch_size": 2000}, "batch_size must be at most 1024 with decorrelation 'disco'"),
        ({"decorrelation": "disco", "epochs": 5, "cycles": 3}, "at least two epochs each"),
        ({"beta": -1}, "beta must be at least 0"),
        ({"latent": 0}, "latent must be at least 1"),
        ({"hidden": []}, "hidden must name at least one layer"),
        ({"validation_fraction": 0}, "validation_fraction must be between 0 and 1"),
        ({"score": "elbo"}, "score is 'elbo'"),
        ({"jets": ["j3"]}, "constituents are of the jets"),
        ({"epochs": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        made(**settings)
