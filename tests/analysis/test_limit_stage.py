"""Limits of a search: systematics, excluded bins, toys, profiles, workspaces."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyhf
import pytest
from pydantic import ValidationError

from analysis.context import SearchRun
from analysis.exports import export_results
from analysis.figures.limits import limit_figures
from analysis.limit_settings import LimitSettings
from analysis.plots import Label
from analysis.report.limit_tables import limits_table
from analysis.stages.bands import band_limits, band_members
from analysis.stages.channels import channel_of, channels_of, excluded, limit_facts
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.limit import describe_limit, limit, limited
from stats import StatisticsError, workspace
from tests.analysis.statistics_search import BANDS, FAR, INCLUSIVE, LOOSE, MASS, TIGHT


def limited_again(run: SearchRun, folder: Path, **changes: Any) -> SearchRun:
    """The same search with other limits, on the hunts and detectors that are there."""
    assert run.search.limits is not None
    asked = LimitSettings.model_validate({**run.search.limits.model_dump(), **changes})
    kept = {key: value for key, value in run.memory.items() if not key.startswith("limits")}
    search = run.search.model_copy(update={"limits": asked})
    return replace(run, search=search, options=replace(run.options, out=folder), memory=kept)


def entry_of(run: SearchRun, selection: str, mass: float, unit: str = "selected events") -> dict[str, Any]:
    [found] = [e for e in limit(run) if (e["selection"], e["mass"], e["unit"]) == (selection, mass, unit)]
    return found


def saved(run: SearchRun, name: str) -> dict[str, Any]:
    return dict(json.loads((run.out / "workspaces" / f"{name}.json").read_text()))


def modifiers(spec: dict[str, Any]) -> dict[str, str]:
    """Type of each modifier of the signal by its name."""
    signals = [sample for channel in spec["channels"] for sample in channel["samples"] if sample["name"] == "signal"]
    assert signals
    return {modifier["name"]: modifier["type"] for sample in signals for modifier in sample["modifiers"]}


def test_one_entry_per_selection_mass_and_unit(everything: SearchRun) -> None:
    found = [(entry["selection"], entry["mass"], entry["unit"]) for entry in limit(everything)]
    each = [(MASS, "selected events"), (MASS, "fb"), (FAR, "selected events")]
    assert found == [(name, *one) for name in (INCLUSIVE, LOOSE, TIGHT) for one in each]
    for entry in limit(everything):
        assert entry["observed"] > 0
        known = [one for one in entry["expected"] if one is not None]  # +2σ may lie beyond what was injected
        assert known == sorted(known)
        assert entry["failed_fits"] == 0
        assert entry["signal_fraction"] > 0
        assert describe_limit(entry).startswith("below ")


def test_a_limit_that_was_not_found_says_why() -> None:
    known = {"unit": "fb", "observed": 0.25, "expected": [1.0, 2.0, 7.52, 9.0, None], "notes": ["Beyond 3 fb."]}
    assert describe_limit(known) == "below 0.250 fb (expected 7.5)"
    assert describe_limit(known | {"observed": None}) == "no observed limit in fb (expected 7.5) [Beyond 3 fb.]"
    nothing = known | {"observed": None, "expected": [None] * 5, "notes": []}
    assert describe_limit(nothing) == "no observed limit in fb (no expected limit)"


def test_cls_is_the_level_at_the_limit(everything: SearchRun) -> None:
    """Between the tested strengths that lie around the limit, which are so near that a line joins them."""
    for entry in (entry_of(everything, INCLUSIVE, MASS), entry_of(everything, TIGHT, FAR)):
        strengths, cls = np.array(entry["scan"]).T
        assert np.interp(entry["observed"], strengths, cls) == pytest.approx(0.05, abs=2e-3)


def test_systematics_are_in_the_workspaces(everything: SearchRun) -> None:
    events = modifiers(saved(everything, f"{LOOSE}-{MASS:g}"))
    in_fb = modifiers(saved(everything, f"{LOOSE}-{MASS:g}-fb"))
    assert events["mu"] == "normfactor"
    assert events["tagging"] == "normsys"
    assert sum(kind == "histosys" for kind in events.values()) == 2  # scale and resolution
    assert "lumi" not in events.values()
    assert "lumi" in in_fb.values()
    assert in_fb["signal_efficiency"] == "normsys"
    assert set(events) < set(in_fb)


def test_systematics_weaken_limits(everything: SearchRun, tmp_path: Path) -> None:
    free = limited_again(everything, tmp_path, systematics={}, selections=[1.0], cross_section=None, profile=False)
    for mass in (MASS, FAR):
        without, with_them = entry_of(free, INCLUSIVE, mass), entry_of(everything, INCLUSIVE, mass)
        for one, other in zip(without["expected"], with_them["expected"], strict=True):
            assert one < other
    assert set(limited(free)) == {INCLUSIVE}
    assert limited(free)[INCLUSIVE].profile is None


def test_excluded_bins_are_sidebands_of_near_peaks_alone(everything: SearchRun) -> None:
    hunted = hunt(everything)[INCLUSIVE]
    settings = everything.search.limits
    assert settings is not None
    search = everything.search.model_copy(update={"limits": settings.model_copy(update={"exclude": ()})})
    runs = (everything, replace(everything, search=search))
    near, far = ([workspace([channel_of(run, hunted, mass)]) for run in runs] for mass in (MASS, FAR))
    assert near[0] == near[1]
    assert far[0]["observations"] == far[1]["observations"]
    assert far[0]["channels"] != far[1]["channels"]


def test_excluded_bins_change_the_limits_elsewhere(everything: SearchRun, tmp_path: Path) -> None:
    whole = limited_again(everything, tmp_path, exclude=[], selections=[1.0], cross_section=None, profile=False)
    without, with_it = entry_of(everything, INCLUSIVE, FAR), entry_of(whole, INCLUSIVE, FAR)
    assert without["expected_background"] != with_it["expected_background"]
    assert entry_of(everything, INCLUSIVE, MASS)["expected"] == entry_of(whole, INCLUSIVE, MASS)["expected"]


def with_excess(hunted: Hunted, *, mass: float, local_z: float) -> Hunted:
    """The same spectrum, as if its bump hunt had found something else."""
    found = {**hunted.summary["bump_hunt"], "mass": mass, "local_z": local_z}
    return replace(hunted, summary={**hunted.summary, "bump_hunt": found})


def test_an_excess_of_a_spectrum_is_no_sideband_of_peaks_beyond_it(everything: SearchRun, tmp_path: Path) -> None:
    """Three widths of 3% around 3500 GeV; the same fit as with these masses written down."""
    run, low, high = limited_again(everything, tmp_path, exclude="excess"), 3185.0, 3815.0
    hunted = with_excess(hunt(everything)[INCLUSIVE], mass=MASS, local_z=3.1)
    assert excluded(run, hunted, FAR) == [pytest.approx((low, high))]
    assert limit_facts(run, hunted, FAR)["excluded"] == [pytest.approx([low, high])]
    by_hand = limited_again(everything, tmp_path, exclude=[[low, high]])
    assert workspace([channel_of(run, hunted, FAR)]) == workspace([channel_of(by_hand, hunted, FAR)])
    whole = limited_again(everything, tmp_path, exclude=[])
    assert workspace([channel_of(run, hunted, FAR)]) != workspace([channel_of(whole, hunted, FAR)])


def test_limits_on_the_excess_itself_and_fluctuations_leave_nothing_out(everything: SearchRun, tmp_path: Path) -> None:
    run, whole = (limited_again(everything, tmp_path, exclude=one) for one in ("excess", []))
    seen = with_excess(hunt(everything)[INCLUSIVE], mass=MASS, local_z=6.0)
    for mass in (3190.0, MASS, 3810.0):
        assert excluded(run, seen, mass) == []
    fluctuation = with_excess(seen, mass=MASS, local_z=2.9)
    assert excluded(run, fluctuation, FAR) == []
    assert workspace([channel_of(run, fluctuation, FAR)]) == workspace([channel_of(whole, fluctuation, FAR)])


def test_every_spectrum_leaves_out_its_own_excess(everything: SearchRun, tmp_path: Path) -> None:
    run, found = limited_again(everything, tmp_path, exclude="excess"), hunt(everything)
    first = with_excess(found[LOOSE], mass=3300.0, local_z=5.0)
    second = with_excess(found[TIGHT], mass=3600.0, local_z=5.0)
    ((_, end),), ((_, other),) = (excluded(run, one, FAR) for one in (first, second))
    assert (end, other) == (pytest.approx(3597.0), pytest.approx(3924.0))


def test_results_say_what_was_left_out(everything: SearchRun) -> None:
    assert all(entry["excluded"] == [[3300, 3700]] for entry in [*limit(everything), *band_limits(everything)])
    table = limits_table({"limits": limit(everything)})
    assert table is not None
    assert any("Left out of the sidebands: 3.30–3.70 TeV" in note for note in table.notes)


def test_profile_is_at_the_mass_nearest_to_the_largest_excess(everything: SearchRun) -> None:
    for name, found in limited(everything).items():
        excess = hunt(everything)[name].summary["bump_hunt"]["mass"]
        assert found.profile is not None
        assert found.profile["mass"] == min((MASS, FAR), key=lambda mass: abs(mass - excess))
        impacts, entry = found.profile["impacts"], entry_of(everything, name, found.profile["mass"])
        assert {nuisance["name"] for nuisance in impacts["ranking"]} >= {"tagging"}
        assert max(impacts["strength"], 0) == pytest.approx(entry["best_fit"], abs=0.05 * impacts["error"])
        low, high = found.profile["nll_scan"]["intervals"]["1"]
        assert low is None or low < impacts["strength"]
        assert high > impacts["strength"]


def test_toys_are_asked_for_as_the_search_says(
    everything: SearchRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which numbers they give is tested with the statistics; they take seconds."""
    asked: list[dict[str, Any]] = []

    def toy_limit(spec: Any, **options: Any) -> Any:
        asked.append({**options, "draw": float(options["rng"].random())})
        return SimpleNamespace(to_dict=lambda: {"observed": 1.0})

    for name in ("toy_limit", "toy_discovery"):
        monkeypatch.setattr(f"analysis.stages.toys.{name}", toy_limit)
    toys = {"toys": 450, "level": 0.1, "selections": [0.2], "masses": [MASS], "cross_section": None, "profile": False}
    for folder in ("one", "again"):
        entry = entry_of(limited_again(everything, tmp_path / folder, **toys), LOOSE, MASS)
        assert entry["toys"] == {"observed": 1.0, "discovery": {"observed": 1.0}}
    assert (asked[0]["toys"], asked[0]["level"]) == (450, 0.1)
    assert [one["draw"] for one in asked[:2]] == [one["draw"] for one in asked[2:]]  # the same seed


