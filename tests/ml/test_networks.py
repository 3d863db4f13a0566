"""Dense networks and their settings: what is refused where it is written, and predictions in parallel."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, detector_from_settings
from ml.networks import ELEMENTWISE, DenseNetwork

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"activation": "softmax"}, "no activation 'softmax' that acts on each unit alone"),
    ({"activation": "rleu"}, "did you mean 'relu'"),
    ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
    ({"hidden": [8, 0]}, "at least one unit"),
    ({"optimizer": "adamm"}, "no optimiser 'adamm': did you mean 'adam"),
    ({"optimizer": "muon"}, "'muon' cannot train ensembles: it mixes the weights"),
    ({"learning_rate": 0.0}, "learning_rate must be above 0"),
    ({"learning_rate": -0.01}, "learning_rate must be above 0"),
    ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
    ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
    ({"clip_norm": 0.0}, "clip_norm must be above 0"),
    ({"clip_norm": -1.0}, "clip_norm must be above 0"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_impossible_settings_are_refused_where_they_are_written(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("cwola", {"mlp": settings})


def test_settings_are_checked_without_tensorflow() -> None:
    code = "import sys, ml.mlp; ml.mlp.MLPSettings(); sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("activation", ELEMENTWISE)
def test_allowed_activations_do_not_mix_events(activation: str) -> None:
    network = DenseNetwork(inputs=2, hidden=(3,), activation=activation)
    parameters = network.initial([np.random.SeedSequence(1)])
    x = np.random.default_rng(0).normal(size=(1, 6, 2)).astype(np.float32)
    outputs = network.apply(parameters, x).numpy()
    np.testing.assert_allclose(network.apply(parameters, x[:, 2:4]).numpy(), outputs[:, 2:4], atol=1e-6)
    np.testing.assert_allclose(network.to_keras(parameters, 0)(x[0]), outputs[0], atol=1e-6)
