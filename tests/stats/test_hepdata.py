"""HEPData tables and submissions: numbers survive, gaps are told, files are whole or not there."""

from __future__ import annotations

import logging
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stats import Spectrum, StatisticsError, bump_hunt, dijet, uniform_edges
from stats.hepdata import limits_table, p0_table, spectrum_table
from stats.published import PublishedLimit, PublishedSelection
from stats.submission import validate_submission, write_submission

MASSES = np.array([3000.0, 3500.0, 4000.0])
BAND = (10.0, 14.0, 20.0, 29.0, 41.0)


def selection(name: str = "data-inclusive", **changes: object) -> PublishedSelection:
    """Four bins, three masses, one width, one limit that was set and one that was not."""
    spectrum = Spectrum.from_counts([2800, 3000, 3300, 3700, 4200], [1234567, 250, 0, 3])
    fields = {
        "name": name,
        "sample": "data",
        "detector": None,
        "efficiency": 1.0,
        "sqrt_s": 13000.0,
        "spectrum": spectrum,
        "background": np.array([1234000.0, 255.5, 1.25, 2.5]),
        "background_error": np.array([1000.0, 5.0, 0.5, 0.25]),
        "masses": MASSES,
        "widths": np.array([0.03]),
        "local_p0": np.array([[0.5, 2e-7, 0.9]]),
        "local_z": np.array([[0.0, 5.07, -1.28]]),
        "limits": (PublishedLimit(3000.0, 25.0, BAND), PublishedLimit(3500.0, None, None, "Too few events.")),
        "limit_width": 0.03,
    }
    return PublishedSelection(**{**fields, **changes})  # type: ignore[arg-type]


def written(folder: Path, tables: Sequence[object]) -> tuple[list[dict], list[dict]]:
    """Write a submission; return the documents of submission.yaml and the tables."""
    write_submission(folder / "hepdata", folder / "submission.tar.gz", tables=tables, comment="About it")  # type: ignore[arg-type]
    documents = list(yaml.safe_load_all((folder / "hepdata" / "submission.yaml").read_text()))
    return documents, [yaml.safe_load((folder / "hepdata" / one["data_file"]).read_text()) for one in documents[1:]]


def values(table: dict, index: int) -> list:
    return [one["value"] for one in table["dependent_variables"][index]["values"]]


def test_a_real_bump_hunt_becomes_a_valid_submission(tmp_path: Path) -> None:
    edges = uniform_edges(2000, 4000, 100)
    spectrum = Spectrum.from_counts(edges, np.round(3000 * np.exp(-(edges[:-1] - 2000) / 400)))
    found = bump_hunt(spectrum, dijet(3, sqrt_s=13000.0), masses=MASSES[:2], widths=[0.03, 0.05])
    one = selection(
        spectrum=spectrum,
        background=found.prediction,
        background_error=found.background.expected_errors[0],
        masses=found.masses,
        widths=found.widths,
        local_p0=found.local_p0,
        local_z=found.significance,
    )
    _, (_, scan, _) = written(tmp_path, [spectrum_table(one), p0_table([one]), limits_table([one])])
    np.testing.assert_allclose(values(scan, 0), found.local_p0[0], rtol=1e-5)
    np.testing.assert_allclose(values(scan, 3), found.significance[1], rtol=1e-5)
    assert [variable["qualifiers"][-1]["value"] for variable in scan["dependent_variables"]] == [0.03, 0.03, 0.05, 0.05]


def test_counts_are_exact_and_edges_are_bins(tmp_path: Path) -> None:
    _, (table,) = written(tmp_path, [spectrum_table(selection())])
    assert values(table, 0) == [1234567, 250, 0, 3]
    assert all(isinstance(count, int) for count in values(table, 0))
    header, bins = table["independent_variables"][0]["header"], table["independent_variables"][0]["values"]
    assert header == {"name": "$m_{jj}$", "units": "GeV"}
    assert [(one["low"], one["high"]) for one in bins] == [(2800, 3000), (3000, 3300), (3300, 3700), (3700, 4200)]
    assert table["dependent_variables"][1]["values"][2] == {
        "value": 1.25,
        "errors": [{"label": "fit", "symerror": 0.5}],
    }


def test_weighted_events_carry_their_uncertainty(tmp_path: Path) -> None:
    one = selection(spectrum=Spectrum([2800, 3000, 3300, 3700, 4200], [10.5, 4.25, 0.0, 1.5], [4.0, 2.25, 0.0, 0.25]))
    _, (table,) = written(tmp_path, [spectrum_table(one)])
    observed = table["dependent_variables"][0]["values"]
    assert observed[0] == {"value": 10.5, "errors": [{"label": "stat", "symerror": 2.0}]}
    assert observed[2] == {"value": 0.0}


