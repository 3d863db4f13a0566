"""Tables and warnings of the tests of the background model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analysis.context import SearchRun
from analysis.numbers import format_number
from analysis.report.doubts import warnings
from analysis.report.table import Table
from analysis.report.validation_tables import (
    bias_table,
    goodness_table,
    injection_table,
    order_table,
    spurious_table,
    validation_warnings,
)
from analysis.stages.validate import describe_tests
from tests.analysis.report_example import Page
from tests.analysis.statistics_search import INCLUSIVE, LOOSE

TABLES = (order_table, goodness_table, bias_table, spurious_table, injection_table)


@pytest.fixture(scope="module")
def results(everything: SearchRun) -> dict[str, Any]:
    return dict(json.loads((everything.out / "results.json").read_text()))


def column(table: Table | None, title: str) -> list[str]:
    assert table is not None
    return [row[list(table.header).index(title)] for row in table.rows]


def test_tables_hold_the_numbers(results: dict[str, Any]) -> None:
    found = results["validation"]
    steps = results["background_order"]["hidden"]["tests"]
    assert column(order_table(results), "Step") == [f"hidden: {s['simpler']} → {s['richer']}" for s in steps]
    goodness = goodness_table(results)
    assert column(goodness, "Selection") == [
        f"{name}, {where}" for name in (INCLUSIVE, LOOSE) for where in ("whole spectrum", "outside the window")
    ]
    assert column(goodness, "Toys") == ["50"] * 4
    assert len(column(bias_table(results), "Verdict")) == 8
    spurious = spurious_table(results)
    assert column(spurious, "Template") == ["simulation"] * 2
    assert column(spurious, "Largest |S| [events]") == [
        format_number(found[name]["spurious_signal"]["systematic"]) for name in (INCLUSIVE, LOOSE)
    ]
    assert column(injection_table(results), "Mass") == ["3.50 TeV"] * 2


def test_page_shows_them_all(everything: SearchRun, results: dict[str, Any]) -> None:
    text = Page(everything.out / "report" / "index.html").text
    for build in TABLES:
        table = build(results)
        assert table is not None
        assert table.caption in text
        for row in table.rows:
            assert all(" ".join(cell.replace("\u202f", " ").split()) in text for cell in row), row
    for warning in validation_warnings(results):
        assert " ".join(warning.replace("\u202f", " ").split()) in text


def failing() -> dict[str, Any]:
    pair = {
        "truth": "dijet4", "fit": "dijet2", "verdict": "biased", "worst_mean": 0.62, "worst_mean_error": 0.03,
        "failure_rate": 0.0, "points": [{"mass": 3500.0, "strength": 2.0, "mean": 0.62}],
    }  # fmt: skip
    tests = {
        "goodness": {"reason": "The bins are too few."},
        "bias": {"threshold": 0.2, "pairs": [pair, {**pair, "verdict": "unbiased", "truth": "other"}]},
        "spurious_signal": {"verdict": "rejected", "ratio": [0.1, None, -1.7], "family": "dijet2", "truth": None},
        "injection": {"verdict": "biased", "slope": 0.8, "slope_error": 0.01, "mass": 3500.0},
    }
    return {"validation": {"s": tests}}


def test_what_fails_is_a_warning() -> None:
    said = list(validation_warnings(failing()))
    assert len(said) == 4
    assert set(said) <= set(warnings(failing()))
    everything = " ".join(said)
    assert "the goodness of fit could not be tested. The bins are too few." in everything
    assert "if the true background is dijet4, a fit with dijet2 biases the signal by 0.62" in everything
    assert "3.50 TeV, 2σ injected" in everything
    assert "invents a signal of up to 1.7 standard deviations" in everything
    assert "injected signals do not come back unbiased" in everything


def test_a_p_value_that_no_toy_reached_is_a_bound_everywhere() -> None:
    bound = {"value": 1 / 2001, "toys": 2000, "exceeding": 0, "method": "toys", "is_bound": True}
    reached = bound | {"value": 4 / 2001, "exceeding": 3, "is_bound": False}
    tests = {"goodness": {"p": bound}, "goodness_outside_window": {"p": reached}}
    first, second = validation_warnings({"validation": {"s": tests}})
    assert "does not fit the whole spectrum (p < 5.0 × 10⁻⁴ from toys" in first
    assert "does not fit outside the window (p = 0.0020 from toys" in second
    table = goodness_table({"validation": {"s": tests}})
    assert column(table, "p from toys") == ["< 5.0 × 10⁻⁴", "0.0020"]
    said = list(describe_tests(tests))
    assert said == ["goodness p < 5.0 × 10⁻⁴", "goodness outside window p = 0.0020"]


@pytest.mark.parametrize(
    ("whole", "outside", "said"),
    [
        (0.001, 0.5, []),  # the peak that is looked for
        (0.001, 0.002, ["does not fit the whole spectrum (", "does not fit outside the window ("]),
        (0.5, 0.002, ["does not fit outside the window ("]),
        (0.001, None, ["does not fit ("]),  # without a window
        (0.5, None, []),
    ],
)
def test_a_peak_in_the_window_is_no_bad_fit(whole: float, outside: float | None, said: list[str]) -> None:
    p = {"toys": 2000, "exceeding": 1, "method": "toys", "is_bound": False}
    tests = {"goodness": {"p": {**p, "value": whole}}}
    if outside is not None:
        tests["goodness_outside_window"] = {"p": {**p, "value": outside}}
    found = list(validation_warnings({"validation": {"s": tests}}))
    assert len(found) == len(said)
    assert all(text in warning for text, warning in zip(said, found, strict=True))


def test_a_window_that_leaves_too_little_to_test_does_not_excuse_the_whole() -> None:
    tests = {
        "goodness": {"p": {"value": 0.001, "toys": 2000, "exceeding": 1, "method": "toys", "is_bound": False}},
        "goodness_outside_window": {"reason": "The bins are too few."},
    }
    found = list(validation_warnings({"validation": {"s": tests}}))
    assert [("does not fit (" in one, "could not be tested" in one) for one in found] == [(True, False), (False, True)]


def test_what_could_not_be_tested_is_below_the_table() -> None:
    table = goodness_table(failing())
    assert table is not None
    assert table.notes == ("s, whole spectrum: not tested. The bins are too few.",)
    bias = bias_table({"validation": {"s": {"bias": {"reason": "No sidebands."}}}})
    assert bias is None or any("No sidebands." in note for note in bias.notes)
    order = order_table({"background_order": {"x": {"reason": "Too few bins.", "control": "y", "chooses": False}}})
    assert order is not None
    assert order.notes == ("x: no F-test. Too few bins.",)


def test_nothing_tested_no_tables() -> None:
    assert [build({}) for build in TABLES] == [None] * 5
    assert list(validation_warnings({})) == []
