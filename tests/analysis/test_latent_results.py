"""What the search in latent space promises, read from its results where `darkhorse run latent_vae` has run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PROJECT


def results(name: str) -> dict[str, Any]:
    """Return results.json of out/<name>, or of that folder of DARKHORSE_RESULTS, or skip."""
    file = Path(os.environ.get("DARKHORSE_RESULTS", PROJECT / "out")) / name / "results.json"
    if not file.is_file():
        pytest.skip(f"{file} is missing: run the search first")
    return dict(json.loads(file.read_text()))


def test_the_default_finds_the_signal_without_labels() -> None:
    found = results("latent_vae")["latent_scores"]["sb1"]["latent_vae"]["coordinate"]
    assert found["ensemble"]["auc"] >= 0.75
    assert found["ensemble"]["sic_at_0.5"] >= 2.0
    assert found["flipped_by_labels"]["n_flipped"] == 0


@pytest.mark.parametrize("search", ["latent_vae", "latent_null", "latent_lhco", "latent_signals"])
def test_the_default_is_an_ensemble_that_needs_no_label(search: str) -> None:
    found = [one for name, one in results(search)["detectors"].items() if name.split(" on ")[0] == "latent_vae"]
    assert found
    for detector in found:
        assert detector["type"] == "latent_vae"
        assert detector["settings"]["recipe"] == "robust"
        assert detector["members"] >= 10
        assert detector["uses_labels"] is False


@pytest.mark.parametrize(
    ("folder", "sample", "sic"),
    [
        ("latent_sb10", "sb10", 1.7),
        ("latent_sb0p1", "sb0p1", 1.9),
        ("latent_null", "sb0", 1.9),
        ("latent_lhco", "lhco1", 1.9),
    ],
)
def test_the_default_holds_at_other_amounts_of_signal_and_on_other_events(folder: str, sample: str, sic: float) -> None:
    """Needs `darkhorse run latent_vae --set data=sb10 --out out/latent_sb10`, and so on, and `run latent_lhco`."""
    found = results(folder)["latent_scores"][sample]["latent_vae"]["coordinate"]
    assert found["ensemble"]["auc"] >= 0.85
    assert found["ensemble"]["sic_at_0.5"] >= sic
    assert found["flipped_by_labels"]["n_flipped"] == 0


def test_it_is_of_use_for_signals_of_other_kinds() -> None:
    found = results("latent_signals")["latent_scores"]
    assert len(found) >= 13
    for figure, least in (("auc", 0.75), ("sic_at_0.5", 1.2)):
        of_signal = {name: one["latent_vae"]["coordinate"]["ensemble"][figure] for name, one in found.items()}
        worst = min(of_signal, key=lambda name: of_signal[name])
        assert of_signal[worst] >= least, (figure, worst)


def test_nothing_is_found_without_a_signal_and_spectra_are_smooth() -> None:
    """Needs `darkhorse run latent_vae --set data=sb0 --out out/latent_null`."""
    found = results("latent_null")
    for name, selection in found["selections"].items():
        assert selection["bump_hunt"]["global_z"] < 3, name
    for name, tests in found["validation"].items():
        assert tests["goodness"]["p"]["value"] > 0.01, name
        spurious = tests["spurious_signal"]
        pulls = np.array(spurious["yields"], float) / np.array(spurious["template_errors"], float)
        assert np.abs(pulls).max() < 2, name