def test_the_band_is_written_as_signed_errors_of_the_median(tmp_path: Path) -> None:
    _, (table,) = written(tmp_path, [limits_table([selection()])])
    assert table["dependent_variables"][0]["values"][0] == {"value": 25.0}
    assert table["dependent_variables"][1]["values"][0] == {
        "value": 20.0,
        "errors": [
            {"label": "1 sigma", "asymerror": {"minus": -6.0, "plus": 9.0}},
            {"label": "2 sigma", "asymerror": {"minus": -10.0, "plus": 21.0}},
        ],
    }
    assert [variable["header"] for variable in table["dependent_variables"]] == [
        {"name": "Observed limit on selected signal events", "units": "events"},
        {"name": "Expected limit on selected signal events", "units": "events"},
    ]


def test_a_band_without_an_end_keeps_the_median_and_the_other_band(tmp_path: Path) -> None:
    """HEPData takes both ends of an error or none; no median, no errors."""
    some = (
        PublishedLimit(3000.0, 25.0, (*BAND[:4], None)),
        PublishedLimit(3500.0, 25.0, (*BAND[:2], None, None, None)),
        PublishedLimit(4000.0, None, BAND),
    )
    documents, (table,) = written(tmp_path, [limits_table([selection(limits=some)])])
    median = table["dependent_variables"][1]["values"]
    assert median[0] == {"value": 20.0, "errors": [{"label": "1 sigma", "asymerror": {"minus": -6.0, "plus": 9.0}}]}
    assert median[1] == {"value": "-"}
    assert len(median[2]["errors"]) == 2
    said = documents[1]["description"]
    assert "No 2 sigma band of the expected limit, data-inclusive, at 3000 GeV: an end is unknown." in said
    assert "1 sigma band of" not in said


def test_a_missing_limit_is_a_dash_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="stats.hepdata"):
        documents, (table,) = written(tmp_path, [limits_table([selection()])])
    for variable in table["dependent_variables"]:
        assert variable["values"][1] == {"value": "-"}
    assert "No value ('-') of the observed limit, data-inclusive, at 3500 GeV." in documents[1]["description"]
    assert "expected limit, data-inclusive, at 3500 GeV." in documents[1]["description"]
    assert "data-inclusive at 3500 GeV: Too few events." in documents[1]["description"]
    assert "3500 GeV" in caplog.text


def test_a_failed_fit_is_a_dash_that_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nan = np.nan
    one = selection(
        local_p0=np.array([[0.5, nan, 0.9]]),
        local_z=np.array([[0.0, nan, -1.28]]),
        background=np.array([1234000.0, nan, 1.25, 2.5]),
        background_error=np.array([1000.0, nan, 0.5, nan]),
    )
    with caplog.at_level(logging.WARNING, logger="stats.hepdata"):
        documents, (spectrum, scan) = written(tmp_path, [spectrum_table(one), p0_table([one])])
    assert values(scan, 0) == [0.5, "-", 0.9]
    assert values(scan, 1) == [0.0, "-", -1.28]
    assert spectrum["dependent_variables"][1]["values"][1] == {"value": "-"}
    assert spectrum["dependent_variables"][1]["values"][3] == {"value": 2.5}
    assert "at 3000 GeV" in documents[1]["description"]
    assert "at 3500 GeV" in documents[2]["description"]
    assert len(caplog.records) == 3  # the background, its error, the p-value
    assert ".nan" not in "".join(path.read_text() for path in (tmp_path / "hepdata").iterdir())


def test_selections_of_other_masses_share_a_table_with_gaps(tmp_path: Path) -> None:
    other = selection("data-cwola-0.01", detector="cwola", efficiency=0.01, masses=MASSES + 500.0)
    _, (table,) = written(tmp_path, [p0_table([selection(), other])])
    assert [one["value"] for one in table["independent_variables"][0]["values"]] == [3000, 3500, 4000, 4500]
    assert values(table, 0) == [0.5, 2e-7, 0.9, "-"]
    assert values(table, 2) == ["-", 0.5, 2e-7, 0.9]


def test_qualifiers_and_keywords_say_what_was_measured(tmp_path: Path) -> None:
    one = selection("data-cwola-0.01", detector="cwola", efficiency=0.01, luminosity=138.0)
    documents, (table,) = written(tmp_path, [limits_table([one], level=0.1, location="Figure 7")])
    qualifiers = table["dependent_variables"][0]["qualifiers"]
    assert {"name": "SQRT(S)", "value": 13000.0, "units": "GeV"} in qualifiers
    assert {"name": "LUMINOSITY", "value": 138.0, "units": "fb$^{-1}$"} in qualifiers
    named = {one["name"]: one["value"] for one in qualifiers}
    assert (named["Detector"], named["Efficiency"], named["Relative width"]) == ("cwola", 0.01, 0.03)
    keywords = {one["name"]: one["values"] for one in documents[1]["keywords"]}
    assert keywords["cmenergies"] == [13000.0]
    assert set(keywords) == {"cmenergies", "observables", "phrases", "reactions"}
    assert documents[1]["location"] == "Figure 7"
    assert "90% CLs" in documents[1]["description"]
    assert documents[0]["comment"] == "About it"


