"""Shares of a simulated signal between regions, with the errors of the simulation."""

from __future__ import annotations

import numpy as np
import pytest

from stats import StatisticsError, upper_limit
from stats.abcd import Regions, abcd_workspace, signal_shares


def test_shares_and_errors_are_those_of_the_counts() -> None:
    first = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    second = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    found = signal_shares(first, second, first_cuts=[0.5], second_cuts=[1.0])
    assert found.shares == {"A": 1.0, "B": 0.5, "C": 0.25, "D": 0.25}
    assert found.errors == pytest.approx({"A": 0.5, "B": np.sqrt(0.5), "C": 1.0, "D": 1.0})
    assert found.systematics["signal_share_A"] == {"B": 0.5, "C": 0.5, "D": 0.5}
    assert found.systematics["signal_share_B"] == {"B": pytest.approx(np.sqrt(0.5))}
    weighted = signal_shares(first, second, first_cuts=[0.5], second_cuts=[1.0], weight=np.full(8, 3.0))
    assert weighted.shares == found.shares
    assert weighted.errors == pytest.approx(found.errors)


def test_three_strips_make_the_six_regions() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(2, 500))
    found = signal_shares(*scores, first_cuts=[-0.5, 0.5], second_cuts=[0.3])
    turned = signal_shares(*scores[::-1], first_cuts=[0.3], second_cuts=[-0.5, 0.5], axis=1)
    assert set(found.shares) == {"A", "B", "C", "D", "B_far", "D_far"}
    assert found == turned


def test_errors_of_shares_weaken_the_limit_and_stay_out_of_region_a() -> None:
    counts = {"A": 30.0, "B": 40.0, "C": 40.0, "D": 100.0}
    rng = np.random.default_rng(2)
    found = signal_shares(*(rng.normal(size=(2, 40)) + 0.5), first_cuts=[0.5], second_cuts=[0.5])
    regions = Regions(counts, counts, is_counts=True)
    sharp = abcd_workspace(regions, signal=found.shares)
    wide = abcd_workspace(regions, signal=found.shares, signal_systematics=found.systematics)
    signal = next(channel for channel in wide["channels"] if channel["name"] == "A")["samples"][0]
    assert [modifier["name"] for modifier in signal["modifiers"]] == ["mu"]
    assert upper_limit(wide).observed > upper_limit(sharp).observed


def test_what_has_no_shares_is_refused() -> None:
    with pytest.raises(StatisticsError, match="region A"):
        signal_shares(np.zeros(3), np.zeros(3), first_cuts=[1.0], second_cuts=[1.0])
    with pytest.raises(StatisticsError, match="finite"):
        signal_shares(np.array([np.nan]), np.zeros(1), first_cuts=[1.0], second_cuts=[1.0])
    with pytest.raises(StatisticsError, match="rise"):
        signal_shares(np.ones(2), np.ones(2), first_cuts=[1.0, 0.5], second_cuts=[1.0])
