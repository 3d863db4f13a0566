"""What the demonstration promises, read from its results where `make demo` has run."""

from __future__ import annotations

import json

import pytest

from tests.conftest import PROJECT


def results(name: str) -> dict:
    """Return results.json of out/<name>, or skip."""
    file = PROJECT / "out" / name / "results.json"
    if not file.is_file():
        pytest.skip(f"{file} is missing: run the demonstration first")
    return json.loads(file.read_text())


def test_the_resonance_is_invisible_before_and_found_after_the_selection() -> None:
    found = results("demo")["selections"]
    before, after = (found[name]["bump_hunt"] for name in ("injected-inclusive", "injected-cwola-0.01"))
    assert before["local_z"] <= 3
    assert after["local_z"] >= 5
    assert abs(after["mass"] - 3500) <= 150
    assert after["background"]["p_outside_peak"] > 0.01


def test_nothing_is_found_without_a_signal() -> None:
    """Needs `darkhorse run demo --set mixtures.injected.fraction=0 --out out/null`."""
    hunts = {n: s["bump_hunt"] for n, s in results("null")["selections"].items() if "bump_hunt" in s}
    assert len(hunts) == 3
    for name, hunt in hunts.items():
        assert hunt["global_z"] < 3, name
