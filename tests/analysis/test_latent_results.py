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


def test_it_is_of_use_for_signals_of_other_kinds() -> None:
    found = results("latent_signals")["latent_scores"]
    assert len(found) >= 13
    worst = min(found, key=lambda name: found[name]["latent_vae"]["coordinate"]["ensemble"]["auc"])
    assert found[worst]["latent_vae"]["coordinate"]["ensemble"]["auc"] >= 0.75, worst


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
