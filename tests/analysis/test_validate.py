"""Tests of the background model within a search: results, reasons and figures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.figures.validation import validation_figures
from analysis.plots import Label
from analysis.report.validation_tables import validation_warnings
from analysis.stages import validate as stage
from analysis.stages.hunt import hunt
from analysis.stages.validate import background_orders, describe_tests, validate
from analysis.statistics_settings import ValidationSettings
from stats import Spectrum
from tests.analysis.statistics_search import INCLUSIVE, LOOSE, MASS, inclusive_search, run_of

TESTS = ["goodness", "goodness_outside_window", "bias", "spurious_signal", "injection"]


def validated_again(run: SearchRun, folder: Path, *, workers: int = 1, **changes: Any) -> SearchRun:
    """The same search with other tests, on the hunts that are there; nothing of what it validated is kept."""
    assert run.search.validation is not None
    asked = ValidationSettings.model_validate({**run.search.validation.model_dump(), **changes})
    kept = {key: value for key, value in run.memory.items() if not key.startswith("validated")}
    options = replace(run.options, out=folder, executor=replace(run.options.executor, workers=workers))
    return replace(run, search=run.search.model_copy(update={"validation": asked}), options=options, memory=kept)


def test_every_test_has_a_result_for_every_selection_asked_for(everything: SearchRun) -> None:
    found = validate(everything)
    assert list(found) == [INCLUSIVE, LOOSE]
    for tests in found.values():
        assert list(tests) == TESTS
        assert not any("reason" in entry for entry in tests.values())
        whole, outside = tests["goodness"], tests["goodness_outside_window"]
        assert whole["ndof"] == outside["ndof"] + 4  # bins of the window
        assert whole["p"]["toys"] == 50
        assert 0 < whole["p"]["value"] <= 1
        names = {(pair["truth"], pair["fit"]) for pair in tests["bias"]["pairs"]}
        assert names == {(truth, fit) for truth in ("dijet3", "ua2_3") for fit in ("dijet3", "ua2_3")}
        assert tests["injection"]["mass"] == MASS
        assert tests["injection"]["slope"] == pytest.approx(1, abs=0.3)
        assert tests["spurious_signal"]["truth"] is None
        assert len(tests["spurious_signal"]["masses"]) == 16
        assert len(list(describe_tests(tests))) == len(TESTS)


def test_the_fitted_function_is_the_hunted_one(everything: SearchRun) -> None:
    hunted = hunt(everything)[INCLUSIVE].summary["bump_hunt"]["background"]
    for test in ("goodness", "spurious_signal"):
        assert validate(everything)[INCLUSIVE][test]["family"] == hunted["family"]


def test_same_seed_same_numbers_for_any_number_of_workers(everything: SearchRun, tmp_path: Path) -> None:
    assert validate(validated_again(everything, tmp_path, workers=3)) == validate(everything)


def test_a_test_does_not_depend_on_the_others(everything: SearchRun, tmp_path: Path) -> None:
    fewer = validated_again(everything, tmp_path, bias=None, spurious_signal=None, selections=[1])
    found = validate(fewer)
    assert list(found) == [INCLUSIVE]
    assert list(found[INCLUSIVE]) == ["goodness", "goodness_outside_window", "injection"]
    assert found[INCLUSIVE]["injection"] == validate(everything)[INCLUSIVE]["injection"]


def test_another_function_as_the_truth_of_a_spurious_signal(everything: SearchRun, tmp_path: Path) -> None:
    template = {"template": {"family": "dijet", "parameters": 3}, "threshold": 0.3}
    run = validated_again(everything, tmp_path, spurious_signal=template, bias=None, injection=None, selections=[1])
    found = validate(run)[INCLUSIVE]["spurious_signal"]
    assert (found["truth"], found["limit"], found["verdict"]) == ("dijet3", 0.3, "accepted")
    assert found["systematic"] < 1  # the fitted function is the truth: it invents nothing


@pytest.mark.parametrize(("window", "scale"), [(True, 3.0), (False, 4.0)])
def test_a_template_is_scaled_to_the_data_beside_the_signal(
    monkeypatch: pytest.MonkeyPatch, window: bool, scale: float
) -> None:
    """Three times the template everywhere, and as much signal in the window as the template has in all."""
    edges, template = np.arange(6.0), np.full(5, 10.0)
    data = 3 * template + np.array([0, 0, 50, 0, 0])
    mask = np.arange(5) != 2
    spectrum_of = partial(Spectrum.from_counts, edges)
    monkeypatch.setattr(stage, "_simulated", lambda *_: spectrum_of(template))
    monkeypatch.setattr(stage, "spurious_signal", lambda *_, **given: given)
    hunt_settings = SimpleNamespace(masses=SimpleNamespace(values=list))
    run = SimpleNamespace(search=SimpleNamespace(bump_hunt=hunt_settings))
    hunted = SimpleNamespace(spectrum=spectrum_of(data), selection=None)
    nothing = cast(Any, None)
    doubted = stage.Doubted(cast(Any, run), cast(Any, hunted), nothing, nothing, mask if window else None)
    checks = ValidationSettings.model_validate({"spurious_signal": {"template": "simulation"}})
    assert stage._spurious(doubted, checks)["scale"] == pytest.approx(scale)


def test_what_cannot_be_tested_says_why_and_leaves_the_rest(
    events_folder: Path, signals_folder: Path, tmp_path: Path
) -> None:
    """A window that leaves two bins of sidebands, and a simulation without an event in the spectrum."""
    spectrum = {"start": 3600, "stop": 5600, "width": 100, "family": "dijet", "parameters": 3}
    checks = {
        "goodness_toys": 20,
        "bias": {"families": [{"family": "dijet", "parameters": 3}], "masses": [4000], "toys": 20},
        "spurious_signal": {"template": "simulation"},
        "injection": {"mass": 4000, "strengths": [0, 2], "toys": 20},
    }
    changes = {
        "spectrum": spectrum, "window": {"signal": [3700, 5500]}, "validation": checks, "limits": None,
        "simulation": "resonance", "processing": {"min_mjj": 3650},
        "bump_hunt": {"masses": {"start": 4000, "stop": 4400, "step": 100}, "widths": [0.03], "toys": 20},
    }  # fmt: skip
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder, **changes))
    found = validate(run)["background-inclusive"]
    assert list(found) == TESTS
    assert "p" in found["goodness"]
    for test in ("goodness_outside_window", "bias", "injection"):
        assert found[test]["reason"].endswith("."), found[test]
    said = list(describe_tests(found))
    assert any(text.startswith("bias not tested (") for text in said)
    warned = list(validation_warnings({"validation": {"background-inclusive": found}}))
    assert any("the linearity of injected signals could not be tested" in text for text in warned)
    assert any("the bias of the signal could not be tested" in text for text in warned)
    figures = [name for _, name, _, _ in validation_figures(run, Label())]
    assert "goodness-background-inclusive" in figures
    assert "bias-background-inclusive" not in figures
    order = background_orders(run)["background"]
    assert not order["chooses"]
    assert "reason" in order  # two bins decide nothing, but a fixed function does not need them to


def test_nothing_asked_for(events_folder: Path, signals_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder), data=data_folder)
    assert validate(run) == background_orders(run) == {}
    assert list(validation_figures(run, Label())) == []


def test_figures_show_every_test_with_its_signal_content(everything: SearchRun) -> None:
    figures = {name: (section, caption, figure) for section, name, caption, figure in _figures(everything)}
    kinds = ["goodness", "goodness-outside-window", "bias", "spurious-signal", "injection"]
    assert set(figures) == {"f-test-hidden", *(f"{kind}-{name}" for kind in kinds for name in (INCLUSIVE, LOOSE))}
    for name, (section, caption, _) in figures.items():
        assert section == "validation"
        assert caption.endswith(".")
        assert "None" not in caption
        assert name == "f-test-hidden" or "total signal fraction" in caption
    assert "was taken" in figures["f-test-hidden"][1]
    for kind in kinds:
        figures[f"{kind}-{LOOSE}"][2].canvas.draw()


def _figures(run: SearchRun) -> Any:
    return validation_figures(run, Label())
