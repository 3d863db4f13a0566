"""Background functions of a search: chosen by F-test on a control spectrum, of any family, with any peak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.errors import StageError
from analysis.pipeline import run_until
from analysis.stages.background import candidates_of, control_of, order_of, other_family
from analysis.stages.hunt import hunt, hunt_of, hunted_family
from analysis.stages.results import results_of
from analysis.stages.validate import background_orders
from analysis.statistics_settings import FamilySettings
from stats import Spectrum, choose_order
from stats.ordered import OrderedProcedure
from tests.analysis.conftest import CommandLine, write_search
from tests.analysis.statistics_search import FAR, MASS, inclusive_search, run_of

SELECTION = "background-inclusive"
HUNT = {"masses": {"start": 3000, "stop": 4500, "step": 100}, "toys": 30}


def spectrum(family: str = "dijet", parameters: Any = 3, **order: Any) -> dict[str, Any]:
    return {"start": 2600, "stop": 5600, "width": 100, "family": family, "parameters": parameters, "order": order}


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ("sidebands", "the inclusive spectrum of background outside 3300 to 3700 GeV"),
        ("simulation", "the spectrum of other"),
        ("background", "the spectrum of background"),
    ],
)
def test_the_f_test_decides_on_its_control(
    events_folder: Path, signals_folder: Path, tmp_path: Path, data_folder: Path, control: str, words: str
) -> None:
    asked = spectrum(parameters="f-test", control=control, candidates=[2, 3, 4])
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder, spectrum=asked), data=data_folder)
    found = control_of(run, "background")
    assert found.name == words
    edges = found.spectrum.edges
    if control == "sidebands":
        assert found.mask is not None
        left_out = edges[:-1][~found.mask]
        assert (left_out.min(), left_out.max()) == (3300, 3600)
    else:
        assert found.mask is None
        assert (found.spectrum.total < 1000) == (control == "simulation")
    order = background_orders(run)["background"]
    assert (order["control"], order["chooses"]) == (words, True)
    assert [family.name for family in candidates_of(run, "background")] == [order["family"]]
    assert len(order["tests"]) >= 1
    hunted = hunt(run)[SELECTION]
    assert hunted_family(run, hunted).name == order["family"]


def test_what_is_in_the_window_does_not_enter_the_choice(
    events_folder: Path, signals_folder: Path, tmp_path: Path, data_folder: Path
) -> None:
    asked = spectrum(parameters="f-test", candidates=[2, 3, 4])
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder, spectrum=asked), data=data_folder)
    control, expected = control_of(run, "background"), order_of(run, "background").to_dict()
    assert control.mask is not None
    emptied = Spectrum.from_counts(control.spectrum.edges, control.spectrum.counts * control.mask)
    families = [other_family(run, "background", FamilySettings(parameters=order)) for order in (2, 3, 4)]
    assert choose_order(emptied, families, mask=control.mask).to_dict() == expected


def test_every_spectrum_chooses_for_itself_and_toys_repeat_it(
    events_folder: Path, signals_folder: Path, tmp_path: Path, data_folder: Path
) -> None:
    asked = spectrum(parameters="f-test", control="searched", candidates=[2, 3, 4])
    search = inclusive_search(events_folder, signals_folder, spectrum=asked, bump_hunt=HUNT)
    run = run_of(tmp_path, search, data=data_folder)
    assert [family.n_parameters for family in candidates_of(run, "background")] == [2, 3, 4]
    assert set(background_orders(run)) <= {SELECTION}
    found = hunt(run)[SELECTION]
    assert found.summary["bump_hunt"]["background"]["parameters"] in (2, 3, 4)
    assert found.summary["bump_hunt"]["global_p"]["toys"] == 30
    procedure = hunt_of(run, found).procedure
    assert isinstance(procedure, OrderedProcedure)
    assert len(procedure.choices) == 3
    assert results_of(run)["limits"][0]["observed"] > 0


def test_a_control_that_cannot_decide_is_named(
    events_folder: Path, signals_folder: Path, tmp_path: Path, data_folder: Path
) -> None:
    asked = {**spectrum(parameters="f-test", control="other"), "start": 2600, "stop": 9000, "width": 1600}
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder, spectrum=asked), data=data_folder)
    with pytest.raises(StageError, match="The F-test on the spectrum of other cannot choose among dijet"):
        candidates_of(run, "background")
    empty = {**asked, "start": 12000, "stop": 13000, "width": 100}
    hunt_there = {"masses": {"start": 12500, "stop": 12500, "step": 100}}
    search = inclusive_search(
        events_folder, signals_folder, spectrum=empty, bump_hunt=hunt_there, limits=None, window=None
    )
    with pytest.raises(StageError, match=r"(?i)no event .*12000 to 13000 GeV"):
        candidates_of(run_of(tmp_path, search, data=data_folder), "background")


def test_a_control_that_is_no_data_set_is_refused(
    darkhorse: CommandLine, events_folder: Path, signals_folder: Path, tmp_path: Path
) -> None:
    asked = spectrum(parameters="f-test", control="simulatoin")
    search = inclusive_search(events_folder, signals_folder, spectrum=asked)
    assert "There is no data set 'simulatoin'" in darkhorse.refused("run", write_search(tmp_path / "x.yaml", search))


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ua2", {"spectrum": spectrum("ua2", 3)}),
        ("polynomial", {"spectrum": spectrum("polynomial", 4)}),
        ("bernstein", {"spectrum": spectrum("bernstein", 4)}),
        ("modified_exponential", {"spectrum": spectrum("modified_exponential", "f-test")}),
        ("GeV", {"bump_hunt": {**HUNT, "widths": [60.0, 120.0], "width_unit": "GeV"}}),
        ("tails", {"bump_hunt": {**HUNT, "tails": {"alpha_low": 1.2, "n_low": 3, "alpha_high": 2, "n_high": 5}}}),
        ("bumphunter", {"bump_hunt": {**HUNT, "statistic": "bumphunter"}}),
    ],
)
def test_the_whole_pipeline_takes_it(
    events_folder: Path, signals_folder: Path, tmp_path: Path, data_folder: Path, name: str, changes: dict[str, Any]
) -> None:
    limits: dict[str, Any] = {"masses": [MASS, FAR], "width": 0.03}
    if name == "GeV":
        limits |= {"width": 100.0, "width_unit": "GeV"}
    if name == "tails":
        limits |= {"tails": changes["bump_hunt"]["tails"]}
    checks = {"goodness_toys": 20, "spurious_signal": {"template": {"family": "dijet", "parameters": 3}}}
    search = {"bump_hunt": HUNT, "limits": limits, "validation": checks, **changes}
    run = run_of(tmp_path, inclusive_search(events_folder, signals_folder, **search), data=data_folder)
    said = list(run_until(run, "report"))
    assert said[-1].startswith("report: ")
    page = (run.out / "report" / "index.html").read_text()
    results = results_of(run)
    found = results["selections"][SELECTION]["bump_hunt"]
    assert 0 <= found["global_p"]["value"] <= 1
    assert found["background"]["family"] in page
    for limit in results["limits"]:
        assert limit["observed"] > 0, limit
        assert limit["expected"] == sorted(limit["expected"])
    if name == "GeV":
        assert found["width"] in (60.0, 120.0)
        assert (found["width_unit"], results["limits"][0]["width_unit"]) == ("GeV", "GeV")
        assert "100 GeV" in page
    if name == "tails":
        assert "Crystal Ball" in results["limits"][0]["signal"]
        assert "Crystal Ball" in page
    if name == "bumphunter":
        assert found["statistic"] == "bumphunter"
