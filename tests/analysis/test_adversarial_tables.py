"""Tables, sentences and the contamination's figure from made-up results of networks on classes of a background."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.plots.contamination import ContaminationLine, contamination_figure
from analysis.report.adversarial_tables import (
    compared_table,
    contamination_table,
    robustness_table,
    signals_table,
    training_table,
)
from analysis.report.summary import summary
from analysis.stages.robustness import compared

AREAS = {"central": 0.66, "up": 0.60, "down": 0.72}


def measured(value: float) -> dict[str, Any]:
    return {"value": value, "uncertainty": 0.003, "spread": 0.002, "each": [value]}


def entry(network: str, *, difference: float, overall: float = 0.66, **more: Any) -> dict[str, Any]:
    return {
        "network": network,
        "contamination": 0.0,
        "trained_with": "large",
        "tested_with": "large",
        "signal": "zprime",
        "uses_labels": False,
        "members": 3,
        "overall": measured(overall),
        "classes": {name: measured(value) for name, value in AREAS.items()},
        "difference": measured(difference),
        "n_signal": 20_000,
        "n_background": dict.fromkeys(AREAS, 20_000),
        **more,
    }


ENTRIES = [
    entry("plain", difference=0.12, overall=0.70),
    entry("robust", difference=0.01),
    entry("robust", difference=0.02, tested_with="small"),
    entry("robust", difference=0.01, overall=0.655, contamination=0.1),
    entry("robust", difference=0.01, overall=0.66, signal="octet"),
]
LIMITS = [
    {
        "network": "robust",
        "tested_with": "large",
        "signal": "octet",
        "simple": {"cross_section": 10.2, "error": 0.3, "signal_efficiency": 0.4, "background_efficiency": 0.2},
        "cls_expected": [5.0, 8.0, 12.0, 17.0, 24.0],
        "cls_expected_without_smearing": [3.0, 5.0, 7.0, 10.0, 14.0],
    },
    {"network": "robust", "tested_with": "large", "signal": "zprime", "reason": "too few events"},
]
RESULTS: dict[str, Any] = {
    "search": "adversarial",
    "selections": {},
    "robustness": ENTRIES,
    "robustness_compared": compared(ENTRIES, {"robust": "plain"}),
    "smeared_limits": LIMITS,
}


def test_a_network_is_compared_with_its_plain_one_on_what_it_was_trained_with() -> None:
    assert [(one["signal"], one["smearing"]) for one in RESULTS["robustness_compared"]] == [("zprime", "large")]
    (one,) = RESULTS["robustness_compared"]
    assert one["reduction"]["value"] == pytest.approx(12.0)
    assert one["kept"]["value"] == pytest.approx(0.16 / 0.20)
    relative = [np.hypot(0.003, 0.002) / difference for difference in (0.12, 0.01)]
    assert one["reduction"]["uncertainty"] == pytest.approx(12.0 * np.hypot(*relative))
    table = compared_table(RESULTS)
    assert table is not None
    assert list(table.rows[0])[-2:] == ["12.0 ± 4.3", "80.0 ± 2.3"]


def test_adversaries_are_shown_beside_chance_with_those_that_failed() -> None:
    opponent = {
        "accuracy": {"value": 0.35, "uncertainty": 0.01},
        "chance": 1 / 3,
        "class_distance": {"value": 0.05, "uncertainty": 0.02},
        "trainings": 6,
        "blind": 1,
        "useless": 0,
        "collapsed": 2,
    }
    table = training_table({"networks": {"robust": {"opponent": opponent}, "plain": {"opponent": None}}})
    assert table is not None
    (row,) = table.rows
    found = dict(zip(table.header, row, strict=True))
    assert (found["Network"], found["Blind"], found["Collapsed"], found["Of"]) == ("robust", "1", "2", "6")
    assert found["Adversary's accuracy"] == "0.350 ± 0.010"


def test_areas_stand_by_class_for_the_signal_that_was_trained_on() -> None:
    table = robustness_table(RESULTS)
    assert table is not None
    assert [row[0] for row in table.rows] == ["plain", "robust", "robust"]
    assert [name in table.header for name in AREAS] == [True] * 3
    assert "0.6000 ± 0.0030 ± 0.0020" in table.rows[0]


def test_the_papers_table_has_every_signal_and_says_why_a_limit_is_missing() -> None:
    table = signals_table(RESULTS)
    assert table is not None
    by_signal = {row[table.header.index("Signal")]: " ".join(row) for row in table.rows}
    assert "10.20 ± 0.30" in by_signal["octet"]
    assert "12 (8 to 17)" in by_signal["octet"]
    assert "too few events" in by_signal["zprime"]


def test_contaminated_trainings_stand_beside_the_clean_one() -> None:
    table = contamination_table(RESULTS)
    assert table is not None
    assert [row[1] for row in table.rows] == ["0%", "10%"]
    assert contamination_table({"robustness": ENTRIES[:3]}) is None


def test_the_summary_names_the_network_that_depends_least_on_the_class() -> None:
    (sentence,) = summary(RESULTS)
    assert "robust finds zprime with an AUC of 0.6600 ± 0.0030" in sentence
    assert "12 times less than plain" in sentence


def test_the_figure_has_a_band_and_points_with_errors() -> None:
    values = np.array([0.66, 0.65])
    line = ContaminationLine("robust", np.array([0, 0.1]), values, 0.1 * values, values - 0.01, values + 0.02)
    (axes,) = contamination_figure(line).axes
    (band,) = axes.collections[:1]
    assert band.get_paths()[0].get_extents().ymax == pytest.approx(0.68)
    (points, _, _) = axes.containers[0]
    np.testing.assert_allclose(points.get_xydata(), [[0, 0.66], [10, 0.65]])
    with pytest.raises(ValueError, match="at least one"):
        contamination_figure([])
