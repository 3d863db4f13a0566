"""A study of single jets in seconds: jets made by hand, from files to the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.pipeline import run_until
from analysis.samples.writers import write_events
from analysis.stages import jet_samples
from analysis.stages.jet_examined import examined
from analysis.stages.jet_networks import jet_networks
from analysis.stages.jet_samples import BACKGROUND, MASS, PT, background_jets, further_jets
from analysis.stages.jet_tagging import decorrelated, jet_tagging, quoted, signal_efficiency
from ml.metrics import auc
from tests.analysis.conftest import dijet_events
from tests.analysis.statistics_search import finished_run, run_of

NETWORK: dict[str, Any] = {"constituents": 6, "hidden": [16], "latent": 2, "epochs": 4}
EVENTS = {"outliers": 400, "narrow": 400, "prongs": 400}
LOW, HIGH = 900.0, 2000.0

pytestmark = pytest.mark.usefixtures("one_shard")


@pytest.fixture(scope="module")
def search(events_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The search file's content: wide jets as background, two prongs as outliers and as what is found."""
    folder = tmp_path_factory.mktemp("jets")
    for seed, (name, count) in enumerate(EVENTS.items()):
        made = dijet_events(count, seed=50 + seed, resonance=2800.0 if name != "narrow" else None)
        write_events(folder / f"{name}.root", [made], format="root", truth=1, metadata={"index": 0})
    files = [str(events_folder / f"dijet-00{i}.root") for i in range(3)]
    datasets: dict[str, Any] = {name: {"files": [str(folder / f"{name}.root")], "role": "signal"} for name in EVENTS}
    datasets |= {"background": {"files": files[:2]}, "background_test": {"files": files[2:]}}
    return {
        "name": "jets",
        "datasets": datasets,
        "processing": {"processor": "jet", "constituents": 6, "jet": {"min_jet_pt": 500}},
        "jet_tagging": {
            "background": "background",
            "background_test": "background_test",
            "exposure": "outliers",
            "jets": {
                "narrow": {"dataset": "narrow", "kind": "QCD", "mass": 80},
                "prongs": {"dataset": "prongs", "kind": "two prongs", "mass": 174},
            },
            "test_pt": [LOW, HIGH],
            "events": 1200,
            "test_events": 150,
            "background_test_events": 500,
            "masses": {"start": 0, "stop": 1000, "bins": 10},
            "efficiencies": [0.5, 0.1],
            "quoted": 0.1,
            "benchmark": "prongs",
            "networks": {
                "vae": {"type": "jet_vae", "metrics": ["mse", "mss"], "settings": {**NETWORK, "members": 2}},
                "oe": {"type": "jet_vae", "plain": "vae", "settings": {**NETWORK, "decorrelation": "mse_oe"}},
                "classifier": {
                    "type": "jet_classifier",
                    "settings": {"constituents": 6, "mlp": {"hidden": [16], "epochs": 40, "batch_size": 50}},
                },
            },
            "examined": {"networks": ["vae"], "events": 300, "jets": ["prongs"], "embedded": 40, "perplexity": 10},
            "held_out": [{"network": "oe", "reference": "classifier", "jets": ["narrow"]}],
        },
    }


