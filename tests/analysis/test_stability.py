"""Tag N' Train iteration by iteration: from the histories of the folds to the table and the warnings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from analysis.report.doubts import warnings
from analysis.report.stability_tables import OBJECT_CORRELATION, stability_table, stability_warnings
from analysis.stages.stability import stability_of
from ml import History

NAN = float("nan")


def history(*folds: tuple[list[list[float]], list[float]]) -> dict[str, Any]:
    """The history of folds with these rank correlations of both objects, and correlations of one with the other."""
    parts = {
        str(fold): History(losses={"rank_correlation": np.array(rank), "object_correlation": np.array(both)[:, None]})
        for fold, (rank, both) in enumerate(folds)
    }
    return History(parts=parts).to_dict()


def results(object_correlation: float = 0.02, rank_correlation: float = 0.3) -> dict[str, Any]:
    folds = [
        ([[NAN, NAN], [0.2 + shift, rank_correlation + shift]], [0.01, object_correlation + shift])
        for shift in (-0.01, 0.01)
    ]
    return {"detectors": {"tnt": {"iterations": stability_of(history(*folds))}, "cwola": {"auc": 0.8}}}


def test_each_iteration_has_mean_and_spread_over_folds() -> None:
    weak, first = results()["detectors"]["tnt"]["iterations"]
    assert (weak["iteration"], first["iteration"]) == (0, 1)
    assert weak["rank_correlation"] == {"first": None, "second": None}  # nothing was before
    assert first["rank_correlation"]["second"]["value"] == pytest.approx(0.3)
    assert first["object_correlation"] == pytest.approx({"value": 0.02, "spread": 0.01 * 2**0.5, "n": 2})
    (alone,) = stability_of(history(([[NAN, NAN]], [0.05])))
    assert alone["object_correlation"] == {"value": 0.05, "spread": None, "n": 1}


def test_detectors_that_do_not_tag_have_no_iterations() -> None:
    assert stability_of(History(parts={"0": History(losses={"loss": np.ones((3, 1))})}).to_dict()) == []
    assert stability_of(History().to_dict()) == []
    assert stability_table({"detectors": {"cwola": {"auc": 0.8}}}) is None


def test_the_table_has_a_row_for_every_iteration() -> None:
    table = stability_table(results())
    assert table is not None
    assert table.caption == "Tag N' Train, iteration by iteration"
    assert table.rows == [
        ["tnt", "weak classifiers", "–", "–", "0.01"],
        ["tnt", "iteration 1", "0.200 ± 0.014", "0.300 ± 0.014", "0.020 ± 0.014"],
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"object_correlation": OBJECT_CORRELATION - 0.01}, []),
        ({"object_correlation": 0.23}, ["rank correlation of 0.23 in iteration 1, beyond ±0.1"]),
        ({"object_correlation": -0.23}, ["rank correlation of −0.23 in iteration 1"]),
        ({"rank_correlation": -0.05}, []),
        ({"rank_correlation": -0.25}, ["second object are anticorrelated .* \\(−0.25 in iteration 1\\)"]),
    ],
)
def test_what_contradicts_the_method_is_doubted(changes: dict[str, float], expected: list[str]) -> None:
    found = list(stability_warnings(results(**changes)))
    assert len(found) == len(expected)
    for text, pattern in zip(found, expected, strict=True):
        assert re.search(f"Detector tnt: .*{pattern}", text)
    assert warnings(results(**changes)) == found
