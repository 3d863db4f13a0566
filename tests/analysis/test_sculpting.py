"""Spectra of background alone: what selections do to their shape, from the truth or from simulation."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.events import Events
from analysis.figures.hunts import _divergent, _fitted
from analysis.report.sculpting_tables import background_fit_table
from analysis.stages.background_fits import TOYS, background_fit
from analysis.stages.sculpting import BackgroundShape, background_fits, background_sculpting, background_shapes
from analysis.stages.selections import Selection
from analysis.stages.train import trained
from ml.registry import DETECTORS
from stats import Spectrum
from tests.analysis.training_toys import Seen, run_with

SPECTRUM = {"start": 2800, "stop": 5200, "width": 200, "family": "dijet", "parameters": 3}
SELECTION = Selection("data", "seen", 0.1)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "seen", (Seen.__module__, "Seen", "SeenSettings"))


def run_of(out: Path, *, truth_known: bool, **changes: Any) -> SearchRun:
    run = run_with(out, spectrum=SPECTRUM, efficiencies=[0.5, 0.1], **changes)
    run = dataclasses.replace(run, catalogue=cast(Any, SimpleNamespace(entry=lambda _: SimpleNamespace(sqrt_s=13.0))))
    if not truth_known:
        sample = run.memory["searched data"]
        unknown = Events({**sample.events.columns, "truth": np.full(len(sample.events), -1)})
        run.memory["searched data"] = dataclasses.replace(sample, events=unknown, key="unknown")
    return run


def test_the_searched_background_is_taken_where_the_truth_is_known(tmp_path: Path) -> None:
    run = run_of(tmp_path, truth_known=True)
    found = background_shapes(run)
    assert set(found) == {"data-seen-0.5", "data-seen-0.1"}
    shape, events = found[SELECTION.identifier], run.memory["searched data"].events
    background = (events["truth"] == 0) & events.inside((2800, 5200))
    assert shape.simulation is None
    assert shape.inclusive.total == background.sum()
    scores, inside = trained(run, "data", "seen"), events.inside((2800, 5200))
    expected = np.zeros(len(events), dtype=bool)
    for fold in np.unique(scores.fold_index):
        rows = inside & (scores.fold_index == fold)
        expected |= rows & (scores.score > np.quantile(scores.score[rows], 0.9))
    assert shape.spectrum.total == pytest.approx((expected & background).sum(), abs=5)
    assert shape.spectrum.total < 0.1 * inside.sum() - 20  # signal was there, and is left out


def test_simulation_stands_in_where_it_is_not(tmp_path: Path) -> None:
    """Selected by the thresholds on the data, with its weights and without its signal."""
    run = run_of(tmp_path, truth_known=False)
    shape = background_shapes(run)[SELECTION.identifier]
    events = run.memory["events of simulated"]
    background = (events["truth"] != 1) & events.inside((2800, 5200))
    assert shape.simulation == "simulated"
    assert shape.inclusive.total == pytest.approx(0.5 * background.sum())
    assert shape.inclusive.variances.sum() == pytest.approx(0.25 * background.sum())
    assert 0.02 < shape.spectrum.total / shape.inclusive.total < 0.1  # less than of the data, which hold signal


def test_without_truth_and_simulation_there_is_nothing_to_show(tmp_path: Path) -> None:
    for missing in ("simulation", "spectrum"):
        run = run_of(tmp_path, truth_known=False)
        run = dataclasses.replace(run, search=run.search.model_copy(update={missing: None}))
        assert background_shapes(run) == {}
        assert background_sculpting(run) == {}


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_a_random_choice_diverges_as_expected_and_a_sculpted_one_by_more(weight: float) -> None:
    rng, edges, kept = np.random.default_rng(1), np.linspace(0, 1, 13), 0.2

    def shape(masses: np.ndarray, inclusive: np.ndarray) -> BackgroundShape:
        made = [Spectrum.from_masses(x, edges, weights=np.full(len(x), weight)) for x in (masses, inclusive)]
        return BackgroundShape(SELECTION, *made, None)

    values = []
    for _ in range(60):
        masses = rng.random(20_000)
        found = shape(masses[rng.random(20_000) < kept], masses).divergence(rng)
        values.append((found["value"], found["expected"]))
    mean, expected = np.mean(values, axis=0)
    error = np.std([value for value, _ in values]) / np.sqrt(len(values))
    assert mean == pytest.approx(expected, abs=4 * error)
    assert error < 0.1 * expected
    sculpted = shape(masses[rng.random(20_000) < kept * (0.7 + 0.6 * masses)], masses).divergence(rng)
    assert sculpted["value"] > 5 * sculpted["expected"] + 3 * sculpted["uncertainty"]
    assert sculpted["n"] == pytest.approx(kept * 20_000, rel=0.05)


def test_the_function_of_the_search_is_fitted_to_the_selected_background(tmp_path: Path) -> None:
    run = run_of(tmp_path, truth_known=True)
    found = background_fits(run)
    assert set(found) == {"data-seen-0.5", "data-seen-0.1"}
    for name, entry in found.items():
        assert entry["family"] == "dijet3"
        assert entry["background"] == "truth"
        assert entry["events"] == background_shapes(run)[name].spectrum.total
        assert entry["ndof"] == 12 - 3
        assert entry["p"]["toys"] == TOYS
        assert entry["p"]["value"] > 1e-3  # exponentially falling masses
    simulated = background_fits(run_of(tmp_path / "simulated", truth_known=False))
    assert {entry["background"] for entry in simulated.values()} == {"simulated"}


def falling(events: int) -> np.ndarray:
    """(12,) whole numbers that the dijet function describes."""
    edges = np.arange(2800.0, 5201.0, 200.0)
    expected = -np.diff(np.exp(-(edges - 2800) / 600))
    return np.round(events * expected / expected.sum())


@pytest.mark.parametrize(("bump", "sculpted"), [(1.0, False), (1.4, True)])
def test_a_sculpted_background_is_not_described(tmp_path: Path, bump: float, sculpted: bool) -> None:
    run = run_of(tmp_path, truth_known=True)
    counts = falling(20_000)
    counts[5] = np.round(counts[5] * bump)
    found = background_fit(run, SELECTION, Spectrum.from_counts(np.arange(2800.0, 5201.0, 200.0), counts))
    assert found.p is not None
    assert (found.p < 0.01) is sculpted
    assert found.p == found.facts["p"]["value"]


def test_without_a_fit_the_reason_is_told(tmp_path: Path) -> None:
    """One event tests no function; neither does a search that leaves the order to hunts that it does not make."""
    run = run_of(tmp_path, truth_known=True)
    edges = np.arange(2800.0, 5201.0, 200.0)
    few = Spectrum.from_counts(edges, np.eye(12)[0])
    none = background_fit(run, SELECTION, few)
    assert none.p is None
    assert none.facts["reason"].startswith("1 events are too few")
    order = {"parameters": "f-test", "order": {"candidates": [2, 3], "control": "searched"}}
    spectrum = run.search.spectrum.model_validate({**SPECTRUM, **order})  # type: ignore[union-attr]
    unhunted = dataclasses.replace(run, search=run.search.model_copy(update={"spectrum": spectrum}))
    assert "no bump hunt" in background_fit(unhunted, SELECTION, few).facts["reason"]

    good = background_fit(run, SELECTION, Spectrum.from_counts(edges, falling(20_000)))
    shapes = [BackgroundShape(SELECTION, few, few, None, fit) for fit in (good, none)]
    divergence = {"value": 0.01, "uncertainty": 0.001}
    first, second = (_divergent(shape, divergence) for shape in shapes)
    assert "nats, fit p = " in first
    assert second.endswith("nats, no fit")
    assert "(dijet3)" in _fitted(shapes)
    assert none.facts["reason"] in _fitted(shapes)

    table = background_fit_table({"background_fits": {"a": good.facts, "b": none.facts}})
    assert table is not None
    assert f"b: not fitted. {none.facts['reason']}" in table.notes
    assert background_fit_table({}) is None