@pytest.fixture(scope="module")
def finished(search: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    folder = tmp_path_factory.mktemp("run")
    return finished_run(folder, search, data=folder / "data")


def test_tested_jets_are_in_the_window_and_were_never_trained_on(finished: SearchRun) -> None:
    tested = jet_samples.tested_jets(finished)
    assert {name: len(jets) for name, jets in tested.items()} == {BACKGROUND: 500, "narrow": 150, "prongs": 150}
    for jets in tested.values():
        assert jets[PT].min() >= LOW
        assert jets[PT].max() < HIGH
    trained, further = background_jets(finished), further_jets(finished)
    assert (len(trained), len(further)) == (1200, 300)
    assert not np.intersect1d(trained.event_id, further.event_id).size


def test_every_score_has_its_areas_its_own_first(finished: SearchRun) -> None:
    entries = jet_tagging(finished)
    assert [(e["network"], e["metric"], e["own"]) for e in entries] == [
        ("vae", "nll", True),
        ("vae", "mse", False),
        ("vae", "mss", False),
        ("oe", "mse", True),
        ("classifier", "probability", True),
    ]
    assert [e["exposed"] for e in entries] == [False, False, False, True, True]
    vae = jet_networks(finished)["vae"]
    scores = [vae.scores["mse"][group] for group in ("prongs", BACKGROUND)]
    assert scores[0].shape == (150, 2)
    truth = np.repeat([1, 0], [150, 500])
    each = [auc(np.concatenate([s[:, member] for s in scores]), truth) for member in (0, 1)]
    area = entries[1]["areas"]["prongs"]
    assert area["each"] == pytest.approx([one.value for one in each])
    assert area["uncertainty"] == pytest.approx(np.mean([one.uncertainty for one in each]))
    assert area["spread"] == pytest.approx(np.std(area["each"], ddof=1))


def test_what_needs_no_network_is_the_same_for_all_members(finished: SearchRun) -> None:
    entry = next(e for e in jet_tagging(finished) if e["metric"] == "mss")
    assert entry["areas"]["prongs"]["spread"] == 0


def test_a_labelled_reference_finds_what_it_was_shown_and_is_marked(finished: SearchRun) -> None:
    entry = jet_tagging(finished)[-1]
    assert entry["uses_labels"]
    assert entry["areas"]["prongs"]["value"] > 0.8
    assert entry["areas"]["narrow"]["value"] == pytest.approx(0.5, abs=0.1)  # more of the background


def test_signal_efficiency_is_read_where_the_background_has_its_own() -> None:
    background = np.linspace(0, 1, 101)
    value, error = signal_efficiency(np.sqrt(background), background, 400, 10**9, 0.25)
    assert value == pytest.approx(0.5, abs=1e-3)
    assert error == pytest.approx(0.5 / 20, rel=1e-2)
    _, wider = signal_efficiency(np.sqrt(background), background, 400, 300, 0.25)
    # dε_S/dε_B is 1 there
    assert wider == pytest.approx(np.hypot(0.025, np.sqrt(0.25 * 0.75 / 300)), rel=0.05)


def test_a_cut_keeps_what_it_should_and_sculpting_is_compared(finished: SearchRun) -> None:
    entries = jet_tagging(finished)
    for entry in entries:
        for one in entry["sculpting"]:
            assert one["kept"] == pytest.approx(one["efficiency"], abs=2e-3)
            assert 0 <= one["divergence"]["value"] <= np.log(2)
    (compared,) = decorrelated(entries, {"oe": "vae"}, "prongs")
    own, plain = quoted(entries[3])["divergence"]["value"], quoted(entries[0])["divergence"]["value"]
    assert compared["reduction"] == pytest.approx(plain / own)
    assert (compared["network"], compared["plain"], compared["efficiency"]) == ("oe", "vae", 0.1)


def test_examined_networks_reconstruct_the_jets_that_went_in(finished: SearchRun) -> None:
    found = examined(finished)["vae"]
    jets = further_jets(finished)
    np.testing.assert_allclose(found.arrays["jet_mass"], jets[MASS])
    # the hardest six of 12 to 25 constituents carry less than all
    assert (found.arrays["input:pt"] < 1.001 * jets[PT]).all()
    assert found.arrays["embedded:background"].shape == (40, 2)
    for quantity in ("pt", "mass"):
        distances = found.distances[quantity]
        assert set(distances) == {"reconstructed", "generated", "halves"}
        for one in distances.values():
            assert one["relative"] == pytest.approx(one["wasserstein"] / found.arrays[f"input:{quantity}"].mean())
    assert found.arrays["input:image"].sum() == pytest.approx(1, abs=0.05)  # a few constituents lie outside


def test_results_and_report_hold_it_all(finished: SearchRun) -> None:
    results = json.loads((finished.out / "results.json").read_text())
    assert {*results["networks"]} == {"vae", "oe", "classifier"}
    assert results["jet_types"] == {"narrow": "QCD, 80 GeV", "prongs": "two prongs, 174 GeV"}
    assert set(results["jet_examined"]) == {"vae"}
    page = (finished.out / "report" / "index.html").read_text()
    for text in ("AUC by type of jets", "Independence of the jet mass", "Reconstructed and generated jets"):
        assert text in page
    names = {file.stem for file in (finished.out / "figures").glob("*.png")}
    assert names == {
        *(f"jet-{what}-vae" for what in ("reconstructed", "generated", "features", "images", "correlations")),
        *("jet-embedding", "jet-roc-vae-nll", "jet-roc-vae-mse", "jet-roc-vae-mss", "jet-roc-oe-mse"),
        *("jet-roc-classifier-probability", "jet-decorrelation", "jet-held-out-oe-classifier"),
        *(f"jet-masses-{name}" for name in ("vae", "oe", "classifier")),
    }


def test_a_second_run_trains_nothing(finished: SearchRun, search: dict[str, Any]) -> None:
    again = run_of(finished.out.parent, search)
    before = {file: file.stat().st_mtime_ns for file in (finished.out / "models").rglob("*.keras")}
    assert before
    assert jet_networks(again)["vae"].key == jet_networks(finished)["vae"].key
    assert jet_tagging(again) == jet_tagging(finished)
    assert {file: file.stat().st_mtime_ns for file in (finished.out / "models").rglob("*.keras")} == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"events": 50_000}, r"`jet_tagging\.events` asks for 50,000"),
        ({"exposure_events": 50_000}, r"`jet_tagging\.exposure_events` asks for 50,000"),
        ({"background_test_events": 50_000}, r"`jet_tagging\.background_test_events` asks for 50,000"),
        ({"test_pt": [50_000, 60_000]}, r"No jet of 'background_test' has a pT in `jet_tagging\.test_pt"),
    ],
)
def test_jets_that_are_not_there_are_told(
    finished: SearchRun, search: dict[str, Any], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    content = {**search, "jet_tagging": {**search["jet_tagging"], **change}}
    run = run_of(tmp_path, content, data=finished.catalogue.directory)
    with pytest.raises(StageError, match=said):
        for _ in run_until(run, "train"):
            pass


def test_networks_are_examined_with_jets_that_none_was_trained_on(
    finished: SearchRun, search: dict[str, Any], tmp_path: Path
) -> None:
    content = {**search, "jet_tagging": {**search["jet_tagging"], "events": None}}
    with pytest.raises(StageError, match=r"`jet_tagging\.examined\.events` asks for 300 more"):
        further_jets(run_of(tmp_path, content, data=finished.catalogue.directory))
