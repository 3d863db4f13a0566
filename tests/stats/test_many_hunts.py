"""Toys of selections that overlap in many parts, and what looking at many of them costs."""

from __future__ import annotations

import numpy as np
import pytest

from stats import Overlap, Spectrum, bump_hunt, combine_hunts, dijet
from stats.combination import Combination

EDGES = np.linspace(3000, 6000, 31)


@pytest.fixture(scope="module")
def overlap() -> Overlap:
    """Three overlapping selections of 20,000 events."""
    return Overlap.from_events(*_events())


def _events() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    masses = 3000 + rng.exponential(500, 20_000)
    masses = masses[masses < 6000]
    score = rng.normal(size=(2, masses.size))
    selected = np.stack([np.ones(masses.size, dtype=bool), score[0] > 0.5, score[0] + score[1] > 1.5])
    return masses, selected, EDGES


def test_toys_are_the_same_however_many_are_drawn_at_once(overlap: Overlap, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = overlap.counts + 0.5
    whole = overlap.draw(expected, 50, np.random.default_rng(3))
    monkeypatch.setattr("stats.overlaps.LARGEST_DRAW", 7 * expected.size)
    parts = overlap.draw(expected, 50, np.random.default_rng(3))
    np.testing.assert_array_equal(whole, parts)
    drawn = np.random.default_rng(3).poisson(expected, size=(50, *expected.shape))
    for selection, toys in enumerate(whole):
        np.testing.assert_array_equal(toys, drawn[:, overlap.members[:, selection]].sum(axis=1))


@pytest.fixture(scope="module")
def combination(overlap: Overlap) -> Combination:
    """Three hunts at different masses, combined with 400 toys."""
    masses, selected, edges = _events()
    hunts = [
        bump_hunt(Spectrum.from_masses(masses[rows], edges), dijet(3, sqrt_s=13000), masses=grid)
        for rows, grid in zip(selected, ([3300, 3600, 3900], [3300, 3600], [4200]), strict=True)
    ]
    return combine_hunts(hunts, toys=400, rng=np.random.default_rng(1), correlation=overlap)


def test_hunts_at_different_masses_have_one_trials_factor(combination: Combination) -> None:
    alone = [part.largest for part in combination.toys]
    largest = np.max(alone, axis=0)
    factor, threshold = combination.trials_factor_in_toys(20)
    assert threshold == np.sort(alone[combination.best])[-20]
    assert factor == (1 + (largest >= threshold).sum()) / 21
    assert factor >= 1
    entry = combination.to_dict()["trials_factor_in_toys"]
    assert entry == {"value": factor, "local_z": threshold}


def test_too_few_toys_tell_no_trials_factor(combination: Combination) -> None:
    assert np.isnan(combination.trials_factor_in_toys(401)).all()
