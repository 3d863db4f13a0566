"""Fits at one known mass: those of the scan, for every detector, and no part of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.pipeline import run_until
from analysis.report.fixed_tables import INCLUSIVE, fixed_table
from analysis.stages.combined import combined
from analysis.stages.fixed import fixed_mass
from analysis.stages.hunt import hunt, hunted
from analysis.stages.results import results_of
from analysis.stages.searched import searched
from analysis.stages.selections import Selection, masses_of
from stats import StatisticsError
from tests.analysis.conftest import results_in
from tests.analysis.report_example import Page
from tests.analysis.statistics_search import again, inclusive_search, run_of, statistics_search

MASS, EFFICIENCY = 3500.0, 0.2
SEARCHED, REFERENCE = f"hidden-cwola-{EFFICIENCY}", f"hidden-supervised-{EFFICIENCY}"
# on features that do not tell all: else the signal alone is selected, and all that is not has one score
WEAK = {"features": ["j1_m", "j2_m"], "bdt": {"iterations": 40, "learning_rate": 0.3, "max_leaf_nodes": 8}}
FIXED = {"mass": MASS, "efficiencies": [EFFICIENCY]}


def fixed_search(events_folder: Path, signals_folder: Path) -> dict[str, Any]:
    """Return a search with a detector that is searched with, one that is not, and a reference."""
    search = statistics_search(events_folder, signals_folder)
    trees = search["detectors"]["cwola"]
    labelled = {**trees, "type": "supervised", "settings": {**trees["settings"], **WEAK}}
    del search["validation"], search["limits"]
    return {
        **search,
        "detectors": {"cwola": trees, "aside": {**trees, "search": False}, "supervised": labelled},
        "efficiencies": [EFFICIENCY],
        "bump_hunt": {**search["bump_hunt"], "widths": [0.03, 0.05], "toys": 20, "fixed": FIXED},
    }


@pytest.fixture(scope="module")
def run(
    events_folder: Path, signals_folder: Path, everything: SearchRun, tmp_path_factory: pytest.TempPathFactory
) -> SearchRun:
    """The finished search, without figures."""
    search = fixed_search(events_folder, signals_folder)
    made = run_of(tmp_path_factory.mktemp("fixed"), search, data=everything.catalogue.directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.stages.figures._all", lambda run, label: iter(()))
        for _ in run_until(made, "report"):
            pass
    return made


def test_every_detector_is_fitted_and_the_reference_is_marked(run: SearchRun) -> None:
    found = fixed_mass(run)
    assert list(found) == ["hidden-inclusive", SEARCHED, f"hidden-aside-{EFFICIENCY}", REFERENCE]
    assert [one.summary["uses_labels"] for one in found.values()] == [False, False, False, True]
    assert {one.summary["mass"] for one in found.values()} == {MASS}
    assert {one.summary["width"] for one in found.values()} == {0.03}
    assert found[REFERENCE].summary["local_z"] > found["hidden-inclusive"].summary["local_z"]
    assert "a reference" in found[REFERENCE].headline()


@pytest.mark.parametrize("name", ["hidden-inclusive", SEARCHED])
def test_the_fit_is_that_of_the_scan_at_this_mass(run: SearchRun, name: str) -> None:
    fit, whole = fixed_mass(run)[name].summary, hunt(run)[name].summary
    scan = whole["bump_hunt"]["scan"]
    index = scan["mass"].index(MASS)
    for key in ("local_z", "local_p0", "yield", "yield_error"):
        assert fit[key] == pytest.approx(scan[key][0][index], rel=1e-6)
    assert fit["background"]["family"] == whole["bump_hunt"]["background"]["family"]
    assert (fit["n_selected"], fit["n_signal"]) == (whole["n_selected"], whole["n_signal"])


def test_the_truth_counts_the_signal_that_is_selected(run: SearchRun) -> None:
    sample, fit = searched(run, "hidden").events, fixed_mass(run)["hidden-inclusive"].summary
    inside = sample.inside((2600.0, 5600.0))
    assert fit["n_selected"] == inside.sum()
    assert fit["n_signal"] == (inside & (sample["truth"] == 1)).sum() > 0


def test_the_search_knows_nothing_of_it(run: SearchRun) -> None:
    assert list(hunt(run)) == ["hidden-inclusive", SEARCHED] == combined(run)["hidden"]["hunts"]
    results = results_in(run.out.parent)
    assert set(results["selections"]) == {"hidden-inclusive", SEARCHED}
    assert set(results["fixed_mass"]) == set(fixed_mass(run))
    page = Page(run.out / "report" / "index.html")
    assert "Local significance of a resonance at 3.50 TeV" in page.text
    assert "supervised †" in page.text
    assert REFERENCE not in page.text  # as the names of selections that are searched


def test_another_mass_fits_anew_and_leaves_the_scan(run: SearchRun, tmp_path: Path) -> None:
    other = again(run, tmp_path, "--set", "bump_hunt.fixed.mass=4000")
    assert {name: one.key for name, one in hunt(other).items()} == {name: one.key for name, one in hunt(run).items()}
    assert combined(other) == combined(run)
    moved = fixed_mass(other)
    assert moved[SEARCHED].key != fixed_mass(run)[SEARCHED].key
    index = hunt(run)[SEARCHED].summary["bump_hunt"]["scan"]["mass"].index(4000.0)
    scan = hunt(run)[SEARCHED].summary["bump_hunt"]["scan"]
    assert moved[SEARCHED].summary["local_z"] == pytest.approx(scan["local_z"][0][index], rel=1e-6)


def test_a_spectrum_that_chooses_its_order_chooses_as_in_the_hunt(run: SearchRun, tmp_path: Path) -> None:
    other = again(run, tmp_path, "--set", "spectrum.order.control=searched", "--set", "bump_hunt.toys=0")
    fit, whole = fixed_mass(other)["hidden-inclusive"].summary, hunted(other, Selection("hidden", None, 1.0)).summary
    assert fit["background"]["parameters"] == whole["bump_hunt"]["background"]["parameters"]
    scan = whole["bump_hunt"]["scan"]
    assert fit["local_z"] == pytest.approx(scan["local_z"][0][scan["mass"].index(MASS)], rel=1e-6)


def test_a_spectrum_that_cannot_be_fitted_says_why(
    run: SearchRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StatisticsError("too few events")

    monkeypatch.setattr("analysis.stages.fixed.bump_hunt", refuse)
    found = fixed_mass(again(run, tmp_path, "--set", "bump_hunt.fixed.mass=4000"))
    assert found[SEARCHED].headline() == "no fit at 4000 GeV (too few events)"
    table = fixed_table({"fixed_mass": {name: one.summary for name, one in found.items()}})
    assert table is not None
    assert "Local Z" not in table.header
    assert f"{SEARCHED}: not fitted. too few events" in table.notes


def test_the_table_has_a_row_for_each_detector(run: SearchRun) -> None:
    table = fixed_table(results_of(run))
    assert table is not None
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [row["Detector"] for row in rows] == [INCLUSIVE, "cwola", "aside", "supervised †"]
    assert [row["Efficiency"] for row in rows] == ["100%", "20%", "20%", "20%"]
    assert all("σ" in row["Local Z"] and "±" in row["Fitted signal events"] for row in rows)
    assert {row["Signal width"] for row in rows} == {"3%"}


def test_nothing_is_fitted_unless_a_mass_is_named(
    events_folder: Path, signals_folder: Path, everything: SearchRun, tmp_path: Path
) -> None:
    assert fixed_mass(everything) == {}
    assert fixed_table({}) is None
    search = inclusive_search(events_folder, signals_folder)
    data = everything.catalogue.directory
    assert fixed_mass(run_of(tmp_path, {**search, "bump_hunt": None, "limits": None}, data=data)) == {}


def test_of_windows_that_slide_only_those_around_the_mass_are_fitted(run: SearchRun) -> None:
    from analysis.search_file import load_search
    from analysis.stages.fixed import fixed_selections

    search, _ = load_search("windows", overrides=["bump_hunt.fixed={mass: 3500, efficiencies: [0.03]}"])
    sliding = SearchRun(search, run.catalogue, run.options)
    fitted = {one.detector for one in fixed_selections(sliding)} - {None}
    assert fitted == {name for name in search.detectors if masses_of(sliding, name, [3500.0])}
    assert 0 < len(fitted) < len(search.detectors)
    assert np.all([search.detectors[str(name)].window is not None for name in fitted])
