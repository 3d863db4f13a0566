"""Autoencoders on features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CrossFit, Sample, TrainingError, Window, child_seed, detector_class, detector_from_settings
from ml.autoencoder import Autoencoder
from ml.metrics import auc
from tests.ml.conftest import FEATURES

SEEDS = np.random.SeedSequence(11)
TINY: dict[str, Any] = {"features": list(FEATURES), "members": 2, "hidden": [8], "epochs": 8, "batch_size": 100}
TINY |= {"learning_rate": 5e-3}


def train(sample: Sample, seeds: np.random.SeedSequence = SEEDS, **settings: Any) -> Autoencoder:
    detector = detector_from_settings("autoencoder", TINY | settings)
    assert isinstance(detector, Autoencoder)
    detector.fit({"data": sample}, window=None, seeds=seeds)
    return detector


@pytest.fixture(scope="module")
def sample(tiny: tuple[Sample, np.ndarray]) -> Sample:
    return tiny[0]


@pytest.fixture(scope="module")
def trained(sample: Sample) -> Autoencoder:
    return train(sample)


def test_the_same_seed_gives_the_same_scores(sample: Sample, trained: Autoencoder) -> None:
    again = train(sample).score(sample)
    assert np.array_equal(again.event, trained.score(sample).event)


def test_no_label_mass_or_window_takes_part(sample: Sample, trained: Autoencoder, window: Window) -> None:
    random = np.random.default_rng(0)
    labelled = dataclasses.replace(
        sample, category=random.integers(0, 2, len(sample)), mass=random.uniform(1000, 9000, len(sample))
    )
    detector = detector_from_settings("autoencoder", TINY)
    detector.fit({"data": labelled}, window=window, seeds=SEEDS)
    assert [detector.uses_labels, detector.windowed, detector.cross_fitted] == [False] * 3
    assert np.array_equal(detector.score(labelled).event, trained.score(sample).event)


def test_the_score_is_the_error_of_the_reconstruction(sample: Sample, trained: Autoencoder) -> None:
    scores = trained.score(sample)
    assert scores.members is not None
    np.testing.assert_allclose(scores.event, scores.members.mean(axis=1), rtol=1e-5)
    assert trained._scaler is not None
    x = trained._scaler.apply(sample.features(FEATURES))
    for member in range(2):
        code = trained.settings.encoder.to_keras(trained._parameters["encoder"], member)(x)
        output = trained.settings.decoder.to_keras(trained._parameters["decoder"], member)(code).numpy()
        np.testing.assert_allclose(scores.members[:, member], ((x - output) ** 2).mean(axis=1), rtol=1e-3, atol=1e-5)


def test_nothing_is_refitted_on_what_is_scored(sample: Sample, trained: Autoencoder) -> None:
    whole = trained.score(sample).event
    heavy = np.argsort(sample.columns["j1_m"])[-100:]
    np.testing.assert_allclose(trained.score(sample.select(heavy)).event, whole[heavy], rtol=1e-5)
    assert len(trained.score(sample.select(np.zeros(0, dtype=int)))) == 0


def test_what_breaks_a_pattern_is_found(sample: Sample) -> None:
    """Features that follow two hidden ones, and a few events in which one of them does not, none of them extreme."""
    random = np.random.default_rng(3)
    truth = np.arange(len(sample)) % 50 == 0
    hidden = random.uniform(-2, 2, (2, len(sample)))
    columns = [hidden[0], hidden[0], hidden[1], np.where(truth, -np.sign(hidden[1]), hidden[1])]
    noisy = [column + 0.1 * random.normal(size=len(sample)) for column in columns]
    toy = dataclasses.replace(sample, columns=dict(zip(FEATURES, noisy, strict=True)))
    assert auc(train(toy).score(toy).event, truth.astype(int)).value > 0.9


def test_weights_scale_the_share_of_an_event_and_not_the_training(sample: Sample, trained: Autoencoder) -> None:
    scaled = train(dataclasses.replace(sample, weight=np.full(len(sample), 1e-4)))
    np.testing.assert_allclose(scaled.score(sample).event, trained.score(sample).event, rtol=1e-3, atol=1e-4)


def test_saved_detectors_score_the_same(sample: Sample, trained: Autoencoder, tmp_path: Path) -> None:
    trained.save(tmp_path)
    loaded = detector_class("autoencoder")[0].load(tmp_path)
    before, after = trained.score(sample), loaded.score(sample)
    assert np.array_equal(before.event, after.event)
    assert np.array_equal(before.spread, after.spread)
    assert loaded.settings == trained.settings
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".keras", ".json"}


def test_cross_fitting_with_one_fold_is_plain_training(sample: Sample) -> None:
    folds = CrossFit(lambda: detector_from_settings("autoencoder", TINY | {"members": 1}), 1)
    folds.fit({"data": sample}, window=None, seeds=SEEDS)
    alone = train(sample, child_seed(SEEDS, 0), members=1)
    assert np.array_equal(folds.score(sample).event, alone.score(sample).event)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 4}, "latent must be at least 1 and below the number of features, 4"),
        ({"features": ["j1_m"]}, "below the number of features, 1.*got 0"),
        ({"features": ["j1_m", "mjj"]}, "'mjj' cannot be a feature"),
        ({"members": 0}, "members must be at least 1"),
        ({"hidden": [0]}, "at least one unit"),
        ({"activation": "softmax"}, "no activation 'softmax'"),
        ({"optimizer": "lamb"}, "lamb"),
        ({"epochs": 0}, "epochs and batch sizes"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("autoencoder", TINY | settings)


def test_bad_input_is_refused(sample: Sample) -> None:
    with pytest.raises(TrainingError, match="not trained"):
        detector_from_settings("autoencoder", TINY).score(sample)
    with pytest.raises(TrainingError, match="nothing to save"):
        detector_from_settings("autoencoder", TINY).save(Path("unused"))
    columns = {**sample.columns, "j2_m": np.where(np.arange(len(sample)) == 7, np.nan, sample.columns["j2_m"])}
    with pytest.raises(TrainingError, match="'j2_m' is NaN or infinite in 1 of"):
        train(dataclasses.replace(sample, columns=columns))
    with pytest.raises(TrainingError, match="has no events"):
        train(sample.select(np.zeros(0, dtype=int)))
