"""The benchmark of limits judges what it measures, and needs nothing from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import limits


def test_a_missed_aim_ends_with_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(limits, "MODELS", ((5, 1, 1, 2),))
    assert limits.main(["models"]) == 0
    monkeypatch.setattr(limits, "EXCESS", -1.0)
    assert limits.main(["models"]) == 1
    assert "MISSED" in capsys.readouterr().out


def test_the_baseline_model_is_made_where_the_shared_one_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "BASELINES", tmp_path)
    pdf, observations = limits.baseline()
    assert pdf.config.npars == 51
    assert len(observations) == pdf.config.nmaindata == 50
    assert np.isfinite(pdf.logpdf(pdf.config.suggested_init(), observations + pdf.config.auxdata)).all()
