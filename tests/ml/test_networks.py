"""Dense networks and their settings: what is refused where it is written, and predictions in parallel."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, detector_from_settings, prediction
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


def test_predictions_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are multiplied by the parameter here; the last one is padded, and none is left out or filled twice."""
    callers = set()

    def outputs(parameters: list[Any], x: Any) -> Any:
        callers.add(threading.get_ident())
        time.sleep(0.03)
        return parameters[0] * x[None]

    x = np.arange(14.0).reshape(7, 2)
    results = []
    for threads in (1, 3):
        callers.clear()
        monkeypatch.setattr(prediction, "available", lambda threads=threads: threads)
        results.append(
            prediction.in_chunks(outputs, [np.array([[[1.0]], [[2.0]]], np.float32)], x, chunk=2, shape=(2,))
        )
        assert (len(callers) > 1) == (threads > 1)
    np.testing.assert_array_equal(results[0], np.stack([x, 2 * x]))
    np.testing.assert_array_equal(results[1], results[0])
    assert prediction.in_chunks(outputs, [np.ones((2, 1, 1), np.float32)], x[:0], chunk=2, shape=(2,)).shape == (
        2,
        0,
        2,
    )
