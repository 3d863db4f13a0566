"""Signals that the processor's variations move, as shape uncertainties of limits in fb."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.errors import ConfigurationError
from analysis.pipeline import run_until
from analysis.stages.limit import limit
from tests.analysis.statistics_search import INCLUSIVE, MASS, inclusive_search, run_of

VARIATIONS = {"jet_energy_scale": ["jes_up", "jes_down"]}


def with_variations(events_folder: Path, signals_folder: Path, **systematics: Any) -> dict[str, Any]:
    limits = {
        "masses": [MASS],
        "width": 0.03,
        "profile": False,
        "systematics": systematics,
        "cross_section": {"luminosity": 1.0, "signals": {MASS: "resonance"}},
    }
    processing = {"variations": {"jes_up": 0.02, "jes_down": -0.02}}
    return inclusive_search(events_folder, signals_folder, processing=processing, limits=limits)


def test_the_peak_moves_with_the_jets_and_the_limit_grows(
    events_folder: Path, signals_folder: Path, tmp_path: Path
) -> None:
    expected = {}
    for name, systematics in (("without", {}), ("with", {"variations": VARIATIONS})):
        search = with_variations(events_folder, signals_folder, **systematics)
        (tmp_path / name).mkdir()
        run = run_of(tmp_path / name, search, data=tmp_path / "data")
        for _ in run_until(run, "limit"):
            pass
        (found,) = (entry for entry in limit(run) if entry["unit"] == "fb")
        expected[name] = found["expected"]
    assert (np.array(expected["with"]) > np.array(expected["without"])).all()
    (file,) = (tmp_path / "with" / "out").rglob(f"*{INCLUSIVE.removeprefix('hidden-')}*fb*.json")
    (channel,) = json.loads(file.read_text())["channels"]
    signal = next(sample for sample in channel["samples"] if sample["name"] == "signal")
    (shift,) = (one["data"] for one in signal["modifiers"] if one["name"] == "jet_energy_scale")
    bins = np.arange(len(signal["data"]))
    means = [np.average(bins, weights=values) for values in (shift["lo_data"], signal["data"], shift["hi_data"])]
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"processing": {"variations": {"jes_up": 0.02}}}, "'jes_down', which is none of `processing.variations`"),
        ({"cross_section": None}, "move simulated signals, which only limits in fb have"),
    ],
)
def test_variations_that_are_not_there_are_told(
    events_folder: Path, signals_folder: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    search = with_variations(events_folder, signals_folder, variations=VARIATIONS)
    search |= {key: value for key, value in change.items() if key == "processing"}
    search["limits"] |= {key: value for key, value in change.items() if key != "processing"}
    with pytest.raises(ConfigurationError, match=said):
        run_of(tmp_path, search)
