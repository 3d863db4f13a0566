"""Plain settings become detectors, or an error that names the key."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from ml import DETECTORS, TrainingError, detector_class, detector_from_settings


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_detector_has_defaults_that_survive_json(name: str) -> None:
    detector = detector_from_settings(name)
    content = json.loads(json.dumps(dataclasses.asdict(detector.settings)))
    assert detector_from_settings(name, content).settings == detector.settings
    assert detector_class(name)[0] is type(detector)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"membres": 3}, "no key 'membres': did you mean 'members'"),
        ({"mlp": {"epoch": 3}}, "mlp has no key 'epoch': did you mean 'epochs'"),
        ({"classifier": "bdtt"}, "classifier is 'bdtt': did you mean 'bdt'"),
        ({"members": "four"}, "members must be int: got 'four'"),
        ({"members": True}, "members must be int: got True"),
        ({"members": 0}, "members and slices must be at least 1"),
        ({"features": "j1_m"}, "features must be a list"),
        ({"features": []}, "at least one"),
        ({"features": ["j1_m", "mjj"]}, "resonance mass 'mjj' cannot be a feature"),
        ({"ratio_features": ["j3_m"]}, r"\['j3_m'\] are not among the features"),
        ({"ratio_features": ["j1_m"]}, "ratio_features has no effect with decorrelation 'none': leave it out"),
        ({"slices": 9, "decorrelation": "ratio"}, "slices has no effect with decorrelation 'ratio'.*take 'slices'"),
        ({"mlp": {"dropout": [0.1]}}, "dropout must be float"),
        ({"mlp": 3}, "mlp must be a mapping"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("cwola", settings)


def test_an_unknown_type_suggests_the_nearest() -> None:
    with pytest.raises(TrainingError, match="no detector of type 'cwolla': did you mean 'cwola'"):
        detector_from_settings("cwolla")


def test_integers_serve_as_floats_and_null_as_none() -> None:
    settings = detector_from_settings("cwola", {"mlp": {"learning_rate": 1, "patience": None}}).settings
    assert settings.mlp.learning_rate == 1.0
    assert settings.mlp.patience is None
