"""The labelled reference of Tag N' Train on a toy of two independent objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("type_", ["supervised_objects", "mixture_objects"])
@pytest.mark.parametrize(
    "unread",
    [
        {"weak": {"settings": {"members": 1}}},
        {"iterations": 0},
        {"signal_fractions": [0.1]},
        {"background_fraction": 0.3},
        {"scheme": "disjoint"},
        {"inner_folds": 3},
        {"tag_with": "same"},
        {"mass_window": False},
        {"pt_reweighting": False},
        {"soft_labels": True},
    ],
)
def test_settings_of_tags_have_no_effect_and_are_refused(type_: str, unread: dict[str, Any]) -> None:
    """With images, too; as defaults they may stand, so that a search can share its settings."""
    for more in ({}, {"inputs": "images"}):
        with pytest.raises(TrainingError, match=f"^{next(iter(unread))}: without effect on a labelled reference"):
            detector_from_settings(type_, {**more, **unread})
    given = detector_from_settings(type_, {"iterations": 3, "pt_reweighting": True, "signal_fractions": [0.2, 0.1]})
    assert given.settings == detector_from_settings(type_).settings


def test_all_that_is_without_effect_is_named_at_once() -> None:
    with pytest.raises(TrainingError, match=r"^scheme, tag_with: without effect"):
        detector_from_settings("supervised_objects", {"tag_with": "same", "scheme": "disjoint"})


@pytest.mark.parametrize("type_", ["supervised_objects", "mixture_objects"])
def test_pt_is_read_only_where_it_orders(type_: str, labelled: tuple[Sample, np.ndarray]) -> None:
    def columns(**settings: Any) -> tuple[str, ...]:
        return detector_from_settings(type_, settings).settings.columns

    assert columns(features=["tau21"]) == ("j1_tau21", "j1_pt", "j2_tau21", "j2_pt")
    assert columns(features=["m", "tau21"], object_order="mass") == ("j1_m", "j1_tau21", "j2_m", "j2_tau21")
    assert columns(inputs="images", object_order="mass") == ("j1_m", "j2_m")
    without = {name: column for name, column in labelled[0].columns.items() if not name.endswith("_pt")}
    masses = {f"{jet}_m": labelled[0].columns[f"{jet}_a"] for jet in ("j1", "j2")}
    sample = dataclasses.replace(labelled[0], columns=without | masses)
    by_mass = detector_from_settings(type_, {**SMALL, "object_order": "mass"})
    by_mass.check({"data": sample}, window=None)
    with pytest.raises(TrainingError, match="no feature 'j1_pt'"):
        detector_from_settings(type_, SMALL).check({"data": sample}, window=None)
