"""A search by Tag N' Train from end to end: scores of both jets, their ABCD estimate, limits of the folds together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.pipeline import check_detectors
from analysis.search_file import load_search, merged
from analysis.stages.abcd import abcd
from analysis.stages.inputs import detector_sample
from analysis.stages.searched import searched
from analysis.stages.train import trained
from ml import CrossFit, detector_from_settings
from tests.analysis.conftest import search_of
from tests.analysis.statistics_search import finished_run

TREES = {"members": 1, "bdt": {"iterations": 30, "min_samples_leaf": 20}}
WEAK = {"settings": {"members": 1, "hidden": [8], "epochs": 2}}


def tnt_search(events_folder: Path, signals_folder: Path) -> dict[str, Any]:
    """Return a search by one iteration, by the autoencoders it starts from and by the labelled bound."""
    search = search_of([])
    both = {"features": ["m", "tau21"], **TREES}
    return {
        **search,
        "name": "tnt",
        "datasets": {
            "background": {"files": [str(file) for file in sorted(events_folder.glob("*.root"))]},
            "resonance": {"files": [str(signals_folder / "resonance.root")], "role": "signal"},
        },
        "mixtures": {"some": {"background": "background", "signal": "resonance", "fraction": 0.02, "seed": 3}},
        "data": ["some"],
        "detectors": {
            "tnt": {
                "type": "tnt",
                "folds": 2,
                "settings": {**both, "weak": WEAK, "iterations": 1},
                "figures": ["main", "iterations"],
            },
            "weak": {"of": "tnt", "search": False, "settings": {"iterations": 0}, "figures": ["iterations"]},
            "bound": {"type": "supervised_objects", "folds": 2, "settings": both},
        },
        "efficiencies": [0.2],
        "abcd": [{"name": "counting", "first": "tnt.first", "second": "tnt.second", "efficiencies": [0.1]}],
        "limits": {**search["limits"], "masses": [3500], "selections": [0.2], "folds": True, "profile": False},
    }


@pytest.fixture(scope="module")
def run(
    events_folder: Path, signals_folder: Path, everything: SearchRun, tmp_path_factory: pytest.TempPathFactory
) -> SearchRun:
    """The finished search."""
    search = tnt_search(events_folder, signals_folder)
    return finished_run(tmp_path_factory.mktemp("tnt"), search, data=everything.catalogue.directory)


def test_an_event_scores_like_the_lower_one_of_its_jets(run: SearchRun) -> None:
    for name in ("tnt", "weak", "bound"):
        found = trained(run, "some", name)
        assert found.objects is not None
        assert found.objects.shape == (len(found.score), 2)
        np.testing.assert_array_equal(found.score, found.objects.min(axis=1))


def test_the_estimate_is_made_of_both_scores(run: SearchRun) -> None:
    found = trained(run, "some", "tnt")
    (estimate,) = abcd(run).values()
    tail = estimate.summary["abcd"]["tail"]
    assert found.objects is not None
    selected = np.zeros(len(found.score), dtype=bool)
    for fold in (0, 1):
        rows = found.fold_index == fold
        cuts = np.quantile(found.objects[rows], 1 - tail, axis=0)
        selected[rows] = (found.objects[rows] > cuts).all(axis=1)
    assert estimate.summary["abcd"]["observed"] == pytest.approx(selected.sum(), rel=0.03)  # ties
    assert estimate.summary["abcd"]["predicted"] > 0


def test_folds_are_fitted_together_and_all_is_reported(run: SearchRun) -> None:
    results = json.loads((run.out / "results.json").read_text())
    (entry,) = [one for one in results["limits"] if one["selection"] == "some-tnt-0.2"]
    assert entry["observed"] > 0
    (workspace,) = (run.out / "workspaces").glob("some-tnt-0.2-3500.json")
    assert len(json.loads(workspace.read_text())["channels"]) == 2
    assert "some-bound-0.2" not in results["selections"]
    assert [one["iteration"] for one in results["detectors"]["tnt"]["iterations"]] == [0, 1]
    assert "iterations" not in results["detectors"]["bound"]
    assert "iteration by iteration" in (run.out / "report" / "index.html").read_text()
    names = {file.stem for file in (run.out / "figures").glob("*.png")}
    assert {"jets-some-tnt-0.2", "abcd-plane-some-counting", "sic-some", "roc-some-iterations"} <= names
    objects = {name for name in names if name.startswith("objects-")}
    groups = ("some", "some-iterations")
    assert objects == {f"objects-{group}-{size}-pt" for group in groups for size in ("larger", "smaller")}
    # a score is drawn once, though its detector stands in two figures
    assert {name for name in names if name.startswith("scores-")} == {"scores-some", "scores-some-iterations"}


@pytest.mark.parametrize(
    ("first", "message"),
    [("cwola.first", "'cwola' scores whole events"), ("tnt.third", "neither a detector of the search nor a column")],
)
def test_scores_that_are_not_there_are_refused(
    events_folder: Path, signals_folder: Path, first: str, message: str
) -> None:
    search = tnt_search(events_folder, signals_folder)
    change = {"detectors": {"cwola": {"type": "cwola"}}, "abcd": [{"name": "a", "first": first, "second": "j1_m"}]}
    with pytest.raises(ConfigurationError, match=message):
        check_detectors(Search.model_validate(merged(search, change)))


@pytest.mark.parametrize("scale", [None, "paper", "images", "paper_images"])
def test_every_detector_of_the_ready_search_is_another_at_every_scale(scale: str | None) -> None:
    """What a scale leaves equal would be trained twice and compared with itself."""
    search, _ = load_search("tnt", scale=scale)
    assert {None, *search.scales} == {None, "paper", "images", "paper_images"}
    check_detectors(search)
    made = {name: detector_from_settings(one.type, one.settings) for name, one in search.detectors.items()}
    described = [(one.describe(), search.detectors[name].folds) for name, one in made.items()]
    assert not [one for i, one in enumerate(described) if one in described[:i]]
    ours = {name: one.settings for name, one in made.items() if search.detectors[name].type == "tnt"}
    images = scale in ("images", "paper_images")
    assert {one.scheme for one in ours.values()} == {"disjoint" if scale in ("paper", "paper_images") else "folds"}
    assert {one.settings.inputs for name, one in made.items()} == {"images" if images else "features"}
    orders = {name for name, one in ours.items() if one.object_order == ("mass" if images else "pt")}
    assert set(ours) - orders == {"tnt_other_order"}
    cautionary = {name: one for name, one in ours.items() if one.tag_with == "same"}
    expected = {"same_object_weak": 0, "same_object_first": 1, "same_object": 3}
    # scores of networks that tag themselves saturate
    assert {name: one.iterations for name, one in cautionary.items()} == ({} if images else expected)
    assert not any(one.mass_window for one in cautionary.values())  # appendix A has none


def test_what_is_made_from_another_training_trains_nothing(run: SearchRun) -> None:
    """The folder of the variant holds folds that score as it does, and its history ends with its iterations."""
    base, made = (trained(run, "some", name) for name in ("tnt", "weak"))
    assert made.summary["of"] == "tnt"
    assert [len(one["parts"]) for one in made.summary["history"]["parts"].values()] == [1, 1]
    assert [len(one["parts"]) for one in base.summary["history"]["parts"].values()] == [2, 2]
    assert made.folder is not None
    folds = CrossFit.load(made.folder, lambda: detector_from_settings("tnt", run.search.detectors["weak"].settings))
    whole = detector_sample(searched(run, "some").events, run.search.detectors["weak"])
    np.testing.assert_array_equal(folds.score(whole).event, made.score)


def test_the_ready_search_draws_the_papers_figures() -> None:
    """Figure 2 compares six curves, with both joint scores of Tag N' Train.

    Figure 7 has both ways of tagging, iteration by iteration, from the autoencoder on.
    """
    detectors = load_search("tnt")[0].detectors
    drawn = {figure: [n for n, one in detectors.items() if figure in one.figures] for figure in ("main", "same_object")}
    ours = ["tnt", "tnt_both", "autoencoder", "tnt_no_window"]
    assert drawn["main"] == [*ours, "cwola", "supervised_objects", "supervised"]
    alone = ["tnt_no_window_first", "tnt_no_window_second", "same_object_weak", "same_object_first", "same_object"]
    assert drawn["same_object"] == ["tnt_no_window", *alone]