def test_limits_in_fb_are_on_the_cross_section(tmp_path: Path) -> None:
    _, (table,) = written(tmp_path, [limits_table([selection(limit_unit="fb")])])
    assert table["dependent_variables"][0]["header"] == {
        "name": "Observed limit on the cross section",
        "units": "fb",
    }


def test_other_shapes_and_widths_in_gev_are_told(tmp_path: Path) -> None:
    changes = {"limit_signal": "double-sided Crystal Ball", "scan_signal": "Gaussian, σ in GeV", "width_unit": "GeV"}
    one = selection(limit_unit="fb", limit_width=105.0, limit_width_unit="GeV", **changes)
    documents, (scan, limits) = written(tmp_path, [p0_table([one]), limits_table([one])])
    assert "p-value of a Gaussian, σ in GeV above" in documents[1]["description"]
    assert "CLs on a double-sided Crystal Ball" in documents[2]["description"]
    assert scan["dependent_variables"][0]["qualifiers"][-1] == {"name": "Width", "value": 0.03, "units": "GeV"}
    assert limits["dependent_variables"][0]["qualifiers"][-1] == {"name": "Width", "value": 105.0, "units": "GeV"}
    with pytest.raises(StatisticsError, match="expected one of"):
        selection(width_unit="TeV")


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        written(tmp_path / name, [spectrum_table(selection()), p0_table([selection()]), limits_table([selection()])])
    first, second = ((tmp_path / name / "submission.tar.gz").read_bytes() for name in ("first", "second"))
    assert first == second
    with tarfile.open(tmp_path / "first" / "submission.tar.gz") as archive:
        packed = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert packed == {path.name: path.read_bytes() for path in (tmp_path / "first" / "hepdata").iterdir()}


def test_a_new_submission_replaces_the_old_one(tmp_path: Path) -> None:
    written(tmp_path, [spectrum_table(selection()), limits_table([selection()])])
    written(tmp_path, [spectrum_table(selection("other"))])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hepdata", "submission.tar.gz"]
    assert sorted(path.name for path in (tmp_path / "hepdata").iterdir()) == ["spectrum_other.yaml", "submission.yaml"]


def test_a_refused_submission_leaves_the_old_one(tmp_path: Path) -> None:
    written(tmp_path, [spectrum_table(selection())])
    before = (tmp_path / "submission.tar.gz").read_bytes()
    table = spectrum_table(selection())
    table.keywords["cmenergies"] = ["thirteen"]
    with pytest.raises(StatisticsError, match=r"hepdata-validator refuses.*thirteen"):
        written(tmp_path, [table])
    assert (tmp_path / "submission.tar.gz").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hepdata", "submission.tar.gz"]
    validate_submission(tmp_path / "hepdata")


def test_two_tables_cannot_share_a_file(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match=r"share the file spectrum_a\.yaml"):
        written(tmp_path, [spectrum_table(selection("a")), spectrum_table(selection("A"))])
    with pytest.raises(StatisticsError, match="share the file"):
        written(tmp_path, [spectrum_table(selection("a")), spectrum_table(selection("a"))])


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=120))
def test_every_name_makes_a_file_name_that_hepdata_takes(name: str) -> None:
    made = spectrum_table(selection(name)).name
    assert len(made) <= 64
    assert "/" not in made


def test_long_names_stay_apart() -> None:
    long = "a" * 80
    assert spectrum_table(selection(long + "1")).name != spectrum_table(selection(long + "2")).name


def test_there_must_be_something_to_publish(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match="at least one column"):
        limits_table([selection(limits=())])
    with pytest.raises(StatisticsError, match="at least one table"):
        written(tmp_path, [])
    with pytest.raises(StatisticsError, match="give five finite numbers"):
        PublishedLimit(3000.0, 1.0, (1.0, 2.0, 3.0, 4.0, np.nan))
    with pytest.raises(StatisticsError, match="several limits"):
        limits_table([selection(limits=(PublishedLimit(3000.0, 1.0, BAND),) * 2)])


def test_shapes_must_fit() -> None:
    with pytest.raises(StatisticsError, match=r"local_p0 of data-inclusive has shape \(2,\), expected \(1, 3\)"):
        replace(selection(), local_p0=np.zeros(2))
