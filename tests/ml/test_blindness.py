"""Adversaries that do not see: distances of known distributions, and who counts as blind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from ml import TrainingError
from ml.blindness import blind, largest_distance


def test_the_distance_of_two_classes_is_that_of_kolmogorov_and_smirnov() -> None:
    random = np.random.default_rng(1)
    scores = np.concatenate([random.normal(0, 1, 300), random.normal(0.5, 2, 200)])
    classes = np.repeat([0, 1], [300, 200])
    found = largest_distance(np.stack([scores, -scores]), classes, np.ones(500))
    assert found == pytest.approx([ks_2samp(scores[:300], scores[300:]).statistic] * 2)


def test_of_three_classes_the_two_farthest_apart_count() -> None:
    scores = np.array([[1.0, 2, 3, 4, 1, 2, 3, 4, 11, 12, 13, 4]])
    assert largest_distance(scores, np.repeat([0, 1, 2], 4), np.ones(12)) == pytest.approx([0.75])


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30), st.integers(0, 2**31))
def test_weights_are_as_good_as_copies_and_equal_scores_are_not_cut_apart(values: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    scores, copies = np.array(values, float), random.integers(1, 4, len(values))
    classes = np.arange(len(values)) % 2
    copied = largest_distance(np.repeat(scores, copies)[None], np.repeat(classes, copies), np.ones(copies.sum()))
    assert largest_distance(scores[None], classes, copies.astype(float)) == pytest.approx(copied)
    same = largest_distance(np.zeros((1, len(values))), classes, np.ones(len(values)))
    assert same == pytest.approx([0.0], abs=1e-12)


def test_one_class_is_not_apart_from_anything() -> None:
    with pytest.raises(TrainingError, match="where there are two"):
        largest_distance(np.zeros((1, 4)), np.array([0, 0, 1, 1]), np.array([1.0, 1, 0, 0]))


def test_blind_is_who_guesses_although_a_cut_would_do_better() -> None:
    # classes 0.3 apart: a cut is right in 1.3/3 of the events of three classes
    accuracy = [1 / 3, 0.35, 0.40, 1.3 / 3, 1 / 3]
    assert blind(np.array([0.3, 0.3, 0.3, 0.3, 0.05]), np.array(accuracy), classes=3).tolist() == [
        True, True, False, False, False,
    ]  # fmt: skip
