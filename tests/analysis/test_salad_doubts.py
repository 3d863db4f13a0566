"""Warnings about corrections that do not close and predictions that are contradicted."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.report.salad_doubts import salad_warnings
from analysis.stages.direct import _significance


def area(value: float, uncertainty: float = 0.005) -> dict[str, float]:
    return {"value": value, "uncertainty": uncertainty}


def corrected(sidebands: dict[str, Any], window: dict[str, Any]) -> dict[str, Any]:
    return {"reweighting": {"data": {"salad": {"sidebands": {"closure": sidebands}, "window": {"closure": window}}}}}


def test_a_correction_that_closes_is_not_doubted() -> None:
    signal = {"after": area(0.6), "after, background of the data alone": area(0.51)}
    assert list(salad_warnings(corrected({"after": area(0.503)}, signal))) == []
    assert list(salad_warnings({})) == []


def test_a_correction_that_does_not_close_is_told_with_its_region() -> None:
    [found] = salad_warnings(corrected({"after": area(0.524)}, {"after": area(0.51)}))
    assert "salad on data" in found
    assert "in the sidebands (AUC 0.524 ± 0.005)" in found


def prediction(**changes: float) -> dict[str, Any]:
    plain = {"efficiency": 0.01, "predicted": 100.0, "effective_events": 60.0, "closure": 0.0}
    return {"direct_background": {"data": {"salad": [
        {**plain, "validation_observed": 100.0, "validation_predicted": 100.0, **changes}
    ]}}}  # fmt: skip


def test_validation_bands_that_disagree_are_told() -> None:
    assert list(salad_warnings(prediction())) == []
    # 160 against 100 with a statistical error of 0.15: 4 standard deviations
    closure = 100 * (0.6**2 - 0.15**2) ** 0.5
    [found] = salad_warnings(prediction(validation_observed=160.0, closure=closure))
    assert "1% (160 observed, 100.0 predicted, +4.0σ)" in found
    assert list(salad_warnings(prediction(validation_observed=110.0, closure=5.0))) == []


def test_predictions_from_few_events_are_told() -> None:
    [found] = salad_warnings(prediction(effective_events=4.2))
    assert "1% (4.2): fewer than 10 effective simulated events" in found


def test_no_significance_is_given_over_a_prediction_that_is_hardly_known() -> None:
    assert _significance({"observed": 28.0, "predicted": 1.4, "uncertainty": 7.8})["z"] is None
    z = _significance({"observed": 140.0, "predicted": 100.0, "uncertainty": 5.0})["z"]
    assert z is not None
    assert z == pytest.approx(3.4, abs=0.2)
