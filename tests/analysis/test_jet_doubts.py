"""What the report doubts of networks that find jets."""

from __future__ import annotations

from typing import Any

from analysis.report.doubts import warnings
from analysis.report.jet_doubts import jet_warnings


def results(active: list[int], value: float, *, own: bool = True) -> dict[str, Any]:
    return {
        "networks": {"vae": {"facts": {"active_latent": active}}, "classifier": {"facts": {}}},
        "jet_types": {"w": "W, 59 GeV"},
        "jet_tagging": [{"network": "vae", "own": own, "areas": {"w": {"value": value, "uncertainty": 0.01}}}],
    }


def test_collapsed_trainings_are_counted() -> None:
    (said,) = jet_warnings(results([0, 7, 0], 0.6))
    assert said.startswith("vae: the latent space of 2 of 3 trainings does not depend on the jets")


def test_jets_that_look_more_ordinary_than_background_are_told() -> None:
    (said,) = jet_warnings(results([7], 0.46))
    assert "vae holds these jets for less anomalous than QCD jets" in said
    assert "W, 59 GeV" in said
    assert not list(jet_warnings(results([7], 0.48)))  # two standard deviations
    assert not list(jet_warnings(results([7], 0.4, own=False)))


def test_they_stand_among_the_doubts() -> None:
    assert set(jet_warnings(results([0], 0.4))) <= set(warnings(results([0], 0.4)))
