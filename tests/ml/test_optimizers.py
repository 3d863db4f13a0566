"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

from typing import Any

import pytest

from ml import TrainingError, detector_from_settings
from ml.optimizers import ELEMENTWISE, RateSchedule, make_optimizer


@pytest.mark.parametrize(
    ("type_", "halfway"),
    [("cosine", 0.1 + 0.9 / 2), ("exponential", 0.1**0.5)],
)
def test_rates_fall_to_the_factor_over_the_steps(type_: Any, halfway: float) -> None:
    schedule = RateSchedule(type_, steps=200, factor=0.1).to_keras(0.02)
    assert [float(schedule(step)) / 0.02 for step in (0, 100, 200)] == pytest.approx([1, halfway, 0.1], rel=1e-5)


def test_a_search_file_names_the_schedule() -> None:
    mlp = {"schedule": {"type": "cosine", "steps": 300}, "optimizer": "sgd", "learning_rate": 0.5}
    settings = detector_from_settings("cwola", {"mlp": mlp}).settings.mlp
    assert settings.schedule == RateSchedule("cosine", 300, 0.1)
    optimizer = make_optimizer(settings.optimizer, settings.learning_rate, None, settings.schedule)
    assert type(optimizer).__name__ == "SGD"
    assert float(optimizer.learning_rate) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"type": "cosinus", "steps": 3}, "type is 'cosinus': did you mean 'cosine'"),
        ({"type": "cosine"}, "schedule lacks the key 'steps'"),
        ({"type": "cosine", "steps": 0}, "steps of at least 1"),
        ({"type": "exponential", "steps": 9, "factor": 2.0}, "a factor from 0 to 1"),
    ],
)
def test_impossible_schedules_are_refused(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("cwola", {"mlp": {"schedule": schedule}})


def test_every_name_is_known_to_keras() -> None:
    for name in ELEMENTWISE:
        assert type(make_optimizer(name, 0.1)).__name__.lower() == name


def test_an_unknown_optimiser_suggests_the_nearest() -> None:
    with pytest.raises(TrainingError, match="no optimiser 'adamm': did you mean 'adam"):
        make_optimizer("adamm", 0.1)
