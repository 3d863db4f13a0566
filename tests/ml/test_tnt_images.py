"""Tag N' Train and its references on images of toy jets."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import Detector, Sample, Scores, TrainingError, detector_class, detector_from_settings
from ml.image_batches import JetImageSettings, WantedImages
from ml.image_tagger import ImageTagger
from ml.metrics import auc
from ml.objects import ObjectImages, objects_of
from ml.tnt import TNT
from ml.tnt_settings import TNTSettings
from tests.ml.image_toys import Stored, jets
from tests.ml.tnt_toys import SEEDS, WINDOW

NETWORK = {"filters": [4], "dense": [8], "learning_rate": 1e-2, "epochs": 6, "batch_size": 50, "patience": None}
WEAK = {"filters": [2], "latent": 2, "learning_rate": 1e-2, "epochs": 2, "batch_size": 50, "patience": None}
TINY: dict[str, Any] = {
    "inputs": "images",
    "images": {"pixels": 8},
    "network": NETWORK,
    "weak": {"settings": WEAK},
    "scheme": "disjoint",
    "iterations": 1,
}


def toy(background: int, signal: int, *, seed: int) -> tuple[Sample, np.ndarray]:
    """Pairs of jets with two prongs, one above the other, in signal, and one prong in background, of which a third has
    two side by side: as odd, and of either jet by itself. pT tells nothing but which jet comes first."""
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat([0, 1], [background, signal]))
    count = len(truth)
    odd = (truth[:, None] == 0) & (random.random((count, 2)) < 1 / 3)
    images = np.stack([jets((truth == 1) | odd[:, k], seed=2 * seed + k) for k in range(2)], axis=1)
    images = np.where(odd[:, :, None, None], images.swapaxes(2, 3), images)
    return Sample(
        columns={f"{jet}_pt": 1200 + random.exponential(200, count) for jet in ("j1", "j2")},
        mass=np.where(truth == 1, random.normal(3500, 80, count), random.uniform(2500, 4500, count)),
        weight=np.ones(count),
        fold=random.integers(0, 2**32, count, dtype=np.uint32),
        event_id=np.arange(count),
        batch=Stored(images),
    ), truth


def trained(type_: str, sample: Sample, settings: dict[str, Any]) -> Detector:
    detector = detector_from_settings(type_, settings)
    detector.fit({"data": sample}, window=WINDOW, seeds=SEEDS)
    return detector


@pytest.fixture(scope="module")
def search() -> Sample:
    return toy(3000, 200, seed=1)[0]


@pytest.fixture(scope="module")
def tests() -> tuple[Sample, np.ndarray]:
    return toy(1000, 300, seed=2)


@pytest.fixture(scope="module")
def tnt(search: Sample) -> Detector:
    return trained("tnt", search, TINY)


@pytest.fixture(scope="module")
def weak(search: Sample) -> Detector:
    return trained("tnt", search, TINY | {"iterations": 0})


def labelled(tests: tuple[Sample, np.ndarray]) -> Sample:
    return dataclasses.replace(tests[0], category=tests[1].astype(np.int64))


def same(first: Scores, second: Scores) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("event", "spread", "objects", "members")
    )


def marked(**columns: list[float]) -> Sample:
    """Events whose images say which event and jet they are of: 10 · event + jet in every pixel."""
    count = len(next(iter(columns.values())))
    value = 10 * np.arange(count)[:, None] + [1, 2]
    return Sample(
        columns={name: np.array(column) for name, column in columns.items()},
        mass=np.full(count, 3000.0),
        weight=np.ones(count),
        fold=np.arange(count),
        event_id=np.arange(count),
        batch=Stored(np.broadcast_to(value[:, :, None, None], (count, 2, 4, 4)).astype(np.float32)),
    )


PAIRS = marked(
    j1_m=[500.0, 400.0, 300.0, 200.0],
    j2_m=[100.0, 120.0, 300.0, 250.0],
    j1_pt=[1500.0, 1300.0, 1400.0, 1250.0],
    j2_pt=[1400.0, 1450.0, 1400.0, 1200.0],
)


@pytest.mark.parametrize(("order", "first"), [("pt", [1, 12, 21, 31]), ("mass", [1, 11, 21, 32])])
def test_images_are_in_the_order_of_the_objects_of_each_event(order: str, first: list[int]) -> None:
    """By the event's own value alone: whatever it stands beside, and where the other of its jets is first, too."""
    settings = {**TINY, "object_order": order}
    detector = detector_from_settings("tnt", settings)
    assert isinstance(detector, TNT)
    second = [20 * i + 3 - value for value, i in zip(first, (0, 1, 2, 3), strict=True)]
    for rows in (np.arange(4), np.array([3, 0, 1]), np.array([1]), np.array([1, 1, 3]), np.arange(0)):
        for own, expected in zip(detector.objects(PAIRS.select(rows)), (first, second), strict=True):
            assert own.batch is not None
            images = own.batch(np.arange(len(rows)))
            assert images.shape == (len(rows), 4, 4)
            assert images[:, 0, 0].tolist() == np.array(expected)[rows].tolist()
            backwards = own.select(np.arange(len(rows))[::-1]).batch
            assert backwards is not None
            assert backwards(np.arange(len(rows)))[:, 3, 3].tolist() == np.array(expected)[rows][::-1].tolist()


