"""Which samples belong together, and which of them are scanned over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from analysis.config import Search
from analysis.context import SearchRun
from analysis.stages import families, scan
from tests.analysis.conftest import search_of

AMOUNTS = {"none": 0.0, "some": 0.02, "more": 0.05, "other": 0.03, "again": 0.024, "nothing": 0.0}
EVENTS = {"nothing": 0}  # none and nothing hold the same events
MIXTURE = {"background": "dijets", "signal": "resonance"}


def search_with(**changes: Any) -> SearchRun:
    """Return a search of two mixtures that differ in their signal, without its samples; None takes a key out."""
    search = search_of(["dijets.root"])
    datasets = {**search["datasets"], "resonance": {"files": ["resonance.root"], "role": "signal"}}
    mixtures = {"none": {**MIXTURE, "fraction": 0}, "some": {**MIXTURE, "fraction": 0.02}}
    del search["limits"]
    changes = {"datasets": datasets, "mixtures": mixtures, "data": ["some", "none"]} | changes
    content = {key: value for key, value in (search | changes).items() if value is not None}
    return SearchRun(Search.model_validate(content), cast(Any, None), cast(Any, None))


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples and trainings that nobody has to make."""

    def searched(run: SearchRun, name: str) -> Any:
        amount = AMOUNTS[name]
        inside = amount if run.search.window else None
        counts = SimpleNamespace(fraction=amount, s_over_b_window=inside, s_over_sqrt_b_window=inside)
        events = SimpleNamespace(event_id=np.array([EVENTS.get(name, list(AMOUNTS).index(name))]))
        return SimpleNamespace(truth_known=True, counts=counts, events=events)

    def trained(run: SearchRun, name: str, detector: str) -> Any:
        measured = {"auc": {"value": 0.5 + AMOUNTS[name], "uncertainty": 0.01, "n_background": 100}}
        return SimpleNamespace(summary={"uses_labels": False, "measured": measured})

    monkeypatch.setattr(families, "searched", searched)
    monkeypatch.setattr(scan, "searched", searched)
    monkeypatch.setattr(scan, "trained", trained)


def test_samples_are_scanned_from_the_least_signal_up() -> None:
    (found,) = scan.scans(search_with())
    assert (found["background"], found["signal"]) == ("dijets", "resonance")
    assert found["samples"] == ["none", "some"]
    assert found["s_over_b_window"] == [0.0, 0.02]
    area = found["lines"]["cwola"]["auc"]
    assert area == {"values": [0.5, 0.52], "errors": [0.01, 0.01], "n_background": [100.0, 100.0]}


def test_without_a_window_nothing_is_scanned() -> None:
    assert scan.scans(search_with(window=None, detectors={}, efficiencies=[])) == []


def test_windows_that_slide_are_not_scanned() -> None:
    windows = {"start": 3000, "stop": 3800, "step": 400, "width": 400, "sideband": 300}
    assert scan.scans(search_with(window=None, windows=windows)) == []


def test_without_detectors_nothing_is_scanned() -> None:
    assert scan.scans(search_with(detectors={}, efficiencies=[])) == []


def test_a_mixture_that_names_no_signal_belongs_to_those_that_do() -> None:
    some = {"background": "dijets", "fraction": 0.02, "signal": "resonance"}
    elsewhere = {"background": "other_dijets", "fraction": 0.03, "signal": "resonance"}
    datasets = {
        "dijets": {"files": ["a.root"]},
        "other_dijets": {"files": ["b.root"]},
        "resonance": {"files": ["c.root"], "role": "signal"},
    }
    mixtures = {
        "none": {"background": "dijets"}, "some": some, "more": {**some, "fraction": 0.05}, "other": elsewhere,
    }  # fmt: skip
    run = search_with(datasets=datasets, mixtures=mixtures, data=["more", "other", "none", "some"])
    assert families.families_of(run) == [["none", "some", "more"], ["other"]]
    assert families.calmest(run) == ["none", "other"]
    assert families.ends(run) == ["none", "more", "other"]
    assert [one["samples"] for one in scan.scans(run)] == [["none", "some", "more"]]


def of_seeds(**mixtures: Any) -> SearchRun:
    """Return a search of mixtures that change these keys of the one with some signal."""
    some = {**MIXTURE, "fraction": 0.02}
    return search_with(mixtures={name: {**some, **keys} for name, keys in mixtures.items()}, data=list(mixtures))


def test_samples_that_differ_by_chance_alone_are_no_scan() -> None:
    run = of_seeds(some={"seed": 1}, again={"seed": 2})
    assert families.families_of(run) == [["some", "again"]]
    assert scan.scans(run) == []
    assert families.replicas_of(run) == [["some", "again"]]


def test_samples_of_one_nominal_fraction_are_one_point_of_a_scan() -> None:
    run = of_seeds(some={"seed": 1}, again={"seed": 2}, none={"fraction": 0}, more={"fraction": 0.05})
    (found,) = scan.scans(run)
    assert found["samples"] == ["none", "some, again", "more"]
    assert found["replicas"] == [1, 2, 1]
    assert found["s_over_b_window"] == [0.0, pytest.approx(0.022), 0.05]
    area = found["lines"]["cwola"]["auc"]
    assert area["values"] == [0.5, pytest.approx(0.522), 0.55]
    assert area["errors"] == [0.01, pytest.approx(np.std([0.52, 0.524], ddof=1)), 0.01]
    assert area["n_background"] == [100.0, 100.0, 100.0]


def test_the_same_events_count_once() -> None:
    run = of_seeds(none={"fraction": 0, "seed": 1}, nothing={"fraction": 0, "seed": 2}, some={})
    (found,) = scan.scans(run)
    assert found["samples"] == ["none", "some"]
    assert families.replicas_of(run) == []


def test_replicas_may_take_other_background_but_not_other_signal_or_size() -> None:
    datasets = {name: {"files": [f"{name}.root"]} for name in ("dijets", "second")}
    datasets |= {"resonance": {"files": ["c.root"], "role": "signal"}}
    some = {**MIXTURE, "fraction": 0.02, "max_background": 100}
    mixtures = {
        "some": some,
        "again": {**some, "background": "second", "skip_background": 0, "seed": 3},
        "more": {**some, "fraction": 0.05},
        "other": {**some, "max_background": 200},
    }
    run = search_with(datasets=datasets, mixtures=mixtures, data=list(mixtures))
    assert families.replicas_of(run) == [["some", "again"]]
    assert families.families_of(run) == [["some", "more"], ["again"], ["other"]]


def test_parts_of_one_background_are_no_family() -> None:
    run = of_seeds(none={"fraction": 0, "skip_background": 0}, some={"skip_background": 100})
    assert families.families_of(run) == [["none"], ["some"]]
