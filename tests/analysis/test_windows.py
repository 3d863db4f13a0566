"""Signal windows that slide: how a search file asks for them, and a small search in two of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.config import Search
from analysis.context import SearchRun
from analysis.errors import ConfigurationError, StageError
from analysis.figures.windows import best_of_windows, limits_of_windows, window_figures
from analysis.plots import Label
from analysis.report.window_tables import window_tables
from analysis.search_file import load_search
from analysis.stages.combined import combined, describe_combination
from analysis.stages.hunt import hunt
from analysis.stages.limit import limit, limited
from analysis.stages.results import results_of
from analysis.stages.searched import counts_of, searched, window_of
from analysis.stages.selections import Selection, masses_of, searching_detectors
from analysis.stages.windows import check_bands
from analysis.window_settings import SlidingWindows, WindowSettings, window_names
from tests.analysis.conftest import search_of, write_search
from tests.analysis.statistics_search import run_of

SLIDING = "{start: 3100, stop: 3900, step: 200, width: 400, sideband: 300, validation: 50}"
CWOLA = ["cwola-w3300", "cwola-w3500", "cwola-w3700"]


@pytest.fixture
def demo() -> Any:
    """Load the demo with some keys set."""

    def load(*overrides: str) -> Search:
        return load_search("demo", overrides=[f"windows={SLIDING}", *overrides])[0]

    return load


def test_windows_slide_with_their_sidebands(demo: Any) -> None:
    search = demo()
    assert search.families == {"cwola": CWOLA}
    assert list(search.detectors) == [*CWOLA, "supervised"]
    assert search.detectors["cwola-w3500"].window == WindowSettings(
        signal=(3300, 3700), sidebands=((2950, 3250), (3750, 4050)), validation=((3250, 3300), (3700, 3750))
    )
    assert search.detectors["cwola-w3500"].settings["features"] == ["j1_m", "j1_tau21", "j2_m", "j2_tau21"]
    assert search.detectors["supervised"].window is None  # it knows the truth, and needs no sidebands
    assert window_of(search, "supervised") == window_of(search, None) == search.window
    assert window_of(search, "cwola-w3300") == search.detectors["cwola-w3300"].window


def test_what_a_search_says_is_read_again_as_the_same(demo: Any) -> None:
    search = demo()
    assert Search.model_validate(json.loads(json.dumps(search.model_dump(mode="json")))) == search


def test_one_detector_may_stay_in_its_own_window_or_is_only_compared(demo: Any) -> None:
    alone = demo("detectors.cwola.window={signal: [3300, 3700]}", "detectors.other={type: cwola, settings: {}}")
    assert alone.families == {"other": ["other-w3300", "other-w3500", "other-w3700"]}
    assert window_of(alone, "cwola").sidebands == ()
    compared = demo("detectors.cwola.search=false", "detectors.other={type: cwola}")
    assert compared.detectors["cwola"].window is None
    assert compared.families == {"other": ["other-w3300", "other-w3500", "other-w3700"]}


def test_windows_may_be_listed(demo: Any) -> None:
    listed = "[{signal: [3100, 3400], sidebands: [[2800, 3100]]}, {signal: [3100, 3401], sidebands: [[2800, 3100]]}]"
    for text in (f"windows={listed}", f"windows={{each: {listed}}}"):
        assert list(load_search("demo", overrides=[text])[0].detectors) == [
            "cwola-w3100-3400", "cwola-w3100-3401", "supervised"
        ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    start=st.floats(500, 5000),
    span=st.floats(1.0, 3.0),
    width=st.floats(0.02, 0.4),
    step=st.floats(0.02, 0.4),
    sideband=st.floats(0.02, 0.4),
    validation=st.floats(0.0, 0.1),
    relative=st.booleans(),
)
def test_windows_lie_where_they_should(
    start: float, span: float, width: float, step: float, sideband: float, validation: float, relative: bool
) -> None:
    scale = 1.0 if relative else 1000.0
    stop = start + span * max(width * scale, width * 2 * start)
    sizes = {"width": width, "step": step, "sideband": sideband, "validation": validation}
    if width / 2 + validation + sideband >= 0.9 * (1 if relative else start / scale + width / 2):
        return  # below zero
    if 0 < validation * (start if relative else scale) < 1:
        return  # narrower than a GeV
    sliding = SlidingWindows(
        start=start, stop=stop, relative=relative, **{name: size * scale for name, size in sizes.items()}
    )
    found = sliding.windows()
    middles = np.array([sum(window.signal) / 2 for window in found])
    assert abs(found[0].signal[0] - start) < 1.1
    assert found[-1].signal[1] <= stop + 0.6
    assert found[-1].signal[1] > stop - (step * stop if relative else step * scale) * 1.3 - 2
    assert (np.diff(middles) > 0).all()
    assert len(set(window_names(found))) == len(found)
    for window, middle in zip(found, middles, strict=True):
        unit = middle if relative else scale
        (lower, upper), (low, high) = window.sidebands, window.signal
        edges = [lower[0], lower[1], low, high, upper[0], upper[1]]
        np.testing.assert_allclose(
            np.diff(edges) / unit, [sideband, validation, width, validation, sideband], atol=3e-3
        )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["windows={strt: 3100}"], r"windows\.strt: unknown key; did you mean 'start'"),
        (["windows={start: 3100}"], r"windows: windows that slide need `stop`, `step`, `width`, `sideband`, too"),
        (["windows=[]"], r"or list every window under `each`"),
        (["windows={each: [{signal: [1, 2]}], width: 3}"], "leave the other keys out"),
        (["windows.width=4000"], r"no window 4000 GeV wide fits between 3100 and 3900 GeV"),
        (["windows.width=0.1"], r"did you mean `relative: true`"),
        (["windows={start: 3000, stop: 4000, step: 0.1, width: 1.0e-4, sideband: 0.1, relative: true}"], "less than a"),
        (["windows.relative=true"], r"`step: 200` is relative to the mass"),
        (["windows.sideband=3500"], r"lowest sideband begins at -450 GeV"),
        (["windows=[{signal: [3100, 3500]}, {signal: [3100, 3500]}]"], "listed twice"),
        (["windows.start=2500"], r"`windows` \(for 'cwola-w2700'\): the signal window 2500 to 2900 GeV lies out"),
        (["processing.min_mjj=3100"], r"the band 2750 to 3050 GeV lies below `processing\.min_mjj` \(3100 GeV\)"),
        (["bump_hunt.masses.start=3550"], r"has none inside the window 3100 to 3500 GeV of 'cwola-w3300'"),
        (["bump_hunt.statistic=bumphunter"], r"looks at all bins .* take `likelihood`"),
        (["abcd=[{name: x, first: -cwola, second: j1_m}]"], r"`abcd\.x\.first: -cwola` slides over the `windows`"),
        (["detectors.cwola.search=false"], "`windows` slide no detector"),
        (["window=null"], r"the detector 'supervised' does not slide over the `windows`"),
        (["window=null", "windows=null"], r"`detectors` need a `window` with its sidebands, or `windows`"),
        (["limits.selections=[0.01]"], r"`limits\.masses`: 4000 GeV lies inside none of the `windows`"),
        (["detectors.cwola-w3300={type: cwola}"], r"'cwola-w3300' is the name of 'cwola' in one of the `windows`"),
        (
            ["window=null", "detectors.supervised.search=false", "mixtures.injected.of=window"],
            r"mixture with `of: window` needs a `window`",
        ),
    ],
)
def test_a_mistake_in_windows_is_told(demo: Any, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        demo(*overrides)


def test_limits_at_masses_of_no_window_are_those_of_the_inclusive_spectrum(demo: Any) -> None:
    assert demo("limits.selections=[1, 0.01]").limits.masses[-1] == 4500


@pytest.fixture(scope="module")
def sliding(events_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SearchRun:
    """A search in two windows and two efficiencies, without figures."""
    search = search_of(sorted(events_folder.glob("*.root")))
    search["windows"] = {"start": 3000, "stop": 3800, "step": 400, "width": 400, "sideband": 300}
    del search["window"]
    search["efficiencies"] = [0.3, 0.2]
    search["limits"] = {"masses": [3250, 3500, 4200], "width": 0.05, "selections": [1, 0.2], "profile": False}
    return run_of(tmp_path_factory.mktemp("sliding"), search, data=data_folder)


def test_every_window_is_a_detector_of_its_own_that_hunts_inside_it(sliding: SearchRun) -> None:
    assert searching_detectors(sliding) == ["cwola-w3200", "cwola-w3600"]
    assert list(hunt(sliding)) == [
        "dijets-inclusive",
        *(f"dijets-cwola-w{mass}-{efficiency}" for mass in (3200, 3600) for efficiency in (0.3, 0.2)),
    ]
    masses = {name: list(found.scan["masses"]) for name, found in hunt(sliding).items()}
    assert masses["dijets-cwola-w3200-0.3"] == masses["dijets-cwola-w3200-0.2"] == [3000, 3250]
    assert masses["dijets-cwola-w3600-0.2"] == [3500, 3750]
    assert len(masses["dijets-inclusive"]) == 7
    assert masses_of(sliding, "cwola-w3600", [3399, 3400, 3799, 3800]) == [3400, 3799]  # as windows are half open
    assert masses_of(sliding, None, [1.0, 2.0]) == [1, 2]
    inside = searched(sliding, "dijets").events.inside((2600, 5600)).sum()
    for found in hunt(sliding).values():
        asked = found.selection.efficiency
        assert found.summary["n_selected"] == pytest.approx(asked * inside, rel=0.1)  # of the spectrum; ties
    assert hunt(sliding)["dijets-cwola-w3600-0.2"].summary["window"] == [3400, 3800]


def test_one_trials_factor_covers_windows_efficiencies_and_the_inclusive_spectrum(sliding: SearchRun) -> None:
    found = combined(sliding)["dijets"]
    assert found["hunts"] == list(hunt(sliding))
    assert found["global_p"]["value"] >= found["separate"][found["best"]]["value"]
    assert found["trials_factor"] is None or 1 <= found["trials_factor"] <= 60
    assert found["trials_factor_in_toys"]["value"] >= 1
    assert "trials factor" in describe_combination(found)


def test_limits_are_set_inside_the_window_alone(sliding: SearchRun) -> None:
    masses = {}
    for entry in limit(sliding):
        masses.setdefault(entry["selection"], []).append(entry["mass"])
    assert masses == {
        "dijets-inclusive": [3250, 3500, 4200],
        "dijets-cwola-w3200-0.2": [3250],
        "dijets-cwola-w3600-0.2": [3500],
    }
    joined = limits_of_windows(sliding, limited(sliding))
    assert {kind: [one["selection"] for one in found] for kind, found in joined.items()} == {
        ("dijets", "cwola", 0.2): ["dijets-cwola-w3200-0.2", "dijets-cwola-w3600-0.2"]
    }


def test_results_and_report_list_the_windows(sliding: SearchRun) -> None:
    results = results_of(sliding)
    first, second = results["windows"]["dijets"]["cwola"]
    mass = searched(sliding, "dijets").events["mjj"]
    assert first["window"] == [3000, 3400]
    assert first["sidebands"] == [[2700, 3000], [3400, 3700]]
    assert (first["masses"], second["limit_masses"]) == ([3000, 3250], [3500])
    assert first["n_events"] == ((mass >= 3000) & (mass < 3400)).sum()
    assert second["selections"] == ["dijets-cwola-w3600-0.3", "dijets-cwola-w3600-0.2"]
    (table,) = window_tables(results)
    assert len(table.rows) == 4
    assert table.rows[0][:2] == ["3.00–3.40 TeV", f"{first['n_events']:,}".replace(",", "\u202f")]
    assert any("Of all 5 selections" in note for note in table.notes)
    assert window_tables({"windows": {}}) == []
    own = counts_of(sliding, "dijets", "cwola-w3600")
    assert own is not None
    assert own.window == (3400, 3800)
    assert own.n_background_window == second["n_events"]


def test_one_figure_for_all_windows(sliding: SearchRun) -> None:
    ((section, name, caption, figure),) = window_figures(sliding, Label())
    assert (section, name) == ("selections", "windows-dijets-cwola")
    assert "global" in caption
    top, bottom = figure.axes  # type: ignore[attr-defined]
    assert len(bottom.patches) == 2
    assert [text.get_text().split(":")[0] for text in top.get_legend().get_texts()] == [
        "Inclusive", "30% selected", "20% selected", "each window by itself (thin)"
    ]  # fmt: skip
    shown = best_of_windows(sliding, list(hunt(sliding).values()))
    z = {name: one.summary["bump_hunt"]["local_z"] for name, one in hunt(sliding).items()}
    best = [max((w for w in z if w.endswith(end)), key=lambda w: z[w]) for end in ("-0.3", "-0.2")]
    assert {one.identifier for one in shown} == {"dijets-inclusive", *best}


def test_a_band_beside_the_data_is_told_before_training(
    events_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    search = search_of(sorted(events_folder.glob("*.root")))
    search["windows"] = {"start": 2800, "stop": 3200, "step": 400, "width": 400, "sideband": 200, "validation": 1400}
    del search["limits"]
    run = run_of(tmp_path, search, data=data_folder)
    with pytest.raises(StageError, match=r"sideband 1200 to 1400 GeV of cwola-w3000 holds no event.*\(`windows`\)"):
        check_bands(run)


def test_a_search_file_with_windows_is_checked(tmp_path: Path, darkhorse: Any, events_folder: Path) -> None:
    content = search_of(sorted(events_folder.glob("*.root")))
    content["windows"] = {"start": 3000, "stop": 3800, "step": 400, "width": 400, "sideband": 300}
    assert darkhorse("check", write_search(tmp_path / "s.yaml", content)).status == 0
    content["windows"]["each"] = [{"signal": [3000, 3400]}]
    assert "leave the other keys out" in darkhorse.refused("check", write_search(tmp_path / "s.yaml", content))


def test_selections_of_windows_have_names(sliding: SearchRun) -> None:
    assert Selection("dijets", "cwola-w3600", 0.2).identifier in hunt(sliding)