def test_objects_have_images_where_they_are_asked_for() -> None:
    assert [own.batch for own in objects_of(PAIRS, ("pt",), order="pt")] == [None, None]
    assert all(isinstance(own.batch, ObjectImages) for own in objects_of(PAIRS, ("pt",), order="pt", images=True))
    without = dataclasses.replace(PAIRS, batch=None)
    assert [own.batch for own in objects_of(without, ("pt",), order="pt", images=True)] == [None, None]
    assert len(pickle.dumps(objects_of(PAIRS, ("pt",), order="pt", images=True)))


def test_it_beats_the_autoencoders_it_started_from(
    tnt: Detector, weak: Detector, tests: tuple[Sample, np.ndarray]
) -> None:
    sample, truth = tests
    scores, start = tnt.score(sample), weak.score(sample)
    assert 1 - auc(scores.event, truth).value < 0.6 * (1 - auc(start.event, truth).value)
    assert scores.objects is not None
    assert start.objects is not None
    for own, before in zip(scores.objects.T, start.objects.T, strict=True):
        assert auc(own, truth).value > auc(before, truth).value + 0.02
    assert not any(isinstance(copy, ImageTagger) for copies in weak._done[-1].copies for copy in copies)  # type: ignore[attr-defined]


def test_each_object_is_scored_by_its_own_image(tnt: Detector, tests: tuple[Sample, np.ndarray]) -> None:
    """Another image of the jet of smaller pT changes the second object's score and nothing else."""
    sample = tests[0]
    assert isinstance(sample.batch, Stored)
    lower = (sample.columns["j1_pt"] >= sample.columns["j2_pt"]).astype(int)
    images = sample.batch.images.copy()
    images[np.arange(len(sample)), lower] = images[::-1][np.arange(len(sample)), lower]
    before, after = tnt.score(sample).extras, tnt.score(dataclasses.replace(sample, batch=Stored(images))).extras
    np.testing.assert_array_equal(before["first"], after["first"])
    assert (before["second"] != after["second"]).mean() > 0.9


def test_jets_in_either_order_are_the_same_event(tnt: Detector, tests: tuple[Sample, np.ndarray]) -> None:
    sample = tests[0]
    assert isinstance(sample.batch, Stored)
    columns = {"j1_pt": sample.columns["j2_pt"], "j2_pt": sample.columns["j1_pt"]}
    swapped = dataclasses.replace(sample, columns=columns, batch=Stored(sample.batch.images[:, ::-1]))
    assert np.array_equal(tnt.score(swapped).event, tnt.score(sample).event)


@pytest.mark.parametrize("kind", ["tnt", "weak"])
def test_saved_detectors_score_the_same(
    kind: str, tests: tuple[Sample, np.ndarray], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    detector = request.getfixturevalue(kind)
    detector.save(tmp_path)
    loaded = detector_class("tnt")[0].load(tmp_path)
    assert same(detector.score(tests[0]), loaded.score(tests[0]))
    assert loaded.settings == detector.settings
    assert loaded.needs_images == detector.needs_images
    assert json.loads((tmp_path / "settings.json").read_text())["inputs"] == "images"
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} <= {".keras", ".npz", ".json"}


