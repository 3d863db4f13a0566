"""A search for an injected resonance from end to end, in pseudo-data whose truth is known."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cli import main
from analysis.context import SearchRun
from analysis.events import Events
from analysis.samples.writers import write_events
from analysis.stages.searched import Searched, searched
from tests.analysis.conftest import CommandLine, dijet_events, results_in, search_of, write_search

HERE = ("--executor", "iterative")
RUN = ("run", "hidden.yaml", "--out", "out", *HERE)
INCLUSIVE, SELECTED = "hidden-inclusive", "hidden-cwola-0.05"


def hidden_search(events_folder: Path, folder: Path) -> dict[str, Any]:
    """Return a search for a few events at 3.5 TeV among 3000 that fall smoothly, with a simulation beside it."""
    search = search_of([])
    detector = search["detectors"]["cwola"]
    detector["settings"]["features"] = ["j1_m", "j1_tau21", "j2_m", "j2_tau21"]
    return {
        **search,
        "name": "hidden",
        "datasets": {
            "background": {"files": [str(file) for file in sorted(events_folder.glob("*.root"))]},
            "resonance": {"files": [str(folder / "events" / "resonance.root")], "role": "signal"},
            "other": {"files": [str(folder / "events" / "other.root")], "role": "simulation"},
        },
        "mixtures": {"hidden": {"background": "background", "signal": "resonance", "fraction": 0.015}},
        "data": "hidden",
        "simulation": "other",
        "detectors": {"cwola": detector, "supervised": {**detector, "type": "supervised"}},
        "efficiencies": [0.05],
        "limits": {"masses": [3500], "width": 0.03, "selections": [0.05]},
        "bump_hunt": {"masses": {"start": 3000, "stop": 4500, "step": 100}, "widths": [0.03], "toys": 50},
    }


@pytest.fixture(scope="module")
def found(events_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder where the search ran from beginning to end: hidden.yaml, data/ and out/."""
    folder = tmp_path_factory.mktemp("found")
    (folder / "events").mkdir()
    for name, truth, events in (
        ("resonance", 1, dijet_events(300, seed=20, resonance=3500)),
        ("other", 0, dijet_events(1000, seed=21)),
    ):
        write_events(folder / "events" / f"{name}.root", [events], format="root", truth=truth, metadata={"index": 0})
    search = write_search(folder / "hidden.yaml", hidden_search(events_folder, folder))
    options = ["--out", str(folder / "out"), "--data", str(folder / "data"), *HERE]
    assert main(["run", str(search), *options]) == 0
    return folder


@pytest.fixture
def copy(darkhorse: CommandLine, found: Path) -> Path:
    """The working folder with the finished search in it."""
    shutil.copytree(found, darkhorse.folder, dirs_exist_ok=True)
    return darkhorse.folder


def scores_in(out: Path, detector: str) -> dict[str, np.ndarray]:
    """Return what a detector left about the searched events."""
    (path,) = out.rglob(f"hidden-{detector}/scores.npz")
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("score", "spread", "fold_index")}


def test_the_hidden_resonance_is_found(found: Path) -> None:
    selections = results_in(found)["selections"]
    inclusive, selected = selections[INCLUSIVE]["bump_hunt"], selections[SELECTED]["bump_hunt"]
    assert selected["local_z"] > 4
    assert selected["local_z"] > inclusive["local_z"] + 2
    assert selected["mass"] == pytest.approx(3500, abs=150)
    assert selections[SELECTED]["signal_fraction"] > 5 * selections[INCLUSIVE]["signal_fraction"]
    assert results_in(found)["detectors"]["cwola"]["auc"]["value"] > 0.8


def test_a_reference_is_measured_but_never_searched(found: Path) -> None:
    results = results_in(found)
    assert set(results["selections"]) == {INCLUSIVE, SELECTED}
    assert {entry["selection"] for entry in results["limits"]} == {SELECTED}
    assert {name: entry["uses_labels"] for name, entry in results["detectors"].items()} == {
        "cwola": False,
        "supervised": True,
    }
    assert results["detectors"]["supervised"]["auc"]["value"] > 0.9
    for folder in ("workspaces", "stages/hunt", "stages/limit"):
        assert not list((found / "out" / folder).rglob("*supervised*"))


