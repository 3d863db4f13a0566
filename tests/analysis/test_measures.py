"""Figures of merit of detectors, and their spread over independent trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.stages.measures import REGULATOR, measure
from analysis.stages.train import crossfit_of, trained
from ml import Scores
from ml.metrics import auc, background_rejection, max_sic
from ml.registry import DETECTORS
from ml.selection import fold_quantiles
from tests.analysis.training_toys import Seen, run_with, toys


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    Seen.fitted, Seen.loaded = [], 0
    monkeypatch.setitem(DETECTORS, "seen", (Seen.__module__, "Seen", "SeenSettings"))


def test_repeats_measure_the_spread_of_a_training(tmp_path: Path) -> None:
    one = trained(run_with(tmp_path / "one"), "data", "seen")
    run = run_with(tmp_path / "three", detector={"repeats": 3})
    found = trained(run, "data", "seen")
    assert found.repeat_scores is not None
    assert found.spare_repeat_scores is not None
    assert (found.repeat_scores.shape, found.spare_repeat_scores.shape) == ((3060, 3), (300, 3))
    assert found.repeat_scores.dtype == np.float32
    assert np.array_equal(found.repeat_scores[:, 0], one.score)
    assert np.array_equal(found.score, one.score)
    assert len(Seen.fitted) == 3 + 9
    draws = {json.loads(file.read_text()) for file in (tmp_path / "three").rglob("draw.json")}
    assert len(draws) == 9
    everything = np.concatenate([found.repeat_scores, found.spare_repeat_scores])
    sample = run.memory["searched data"]
    mass, truth = (np.concatenate([sample.events[name], sample.spare[name]]) for name in ("mjj", "truth"))
    everything_fold = np.append(found.fold_index, sample.spare["fold"] % found.summary["folds"])
    rows = (mass >= 3300) & (mass < 3700)
    fold, own = everything_fold[rows], rows[: len(found.score)].sum()
    ranked = fold_quantiles(everything[rows], fold, reference=everything[rows][:own], reference_fold=fold[:own])
    each = [auc(scores, truth[rows]) for scores in ranked.T]
    measured = found.summary["measured"]["auc"]
    assert measured["repeats"] == [m.value for m in each]
    assert measured["value"] == pytest.approx(np.mean([m.value for m in each]))
    assert measured["spread"] == pytest.approx(np.std([m.value for m in each], ddof=1))
    assert measured["spread"] > 0
    assert measured["uncertainty"] == pytest.approx(np.mean([m.uncertainty for m in each]))
    assert "repeats" not in one.summary["measured"]["auc"]
    assert len(crossfit_of(run, "data", "seen").detectors) == 3


def test_figures_of_merit_agree_with_one_another() -> None:
    events = toys(4000, 500, seed=4)
    score = events["j1_m"] + np.random.default_rng(5).normal(0, 100, len(events))
    members = np.stack([score, score**2, events["j1_m"]])
    measured: Any = measure(events, [Scores.from_members(members)], None, folds=1, searched=len(events))
    rejection, efficiency = (measured[f"background_{name}_at_0.5"] for name in ("rejection", "efficiency"))
    assert efficiency["value"] == pytest.approx(1 / rejection["value"])
    relative = rejection["uncertainty"] / rejection["value"]
    assert efficiency["uncertainty"] / efficiency["value"] == pytest.approx(relative)
    stored = Scores.from_members(members).members
    assert stored is not None
    each = [1 / background_rejection(member, events["truth"], 0.5).value for member in stored.T]
    assert efficiency["spread"] == pytest.approx(np.std(each, ddof=1))
    mean = Scores.from_members(members).event
    expected = max_sic(mean, events["truth"], min_background=1, regulator=REGULATOR)
    assert measured["max_sic_regulated"]["value"] == pytest.approx(expected.value)
    none = events.take(events["truth"] == 1)
    assert measure(none, [Scores.from_members(members[:, :1])], None, folds=1, searched=len(none)) == {}


def test_folds_whose_scores_share_no_scale_are_measured_by_their_quantiles() -> None:
    events = toys(4000, 500, seed=4)
    score = events["j1_m"] + np.random.default_rng(5).normal(0, 100, len(events))
    moved = np.where(events["fold"] % 2, score, 5 * score + 4000)

    def area(values: np.ndarray) -> float:
        found: Any = measure(events, [Scores.from_members(values[None])], None, folds=2, searched=len(events))
        return float(found["auc"]["value"])

    assert area(moved) == pytest.approx(area(score), abs=1e-6)
    assert auc(moved, events["truth"]).value < area(score) - 0.02