@pytest.mark.parametrize("type_", ["cwola", "supervised", "supervised_objects"])
def test_references_learn_from_the_same_images(type_: str, tests: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    """Both images at once, or one after the other; saved and loaded they score the same."""
    settings = {"inputs": "images", "images": {"pixels": 8}, "network": NETWORK}
    detector = trained(type_, labelled(tests), settings)
    assert detector.needs_images == WantedImages(("j1", "j2"), JetImageSettings(pixels=8))
    found = detector.score(tests[0])
    assert auc(found.event, tests[1]).value > 0.95
    detector.save(tmp_path)
    loaded = detector_class(type_)[0].load(tmp_path)
    assert loaded.settings == detector.settings
    assert np.array_equal(loaded.score(tests[0]).event, found.event)


def test_columns_are_those_that_are_read() -> None:
    assert TNTSettings(inputs="images").columns == ("j1_pt", "j2_pt")
    assert TNTSettings(inputs="images", object_order="mass", pt_reweighting=False).columns == ("j1_m", "j2_m")
    assert TNTSettings(inputs="images", object_order="mass").columns[1] == "j1_pt"
    for type_ in ("cwola", "supervised"):
        assert detector_from_settings(type_, {"inputs": "images"}).settings.columns == ()
        assert detector_from_settings(type_).needs_images is None
    assert detector_from_settings("tnt").needs_images is None


def test_weak_classifiers_have_the_images_of_all() -> None:
    detector = TNTSettings(inputs="images", images=JetImageSettings(pixels=10)).weak_detector()
    assert detector.needs_images == WantedImages(("j1",), JetImageSettings(pixels=10))
    assert TNTSettings(inputs="images", soft_labels=True).tagger.dense == (32,)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("type_", "settings", "message"),
    [
        ("tnt", {"features": ["m"]}, "features has no effect with inputs 'images'"),
        ("tnt", {"classifier": "mlp"}, "classifier has no effect .* stand under `network`"),
        ("tnt", {"bdt": {"iterations": 3}}, "bdt has no effect"),
        ("tnt", {"members": 2}, "members has no effect"),
        ("tnt", {"inputs": "features", "network": {"members": 2}}, "network has no effect .* or take 'images'"),
        ("tnt", {"inputs": "features", "images": {"pixels": 8}}, "images has no effect with inputs 'features'"),
        ("tnt", {"inputs": "image"}, "did you mean 'images'"),
        (
            "tnt",
            {"weak": {"type": "autoencoder"}},
            "'autoencoder' cannot tag first with inputs 'images': take 'image_au",
        ),
        ("tnt", {"weak": {"type": "tnt"}}, "cannot tag first"),
        ("tnt", {"weak": {"settings": {"jet": "j2"}}}, "weak.settings.jet has no effect"),
        ("tnt", {"weak": {"settings": {"images": {"pixels": 8}}}}, "weak.settings.images has no effect"),
        ("tnt", {"inputs": "features", "weak": {"type": "image_autoencoder"}}, "with inputs 'features': take 'autoenc"),
        ("supervised_objects", {"truncation": 0.1}, "truncation has no effect"),
        ("cwola", {"classifier": "bdt"}, "classifier has no effect with inputs 'images'"),
        ("cwola", {"decorrelation": "ratio"}, "decorrelation has no effect"),
        ("cwola", {"inputs": "features", "network": {"members": 2}}, "network has no effect"),
        ("supervised", {"features": ["j1_m"]}, "features has no effect"),
    ],
)
def test_settings_without_effect_are_refused(type_: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings(type_, {"inputs": "images", **settings})


@pytest.mark.parametrize("type_", ["tnt", "cwola", "supervised", "supervised_objects"])
def test_samples_without_both_images_are_refused(type_: str, tests: tuple[Sample, np.ndarray]) -> None:
    sample = labelled(tests)
    detector = detector_from_settings(type_, {"inputs": "images"})
    assert isinstance(sample.batch, Stored)
    with pytest.raises(TrainingError, match=r"role 'data'.*no images.*constituents: 200"):
        detector.check({"data": dataclasses.replace(sample, batch=None)}, window=WINDOW)
    for images, message in ((sample.batch.images[:, 0], r"\(n, 8, 8\)"), (sample.batch.images[:, :1], "of 1 jets")):
        with pytest.raises(TrainingError, match=message):
            detector.check({"data": dataclasses.replace(sample, batch=Stored(images))}, window=WINDOW)


def test_what_orders_is_needed_and_what_is_not_read_is_not(tests: tuple[Sample, np.ndarray]) -> None:
    detector = detector_from_settings("supervised_objects", {"inputs": "images"})
    detector.check({"data": labelled(tests)}, window=None)
    with pytest.raises(TrainingError, match="no feature 'j1_pt'"):
        detector.check({"data": dataclasses.replace(labelled(tests), columns={})}, window=None)
    detector_from_settings("supervised", {"inputs": "images"}).check(
        {"data": dataclasses.replace(labelled(tests), columns={})}, window=None
    )
