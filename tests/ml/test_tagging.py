"""Samples rich in signal and in background, and who trains on what."""

from __future__ import annotations

import numpy as np
import pytest

from ml import TrainingError
from ml.tagging import NEITHER, POOR, RICH, Split, parts_of, pt_weights, ranks, soft_labels, tag

RANDOM = np.random.default_rng(5)
PAPER = {"signal_fraction": 0.2, "background_fraction": 0.4}


def test_the_top_is_rich_and_the_bottom_is_poor() -> None:
    scores = RANDOM.normal(size=1000)
    tags = tag(ranks(scores, np.zeros(1000, int), np.ones(1000)), **PAPER)
    assert np.count_nonzero(tags == RICH) == 200
    assert np.count_nonzero(tags == POOR) == 400
    assert scores[tags == RICH].min() > scores[tags == NEITHER].max()
    assert scores[tags == POOR].max() < scores[tags == NEITHER].min()


def test_the_mass_cut_is_on_the_signal_rich_sample_alone() -> None:
    rank = (np.arange(1000) + 0.5) / 1000
    inside = np.arange(1000) % 3 == 0
    tags = tag(rank, **PAPER, eligible=inside)
    assert np.array_equal(tags == RICH, (rank > 0.8) & inside)
    assert np.array_equal(tags == POOR, rank <= 0.4)


def test_ranks_are_within_groups_and_weighted() -> None:
    """Scores of two copies are not comparable: whichever is shifted, both give as many events."""
    groups = np.arange(1000) % 2
    scores = RANDOM.normal(size=1000) + 10 * groups
    tags = tag(ranks(scores, groups, np.ones(1000)), **PAPER)
    assert np.bincount(groups[tags == RICH]).tolist() == [100, 100]
    assert np.bincount(groups[tags == POOR]).tolist() == [200, 200]
    weight = np.where(scores > np.median(scores), 3.0, 1.0)
    heavy = tag(ranks(scores, np.zeros(1000, int), weight), **PAPER)
    assert weight[heavy == RICH].sum() == pytest.approx(0.2 * weight.sum(), abs=3)
    assert weight[heavy == POOR].sum() == pytest.approx(0.4 * weight.sum(), abs=3)


def test_equal_scores_are_tagged_together() -> None:
    rank = ranks(np.repeat([0.0, 1.0, 2.0], [500, 350, 150]), np.zeros(1000, int), np.ones(1000))
    tags = tag(rank, **PAPER)
    assert {value: int(np.count_nonzero(tags == value)) for value in (RICH, POOR, NEITHER)} == {
        RICH: 150,
        POOR: 500,
        NEITHER: 350,
    }


def test_soft_labels_are_half_at_either_threshold() -> None:
    rank = np.array([0.0, 0.2, 0.4, 0.8001, 0.9, 1.0])
    tags = np.array([POOR, POOR, POOR, RICH, RICH, RICH])
    labels = soft_labels(rank, tags, **PAPER)
    np.testing.assert_allclose(labels, [0, 0.25, 0.5, 0.50025, 0.75, 1])


@pytest.mark.parametrize("folds", [True, False])
def test_no_event_is_tagged_by_what_trained_on_it(folds: bool) -> None:
    parts = parts_of(np.arange(600), 3, salt=1)
    split = Split(parts, 3, folds=folds)
    for iteration in range(1, 3):
        for copy in range(split.copies):
            for row in split.training(iteration, copy)[::20]:
                tagger = split.tagged_by[row]
                assert row not in split.training(iteration - 1, int(tagger))
    if folds:
        assert all(len(split.training(1, copy)) > 350 for copy in range(3))
    else:
        used = np.concatenate([split.training(i, 0) for i in range(3)])
        assert np.array_equal(np.sort(used), np.arange(600))


def test_parts_are_even_within_the_folds_of_cross_fitting() -> None:
    """Whoever leaves out `fold % k` leaves every part as full as any other, whatever identifies events."""
    for event_id in (np.arange(40_000), np.uint64(77) << np.uint64(32) | np.arange(40_000, dtype=np.uint64)):
        parts = parts_of(event_id, 4, salt=3)
        for own in (event_id % 4 == 0, event_id % 5 == 1, event_id % 2 == 1):
            counts = np.bincount(parts[own], minlength=4)
            assert abs(counts - own.sum() / 4).max() < 5 * np.sqrt(own.sum() / 4)
    some = np.array([5, 17, 3])
    assert np.array_equal(parts_of(np.arange(100), 4, salt=3)[some], parts_of(some, 4, salt=3))
    assert not np.array_equal(parts_of(np.arange(100), 4, salt=3), parts_of(np.arange(100), 4, salt=4))
    with pytest.raises(TrainingError, match="integer identifier"):
        parts_of(np.array([0.5]), 2, salt=0)


def test_background_rich_objects_get_the_pt_of_signal_rich_ones() -> None:
    pt = np.concatenate([RANDOM.normal(1500, 100, 5000), 1200 + RANDOM.exponential(200, 20_000), np.full(10, 1.0)])
    tags = np.repeat([RICH, POOR, NEITHER], [5000, 20_000, 10])
    weight = RANDOM.uniform(0.5, 1.5, len(pt))
    factors = pt_weights(pt, tags, weight)
    assert (factors[tags != POOR] == 1).all()
    assert factors.min() >= 0.1
    assert factors.max() <= 10
    rich, poor = tags == RICH, tags == POOR
    before = np.average(pt[poor], weights=weight[poor]) - np.average(pt[rich], weights=weight[rich])
    after = np.average(pt[poor], weights=(weight * factors)[poor]) - np.average(pt[rich], weights=weight[rich])
    assert abs(before) > 50
    assert abs(after) < 10
    flat = pt_weights(np.full(30, 9.0), np.repeat([RICH, POOR], 15), np.ones(30))
    np.testing.assert_allclose(flat, 1.0)
