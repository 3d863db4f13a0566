"""Several pseudo-data that differ by chance alone: means, spreads and paired differences over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.context import SearchRun
from analysis.numbers import format_number
from analysis.pipeline import run_until
from analysis.report.replica_tables import replica_tables
from analysis.report.table import Table
from analysis.stages.fixed import fixed_mass
from analysis.stages.hunt import hunt
from analysis.stages.replicas import differences, over, replicas
from analysis.stages.searched import searched
from analysis.stages.train import trained
from tests.analysis.conftest import results_in
from tests.analysis.report_example import Page
from tests.analysis.statistics_search import run_of
from tests.analysis.test_fixed_mass import EFFICIENCY, fixed_search

NAMES = ["first", "again", "second"]
CWOLA, REFERENCE = f"cwola-{EFFICIENCY}", f"supervised-{EFFICIENCY}"


@pytest.fixture(scope="module")
def run(
    events_folder: Path, signals_folder: Path, everything: SearchRun, tmp_path_factory: pytest.TempPathFactory
) -> SearchRun:
    """A finished search in three mixtures on two parts of the background, without figures."""
    search = fixed_search(events_folder, signals_folder)
    mixture = {**search["mixtures"]["hidden"], "max_background": 1500}
    mixtures = {
        name: {**mixture, "skip_background": skip, "seed": seed}
        for seed, (name, skip) in enumerate(zip(NAMES, (0, 0, 1500), strict=True))
    }
    del search["detectors"]["aside"]
    changes = {"name": "replicas", "mixtures": mixtures, "data": NAMES}
    made = run_of(tmp_path_factory.mktemp("replicas"), {**search, **changes}, data=everything.catalogue.directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.stages.figures._all", lambda run, label: iter(()))
        said = "\n".join(run_until(made, "report"))
    assert "first, again, second: 3 replicas: local significance at the known mass inclusive " in said
    return made


def test_means_and_deviations_are_those_of_what_is_known() -> None:
    assert over([1.0, 2.0, None, 6.0]) == {
        "value": 3.0, "spread": pytest.approx(np.std([1, 2, 6], ddof=1)), "n": 3, "values": [1.0, 2.0, None, 6.0],
    }  # fmt: skip
    assert over([None, 2.0])["spread"] is None
    assert over([None])["value"] is None
    paired = differences([3.0, 1.0, None, 5.0], [1.0, 2.0, 0.0, 2.0])
    assert paired["values"] == [2.0, -1.0, None, 3.0]
    assert (paired["n"], paired["larger"]) == (3, 2)


def test_replicas_are_on_parts_that_share_no_event(run: SearchRun) -> None:
    first, again, second = (searched(run, name).events for name in NAMES)
    of_background = [set(one.event_id[one["truth"] == 0]) for one in (first, again, second)]
    assert of_background[0] == of_background[1]
    assert not of_background[0] & of_background[2]
    assert set(first.event_id[first["truth"] == 1]) != set(again.event_id[again["truth"] == 1])
    (group,) = replicas(run)
    assert (group["samples"], group["backgrounds"], group["fraction"]) == (NAMES, 2, 0.01)


def test_every_number_is_that_of_the_single_samples(run: SearchRun) -> None:
    (group,) = replicas(run)
    assert list(group["fixed_mass"]) == ["inclusive", CWOLA, REFERENCE]
    z = {
        kind: np.array([fixed_mass(run)[f"{name}-{kind}"].summary["local_z"] for name in NAMES])
        for kind in group["fixed_mass"]
    }
    for kind, entry in group["fixed_mass"].items():
        assert entry["local_z"]["value"] == pytest.approx(z[kind].mean())
        assert entry["local_z"]["spread"] == pytest.approx(z[kind].std(ddof=1))
        assert entry["uses_labels"] == (kind == REFERENCE)
        for other, difference in entry["minus"].items():
            assert difference["values"] == pytest.approx(z[kind] - z[other])
            assert difference["larger"] == (z[kind] > z[other]).sum()
    assert set(group["fixed_mass"][CWOLA]["minus"]) == {"inclusive", REFERENCE}
    areas = [trained(run, name, "cwola").summary["measured"]["auc"]["value"] for name in NAMES]
    assert group["detectors"]["cwola"]["auc"]["values"] == areas
    assert group["detectors"]["supervised"]["uses_labels"]
    others = [trained(run, name, "supervised").summary["measured"]["auc"]["value"] for name in NAMES]
    paired = group["detectors"]["cwola"]["minus"]["supervised"]["auc"]["values"]
    assert paired == pytest.approx(np.subtract(areas, others))


def test_global_significances_are_counted_without_the_reference(run: SearchRun) -> None:
    (group,) = replicas(run)
    assert set(group["global"]) == {"inclusive", CWOLA, "combined"}
    for kind in ("inclusive", CWOLA):
        found = [hunt(run)[f"{name}-{kind}"].summary["bump_hunt"] for name in NAMES]
        entry = group["global"][kind]
        assert entry["values"] == [one["global_z"] for one in found]
        assert entry["above"] == 0  # 20 toys end below 2σ
        assert entry["undecided"] == sum(one["global_p"]["is_bound"] for one in found)


def test_all_is_in_the_results_and_the_report(run: SearchRun) -> None:
    results = results_in(run.out.parent)
    assert results["replicas"][0]["samples"] == NAMES
    assert results["scans"] == []
    page = Page(run.out / "report" / "index.html")
    counts = [searched(run, name).counts for name in NAMES]
    strengths = []
    for text, key in (("S/B", "s_over_b_window"), ("S/√B", "s_over_sqrt_b_window")):
        values = [getattr(one, key) for one in counts]
        assert results["replicas"][0][key] == values
        strengths.append(f"{text} = {format_number(min(values))} to {format_number(max(values))} in the window")
    assert f"3 replicas on 2 backgrounds, 1% of all events, {', '.join(strengths)}: first, again, second" in page.text
    assert "Sensitivity against S/B" not in page.text


def row(table: Table, name: str) -> dict[str, str]:
    (found,) = [cells for cells in table.rows if cells[0] == name]
    return dict(zip(table.header, found, strict=True))


def entry(z: list[float], detector: str | None, **minus: list[float]) -> dict[str, Any]:
    return {
        "detector": detector, "efficiency": 0.03 if detector else 1.0, "uses_labels": detector == "bound",
        "mass": 3500.0, "local_z": over(z),
        "minus": {kind.replace("_", "-0.0"): differences(z, other) for kind, other in minus.items()},
    }  # fmt: skip


def test_tables_show_differences_and_what_toys_cannot_tell() -> None:
    plain, found = [1.0, 2.0, 0.0], [5.0, 4.0, 6.0]
    group = {
        "samples": ["a", "b", "c"], "fraction": 0.003, "of": "total", "backgrounds": 3,
        "fixed_mass": {
            "inclusive": entry(plain, None, tnt_3=found),
            "tnt-0.03": entry(found, "tnt", inclusive=plain, bound_3=[9.0, 9.0, 5.0]),
            "bound-0.03": entry([9.0, 9.0, 5.0], "bound", inclusive=plain, tnt_3=found),
        },
        "global": {
            "tnt-0.03": {"above": 1, "undecided": 1, "n": 3, "values": [3.2, 2.9, None], "bounds": [True, True, False]}
        },
        "detectors": {
                "tnt": {
                    "uses_labels": False, "auc": over([0.8, 0.9, 0.85]), "max_sic": over([3.0, None, 5.0]),
                    "minus": {
                        "cwola": {
                            "auc": differences([0.8, 0.9, 0.85], [0.7, 0.7, 0.9]),
                            "max_sic": differences([3.0, None, 5.0], [2.0, 2.0, 6.0]),
                        },
                    },
                },
                "cwola": {"uses_labels": False, "auc": over([0.7, 0.7, 0.9])},
                "bound": {"uses_labels": True, "auc": over([0.9, 0.9, 0.9])},
        },
    }  # fmt: skip
    fixed, beyond, detectors, pairs = replica_tables({"replicas": [group]})
    assert fixed.caption == (
        "Local significance of a resonance at 3.50 TeV. 3 replicas on 3 backgrounds, 0.3% of all events: a, b, c"
    )
    assert row(fixed, "tnt")["Local Z [σ]"] == "5.0 ± 1.0"
    assert row(fixed, "tnt")["minus no selection"] == "4.0 ± 2.0 [3 of 3]"
    assert row(fixed, "tnt")["minus bound †"] == "−2.7 ± 3.2 [1 of 3]"
    assert row(fixed, "bound †")["minus tnt"] == "2.7 ± 3.2 [2 of 3]"
    assert row(beyond, "tnt-0.03")["Beyond 3σ"] == "1 of 3"
    assert row(beyond, "tnt-0.03")["Undecided"] == "1"
    assert row(beyond, "tnt-0.03")["Global Z of each"] == ">3.20σ, >2.90σ, below every toy"
    assert row(detectors, "tnt")["AUC"] == "0.850 ± 0.050"
    assert row(detectors, "tnt")["Largest SIC"] == "4.0 ± 1.4"
    assert [one[0] for one in pairs.rows] == ["tnt − cwola"]  # references are no search
    assert row(pairs, "tnt − cwola")["AUC"] == "0.08 ± 0.13 [2 of 3]"
    assert row(pairs, "tnt − cwola")["Largest SIC"] == "0.0 ± 1.4 [1 of 2]"
    assert replica_tables({}) == []
