"""Predictions of repeated trainings, put together."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from analysis.stages.direct import together


def entry(predicted: float, **changes: Any) -> dict[str, Any]:
    """One training's prediction of 100 events, as far as `together` reads it."""
    return {
        "efficiency": 0.1, "observed": 100.0, "true_background": 98, "n_signal": 2, "predicted": predicted,
        "unweighted": 50.0, "statistical": 3.0, "ensemble": 4.0, "closure": None, "uncertainty": 5.0,
        "ratio": predicted / 98, "ratio_total": 0.1, "unweighted_ratio": 50 / 98,
        "validation": [{"band": [1.0, 2.0], "observed": 10.0, "predicted": predicted / 10, "uncertainty": None}],
        **changes,
    }  # fmt: skip


def test_one_training_is_quoted_as_it_is() -> None:
    found = together([entry(90.0)])
    for key, value in entry(90.0).items():
        assert found[key] == value, key
    assert found["training"] == found["ratio_spread"] == 0.0
    assert found["z"] > 0.5


def test_several_trainings_are_quoted_by_their_mean_and_spread() -> None:
    found = together([entry(80.0), entry(100.0), entry(120.0, observed=103.0, closure=12.0)])
    assert found["predicted"] == pytest.approx(100.0)
    assert found["observed"] == pytest.approx(101.0)
    assert found["training"] == pytest.approx(20.0)  # standard deviation of 80, 100, 120
    assert found["closure"] == 12.0  # of the only one that could tell
    assert found["uncertainty"] == pytest.approx(np.sqrt(3**2 + 4**2 + 12**2 + 20**2))
    assert found["ratio"] == pytest.approx(100 / 98)
    assert found["ratio_total"] == pytest.approx(np.hypot(0.1, 20 / 98))
    assert [one["ratio"] for one in found["repeats"]] == pytest.approx([80 / 98, 100 / 98, 120 / 98])
    assert found["validation"] == [{"band": [1.0, 2.0], "observed": 10.0, "predicted": 10.0, "uncertainty": None}]
    assert abs(found["z"]) < 0.2
    assert json.dumps(found, allow_nan=False)


def test_an_excess_means_less_where_trainings_disagree() -> None:
    agree, differ = (together([entry(60.0 - by), entry(60.0 + by)])["z"] for by in (0.0, 15.0))
    assert agree > 1.4 * differ > 0


def test_nothing_to_divide_by_leaves_no_ratio() -> None:
    found = together([entry(0.0, ratio=None, ratio_total=None)] * 2)
    assert found["ratio"] is None
    assert "ratio_spread" not in found
    assert found["z"] is None
