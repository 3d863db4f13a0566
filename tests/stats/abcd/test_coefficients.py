"""Correlation coefficients of scores, fold by fold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from stats import StatisticsError
from stats.abcd import correlation


def scores(rho: float, n: int = 20000, *, seed: int = 1) -> np.ndarray:
    first, second = np.random.default_rng(seed).normal(size=(2, n))
    return np.stack([first, rho * first + np.sqrt(1 - rho**2) * second])


def test_of_normal_scores() -> None:
    found = correlation(*scores(0.3))
    assert found.pearson == pytest.approx(0.3, abs=0.02)
    # Spearman's coefficient of a bivariate normal
    assert found.rank == pytest.approx(6 / np.pi * np.arcsin(0.15), abs=0.02)
    assert found.rank == pytest.approx(spearmanr(*scores(0.3)).statistic)
    assert found.n == 20000


def test_error_is_the_spread_of_independent_scores() -> None:
    found = [correlation(*scores(0.0, 400, seed=seed)) for seed in range(300)]
    for name in ("pearson", "rank"):
        assert np.std([getattr(one, name) / one.error for one in found]) == pytest.approx(1, abs=0.1)


def test_offsets_of_folds_are_no_correlation() -> None:
    first, second = scores(0.0)
    fold = np.arange(len(first)) % 4
    apart = np.stack([first + 10 * fold, second + 10 * fold])
    assert correlation(*apart).pearson > 0.9
    found = correlation(*apart, fold=fold)
    assert abs(found.pearson) < 4 * found.error
    assert abs(found.rank) < 4 * found.error


def test_weights_count_as_fewer_events() -> None:
    first, second = scores(0.5, 1000)
    weight = np.where(np.arange(1000) < 500, 1.0, 0.0)
    found = correlation(first, second, weight=weight)
    assert found.n == pytest.approx(500)
    assert found.pearson == pytest.approx(correlation(first[:500], second[:500]).pearson)


def test_what_has_no_correlation() -> None:
    constant = correlation(np.ones(10), np.arange(10.0)).to_dict()
    assert constant["pearson"] is None
    assert constant["rank"] is None
    with pytest.raises(StatisticsError, match="two or more"):
        correlation(np.ones(1), np.ones(1))
