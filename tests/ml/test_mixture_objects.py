"""The reference on random mixtures: drawn blindly, it finds signal and leaves the objects independent."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, detector_from_settings
from ml.metrics import auc
from ml.mixture_objects import MixtureObjects
from ml.tagging import NEITHER, POOR, RICH
from tests.ml.tnt_toys import FEATURES, SEEDS, TREES, toy

FRACTIONS = {"signal_rich": 0.4, "signal_poor": 0.05, "share": 0.3}
SMALL: dict[str, Any] = {"features": list(FEATURES), "members": 1, **TREES, **FRACTIONS}


def detector(**settings: Any) -> MixtureObjects:
    found = detector_from_settings("mixture_objects", SMALL | settings)
    assert isinstance(found, MixtureObjects)
    return found


@pytest.fixture(scope="module")
def labelled() -> tuple[Sample, np.ndarray]:
    sample, truth = toy(3000, 600, seed=1)
    return dataclasses.replace(sample, category=truth.astype(np.int64)), truth


@pytest.fixture(scope="module")
def trained(labelled: tuple[Sample, np.ndarray]) -> MixtureObjects:
    found = detector()
    found.fit({"data": labelled[0]}, window=None, seeds=SEEDS)
    return found


def test_mixtures_hold_the_signal_that_was_asked_for(labelled: tuple[Sample, np.ndarray]) -> None:
    truth = labelled[1].astype(np.int64)
    for k in range(2):
        labels = detector().classes(truth, SEEDS, k)
        for label, fraction in ((RICH, 0.4), (POOR, 0.05)):
            assert np.count_nonzero(labels == label) == 0.3 * len(truth)
            assert truth[labels == label].mean() == pytest.approx(fraction, abs=1e-3)


def test_mixtures_know_nothing_of_either_object(labelled: tuple[Sample, np.ndarray]) -> None:
    """In background the features of both objects, and the other object's mixture, are the same in either mixture.

    The events are sorted by the other object first: a draw that keeps their order would tell."""
    sample, truth = labelled
    order = np.lexsort((sample.columns["j2_a"], truth))
    background = truth[order] == 0
    drawn = [detector().classes(truth[order].astype(np.int64), SEEDS, k) for k in range(2)]
    for labels in drawn:
        rich, poor = (background & (labels == one) for one in (RICH, POOR))
        for name in ("j1_a", "j2_a", "j2_b"):
            values = sample.columns[name][order]
            error = np.sqrt(values[rich].var() / rich.sum() + values[poor].var() / poor.sum())
            assert abs(values[rich].mean() - values[poor].mean()) < 4 * error
    both = background & (drawn[0] != NEITHER) & (drawn[1] != NEITHER)
    assert abs(np.corrcoef(drawn[0][both], drawn[1][both])[0, 1]) < 4 / np.sqrt(both.sum())


def test_it_finds_signal_and_keeps_the_objects_of_background_apart(
    trained: MixtureObjects, labelled: tuple[Sample, np.ndarray]
) -> None:
    assert trained.uses_labels
    assert not trained.windowed
    fresh, truth = toy(3000, 600, seed=2)
    # events that trained, too: what a classifier remembers of them must not tie the objects to each other
    for sample, known in ((fresh, truth), labelled):
        scores = trained.score(sample)
        assert scores.objects is not None
        assert auc(scores.event, known).value > 0.8
        background = scores.objects[known == 0]
        assert abs(np.corrcoef(background.T)[0, 1]) < 4 / np.sqrt(len(background))


def test_it_is_kept_as_it_is(trained: MixtureObjects, labelled: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    trained.save(tmp_path)
    again = MixtureObjects.load(tmp_path)
    assert again.settings == trained.settings
    assert np.array_equal(again.score(labelled[0]).event, trained.score(labelled[0]).event)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"signal_rich": 0.05, "signal_poor": 0.05}, "signal_rich above signal_poor: got 0.05 and 0.05"),
        ({"share": 0.6}, "at most 0.5"),
        ({"signal_rich": 0.9}, "take 1026 signal events, but there are 600"),
        ({"share": 0.002}, "leaves 7 for each mixture"),
    ],
)
def test_mixtures_that_cannot_be_made_are_refused(
    labelled: tuple[Sample, np.ndarray], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        detector(**settings).check({"data": labelled[0]}, window=None)
