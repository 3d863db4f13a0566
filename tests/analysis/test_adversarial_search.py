"""A search with adversarial networks in seconds: top pairs made by hand, from files to the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.pipeline import run_until
from analysis.stages.networks import networks
from analysis.stages.robustness import robustness
from analysis.stages.smeared import background, contaminated, selected_cross_section
from analysis.stages.smeared_limits import smeared_limits
from tests.analysis.statistics_search import finished_run, run_of
from tests.processors.ttbar_events import Event, random_event, write_ttbar

GAME = {"warm_up_steps": 100, "rounds": 4, "steps_per_round": 5, "batch_size": 100}
NETWORK: dict[str, Any] = {"members": 2, "game": GAME}
CLASSES = {"central": "nominal", "up": "up", "down": "down"}


def events(seed: int, *, scale: float = 1.0, count: int = 500) -> list[Event]:
    """Random top pairs whose particles, but for leptons, have so many times the momentum."""
    rng = np.random.default_rng(seed)
    made = (random_event(rng) for _ in range(count))
    return [
        replace(e, particles=[(p[0] * scale if abs(p[4]) > 13 else p[0], *p[1:]) for p in e.particles]) for e in made
    ]


pytestmark = pytest.mark.usefixtures("one_shard")


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The search file's content; its files lie in a folder of their own."""
    folder = tmp_path_factory.mktemp("tops")
    datasets = {}
    for seed, name in enumerate((*CLASSES, "signal")):
        file = write_ttbar(folder / f"{name}.root", events(seed, scale=1.4 if name == "signal" else 1.1))
        datasets[name] = {"files": [str(file)], "cross_section": 0.5, "sqrt_s": 14}
    backgrounds = {
        "large": {name: {"dataset": name, "variation": variation} for name, variation in CLASSES.items()},
        "none": {name: {"dataset": name} for name in CLASSES},
    }
    return {
        "name": "tops",
        "datasets": datasets,
        "processing": {"processor": "ttbar", "smearings": {"up": 3, "down": -3}, "ttbar": {"min_ht": 500}},
        "adversarial": {
            "backgrounds": backgrounds,
            "signal": "signal",
            "features": ["b1_pt", "b2_pt", "light1_pt", "light2_pt", "lepton_pt", "met"],
            "networks": {
                "plain": {"type": "adversarial_autoencoder", "settings": {**NETWORK, "adversary": False}},
                "robust": {"type": "adversarial_autoencoder", "plain": "plain", "settings": NETWORK},
                "classifier": {"type": "adversarial_classifier", "settings": {**NETWORK, "adversary": False}},
            },
            "contamination": {"network": "robust", "fractions": [0.1]},
            "limits": {"networks": ["robust"], "edges": [0, 1200, 4000]},
        },
    }