def test_every_figure_is_drawn_and_shown(found: Path) -> None:
    expected = {"features-hidden", "mass-hidden", "sic-hidden", "roc-hidden", "p0-hidden", "shapes-hidden"}
    expected |= {"scores-hidden", "decorrelation-hidden", f"jets-{SELECTED}"}
    expected |= {f"spectrum-{INCLUSIVE}", f"spectrum-{SELECTED}", "background-shapes-hidden-cwola"}
    expected |= {f"{kind}-{SELECTED}" for kind in ("limit", "impacts", "nll")}
    for suffix in ("png", "pdf"):
        files = {path.stem: path.stat().st_size for path in (found / "out" / "figures").glob(f"*.{suffix}")}
        assert set(files) == expected
        assert min(files.values()) > 1000
    report = (found / "out" / "report" / "index.html").read_text()
    assert report.count("data:image/png;base64,") >= len(expected)


def test_results_have_the_documented_fields(found: Path) -> None:
    results = results_in(found)
    assert {"search", "version", "config_key", "datasets", "detectors", "selections", "limits"} <= set(results)
    assert {"JSD to inclusive, hidden-cwola-0.05", "JSD of background to inclusive, hidden-cwola-0.05"} == set(
        results["figures_of_merit"]
    )
    assert (results["search"], set(results["datasets"])) == ("hidden", {"background", "resonance", "other"})
    for dataset in results["datasets"].values():
        assert {"events", "selected", "skipped_files"} <= set(dataset)
    for detector in results["detectors"].values():
        assert {"members", "seconds"} <= set(detector)
        for measure in ("auc", "max_sic", "sic_at_0.5"):
            assert {"value", "uncertainty", "n"} <= set(detector[measure])
    for merit in results["figures_of_merit"].values():
        assert {"value", "uncertainty", "n"} <= set(merit)
    for entry in results["limits"]:
        assert {"selection", "signal", "mass", "unit", "observed", "expected", "scan", "failed_fits"} <= set(entry)
        assert entry["unit"] == "selected events"
        assert len(entry["expected"]) == 5
        assert entry["expected"] == sorted(entry["expected"])
        assert all(len(point) == 2 for point in entry["scan"])


def test_selections_have_the_documented_fields(found: Path) -> None:
    selections = results_in(found)["selections"]
    fields = {"detector", "mixture", "window", "efficiency", "seed", "n_selected", "bump_hunt"}
    bump = {"mass", "width", "yield", "local_p0", "local_z", "global_p", "global_z", "background"}
    for selection in selections.values():
        assert fields <= set(selection)
        assert bump <= set(selection["bump_hunt"])
        assert {"value", "low", "high", "method", "toys"} <= set(selection["bump_hunt"]["global_p"])
        assert selection["bump_hunt"]["global_p"]["toys"] == 50
        assert {"family", "parameters", "chi2", "ndof", "p"} <= set(selection["bump_hunt"]["background"])
    assert (selections[SELECTED]["detector"], selections[INCLUSIVE]["detector"]) == ("cwola", None)
    assert (selections[SELECTED]["mixture"], selections[SELECTED]["window"]) == ("hidden", [3300, 3700])
    assert selections[SELECTED]["n_selected"] == pytest.approx(0.05 * selections[INCLUSIVE]["n_selected"], rel=0.05)


def test_the_truth_never_enters_the_training_of_a_search(
    darkhorse: CommandLine, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the labels dealt out anew and the spare signal gone, only the reference changes."""
    rng = np.random.default_rng(3)

    def shuffled(run: SearchRun, name: str) -> Searched:
        sample = searched(run, name)
        columns = {**sample.events.columns, "truth": rng.permutation(sample.events["truth"])}
        return dataclasses.replace(sample, events=Events(columns), spare=None)

    monkeypatch.setattr("analysis.stages.train.searched", shuffled)
    assert darkhorse("train", "hidden.yaml", "--out", "other", *HERE).status == 0
    for name, value in scores_in(copy / "out", "cwola").items():
        np.testing.assert_array_equal(scores_in(copy / "other", "cwola")[name], value)
    before, after = (scores_in(copy / out, "supervised")["score"] for out in ("out", "other"))
    assert np.mean(before != after) > 0.9


@pytest.mark.usefixtures("copy", "without_figures")
def test_without_signal_there_is_none(darkhorse: CommandLine, found: Path) -> None:
    said = darkhorse(*RUN, "--set", "mixtures.hidden.fraction=0")
    assert (said.status, said.err) == (0, "")
    results = darkhorse.results("out")
    counts = results["mixtures"]["hidden"]
    assert (counts["n_signal"], counts["n_signal_window"], counts["fraction"]) == (0, 0, 0)
    assert counts["n_background"] == results["datasets"]["background"]["selected"]
    assert [selection["n_signal"] for selection in results["selections"].values()] == [0, 0]
    assert results["selections"][SELECTED]["bump_hunt"]["local_z"] < 3
    before, after = (content["selections"][INCLUSIVE] for content in (results_in(found), results))
    assert after["n_selected"] == before["n_selected"] - before["n_signal"]
