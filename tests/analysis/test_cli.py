"""The commands, as a user gives them."""

from __future__ import annotations

import json
from pathlib import Path

import uproot


def test_a_search_runs_from_events_to_a_report(finished: Path) -> None:
    out = finished / "out"
    results = json.loads((out / "results.json").read_text())
    assert results["datasets"]["dijets"]["events"] == 3000
    assert set(results["selections"]) == {"dijets-inclusive", "dijets-cwola-0.2"}
    assert results["limits"][0]["observed"] > 0
    assert "<html" in (out / "report" / "index.html").read_text()
    with uproot.open(out / "histograms.root") as file:
        inside = file["dijets/nominal/mjj"].values(flow=True).sum()
    assert inside == results["datasets"]["dijets"]["selected"]


def test_help(darkhorse) -> None:
    said = darkhorse("--help")
    assert said.status == 0
    for command in ("run", "process", "train", "hunt", "limit", "figures", "report", "export", "datasets", "generate"):
        assert f"  {command} " in said.out
