"""The tables of the report show what the stages measure, with its uncertainties and what it rests on."""

from __future__ import annotations

import pytest

from analysis.report.data_tables import MEASURED_NOTE, detectors_table, measured_text
from analysis.report.doubts import warnings
from analysis.report.limit_tables import BACKGROUND_NOTE, EFFICIENCY_NOTE, cross_section_table, limits_table
from analysis.report.quantities import Quantity, scalar_text, z_of
from analysis.report.render import unbroken
from analysis.report.result_tables import hunt_table, merit_table, selections_table
from analysis.report.summary import summary
from analysis.report.table import Table
from analysis.stages.train import MIN_BACKGROUND
from tests.analysis.report_example import results


def column(table: Table | None, title: str) -> list[str]:
    """The cells below one heading."""
    assert table is not None
    index = list(table.header).index(title)
    return [row[index].replace("\u202f", " ") for row in table.rows]


def test_bump_hunts_show_what_the_hunt_writes() -> None:
    table = hunt_table(results())
    assert column(table, "Fitted signal events") == ["61.8 ± 9.3"] * 3
    assert column(table, "Global p, Gross–Vitells [interval]") == ["0.019 [0.019, 0.019]"] * 3
    assert column(table, "Failed fits") == ["0"] * 3
    assert table is not None
    assert any("extrapolates" in note for note in table.notes)
    assert not {"gross vitells", "yield error", "failed fits"} & set(table.header)


def test_detectors_show_both_uncertainties_and_counts() -> None:
    table = detectors_table(results())
    assert column(table, "Largest SIC") == ["5.31 ± 0.43 ± 0.62\n(n_S = 250, n_B = 43)", "–"]
    assert column(table, "SIC at ε_S = 0.5") == ["> 4.5\n(n_S = 250, n_B = 0)", "–"]
    assert column(table, "1/ε_B at ε_S = 0.5") == ["80.9 ± 8.8 ± 18.5\n(n_S = 250, n_B = 83)", "–"]
    assert column(table, "Total signal fraction") == ["0.486%", "–"]
    assert table is not None
    assert any("lower bound" in note for note in table.notes)
    assert f"at least {MIN_BACKGROUND} background events" in MEASURED_NOTE
    assert measured_text({"value": 0.8123, "uncertainty": 0.0123, "n": 51484}).startswith("0.812 ± 0.012 (n = ")
    assert measured_text(0.5) == "0.5"
    assert measured_text(None) == "–"


def test_how_much_signal_selections_and_limits_hold() -> None:
    for table in (selections_table(results()), limits_table(results())):
        assert column(table, "Total signal fraction")[0] == "14.9%"
        assert column(table, "S/B in window")[0] == "0.642"
    assert column(selections_table(results()), "S/√B in window") == ["7.03"] * 3
    unknown = results()
    for entry in (*unknown["limits"], *unknown["selections"].values()):
        entry.update(signal_fraction=None, s_over_b_window=None, s_over_sqrt_b_window=None)
    for table in (selections_table(unknown), limits_table(unknown)):
        assert table is not None
        assert not {"Total signal fraction", "S/B in window"} & set(table.header)
        assert not any("fraction" in note for note in table.notes)


def test_limits_say_their_level_and_background() -> None:
    table = limits_table(results())
    assert table is not None
    assert table.caption == "95% CL upper limits on the number of selected signal events (CLs)"
    assert table.notes[0] == "Signal: wprime; Signal width: 3%."
    assert column(table, "Expected background under the peak") == ["118"]
    assert BACKGROUND_NOTE in table.notes
    assert EFFICIENCY_NOTE not in table.notes
    in_fb = results()
    in_fb["limits"][0].update(unit="fb", efficiency={"value": 0.2, "uncertainty": 0.01}, expected_background=None)
    table = cross_section_table(in_fb)
    assert table is not None
    assert EFFICIENCY_NOTE in table.notes
    assert BACKGROUND_NOTE not in table.notes
    loose = results()
    loose["limits"][0]["level"] = 0.1
    table = limits_table(loose)
    assert table is not None
    assert table.caption == "90% CL upper limits on the number of selected signal events (CLs)"
    assert "There, the 90% CL upper limit at 3.50 TeV" in " ".join(summary(loose))
    loose["limits"].append({**loose["limits"][0], "mass": 4000.0, "level": 0.05, "signal": "other"})
    table = limits_table(loose)
    assert column(table, "CL") == ["90%", "95%"]
    assert column(table, "Signal") == ["wprime", "other"]
    assert table is not None
    assert table.caption == "Upper limits on the number of selected signal events (CLs)"


def test_few_expected_events_are_one_warning_per_selection() -> None:
    few = results()
    few["limits"] = [{**few["limits"][0], "mass": mass, "expected_background": 2.0} for mass in (3000.0, 4000.0)]
    few["limits"].append({**few["limits"][0], "mass": 2000.0, "expected_background": 5.0})
    found = warnings(few)
    assert len(found) == 1
    assert "at 3.00 TeV (2 expected), 4.00 TeV (2 expected);" in found[0]


def test_figures_of_merit_in_words() -> None:
    table = merit_table(results())
    assert table is not None
    assert table.rows == [["JSD to inclusive: cwola_1%", "0.01235", "0.0021", "515"]]
    assert merit_table({"figures_of_merit": {"other_one": 2.0}}).rows == [["other one", "2"]]  # type: ignore[union-attr]
    written = merit_table({"figures_of_merit": {"JSD to inclusive, injected_x-0.01": {"value": 12.3456, "n": 230}}})
    assert written is not None
    assert written.rows == [["JSD to inclusive, injected_x-0.01", "12.35", "230"]]
    assert any("Jensen–Shannon" in note for note in written.notes)


def test_quantities_and_cells() -> None:
    assert str(Quantity.read({"value": 0.5, "uncertainty": 0.1, "n": 10})) == "0.50 ± 0.10"
    assert Quantity.read({"value": 0.5, "n": 10}).with_count == "0.5 (n = 10)"
    assert Quantity.read("text") == Quantity()
    assert Quantity.read(float("nan")) == Quantity()
    assert [scalar_text(value) for value in (None, True, 3, 0.25, "x", [1, 2])] == [
        "–",
        "yes",
        "3",
        "0.25",
        "x",
        "1, 2",
    ]
    assert [z_of(p) for p in (None, 0.0, 1.0)] == [None] * 3
    assert z_of(0.5) == pytest.approx(0.0)
    assert unbroken("1 × 10 TeV") == "1\u00a0×\u00a010\u00a0TeV"


def test_tables_must_be_rectangular() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        Table("x", ["a", "b"], [["1"]])
