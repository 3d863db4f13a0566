"""Limits in fb: the efficiency of a simulated signal, also as a function of how much of it was in the data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from analysis.context import SearchRun
from analysis.errors import CatalogueError, ConfigurationError, StageError
from analysis.events import Events
from analysis.exports import export_results
from analysis.pipeline import run_until
from analysis.published import published_limits
from analysis.samples.writers import write_events
from analysis.stages.bands import band_limits
from analysis.stages.hunt import hunt
from analysis.stages.limit import limit
from analysis.stages.searched import searched
from analysis.stages.signals import binomial_error, kept_signal, passing_rows, produced_weight, simulated_events
from analysis.stages.simple import describe_simple, roc_in_window, simple_limits
from tests.analysis.conftest import dijet_events
from tests.analysis.statistics_search import BANDS, INCLUSIVE, LOOSE, MASS, TIGHT, inclusive_search, run_of
from tests.analysis.test_limit_stage import entry_of, limited_again

PRODUCED, LUMINOSITY = 300, 1.0


def in_fb(run: SearchRun, selection: str = TIGHT) -> dict[str, Any]:
    return entry_of(run, selection, MASS, "fb")


def test_the_inclusive_limit_is_events_over_efficiency_and_luminosity(everything: SearchRun, tmp_path: Path) -> None:
    """Without uncertainties that only the cross section has, the two limits are the same number."""
    found = in_fb(everything, INCLUSIVE)
    efficiency = found["efficiency"]["value"]
    events = simulated_events(everything, "resonance")
    assert efficiency == events.inside((2600, 5600)).sum() / PRODUCED
    assert found["efficiency"]["n"] == events.inside((2600, 5600)).sum()
    settings = {"luminosity": 2.0, "signals": {MASS: "resonance"}, "shape": "limits"}
    changes = {"cross_section": settings, "systematics": {}, "selections": [1.0], "profile": False}
    free = limited_again(everything, tmp_path, **changes)
    in_events, cross_section = entry_of(free, INCLUSIVE, MASS), in_fb(free, INCLUSIVE)
    for name in ("observed", "best_fit"):
        assert cross_section[name] == pytest.approx(in_events[name] / (2.0 * efficiency), rel=2e-3)
    np.testing.assert_allclose(cross_section["expected"], np.array(in_events["expected"]) / (2 * efficiency), rtol=2e-3)


def test_uncertainties_of_efficiency_and_luminosity_weaken_limits_in_fb(everything: SearchRun, tmp_path: Path) -> None:
    settings = {"luminosity": LUMINOSITY, "signals": {MASS: "resonance"}, "shape": "limits"}
    run = limited_again(everything, tmp_path, cross_section=settings, selections=[1.0], profile=False)
    found, events = in_fb(run, INCLUSIVE), entry_of(run, INCLUSIVE, MASS)
    ideal = np.array(events["expected"]) / (LUMINOSITY * found["efficiency"]["value"])
    assert (np.array(found["expected"]) > ideal).all()
    np.testing.assert_allclose(found["expected"], ideal, rtol=0.1)


def test_the_peak_in_fb_is_that_of_the_simulation(everything: SearchRun) -> None:
    """Its mass peaks with a standard deviation of 2%, those of limits in events with 3%."""
    found, events = in_fb(everything, INCLUSIVE), entry_of(everything, INCLUSIVE, MASS)
    assert (events["width"], events["width_unit"]) == (0.03, "relative")
    assert found["width_unit"] == "GeV"
    assert 0.01 * MASS < found["width"] < 0.03 * MASS
    assert found["signal"] != events["signal"]


def test_efficiencies_are_measured_with_each_injected_signal(everything: SearchRun) -> None:
    for name, working_point in ((LOOSE, 0.2), (TIGHT, 0.05)):
        found = in_fb(everything, name)
        points = found["efficiency_points"]
        assert [point["fraction"] for point in points] == [0, 0.01, 0.05]
        assert points[0]["injected"] == points[0]["cross_section"] == 0
        n_background = len(searched(everything, "hidden").events) - 30
        for point in points[1:]:
            assert point["injected"] == round(point["fraction"] / (1 - point["fraction"]) * n_background)
            # all of the produced events pass the cuts of the processor
            assert point["cross_section"] == pytest.approx(point["injected"] / LUMINOSITY)
        efficiencies = [point["efficiency"] for point in points]
        assert efficiencies[-1] > efficiencies[0]
        assert efficiencies[-1] > working_point
        assert all(0 < point["uncertainty"] < 0.06 for point in points)
        assert (found["unit"], found["scan_unit"]) == ("fb", "fb")


def test_the_limit_selects_as_many_events_as_the_limit_in_events(everything: SearchRun, tmp_path: Path) -> None:
    settings = everything.search.limits
    assert settings is not None
    assert settings.cross_section is not None
    asked = {**settings.cross_section.model_dump(), "shape": "limits"}
    free = limited_again(everything, tmp_path, systematics={}, selections=[0.05], profile=False, cross_section=asked)
    found, events = in_fb(free), entry_of(free, TIGHT, MASS)
    points = found["efficiency_points"]
    efficiency = np.interp(found["observed"], [p["cross_section"] for p in points], [p["efficiency"] for p in points])
    selected = found["observed"] * LUMINOSITY * efficiency
    assert selected == pytest.approx(events["observed"], rel=0.03)  # the efficiency's own uncertainty
    assert selected >= events["observed"] * (1 - 1e-3)


def test_nothing_is_extrapolated_beyond_what_was_injected(everything: SearchRun, tmp_path: Path) -> None:
    asked = {"luminosity": LUMINOSITY, "signals": {MASS: "resonance"}, "injected": [0, 0.001]}
    run = limited_again(everything, tmp_path, cross_section=asked, selections=[0.2], profile=False)
    found = in_fb(run, LOOSE)
    assert found["observed"] is None
    assert found["expected"] == [None] * 5
    assert any(" to 3 fb, where the signal is known" in note for note in found["notes"])
    assert "reason" not in found
    json.dumps(limit(run), allow_nan=False)


def test_a_detector_trained_on_the_data_needs_injections(everything: SearchRun, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"luminosity": LUMINOSITY, "signals": {MASS: "resonance"}, "injected": []}
    run = limited_again(everything, tmp_path, cross_section=asked, profile=False)
    for name in (LOOSE, TIGHT):
        found = in_fb(run, name)
        assert found["observed"] is None
        assert "`limits.cross_section.injected`" in found["reason"]
        assert entry_of(run, name, MASS)["observed"] > 0
    assert in_fb(run, INCLUSIVE)["observed"] > 0


def test_more_injected_signal_than_there_is_is_refused(everything: SearchRun, tmp_path: Path) -> None:
    asked = {"luminosity": LUMINOSITY, "signals": {MASS: "resonance"}, "injected": [0, 0.3]}
    run = limited_again(everything, tmp_path, cross_section=asked, selections=[0.05], profile=False)
    with pytest.raises(StageError, match=r"`limits\.cross_section\.injected: 0\.3` cannot be: .* only 300 pass"):
        limit(run)


def test_kept_signal_of_nested_selections(everything: SearchRun) -> None:
    found = {name: hunt(everything)[name].selection for name in (INCLUSIVE, LOOSE, TIGHT)}
    events = simulated_events(everything, "resonance")
    rows = {name: passing_rows(everything, selection, events) for name, selection in found.items()}
    assert (rows[TIGHT] <= rows[LOOSE]).all()
    assert (rows[LOOSE] <= rows[INCLUSIVE]).all()
    kept = {name: kept_signal(everything, selection, "resonance") for name, selection in found.items()}
    for name in kept:
        assert kept[name].efficiency == rows[name].sum() / PRODUCED
        assert kept[name].events == rows[name].sum()
    assert produced_weight(everything, "resonance") == PRODUCED
    # injected events are among the simulated ones, and pass the same thresholds
    sample = searched(everything, "hidden").events
    again = passing_rows(everything, found[LOOSE], sample)
    assert again.sum() == hunt(everything)[LOOSE].summary["n_selected"]


def test_error_of_an_efficiency_is_binomial() -> None:
    kept = np.full(40, 0.5)
    assert binomial_error(kept, 0.4) == pytest.approx(0.5 * np.sqrt(100 * 0.4 * 0.6))
    assert binomial_error(np.ones(100), 1.0) == pytest.approx(1.0)  # one of them might have been lost
    assert binomial_error(np.zeros(0), 0.0) == 0


def test_simple_estimate(everything: SearchRun) -> None:
    [found] = simple_limits(everything)
    assert {name: found[name] for name in ("sample", "detector", "mass", "signal")} == {
        "sample": "hidden", "detector": "cwola", "mass": MASS, "signal": "resonance",
    }  # fmt: skip
    assert found["required"] == 2
    events = found["cross_section"] * LUMINOSITY * found["signal_efficiency"]
    assert events / np.sqrt(found["background_events"]) == pytest.approx(2)
    assert found["cls_expected"] == sorted(found["cls_expected"])
    assert found["cls_expected"][2] == pytest.approx(found["cross_section"], rel=0.6)
    assert describe_simple(found).startswith("S/√B = 2 at ")


def test_roc_curve_ends_where_everything_passes(everything: SearchRun) -> None:
    curve = roc_in_window(everything, "hidden", "cwola", "resonance")
    sample = searched(everything, "hidden").events
    background = (sample.inside((3300, 3700)) & (sample["truth"] == 0)).sum()
    assert curve.background_events == curve.n_background == background
    assert curve.n_signal == pytest.approx(PRODUCED)
    assert curve.background[-1] == 1
    assert curve.signal[-1] == simulated_events(everything, "resonance").inside((3300, 3700)).sum() / PRODUCED
    assert (np.diff(curve.signal) >= 0).all()
    assert (np.diff(curve.background) >= 0).all()


def elsewhere(run: SearchRun, folder: Path, **remembered: Any) -> SearchRun:
    """Return the search with other things remembered, its estimates not made yet."""
    memory = {key: value for key, value in run.memory.items() if not key.startswith("simple")}
    return replace(run, memory=memory | remembered, options=replace(run.options, out=folder))


def test_weights_of_the_background_are_its_expected_events(everything: SearchRun, tmp_path: Path) -> None:
    sample = searched(everything, "hidden")
    weighted = replace(sample, events=Events({**sample.events.columns, "weight": 0.5 * sample.events["weight"]}))
    [found] = simple_limits(elsewhere(everything, tmp_path, **{"searched hidden": weighted}))
    [before] = simple_limits(everything)
    assert found["background_events"] == pytest.approx(0.5 * before["background_events"])
    assert found["cross_section"] == pytest.approx(np.sqrt(0.5) * before["cross_section"])
    assert found["error"] / found["cross_section"] == pytest.approx(before["error"] / before["cross_section"])


def test_a_window_without_signal_has_no_estimate(everything: SearchRun, tmp_path: Path) -> None:
    events = simulated_events(everything, "resonance")
    outside = events.take(~events.inside((3300, 3700)))
    [found] = simple_limits(elsewhere(everything, tmp_path, **{"events of resonance": outside}))
    assert "The window holds 0 events of 'resonance'" in found["reason"]
    assert describe_simple(found).startswith("no estimate from S/√B (")


def test_limits_in_fb_are_published_in_a_table_of_their_own(everything: SearchRun) -> None:
    found = published_limits(everything)
    assert [one.name for one in found["fb"]] == [INCLUSIVE, LOOSE, TIGHT, BANDS]
    assert [one.name for one in found["selected events"]] == [INCLUSIVE, LOOSE, TIGHT]
    export_results(everything, "hepdata")
    documents = list(yaml.safe_load_all((everything.out / "hepdata" / "submission.yaml").read_text()))
    files = {one["name"]: one["data_file"] for one in documents[1:]}
    assert list(files)[-2:] == ["Upper limits", "Upper limits in fb"]
    assert len(set(files.values())) == len(files)
    events, cross_sections = (
        yaml.safe_load((everything.out / "hepdata" / files[name]).read_text())["dependent_variables"]
        for name in ("Upper limits", "Upper limits in fb")
    )
    assert {column["header"]["units"] for column in events} == {"events"}
    assert {column["header"]["units"] for column in cross_sections} == {"fb"}
    assert cross_sections[0]["values"][0]["value"] == pytest.approx(in_fb(everything, INCLUSIVE)["observed"], rel=1e-5)
    [bands] = band_limits(everything)
    assert cross_sections[6]["values"][0]["value"] == pytest.approx(bands["observed"], rel=1e-5)
    assert {"name": "Selection", "value": BANDS} in cross_sections[6]["qualifiers"]


def test_widths_in_gev_and_tails_are_published_as_such(
    events_folder: Path, signals_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    tails = {"alpha_low": 1.2, "n_low": 3.0, "alpha_high": 2.0, "n_high": 5.0}
    peak = {"width_unit": "GeV", "tails": tails}
    hunted = {"masses": {"start": 3400, "stop": 3600, "step": 100}, "widths": [90], "toys": 20, **peak}
    limits = {"masses": [MASS], "width": 100, **peak}
    search = inclusive_search(events_folder, signals_folder, bump_hunt=hunted, limits=limits)
    run = run_of(tmp_path, search, data=data_folder)
    [found] = published_limits(run)["selected events"]
    assert (found.width_unit, found.limit_width_unit, found.limit_width) == ("GeV", "GeV", 100)
    assert "Crystal Ball" in found.limit_signal
    assert found.scan_signal.startswith("double-sided Crystal Ball resonance (alpha low 1.2, ")
    assert "width 90 GeV" in found.scan_note
    export_results(run, "hepdata")


def test_a_signal_that_is_no_data_set_is_refused(events_folder: Path, signals_folder: Path, tmp_path: Path) -> None:
    limits = {"masses": [MASS], "cross_section": {"luminosity": 1, "signals": {MASS: "resonanse"}}}
    with pytest.raises(CatalogueError, match="no data set 'resonanse' in the catalogue; did you mean 'resonance'"):
        run_of(tmp_path, inclusive_search(events_folder, signals_folder, limits=limits))


@pytest.mark.usefixtures("without_figures")
def test_a_signal_that_holds_background_is_refused(
    events_folder: Path, signals_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    limits = {"masses": [MASS], "cross_section": {"luminosity": 1, "signals": {MASS: "both"}}}
    search = inclusive_search(events_folder, signals_folder, limits=limits)
    for name, truth in (("one", 1), ("other", 0)):
        events = dijet_events(50, seed=truth, resonance=MASS)
        write_events(tmp_path / f"{name}.root", [events], format="root", truth=truth, metadata={"index": truth})
    search["datasets"]["both"] = {"files": [str(tmp_path / f"{name}.root") for name in ("one", "other")]}
    with pytest.raises(ConfigurationError, match=r"'both' under `limits\.cross_section\.signals` holds background"):
        list(run_until(run_of(tmp_path, search, data=data_folder), "limit"))