def test_a_limit_that_toys_cannot_give_says_why(
    everything: SearchRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_limit(*_: Any, **__: Any) -> Any:
        raise StatisticsError("CLb is 0")

    monkeypatch.setattr("analysis.stages.toys.toy_limit", no_limit)
    toys = {"toys": 900, "selections": [1.0], "masses": [MASS], "cross_section": None, "profile": False}
    entry = entry_of(limited_again(everything, tmp_path, **toys), INCLUSIVE, MASS)
    assert entry["observed"] > 0
    assert entry["toys"] == {"reason": "CLb is 0"}


def test_too_few_toys_are_refused_by_the_settings() -> None:
    with pytest.raises(
        ValidationError, match=r"3 toys cannot show a CLs of 0\.05 .* give `toys` 880 at the very least"
    ):
        LimitSettings(masses=(3500.0,), toys=3)


def test_bands_share_no_event_and_make_the_loosest_selection(everything: SearchRun) -> None:
    assert [one.identifier for one in band_members(everything)[BANDS]] == [TIGHT, LOOSE]
    bands, loose, tight = (saved(everything, f"{name}-{MASS:g}-fb") for name in (BANDS, LOOSE, TIGHT))
    counts = [np.array(one["data"]) for one in bands["observations"]]
    assert len(counts) == 2
    np.testing.assert_array_equal(sum(counts), loose["observations"][0]["data"])
    np.testing.assert_array_equal(counts[0], tight["observations"][0]["data"])
    [entry] = band_limits(everything)
    assert (entry["selection"], entry["mass"], entry["unit"], entry["channels"]) == (BANDS, MASS, "fb", 2)
    # a combination of both cannot know much less than the loosest alone
    assert entry["expected"][2] < 1.1 * entry_of(everything, LOOSE, MASS, "fb")["expected"][2]


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")  # pyhf's validator uses it
def test_pyhf_finds_the_same_cls_in_every_workspace(everything: SearchRun) -> None:
    names = {path.name for path in export_results(everything, "workspaces")}
    points = [f"{name}-{mass}" for name in (INCLUSIVE, LOOSE, TIGHT) for mass in ("3500", "3500-fb", "4400")]
    assert names == {f"{name}.json" for name in [*points, f"{BANDS}-3500-fb"]}
    for name in names:
        pyhf.Workspace(json.loads((everything.out / "workspaces" / name).read_text())).model()
    for entry, suffix in (
        (entry_of(everything, LOOSE, MASS), ""),
        (entry_of(everything, INCLUSIVE, MASS, "fb"), "-fb"),
    ):
        strength, expected = min(entry["scan"], key=lambda point: abs(point[0] - entry["observed"]))
        assert _cls(saved(everything, f"{entry['selection']}-{MASS:g}{suffix}"), strength) == pytest.approx(
            expected, abs=2e-3
        )
    # where the efficiency depends on the signal, the workspace holds what is selected at the limit, mu still in fb
    (bands,) = band_limits(everything)
    assert bands["workspace_at"] == bands["observed"]
    assert _cls(saved(everything, f"{BANDS}-{MASS:g}-fb"), bands["observed"]) == pytest.approx(0.05, abs=2e-3)


def _cls(spec: dict[str, Any], strength: float) -> float:
    workspace = pyhf.Workspace(spec)
    model = workspace.model()
    bounds = model.config.suggested_bounds()
    bounds[model.config.poi_index] = (0.0, 2 * strength)
    return float(pyhf.infer.hypotest(strength, workspace.data(model), model, par_bounds=bounds, test_stat="qtilde"))


def test_done_limits_are_not_set_again(everything: SearchRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.stages.limit.upper_limit", lambda *_, **__: pytest.fail("done again"))
    monkeypatch.setattr("analysis.stages.cross_section.varying_limit", lambda *_, **__: pytest.fail("done again"))
    kept = {key: value for key, value in everything.memory.items() if not key.startswith("limits")}
    again = replace(everything, memory=kept)
    assert limit(again) == limit(everything)
    assert band_limits(again) == band_limits(everything)


def test_figures_show_every_limit_in_its_unit(everything: SearchRun) -> None:
    figures = {name: (caption, figure) for _, name, caption, figure in limit_figures(everything, Label())}
    kinds = ("limit-{}", "limit-{}-fb", "impacts-{}", "nll-{}")
    expected = {kind.format(name) for kind in kinds for name in (INCLUSIVE, LOOSE, TIGHT)}
    assert set(figures) == {*expected, f"limit-{BANDS}-fb"}
    assert "cross section of a resonance" in figures[f"limit-{LOOSE}-fb"][0]
    assert "share no event" in figures[f"limit-{BANDS}-fb"][0]
    for name, (caption, _) in figures.items():
        assert "total signal fraction" in caption, name
    assert "fb" in figures[f"limit-{LOOSE}-fb"][1].axes[0].get_ylabel()  # type: ignore[attr-defined]
    for name in (f"limit-{LOOSE}-fb", f"limit-{BANDS}-fb", f"impacts-{TIGHT}", f"nll-{TIGHT}"):
        figures[name][1].canvas.draw()  # type: ignore[attr-defined]


def test_folds_are_channels_of_one_fit(everything: SearchRun, tmp_path: Path) -> None:
    """Their events are those of the selection, they share the signal strength, and the limit hardly changes."""
    changes = {"folds": True, "selections": [1.0, 0.2], "masses": [MASS], "cross_section": None, "profile": False}
    run = limited_again(everything, tmp_path, **changes)
    hunted = hunt(everything)[LOOSE]
    channels = channels_of(run, hunted, MASS)
    whole = workspace([channel_of(everything, hunted, MASS)])
    made = workspace(channels)
    assert len(made["channels"]) == everything.search.detectors["cwola"].folds >= 2
    observed = [np.array(one["data"]) for one in made["observations"]]
    np.testing.assert_allclose(sum(observed), whole["observations"][0]["data"])
    expected = [
        np.array(next(s["data"] for s in channel["samples"] if s["name"] == "signal")).sum()
        for channel in made["channels"]
    ]
    alone = next(s["data"] for s in whole["channels"][0]["samples"] if s["name"] == "signal")
    assert sum(expected) == pytest.approx(sum(alone), rel=1e-6)
    assert {one["config"]["poi"] for one in made["measurements"]} == {"mu"}
    together, apart = entry_of(run, LOOSE, MASS), entry_of(everything, LOOSE, MASS)
    assert together["expected"][2] == pytest.approx(apart["expected"][2], rel=0.3)
    assert len(channels_of(run, hunt(everything)[INCLUSIVE], MASS)) == 1
