"""Tables of simulation beside data."""

from __future__ import annotations

from typing import Any

from analysis.numbers import NARROW_SPACE
from analysis.report.salad_tables import closure_table, correction_table, direct_tables, scan_tables
from analysis.report.table import Table


def measured(value: float) -> dict[str, float]:
    return {"value": value, "uncertainty": 0.004, "n": 1000}


def region(**closure: Any) -> dict[str, Any]:
    return {
        "n_data": 2000, "n_simulation": 1000, "sum_of_weights_data": 2000.0, "sum_of_weights": 1990.0,
        "sum_of_weights_unweighted": 2100.0, "mean_correction": 0.2513, "mean_correction_error": 0.0042,
        "spread_of_weights": 0.3, "largest_weight": 4.2, "effective_events": 850.4, "clipped_fraction": 0.001,
        "closure": {"before": measured(0.62), "after": measured(0.5012), **closure},
    }  # fmt: skip


def results() -> dict[str, Any]:
    alone = {"after, background of the data alone": measured(0.4991)}
    prediction = {
        "efficiency": 0.01, "observed": 55.0, "predicted": 40.0, "uncertainty": 5.0, "statistical": 4.0,
        "ensemble": 2.0, "closure": None, "effective_events": 31.2, "unweighted": 20.0, "unweighted_statistical": 3.0,
        "ratio": 1.1,
        "ratio_total": 0.2, "unweighted_ratio": 0.5, "unweighted_ratio_statistical": 0.1, "z": 1.7,
    }  # fmt: skip
    line = {metric: {"values": [0.5, 0.9], "errors": [0.01, None]} for metric in ("auc", "sic_at_0.5")}
    scan = {
        "background": "qcd", "signal": "wprime", "samples": ["sb0", "sb2"], "signal_fraction": [0.0, 0.004],
        "s_over_b_window": [0.0, 0.02], "s_over_sqrt_b_window": [0.0, 3.2],
        "lines": {
            "salad": {**line, "uses_labels": False, "repeats": 5},
            "supervised": {**line, "uses_labels": True, "repeats": 1},
        },
    }  # fmt: skip
    return {
        "reweighting": {"sb2": {"salad": {"sidebands": region(), "window": region(**alone)}}},
        "direct_background": {
            "sb2": {"salad": [{**prediction, "true_background": 36, "n_signal": 19}]},
            "lhco": {"salad": [prediction]},
        },
        "scans": [scan],
    }


def cells(table: Table | None) -> dict[str, str]:
    assert table is not None
    return dict(zip(table.header, table.rows[0], strict=True))


def test_the_size_of_the_correction_is_told() -> None:
    table = correction_table(results())
    assert table is not None
    assert [row[:2] for row in table.rows] == [["salad on sb2", "sidebands"], ["salad on sb2", "window"]]
    row = cells(table)
    assert row["Mean correction"] == "25.13 ± 0.42%"
    assert row["Effective events"] == "850 (85%)"
    assert (row["Σw/data"], row["Σconstant/data"]) == ("0.995", "1.05")
    assert row["N data"].replace(NARROW_SPACE, "") == "2000"


def test_closure_is_told_with_and_without_the_signal() -> None:
    row = cells(closure_table(results()))
    assert row["sidebands, before"] == "0.6200 ± 0.0040"
    assert row["window, after"].startswith("0.5012 ±")
    assert row["window, after, background alone"].startswith("0.4991 ±")
    assert "sidebands, after, background alone" not in row  # nothing was measured


def test_predictions_are_compared_with_what_is_known() -> None:
    known, unknown = direct_tables(results())
    assert cells(known)["Predicted"] == "40.0 ± 5.0"
    assert cells(known)["Predicted/true"] == "1.10 ± 0.20"
    assert cells(known)["of it signal"] == "19"
    assert "Predicted/observed" in cells(unknown)
    assert "of it signal" not in cells(unknown)
    assert "closure" not in cells(known)


def test_the_scan_says_what_its_errors_are() -> None:
    (table,) = scan_tables(results())
    assert [row[0] for row in table.rows] == ["salad", "salad", "supervised †", "supervised †"]
    assert [row[2] for row in table.rows[:2]] == ["0%", "2%"]
    assert table.rows[0][table.header.index("AUC")] == "0.500 ± 0.010"
    assert table.rows[0][table.header.index("ε_B at ε_S = 0.5")] == "–"
    assert "salad (5); else statistical" in table.notes[0]


def test_a_search_without_simulation_has_none_of_these_tables() -> None:
    assert correction_table({}) is None
    assert closure_table({}) is None
    assert direct_tables({}) == scan_tables({}) == []
