"""What detectors of a search cannot train on is told once, by its names, before anything is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.catalogue import Catalogue
from analysis.config import Dataset
from analysis.context import RunOptions, SearchRun, datasets_of
from analysis.errors import ConfigurationError, DarkhorseError
from analysis.pipeline import check_detectors
from analysis.stages.simulated import check_files, simulation_name
from analysis.stages.train import train
from ml import TrainingError
from ml.registry import DETECTORS
from tests.analysis.training_toys import Seen, run_with, search_with, toys


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    Seen.fitted, Seen.loaded = [], 0
    monkeypatch.setitem(DETECTORS, "seen", (Seen.__module__, "Seen", "SeenSettings"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simulation": None}, "'seen' of type 'seen' trains on simulation, but the search names none"),
        (
            {"detector": {"simulation": "mixed"}, "mixtures": {"mixed": {"background": "data"}}},
            "`detectors.seen.simulation: mixed` names a mixture",
        ),
        (
            {"detector": {"type": "cwola", "simulation": "simulated", "settings": {"features": ["j1_m"]}}},
            "`detectors.seen.simulation: simulated` has no effect: a detector of type 'cwola' does not train",
        ),
    ],
)
def test_check_says_what_simulation_is_missing(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_detectors(search_with(**changes))


def test_a_role_that_searches_do_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Seen, "needs", frozenset({"data", "control"}))
    with pytest.raises(ConfigurationError, match="needs a sample of role 'control'"):
        check_detectors(search_with())


def test_bad_simulation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DarkhorseError, match="'simulated' has 40 selected events, all of them signal"):
        train(run_with(tmp_path, simulated=toys(0, 40, seed=3)))
    events = toys(100, 0, seed=3)
    events.columns["j1_m"][:7] = np.nan
    with pytest.raises(DarkhorseError, match="'simulated' has no 'j1_m' in 7 of 100 events"):
        train(run_with(tmp_path, simulated=events))


def test_a_detector_may_have_simulation_of_its_own(tmp_path: Path) -> None:
    search = search_with(detector={"simulation": "other"})
    assert datasets_of(search) == ["data", "simulated", "other"]
    assert simulation_name(run_with(tmp_path), "seen") == "simulated"
    assert simulation_name(run_with(tmp_path, detector={"simulation": "other"}), "seen") == "other"
    cwola = {"type": "cwola", "settings": {"features": ["j1_m"]}}
    assert simulation_name(run_with(tmp_path, detector=cwola), "seen") is None


@pytest.mark.parametrize("where", ["data", "mixed"])
def test_data_are_not_compared_with_themselves(where: str) -> None:
    mixtures = {"mixed": {"background": "simulated", "signal": "signal", "fraction": 0.01}}
    data = {"data": "mixed", "mixtures": mixtures} if where == "mixed" else {"data": "simulated"}
    name = "mixed" if where == "mixed" else "simulated"
    with pytest.raises(ConfigurationError, match=f"`simulation: simulated` is what '{name}' is made of"):
        check_detectors(search_with(**data))
    with pytest.raises(ConfigurationError, match=r"`detectors.seen.simulation: simulated` is what"):
        check_detectors(search_with(**data, simulation=None, detector={"simulation": "simulated"}))
    check_detectors(search_with(**data, detector={"simulation": "other"}))


def test_data_and_simulation_of_other_names_share_no_file(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.root").touch()

    def check(simulated: dict[str, Any], of_data: dict[str, Any], **changes: Any) -> None:
        entries = {"data": of_data, "simulated": simulated}
        catalogue = Catalogue({n: Dataset.model_validate(one) for n, one in entries.items()}, tmp_path, base=tmp_path)
        check_files(SearchRun(search_with(**changes), catalogue, RunOptions(tmp_path)))

    recipe = {"process": "qcd_dijet", "events": 100, "seed": 4}
    check({"files": ["a.root"]}, {"files": ["b.root"]})
    check({"recipe": {**recipe, "seed": 5}}, {"recipe": recipe})
    check({"files": ["not-there.root"]}, {"files": ["https://example.org/there.root"]})
    with pytest.raises(ConfigurationError, match=r"'simulated' of 'seen' and .* 'data' share .*b.root: compared with"):
        check({"files": [str(tmp_path / "b.root")]}, {"files": ["*.root"]})
    mixed = {"data": "mixed", "mixtures": {"mixed": {"background": "data"}}}
    with pytest.raises(ConfigurationError, match=r"share the recipe .* of seed 4"):
        check({"recipe": {**recipe, "events": 200}}, {"recipe": recipe}, **mixed)
    cwola = {"type": "cwola", "settings": {"features": ["j1_m"]}}
    check({"recipe": recipe}, {"recipe": recipe}, detector=cwola)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "column 'j1_m' is NaN or infinite in 3060 of 3060 events (first at row 0)"),
        (4.0, "feature 'j1_m' is constant (4) over its 3060 events"),
    ],
)
def test_bad_data_are_told_once_and_by_name(tmp_path: Path, value: float, message: str) -> None:
    cwola = {"type": "cwola", "settings": {"features": ["j1_m"], "classifier": "bdt", "members": 1}}
    run = run_with(tmp_path, detector=cwola)
    run.memory["searched data"].events.columns["j1_m"][:] = value
    with pytest.raises(TrainingError) as error:
        train(run)
    said = str(error.value)
    assert said.startswith("seen cannot be trained on 'data': ")
    assert said.count(message) == 1
    assert "fold" not in said


def test_bands_that_folds_make_too_thin_are_told_once(tmp_path: Path) -> None:
    cwola = {"type": "cwola", "settings": {"features": ["j1_m"], "classifier": "bdt", "members": 1}}
    run = run_with(tmp_path, detector={**cwola, "folds": 2})
    events = run.memory["searched data"].events
    inside = np.flatnonzero(events.inside((3700, 4100)))
    run.memory["searched data"] = dataclasses.replace(
        run.memory["searched data"], events=events.take(np.delete(np.arange(len(events)), inside[25:]))
    )
    with pytest.raises(TrainingError) as error:
        train(run)
    said = str(error.value)
    assert said.startswith("seen cannot be trained on 'data': without the events of fold ")
    assert said.count("events in the sideband (3700, 4100) GeV") == 1
    assert not list(tmp_path.rglob("fold-*"))
