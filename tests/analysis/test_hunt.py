"""Selections keep the fraction of weight that they say, in every fold."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.events import Events
from analysis.stages.searched import Searched
from analysis.stages.selections import Selection, edges_of, selected_rows
from analysis.stages.train import Trained
from analysis.statistics_settings import SpectrumSettings

SPECTRUM = SpectrumSettings(start=3000.0, stop=6000.0, width=100.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_efficiency_is_the_fraction_of_weight_in_the_spectrum_and_fold(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    size = 20_000
    weight = rng.uniform(0.5, 2.0, size) if weighted else np.ones(size)
    events = Events(
        {
            "mjj": rng.uniform(2000.0, 7000.0, size),
            "weight": weight,
            "truth": np.full(size, -1),
            "file_id": np.zeros(size, dtype=np.uint32),
            "entry": np.arange(size),
            "fold": rng.integers(0, 2**32, size, dtype=np.uint32),
        }
    )
    fold = (events["fold"] % 5).astype(np.int64)
    score = rng.normal(size=size) + fold + 2.0 * (weight - 1.0)  # scores of different folds are not comparable
    found = Trained("d", "s", score, score, None, fold, None, None, {}, "key")
    rows = selected_rows(Searched("s", events, None, None, "key"), found, Selection("s", "d", 0.1), SPECTRUM)
    inside = events.inside((3000.0, 6000.0))
    assert not rows[~inside].any()
    for index in range(5):
        own = inside & (fold == index)
        assert weight[rows & own].sum() / weight[own].sum() == pytest.approx(0.1, abs=2.0 / own.sum())
    assert edges_of(SPECTRUM)[0] == 3000.0
