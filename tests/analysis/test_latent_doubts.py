"""Ensembles of autoencoders whose members did not peak or do not agree: from the history to the warnings."""

from __future__ import annotations

from typing import Any

from analysis.report.doubts import warnings
from analysis.report.latent_doubts import latent_warnings
from analysis.stages.peaks import peaks_of
from ml import History


def history(**facts: Any) -> dict[str, Any]:
    return History(parts={"0": History(facts=facts)}).to_dict()


def results(peaked: list[bool], alignment: list[float | None]) -> dict[str, Any]:
    return {
        "detectors": {"vae": {"kl_peaks": peaks_of(history(peaked=peaked))}, "cwola": {"auc": 0.8}},
        "latent": {"some": {"vae": {"alignment": alignment}}},
    }


def test_peaks_are_counted_over_members() -> None:
    assert peaks_of(history(peaked=[True, False, True])) == {"whole": 2, "members": 3}
    assert peaks_of(history(kept_steps=[3])) == {}
    assert peaks_of(History().to_dict()) == {}


def test_members_without_a_peak_or_a_direction_are_doubted() -> None:
    found = results([True, False, False], [0.9, None, -0.3, -0.8])
    peaks, directions = latent_warnings(found)
    assert "KL divergence of 2 of 3 members did not rise and fall" in peaks
    assert "latent coordinate of 2 of 4 members hardly follows" in directions
    assert {peaks, directions} <= set(warnings(found))


def test_members_that_peak_and_agree_are_not() -> None:
    assert list(latent_warnings(results([True, True], [0.9, -0.8]))) == []
