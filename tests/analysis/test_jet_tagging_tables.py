"""Tables and sentences from made-up results of networks that find jets."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.report.jet_tagging_tables import areas_table, decorrelated_table, distances_table, sculpting_table
from analysis.report.summary import summary
from analysis.stages.jet_tagging import decorrelated, describe_jet_tagging

TITLES = {"w": "W, 80 GeV", "top": "top, 174 GeV"}


def measured(value: float, spread: float | None = None) -> dict[str, Any]:
    return {"value": value, "uncertainty": 0.01, "spread": spread, "each": [value]}


def entry(network: str, *, divergence: float, kept: float, metric: str = "nll", **more: Any) -> dict[str, Any]:
    cuts = [
        {"efficiency": 0.5, "divergence": measured(0.1 * divergence), "expected": 0.001},
        {"efficiency": 0.05, "divergence": measured(divergence), "expected": 0.004},
    ]
    return {
        "network": network,
        "metric": metric,
        "own": True,
        "uses_labels": False,
        "exposed": False,
        "members": 1,
        "areas": {"w": measured(0.62), "top": measured(0.88, 0.02)},
        "sculpting": cuts,
        "quoted": 0.05,
        "signal_efficiency": {"w": measured(0.1), "top": measured(kept)},
        "distance_correlation": measured(0.7),
        "n_background": 20_000,
        **more,
    }


ENTRIES = [
    entry("vae", divergence=0.4, kept=0.5),
    entry("vae", divergence=0.3, kept=0.4, metric="kl", own=False),
    entry("disco", divergence=0.02, kept=0.1),
    entry("oe", divergence=0.02, kept=0.25, metric="mse", exposed=True),
    entry("classifier", divergence=0.01, kept=0.3, metric="probability", exposed=True, uses_labels=True),
]
PLAIN = {"disco": "vae", "oe": "vae", "classifier": "vae"}
EXAMINED = {
    "vae": {
        "beta": 0.1,
        "distances": {
            name: {
                kind: {"wasserstein": 12.0, "relative": 0.024, "divergence": 0.001}
                for kind in ("reconstructed", "generated", "halves")
            }
            for name in ("pt", "mass")
        },
    }
}
RESULTS: dict[str, Any] = {
    "search": "jets",
    "jet_types": TITLES,
    "jet_tagging": ENTRIES,
    "jet_decorrelated": decorrelated(ENTRIES, PLAIN, "top"),
    "jet_examined": EXAMINED,
}


def test_areas_stand_by_type_and_score_the_own_ones_strong() -> None:
    table = areas_table(RESULTS)
    assert table is not None
    assert [row[:2] for row in table.rows] == [
        ["vae", "nll"], ["vae", "kl"], ["disco", "nll"], ["oe °", "mse"], ["classifier †", "probability"],
    ]  # fmt: skip
    assert table.strong == {0, 2, 3, 4}
    column = list(table.header).index("top, 174 GeV")
    assert table.rows[0][column] == "0.880 ± 0.010 ± 0.020"


def test_divergences_stand_beside_what_no_sculpting_has() -> None:
    table = sculpting_table(RESULTS)
    assert table is not None
    assert [row[0] for row in table.rows] == ["vae", "disco", "oe °", "classifier †"]
    assert table.rows[1][list(table.header).index("JSD at 5%")] == "0.020 ± 0.010 (0.004)"
    assert table.rows[2][list(table.header).index("ε_S of top, 174 GeV")] == "0.250 ± 0.010"


def test_what_independence_gains_and_costs() -> None:
    found = {one["network"]: one for one in RESULTS["jet_decorrelated"]}
    assert found["oe"]["reduction"] == pytest.approx(20)
    assert found["oe"]["kept"] == pytest.approx(0.5)
    table = decorrelated_table(RESULTS)
    assert table is not None
    assert list(table.rows[1]) == ["oe", "vae", "5%", "20 ×", "top, 174 GeV", "0.5"]


def test_distances_have_a_row_for_what_statistics_make() -> None:
    table = distances_table(RESULTS)
    assert table is not None
    assert [row[2] for row in table.rows] == ["reconstructed", "generated", "two halves of the input"]
    assert table.rows[0][list(table.header).index("mass [%]")] == "2.4"


def test_a_search_without_jets_has_no_such_tables() -> None:
    assert [build({}) for build in (areas_table, sculpting_table, decorrelated_table, distances_table)] == [None] * 4


def test_the_summary_names_what_is_found_and_the_best_without_labels() -> None:
    text = " ".join(summary(RESULTS))
    assert "0.620 ± 0.010 (W, 80 GeV) to 0.880 ± 0.010 (top, 174 GeV)" in text
    assert "oe has the largest product" in text
    assert "20 times less than with vae" in text


def test_an_entry_is_told_in_one_line() -> None:
    assert describe_jet_tagging(ENTRIES[0]) == (
        "vae by nll: AUC w 0.620, top 0.880; JSD of the masses at 5% background 0.4 nats"
    )