@pytest.fixture(scope="module")
def finished(search: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    folder = tmp_path_factory.mktemp("run")
    return finished_run(folder, search, data=folder / "data")


def test_every_network_is_tested_with_every_background_and_signal(finished: SearchRun) -> None:
    found = [(e["network"], e["contamination"], e["tested_with"], e["signal"]) for e in robustness(finished)]
    clean = [(name, 0.0) for name in ("plain", "robust", "classifier")]
    assert found == [(*one, smearing, "signal") for one in (*clean, ("robust", 0.1)) for smearing in ("large", "none")]
    for entry in robustness(finished):
        areas = [one["value"] for one in entry["classes"].values()]
        each = np.array([one["each"] for one in entry["classes"].values()])
        assert entry["difference"]["value"] == pytest.approx(np.ptp(each, axis=0).mean())
        assert min(areas) <= entry["overall"]["value"] <= max(areas)
        assert entry["overall"]["value"] == pytest.approx(np.mean(areas))
        assert entry["members"] == 2
        assert entry["of_mean"]["difference"]["uncertainty"] > 0


def test_a_trained_classifier_sees_the_smearing_and_finds_the_signal(finished: SearchRun) -> None:
    entry = next(e for e in robustness(finished) if e["network"] == "classifier" and e["tested_with"] == "large")
    assert entry["uses_labels"]
    assert entry["classes"]["down"]["value"] > entry["classes"]["up"]["value"]
    assert entry["overall"]["value"] > 0.6


def test_signal_hides_in_every_class_smeared_like_it(finished: SearchRun) -> None:
    plain = background(finished, "large")
    mixed, category = contaminated(finished, "large", 0.1)
    for number, name in enumerate(plain):
        total, before = int((category == number).sum()), len(plain[name])
        assert total - before == round(before / 9)
    assert len(mixed) == len(category)
    with pytest.raises(StageError, match=r"takes .* events of 'signal'"):
        contaminated(finished, "large", 0.9)


def test_too_little_signal_to_hide_is_said_before_anything_trains(
    search: dict[str, Any], finished: SearchRun, tmp_path: Path
) -> None:
    contamination = {"network": "robust", "fractions": [0.1, 0.9]}
    greedy = {**search, "adversarial": {**search["adversarial"], "contamination": contamination}}
    run = run_of(tmp_path, greedy, data=finished.catalogue.directory)
    with pytest.raises(StageError, match=r"contamination of 0\.9 takes .* events of 'signal'"):
        networks(run)
    assert not (run.out / "models").exists()


def test_a_cross_section_that_limits_need_is_asked_for_before_anything_trains(
    search: dict[str, Any], finished: SearchRun, tmp_path: Path
) -> None:
    unknown = {name: {k: v for k, v in one.items() if k != "cross_section"} for name, one in search["datasets"].items()}
    run = run_of(tmp_path, {**search, "datasets": unknown}, data=finished.catalogue.directory)
    with pytest.raises(StageError, match="cross section of 'central' is not known"):
        networks(run)
    assert not (run.out / "models").exists()


def test_cross_sections_are_those_after_the_selection(finished: SearchRun) -> None:
    for name, variation in CLASSES.items():
        kept = len(background(finished, "large")[name])
        assert selected_cross_section(finished, name, variation) == pytest.approx(500.0 * kept / 500)


def test_limits_have_the_smearing_as_a_nuisance(finished: SearchRun) -> None:
    found = smeared_limits(finished)
    assert [(e["network"], e["tested_with"], e["signal"]) for e in found] == [
        ("robust", "large", "signal"),
        ("robust", "none", "signal"),
    ]
    large = found[0]
    assert large["cls_expected"][2] >= 0.99 * large["cls_expected_without_smearing"][2]
    assert large["simple"]["signal_events"] == pytest.approx(2 * np.sqrt(large["simple"]["background_events"]))
    workspace = json.loads((finished.out / "workspaces" / "smeared-robust-large-signal.json").read_text())
    (channel,) = workspace["channels"]
    kinds = {(s["name"], m["type"], m["name"]) for s in channel["samples"] for m in s["modifiers"]}
    assert ("background", "histosys", "smearing") in kinds
    assert ("signal", "normfactor", "mu") in kinds
    expected = next(s["data"] for s in channel["samples"] if s["name"] == "background")
    assert sum(expected) == pytest.approx(large["selected_background"]["central"])


def test_results_and_report_hold_it_all(finished: SearchRun) -> None:
    results = json.loads((finished.out / "results.json").read_text())
    assert {*results["networks"]} == {"plain", "robust", "classifier", "robust with 10% signal"}
    (compared,) = results["robustness_compared"]
    assert (compared["network"], compared["plain"]) == ("robust", "plain")
    page = (finished.out / "report" / "index.html").read_text()
    assert results["networks"]["robust"]["opponent"]["trainings"] == 4
    assert results["networks"]["plain"]["opponent"] is None
    for text in (
        "AUC by class of the background",
        "What the adversary does",
        "Networks and adversaries after training",
        "Signal among the training events",
    ):
        assert text in page
    names = {file.stem for file in (finished.out / "figures").glob("*.png")}
    for name in ("plain", "robust", "classifier"):
        assert {f"output-{name}-large", f"roc-{name}-none"} <= names
    assert {"smearing-large", "smearing-none", "contamination"} <= names


def test_a_second_run_trains_nothing(finished: SearchRun, search: dict[str, Any]) -> None:
    again = run_of(finished.out.parent, search)
    before = {file: file.stat().st_mtime_ns for file in (finished.out / "models").rglob("*.keras")}
    assert before
    assert networks(again)["robust", 0.0].key == networks(finished)["robust", 0.0].key
    assert {file: file.stat().st_mtime_ns for file in (finished.out / "models").rglob("*.keras")} == before


def test_too_few_events_are_told(search: dict[str, Any], tmp_path: Path) -> None:
    run = run_of(tmp_path, {**search, "adversarial": {**search["adversarial"], "events": 5000}})
    with pytest.raises(StageError, match=r"`adversarial\.events` asks for 5,000"):
        for _ in run_until(run, "train"):
            pass
