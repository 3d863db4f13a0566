"""One trials factor for all selections of a sample."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.context import SearchRun
from analysis.pipeline import run_until
from analysis.stages.combined import combined, describe_combination
from analysis.stages.hunt import hunt
from analysis.stages.limit import limit
from analysis.stages.results import results_of
from analysis.stages.simple import simple_limits
from tests.analysis.statistics_search import INCLUSIVE, LOOSE, TIGHT, inclusive_search, run_of, statistics_search


def test_looking_at_more_selections_does_not_make_the_best_more_significant(everything: SearchRun) -> None:
    found = combined(everything)["hidden"]
    assert found["hunts"] == [INCLUSIVE, LOOSE, TIGHT]
    p0 = {name: one.summary["bump_hunt"]["local_p0"] for name, one in hunt(everything).items()}
    assert found["best"] == min(p0, key=lambda name: p0[name])
    alone = hunt(everything)[found["best"]].summary["bump_hunt"]["global_p"]
    assert found["global_p"]["value"] >= found["separate"][found["best"]]["value"]  # of the same toys
    assert found["global_p"]["value"] >= alone["value"]
    assert found["global_p"]["toys"] == alone["toys"] == 100
    said = describe_combination(found)
    assert said.startswith(f"best of 3 selections {found['best']}, global ")
    assert said.endswith("(100 toys)")


def test_same_seed_same_numbers_for_any_number_of_workers(everything: SearchRun, tmp_path: Path) -> None:
    options = replace(everything.options, out=tmp_path, executor=replace(everything.options.executor, workers=3))
    memory = {key: value for key, value in everything.memory.items() if not key.startswith("combined")}
    again = replace(everything, options=options, memory=memory)
    assert combined(again) == combined(everything)
    assert combined(again) is not combined(everything)
    other = everything.search.model_copy(update={"seed": 2})
    memory = {key: value for key, value in memory.items() if not key.startswith("combined")}
    changed = replace(everything, search=other, options=replace(options, out=tmp_path / "other"), memory=memory)
    assert combined(changed)["hidden"]["separate"] != combined(everything)["hidden"]["separate"]


def test_one_selection_has_nothing_to_combine(
    events_folder: Path, signals_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder), data=data_folder)
    assert list(hunt(run)) == ["background-inclusive"]
    assert combined(run) == {}


@pytest.mark.parametrize("changes", [{"combine": False}, {"toys": 0}])
def test_not_asked_for(everything: SearchRun, changes: dict[str, object]) -> None:
    assert everything.search.bump_hunt is not None
    hunted = everything.search.bump_hunt.model_copy(update=changes)
    run = replace(everything, search=everything.search.model_copy(update={"bump_hunt": hunted}))
    assert combined(run) == {}


@pytest.mark.usefixtures("without_figures")
def test_weighted_events_get_reasons_in_place_of_what_needs_counts(
    events_folder: Path, signals_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    search = statistics_search(events_folder, signals_folder)
    search["datasets"]["background"] |= {"cross_section": 1.5, "luminosity": 1.0}
    del search["mixtures"]
    search |= {"data": "background", "efficiencies": [0.2, 0.1]}
    search["validation"] = {"goodness_toys": 20}
    run = run_of(tmp_path, search, data=data_folder)
    said = "\n".join(run_until(run, "report"))
    assert "background: its selections cannot be combined (" in said
    found = results_of(run)
    assert "unweighted events" in found["combined"]["background"]["reason"]
    assert all("weighted" in entry["reason"] for entry in limit(run))
    assert {entry["unit"] for entry in found["limits"]} == {"selected events", "fb"}
    assert all(entry["observed"] is None for entry in found["limits"])
    assert found["selections"]["background-inclusive"]["bump_hunt"]["global_p"]["toys"] == 100
    assert simple_limits(run)[0]["cross_section"] > 0
    page = (run.out / "report" / "index.html").read_text()
    assert "background: not combined. " in page
