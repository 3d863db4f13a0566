"""Autoencoders on images: unknown classes are reconstructed worse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml import CrossFit, Detector, Sample, TrainingError, detector_from_settings
from ml.image_autoencoder import ImageAutoencoder, ImageAutoencoderSettings
from ml.image_batches import JetImageSettings, WantedImages
from ml.metrics import auc
from tests.ml.image_toys import Stored, image_sample, jets

TINY = {"filters": [2, 2], "latent": 3, "learning_rate": 1e-2, "epochs": 8, "batch_size": 50, "patience": None}
TRUTH = np.arange(900) >= 600


def fitted(sample: Sample, *, seed: int = 1, **changed: object) -> ImageAutoencoder:
    detector = detector_from_settings("image_autoencoder", {**TINY, **changed})
    assert isinstance(detector, ImageAutoencoder)
    detector.fit({"data": sample}, window=None, seeds=np.random.SeedSequence(seed))
    return detector


@pytest.fixture(scope="module")
def sample() -> Sample:
    return image_sample(jets(TRUTH, seed=1))


@pytest.fixture(scope="module")
def detector(sample: Sample) -> ImageAutoencoder:
    return fitted(sample.select(np.arange(500)))


def test_errors_are_larger_for_what_was_never_seen(sample: Sample, detector: ImageAutoencoder) -> None:
    scores = detector.score(sample.select(np.arange(500, 900)))
    assert auc(scores.event, TRUTH[500:]).value > 0.9
    assert (scores.event > 0).all()


def test_the_score_is_the_mean_squared_error_of_scaled_pixels(sample: Sample, detector: ImageAutoencoder) -> None:
    rows = np.array([5, 850])
    assert sample.batch is not None
    scaled = detector._ensemble.scaling(sample.batch(rows))
    parameters = detector._ensemble._parameters
    decoded = detector.settings.architecture((8, 8)).network.predict(parameters, scaled)[0]
    np.testing.assert_allclose(detector.score(sample).event[rows], ((decoded - scaled) ** 2).mean((1, 2)), rtol=1e-4)


def test_the_order_and_the_company_of_events_do_not_matter(sample: Sample, detector: ImageAutoencoder) -> None:
    whole = detector.score(sample).event
    order = np.random.default_rng(3).permutation(len(sample))[:77]
    np.testing.assert_allclose(detector.score(sample.select(order)).event, whole[order], rtol=1e-4)


def test_saved_and_loaded_scores_are_identical(sample: Sample, detector: ImageAutoencoder, tmp_path: Path) -> None:
    detector.save(tmp_path)
    again = ImageAutoencoder.load(tmp_path)
    assert again.settings == detector.settings
    np.testing.assert_array_equal(again.score(sample).event, detector.score(sample).event)


def test_folds_train_and_score_with_images(sample: Sample, tmp_path: Path) -> None:
    def untrained() -> Detector:
        return detector_from_settings("image_autoencoder", {**TINY, "filters": [2], "epochs": 1})

    small = replace(sample.select(np.arange(550, 650)), fold=np.arange(100, dtype=np.uint32))
    folds = CrossFit(untrained, 2, directory=tmp_path)
    folds.fit({"data": small}, window=None, seeds=np.random.SeedSequence(4))
    found = folds.score(small)
    own = folds.index(small) == 1
    np.testing.assert_allclose(folds.detectors[1].score(small).event[own], found.event[own], rtol=1e-4)


def test_the_same_seed_gives_the_same(sample: Sample) -> None:
    small = sample.select(np.arange(550, 650))
    first, same, other = (fitted(small, seed=seed, epochs=1, filters=[2], members=2).score(small) for seed in (1, 1, 2))
    assert first.members is not None
    np.testing.assert_array_equal(first.members, same.members)
    assert (first.members != other.members).any()
    np.testing.assert_allclose(first.event, first.members.mean(axis=1), rtol=1e-5)


def test_it_asks_for_the_images_of_its_settings() -> None:
    images = {"pixels": 20, "rotate": False}
    detector = detector_from_settings("image_autoencoder", {"jet": "j2", "images": images})
    assert isinstance(detector, ImageAutoencoder)
    assert detector.needs_images == WantedImages(("j2",), JetImageSettings(pixels=20, rotate=False))
    assert detector.describe()["settings"]["images"]["pixels"] == 20
    assert detector.settings.columns == ()
    assert not detector.windowed
    assert not detector.cross_fitted


def test_samples_that_cannot_be_trained_on_are_refused(sample: Sample) -> None:
    detector = ImageAutoencoder(ImageAutoencoderSettings())
    for work in (
        lambda own: detector.check({"data": own}, window=None),
        lambda own: fitted(own),
    ):
        with pytest.raises(TrainingError, match="has no images"):
            work(replace(sample, batch=None))
        with pytest.raises(TrainingError, match=r"\(n, 2, 8, 8\): expected \(n, pixels, pixels\)"):
            work(replace(sample, batch=Stored(np.zeros((900, 2, 8, 8)))))
    with pytest.raises(TrainingError, match="not trained"):
        detector.score(sample)
    with pytest.raises(TrainingError, match="at least one pixel"):
        JetImageSettings(pixels=0)
