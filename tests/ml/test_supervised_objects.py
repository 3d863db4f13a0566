"""The labelled reference of Tag N' Train on a toy of two independent objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ml import Sample, TrainingError, detector_from_settings
from ml.metrics import auc
from ml.supervised_objects import SupervisedObjects
from tests.ml.tnt_toys import FEATURES, SEEDS, TREES, toy

SMALL = {"features": list(FEATURES), "members": 1, **TREES}


@pytest.fixture(scope="module")
def labelled() -> tuple[Sample, np.ndarray]:
    sample, truth = toy(3000, 600, seed=1)
    return dataclasses.replace(sample, category=truth.astype(np.int64)), truth


@pytest.fixture(scope="module")
def trained(labelled: tuple[Sample, np.ndarray]) -> SupervisedObjects:
    detector = detector_from_settings("supervised_objects", SMALL)
    assert isinstance(detector, SupervisedObjects)
    detector.fit({"data": labelled[0]}, window=None, seeds=SEEDS)
    return detector


def test_each_object_tells_signal_and_both_together_more(trained: SupervisedObjects) -> None:
    assert trained.uses_labels
    assert not trained.windowed
    fresh, truth = toy(3000, 600, seed=2)
    scores = trained.score(fresh)
    assert scores.objects is not None
    alone = [auc(one, truth).value for one in scores.objects.T]
    assert min(alone) > 0.7
    assert auc(scores.event, truth).value > max(alone)
    # percentiles of the background it trained on: those of fresh background are even
    np.testing.assert_allclose(np.quantile(scores.objects[truth == 0], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05)


def test_it_is_kept_as_it_is(trained: SupervisedObjects, labelled: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = SupervisedObjects.load(tmp_path)
    assert isinstance(again, SupervisedObjects)
    assert np.array_equal(again.score(labelled[0]).event, trained.score(labelled[0]).event)


@pytest.mark.parametrize(
    ("category", "message"),
    [(None, "needs the category of each event"), (0, "no signal events"), (1, "no background events")],
)
def test_labels_are_needed(labelled: tuple[Sample, np.ndarray], category: int | None, message: str) -> None:
    sample = dataclasses.replace(
        labelled[0], category=None if category is None else np.full(len(labelled[0]), category)
    )
    detector = detector_from_settings("supervised_objects", SMALL)
    with pytest.raises(TrainingError, match=message):
        detector.fit({"data": sample}, window=None, seeds=SEEDS)
    with pytest.raises(TrainingError, match="`iterations` cannot be 0"):
        detector_from_settings("supervised_objects", {**SMALL, "iterations": 0})
