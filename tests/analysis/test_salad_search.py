"""A search with simulation beside its data, from end to end: correction, closure, prediction and scan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.figures.salad import fresh_outputs
from analysis.pipeline import run_until
from analysis.stages.direct import direct
from analysis.stages.reweighting import reweighting
from analysis.stages.scan import METRICS, scans
from analysis.stages.searched import searched
from analysis.stages.weighted import comparing_pairs, weighted, window_for
from tests.analysis.conftest import search_of
from tests.analysis.statistics_search import finished_run

REGIONS = ("sidebands", "window")
ALONE = "after, background of the data alone"


def salad_search(events_folder: Path, signals_folder: Path) -> dict[str, Any]:
    """Return a search of two samples, without and with signal, by SALAD, plain simulation and CWoLa."""
    search = search_of([])
    settings = search["detectors"]["cwola"]["settings"]
    corrected = [*settings["features"], "j2_tau21"]  # more than the window classifier reads
    small = {"features": corrected, "members": 2, "mlp": {"hidden": [8], "epochs": 2, "batch_size": 500}}
    mixture = {"background": "background", "signal": "resonance", "of": "window", "seed": 3}
    for key in ("limits", "bump_hunt", "spectrum"):
        del search[key]
    return {
        **search,
        "name": "corrected",
        "datasets": {
            "background": {"files": [str(file) for file in sorted(events_folder.glob("*.root"))]},
            "resonance": {"files": [str(signals_folder / "resonance.root")], "role": "signal"},
            "other": {"files": [str(signals_folder / "other.root")], "role": "simulation"},
        },
        "mixtures": {"none": {**mixture, "fraction": 0}, "some": {**mixture, "fraction": 0.1}},
        "data": ["some", "none"],
        "simulation": "other",
        "window": {
            "signal": [3200, 3800], "sidebands": [[2500, 3100], [3900, 6000]],
            "validation": [[3100, 3200], [3800, 3900]],
        },
        "detectors": {
            "salad": {"type": "salad", "folds": 2, "settings": {**settings, "reweighting": small}},
            "plain": {
                "type": "salad", "folds": 2, "repeats": 2, "search": False, "settings": {**settings, "reweight": False},
            },
            "cwola": {"type": "cwola", "folds": 2, "repeats": 2, "settings": settings},
        },
        "closure": {"folds": 2, "events": 300},
        "direct": {"efficiencies": [0.5, 0.1]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(
    events_folder: Path, signals_folder: Path, everything: SearchRun, tmp_path_factory: pytest.TempPathFactory
) -> SearchRun:
    """The finished search."""
    search = salad_search(events_folder, signals_folder)
    return finished_run(tmp_path_factory.mktemp("corrected"), search, data=everything.catalogue.directory)


@pytest.fixture(scope="module")
def results(run: SearchRun) -> dict[str, Any]:
    """What it left in results.json."""
    return dict(json.loads((run.out / "results.json").read_text()))


def test_every_correction_is_measured_in_sidebands_and_window(run: SearchRun, results: dict[str, Any]) -> None:
    assert set(results["reweighting"]) == {"none", "some"}
    window = window_for(run, "salad")
    for sample, found in results["reweighting"].items():
        assert set(found) == {"salad"}  # plain simulation is not corrected
        seen, data = weighted(run, sample, "salad"), searched(run, sample).events
        beside = window.sideband_index(seen.events["mjj"]) >= 0
        there = data["weight"][window.sideband_index(data["mjj"]) >= 0].sum()
        assert found["salad"]["sidebands"]["sum_of_weights"] == pytest.approx(seen.weight[beside].sum())
        assert found["salad"]["sidebands"]["sum_of_weights"] == pytest.approx(there, rel=0.2)
        relative = seen.value[beside] / seen.constant[beside]
        assert found["salad"]["sidebands"]["mean_correction"] == pytest.approx(np.abs(relative - 1).mean())
        assert found["salad"]["features"] == ["j1_m", "j1_tau21", "j2_m", "j2_tau21"]
        for region in REGIONS:
            entry = found["salad"][region]
            assert 0 < entry["effective_events"] <= entry["n_simulation"]
            areas = entry["closure"]
            assert all(0.3 < areas[which]["value"] < 0.7 for which in ("before", "after"))
            assert (ALONE in areas) == (sample == "some" and region == "window")


def test_figures_of_merit_name_what_they_are_of(results: dict[str, Any]) -> None:
    merits = results["figures_of_merit"]
    for region in REGIONS:
        for which in ("before", "after"):
            entry = merits[f"closure AUC {which}, {region}, salad on none"]
            assert entry["uncertainty"] > 0
            assert 300 < entry["n"] <= 600  # closure.events of each
        assert merits[f"mean correction, {region}, salad on some"]["value"] > 0


def test_predictions_stand_beside_the_truth(run: SearchRun, results: dict[str, Any]) -> None:
    assert set(direct(run)) == set(comparing_pairs(run))
    assert {name: set(found) for name, found in results["direct_background"].items()} == {
        "some": {"salad", "plain"},
        "none": {"salad", "plain"},
    }
    events = searched(run, "none").events
    inside = events.inside((3200.0, 3800.0)).sum()
    for found in results["direct_background"]["none"].values():
        assert [one["efficiency"] for one in found] == [0.5, 0.1]
        loose, tight = found
        assert (
            loose["true_background"] == loose["observed"] == pytest.approx(0.5 * inside, rel=0.1)
        )  # trees give equal scores
        assert loose["n_signal"] == 0
        assert loose["predicted"] == pytest.approx(loose["observed"], abs=5 * loose["uncertainty"] + 40)
        each = [one["predicted"] / one["true_background"] for one in loose["repeats"]]
        assert loose["ratio"] == pytest.approx(np.mean(each))
        assert loose["ratio_total"] >= loose["ratio_statistical"] > 0
        assert abs(loose["z"]) < 5
        assert len(tight["validation"]) == 2
    plain = results["direct_background"]["none"]["plain"][0]
    assert plain["predicted"] == pytest.approx(plain["unweighted"], rel=0.05)  # constants differ between folds
    for one in results["direct_background"]["some"]["plain"]:
        assert len(one["repeats"]) == 2
        predicted = [repeat["predicted"] for repeat in one["repeats"]]
        assert one["predicted"] == pytest.approx(np.mean(predicted))
        assert 0 < one["training"] == pytest.approx(np.std(predicted, ddof=1))
        assert one["uncertainty"] > np.hypot(one["statistical"], one["training"]) * 0.999
    some = results["direct_background"]["some"]["salad"]
    assert some[0]["training"] == 0.0
    assert len(some[0]["repeats"]) == 1
    assert some[0]["n_signal"] > 0
    assert some[0]["n_signal"] + some[0]["true_background"] == some[0]["observed"]


def test_the_scan_runs_from_no_signal_up(run: SearchRun, results: dict[str, Any]) -> None:
    (scan,) = results["scans"]
    assert scan["samples"] == ["none", "some"]
    assert scan["s_over_b_window"] == [0.0, pytest.approx(0.1, rel=0.15)]
    assert set(scan["lines"]) == {"salad", "plain", "cwola"}
    for name, line in scan["lines"].items():
        assert line["errors"] == ("spread of repeats" if name in ("cwola", "plain") else "statistical")
        assert all(len(line[metric][key]) == 2 for metric in METRICS for key in ("values", "errors"))
    assert scan["lines"]["cwola"]["auc"]["values"][1] > 0.6
    assert scans(run)[0]["signal"] == "resonance"


def test_the_figures_of_the_method_are_drawn_once(run: SearchRun) -> None:
    names = {path.stem for path in (run.out / "figures").glob("*.png")}
    closures = {f"reweighting-{what}-none-salad" for what in ("output", "sidebands", "fresh", "window")}
    assert closures | {"direct-none", "scan-background", "sic-none", "sic-some", "mass-none"} <= names
    assert not {name for name in names if name.startswith("reweighting") and "some" in name}
    page = (run.out / "report" / "index.html").read_text()
    for text in ("How large the correction was", "Closure: can data", "Sensitivity against S/B", "predicted by sim"):
        assert text in page
    index = json.loads((run.out / "figures" / "index.json").read_text())["figures"]
    captions = {figure["name"]: figure["caption"] for figure in index}
    assert "events of data" in captions["reweighting-window-none-salad"]
    errors = "standard deviation over repeated trainings for plain (2), cwola (2) and else statistical"
    assert errors in captions["scan-background"]
    assert captions["reweighting-window-none-salad"].count("j2_tau21") == 1  # the corrected features by name
    assert "S/√B" in captions["scan-background"]
    seen, spare = weighted(run, "none", "salad"), searched(run, "none").spare
    assert spare is not None
    assert seen.signal_output is not None
    assert len(seen.signal_output) == len(spare) > 0
    assert f"that of {len(spare)} events" in captions["reweighting-output-none-salad"]


def test_outputs_of_fresh_classifiers_are_drawn_at_the_yields_of_the_window(run: SearchRun) -> None:
    """The closure takes 300 events of each: those of data and those of simulation stand for different numbers."""
    seen, found, window = weighted(run, "none", "salad"), reweighting(run)["none", "salad"], window_for(run, "salad")
    inside = window.in_signal(seen.events["mjj"])
    there = window.in_signal(searched(run, "none").events["mjj"]).sum()
    assert len(found.outputs["rows_data"]) == 300 < there
    before, after = fresh_outputs(run, seen, found)
    for one in (before, after):
        data, plain, corrected = (histogram.values.sum() for histogram in one.histograms)
        assert data == pytest.approx(there, rel=0.03)  # one in a hundred is beyond the axis
        assert plain == pytest.approx(seen.unweighted[inside].sum(), rel=0.03)
        assert corrected == pytest.approx(seen.weight[inside].sum(), rel=0.1)


def test_a_second_run_computes_nothing_again(
    run: SearchRun, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was done before")

    for name in ("weighted.crossfit_of", "reweighting.closure", "direct.direct_background"):
        monkeypatch.setattr(f"analysis.stages.{name}", never)
    second = SearchRun(run.search, run.catalogue, run.options)
    lines = list(run_until(second, "report"))
    assert json.loads((run.out / "results.json").read_text()) == results
    assert any(line.startswith("salad on none: closure AUC in the sidebands 0.") for line in lines)
    assert any(line.startswith("plain on some: at 0.1 of the data") for line in lines)


def test_a_search_without_simulation_measures_no_correction(run: SearchRun) -> None:
    search = run.search.model_copy(update={"detectors": {"cwola": run.search.detectors["cwola"]}})
    other = SearchRun(search, run.catalogue, run.options)
    assert reweighting(other) == direct(other) == {}
