"""Tables of limits hold the numbers of results.json, and say why a number is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.context import SearchRun
from analysis.figures.limits import limit_figures
from analysis.numbers import NONE, format_number
from analysis.plots import Label
from analysis.report.doubts import warnings
from analysis.report.limit_tables import (
    cross_section_table,
    limits_table,
    profile_table,
    signal_width,
    simple_table,
    toy_limits_table,
)
from analysis.report.result_tables import combined_table
from analysis.report.summary import summary
from analysis.report.table import Table
from analysis.stages.bands import band_limits
from analysis.stages.limit import limit
from tests.analysis.report_example import Page
from tests.analysis.statistics_search import BANDS, FAR, INCLUSIVE, LOOSE, MASS, TIGHT
from tests.analysis.test_limit_stage import entry_of, limited_again


@pytest.fixture(scope="module")
def results(everything: SearchRun) -> dict[str, Any]:
    return dict(json.loads((everything.out / "results.json").read_text()))


def column(table: Table | None, title: str) -> list[str]:
    assert table is not None
    return [row[list(table.header).index(title)] for row in table.rows]


def test_limits_in_events(results: dict[str, Any], everything: SearchRun) -> None:
    table = limits_table(results)
    names = [TIGHT, TIGHT, LOOSE, LOOSE, INCLUSIVE, INCLUSIVE]
    assert column(table, "Selection") == names
    assert column(table, "Mass") == ["3.50 TeV", "4.40 TeV"] * 3
    assert column(table, "Observed")[-1] == format_number(entry_of(everything, INCLUSIVE, FAR)["observed"])
    assert column(table, "Median")[0] == format_number(entry_of(everything, TIGHT, MASS)["expected"][2])
    assert table is not None
    assert table.caption == "95% CL upper limits on the number of selected signal events (CLs)"
    assert any("Signal width: 3%" in note for note in table.notes)


def test_limits_in_fb(results: dict[str, Any], everything: SearchRun) -> None:
    table = cross_section_table(results)
    assert column(table, "Selection") == [TIGHT, LOOSE, BANDS, INCLUSIVE]
    [bands] = band_limits(everything)
    alone = [entry_of(everything, name, MASS, "fb") for name in (TIGHT, LOOSE, INCLUSIVE)]
    entries = [*alone[:2], bands, alone[2]]
    assert column(table, "Observed") == [format_number(entry["observed"]) for entry in entries]
    efficiencies = column(table, "Signal efficiency")
    assert efficiencies[0].count(" fb: ") == 3
    assert "±" in efficiencies[3]


def test_simple_estimate_and_profile(results: dict[str, Any]) -> None:
    [simple] = results["simple_limits"]
    table = simple_table(results)
    assert column(table, "Signal") == ["resonance, 3.50 TeV"]
    assert column(table, "Expected CLs limit [fb]") == [format_number(simple["cls_expected"][2])]
    profiles = profile_table(results)
    assert column(profiles, "Selection") == [INCLUSIVE, LOOSE, TIGHT]
    assert all("to" in text for text in column(profiles, "68% interval of the likelihood"))
    assert all(text != NONE for text in column(profiles, "Largest impact"))
    assert column(combined_table(results), "Selections") == ["3"]


def test_page_shows_them_all_and_nothing_unknown(everything: SearchRun, results: dict[str, Any]) -> None:
    text = Page(everything.out / "report" / "index.html").text
    for table in (limits_table(results), cross_section_table(results), simple_table(results), profile_table(results)):
        assert table is not None
        assert table.caption in text
        for row in table.rows:
            assert all(" ".join(cell.replace("\u202f", " ").split()) in text for cell in row), row
    shown = text[: text.index("Settings and versions Settings") if "Settings and versions Settings" in text else None]
    for unknown in (" None ", " nan ", " NaN ", " inf ", "unknown", "{'", "NotAvailable"):
        assert unknown not in shown.split("version:")[0].split("seed: 1")[0], unknown


def test_missing_limits_say_why(everything: SearchRun, results: dict[str, Any], tmp_path: Path) -> None:
    asked = {"luminosity": 1.0, "signals": {MASS: "resonance"}}
    changes = {"masses": [MASS], "profile": False, "toys": 0}
    found: dict[str, Any] = {}
    runs = {}
    for name, injected in (("no", []), ("little", [0, 0.001])):
        settings = {**changes, "cross_section": {**asked, "injected": injected}}
        runs[name] = limited_again(everything, tmp_path / name, **settings)
        found[name] = {**results, "limits": json.loads(json.dumps(limit(runs[name]), allow_nan=False))}
    assert column(cross_section_table(found["no"]), "Selection") == [TIGHT, LOOSE, INCLUSIVE]
    doubts = {name: "\n".join(warnings(one)) for name, one in found.items()}
    assert "list two or more total signal fractions" in doubts["no"]
    assert " to 3 fb, where the signal is known" in doubts["little"]
    said = " ".join(summary(found["no"]))
    assert "selected events" in said, said  # the number there is, not the missing one in fb
    assert f"upper limit at 3.50 TeV is {NONE}" not in said
    found["no"]["limits"][0]["toys"] = {"reason": "CLb is 0"}
    toys = toy_limits_table(found["no"])
    assert toys is not None
    assert "CLb is 0" in toys.notes[0]
    for run in runs.values():
        figures = {name: figure for _, name, _, figure in limit_figures(run, Label())}
        figures[f"limit-{LOOSE}-fb"].canvas.draw()  # type: ignore[attr-defined]


def test_toy_limits_stand_beside_asymptotic_ones() -> None:
    entry = {"selection": "s", "mass": 3500.0, "unit": "fb", "observed": 12.0, "expected": [5, 7, 10, 14, 20]}
    toys = {"observed": 13.0, "observed_error": 0.5, "expected": [6, 8, 11, 15, 21], "n_toys": 4000, "failed": 1}
    table = toy_limits_table({"limits": [{**entry, "toys": toys}, entry]})
    assert table is not None
    assert len(table.rows) == 1
    assert column(table, "Observed") == ["13.00 ± 0.50"]
    assert column(table, "Observed, asymptotic") == ["12"]
    assert column(table, "Median expected") == ["11"]
    assert toy_limits_table({"limits": [entry]}) is None


def test_no_limits_no_tables() -> None:
    for table in (limits_table, cross_section_table, toy_limits_table, simple_table, profile_table, combined_table):
        assert table({}) is None


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"width": 0.03}, "3%"),
        ({"width": 100.0}, "100.0 GeV"),
        ({"width": 0.5, "width_unit": "GeV"}, "0.5 GeV"),
        ({"width": 0.03, "width_unit": "relative"}, "3%"),
        ({}, NONE),
    ],
)
def test_widths_have_their_unit(entry: dict[str, Any], text: str) -> None:
    assert signal_width(entry) == text


def test_settings_that_differ_are_columns() -> None:
    entry = {"selection": "s", "mass": 3500.0, "unit": "selected events", "observed": 12.0, "level": 0.05}
    table = limits_table({"limits": [{**entry, "width": 0.03}, {**entry, "width": 0.1, "level": 0.1}]})
    assert column(table, "Signal width") == ["3%", "10%"]
    assert column(table, "CL") == ["95%", "90%"]
