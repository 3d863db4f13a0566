"""Classifiers of images: what they learn, and what never happens to their scaling."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError
from ml.image_batches import CHUNK, ImageChunks, ObjectImages, WantedImages, images_of
from ml.image_tagger import ImageTagger, ImageTaggerSettings
from ml.metrics import auc
from ml.settings import settings_from_mapping
from tests.ml.image_toys import Stored, image_sample, jets

TINY = ImageTaggerSettings(filters=(2, 2), dense=(4,), learning_rate=1e-2, epochs=4, batch_size=50, patience=None)
TRUTH = np.arange(900) % 2
TRAINING = np.arange(600)
HELD_OUT = np.arange(600, 900)


def fitted(sample: Sample, labels: np.ndarray, settings: ImageTaggerSettings = TINY, seed: int = 1) -> ImageTagger:
    tagger = ImageTagger(settings)
    tagger.fit(sample, labels, np.ones(len(sample)), seeds=np.random.SeedSequence(seed))
    return tagger


@pytest.fixture(scope="module")
def sample() -> Sample:
    return image_sample(jets(TRUTH, seed=1))


@pytest.fixture(scope="module")
def tagger(sample: Sample) -> ImageTagger:
    return fitted(sample.select(TRAINING), TRUTH[TRAINING])


def test_two_prongs_are_told_from_one(sample: Sample, tagger: ImageTagger) -> None:
    scores = tagger.score(sample.select(HELD_OUT))
    assert auc(scores.event, TRUTH[HELD_OUT]).value > 0.95
    assert scores.event.min() >= 0
    assert scores.event.max() <= 1


def test_scaling_is_that_of_training_whatever_is_scored(sample: Sample, tagger: ImageTagger) -> None:
    """One event alone, and among events of another kind, has the score that it has among all."""
    whole = tagger.score(sample).event
    ones = sample.select(np.flatnonzero(TRUTH == 1))
    np.testing.assert_allclose(tagger.score(ones).event, whole[TRUTH == 1], atol=1e-6)
    alone = [float(tagger.score(sample.select(np.array([row]))).event[0]) for row in (3, 700)]
    np.testing.assert_allclose(alone, whole[[3, 700]], atol=1e-6)


def test_the_order_of_events_does_not_matter(sample: Sample, tagger: ImageTagger) -> None:
    order = np.random.default_rng(3).permutation(len(sample))
    np.testing.assert_allclose(tagger.score(sample.select(order)).event, tagger.score(sample).event[order], atol=1e-6)


def test_saved_and_loaded_scores_are_identical(sample: Sample, tagger: ImageTagger, tmp_path: Path) -> None:
    tagger.save(tmp_path)
    content = json.loads((tmp_path / "settings.json").read_text())
    again = ImageTagger(settings_from_mapping(ImageTaggerSettings, content))
    assert again.settings == TINY
    again.load(tmp_path)
    np.testing.assert_array_equal(again.score(sample).event, tagger.score(sample).event)


def test_a_saved_member_is_an_ordinary_model_of_scaled_images(
    sample: Sample, tagger: ImageTagger, tmp_path: Path
) -> None:
    import keras

    tagger.save(tmp_path)
    assert sample.batch is not None
    scaled = tagger._ensemble.scaling(sample.batch(HELD_OUT))
    model = keras.models.load_model(tmp_path / "member-000.keras", compile=False)
    expected = tagger.score(sample.select(HELD_OUT)).event
    np.testing.assert_allclose(np.asarray(model(scaled))[:, 0], expected, atol=1e-5)


def test_the_same_seed_gives_the_same_and_members_differ(sample: Sample) -> None:
    settings = replace(TINY, members=2, epochs=1)
    training = sample.select(TRAINING[:200])
    first, same, other = (fitted(training, TRUTH[:200], settings, seed) for seed in (1, 1, 2))
    members = first.score(training).members
    assert members is not None
    np.testing.assert_array_equal(members, same.score(training).members)
    assert (members != other.score(training).members).any()
    assert (members[:, 0] != members[:, 1]).any()
    alone = fitted(training, TRUTH[:200], replace(settings, members=1), 1)
    np.testing.assert_allclose(alone.score(training).event, members[:, 0], atol=1e-5)


def test_soft_labels_train(sample: Sample, tagger: ImageTagger) -> None:
    training, labels = sample.select(TRAINING), np.where(TRUTH[TRAINING] == 1, 0.9, 0.1)
    soft = fitted(training, labels)
    scores, sure = (one.score(sample.select(HELD_OUT)).event for one in (soft, tagger))
    assert auc(scores, TRUTH[HELD_OUT]).value > 0.95
    ones = TRUTH[HELD_OUT] == 1
    assert np.median(scores[ones]) < np.median(sure[ones])
    assert np.median(scores[~ones]) > np.median(sure[~ones])


def test_images_of_two_jets_are_read_at_once() -> None:
    """One jet tells in half of the events, the other in the other half."""
    where = np.arange(600) % 2 == 0
    both = np.stack([jets(TRUTH[:600] & place, seed=i) for i, place in enumerate((where, ~where))], axis=1)
    truth = TRUTH[:600] & where | TRUTH[:600] & ~where
    tagger = fitted(image_sample(both), truth)
    assert auc(tagger.score(image_sample(both)).event, truth).value > 0.9
    with pytest.raises(TrainingError, match=r"\(2, 8, 8\)"):
        tagger.score(image_sample(both[:, 0]))


def test_memory_holds_a_chunk_not_the_sample() -> None:
    asked: list[int] = []

    def batch(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return np.broadcast_to((rows % 5)[:, None, None] / 5.0, (len(rows), 4, 4)) * np.eye(4)

    n = 2 * CHUNK + 500
    sample = replace(image_sample(np.zeros((n, 4, 4))), batch=batch)
    settings = replace(TINY, filters=(1,), dense=(), epochs=1, batch_size=512)
    tagger = fitted(sample, (np.arange(n) % 5 > 2).astype(float), settings)
    tagger.score(sample)
    assert max(asked) <= CHUNK
    assert sum(asked) >= 4 * n  # scaling, training, validation, scoring


def test_chunks_hold_every_event_once_with_its_columns() -> None:
    images, labels = jets(TRUTH[:25], seed=2), np.arange(25.0)
    order = np.random.default_rng(1).permutation(25)
    chunks = ImageChunks(Stored(images), {"label": labels}, order, size=10)
    found = list(chunks(0))
    assert [len(chunk["x"]) for chunk in found] == [9, 8, 8]
    np.testing.assert_array_equal(np.concatenate([chunk["label"] for chunk in found]), labels[order])
    np.testing.assert_array_equal(np.concatenate([chunk["x"] for chunk in found]), images[order])
    for now, later in zip(chunks(0), chunks(5), strict=True):
        np.testing.assert_array_equal(now["x"], later["x"])


def test_an_object_is_another_jet_in_every_event() -> None:
    both = np.stack([jets(TRUTH[:20], seed=1), jets(TRUTH[:20], seed=2)], axis=1)
    which = np.arange(20) // 10
    own = pickle.loads(pickle.dumps(ObjectImages(Stored(both), which)))  # noqa: S301 (our own, just made)
    rows = np.array([15, 3, 4])
    np.testing.assert_array_equal(own(rows), [both[15, 1], both[3, 0], both[4, 0]])


def test_a_sample_without_usable_images_is_refused(sample: Sample, tagger: ImageTagger) -> None:
    with pytest.raises(TrainingError, match=r"processing: \{constituents: 200\}"):
        tagger.score(replace(sample, batch=None))
    for shape in ((900, 8), (900, 8, 9), (900, 1, 2, 8, 8)):
        with pytest.raises(TrainingError, match="expected"):
            fitted(replace(sample, batch=Stored(np.zeros(shape))), TRUTH)
    with pytest.raises(TrainingError, match=r"\(8, 8\).*\(10, 10\)"):
        tagger.score(image_sample(jets(TRUTH, seed=1, pixels=10)))
    broken = jets(TRUTH, seed=1)
    broken[800, 2, 2] = np.nan
    for work in (tagger.score, lambda own: fitted(own, TRUTH)):
        with pytest.raises(TrainingError, match=r"1 of .* images .* NaN or infinite, the first that of row 800"):
            work(image_sample(broken))
    checked, _ = images_of(replace(sample, batch=lambda rows: jets(TRUTH[:2], seed=1)[: 1 + (len(rows) > 1)]))
    with pytest.raises(TrainingError, match="for 5 rows"):
        checked(np.arange(5))


@pytest.mark.parametrize("labels", [TRUTH[:5], TRUTH * 2, np.full(900, np.nan)])
def test_labels_beyond_0_and_1_are_refused(sample: Sample, labels: np.ndarray) -> None:
    with pytest.raises(TrainingError, match="from 0 to 1"):
        fitted(sample, labels)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"members": 0}, "members"),
        ({"floor": -1.0}, "smallest standard deviation"),
        ({"optimizer": "sgd"}, "has no betas: set them to null"),
        ({"filters": ()}, "filters are empty"),
        ({"dense": (0,)}, "at least one unit"),
        ({"truncation": 0.7}, "truncation"),
        ({"batch_size": 0}, "batch sizes"),
    ],
)
def test_impossible_settings_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ImageTaggerSettings(**changed)


@pytest.mark.parametrize("jets_", [(), ("j1", "j1"), ("j3",)])
def test_images_are_of_jets_that_there_are(jets_: tuple[str, ...]) -> None:
    with pytest.raises(TrainingError, match="each once"):
        WantedImages(jets_)


def test_an_untrained_tagger_says_so(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not trained"):
        ImageTagger(TINY).score(sample)
    with pytest.raises(TrainingError, match="nothing to save"):
        ImageTagger(TINY).save(tmp_path)
