"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

from typing import Any

import pytest

from ml import TrainingError, detector_from_settings
from ml.image_autoencoder import ImageAutoencoderSettings
from ml.image_ensemble import ImageNetworkSettings
from ml.image_tagger import ImageTaggerSettings
from ml.optimizers import BETAS, ELEMENTWISE, RateSchedule, make_optimizer


@pytest.mark.parametrize(
    ("type_", "halfway"),
    [("cosine", 0.1 + 0.9 / 2), ("exponential", 0.1**0.5), ("staircase", 1.0), ("inverse", 1 / 5.5)],
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
        ({"type": "inverse", "steps": 9, "factor": 0.0}, "never reaches a factor of 0"),
    ],
)
def test_impossible_schedules_are_refused(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("cwola", {"mlp": {"schedule": schedule}})


def test_the_decay_of_older_keras_optimisers() -> None:
    schedule = RateSchedule("inverse", steps=2000, factor=0.5).to_keras(1e-3)
    for step in (0, 1, 500, 10_000):
        assert float(schedule(step)) == pytest.approx(1e-3 / (1 + 5e-4 * step), rel=1e-5)


def test_decay_rates_of_moments_reach_the_optimiser() -> None:
    for name in BETAS:
        optimizer = make_optimizer(name, 0.1, betas=(0.8, 0.99))
        assert (optimizer.beta_1, optimizer.beta_2) == (0.8, 0.99)
    assert make_optimizer("adam", 0.1).beta_1 == 0.9


@pytest.mark.parametrize(
    ("name", "betas", "message"),
    [("sgd", (0.8, 0.99), "'sgd' has no betas"), ("adam", (0.8,), "two numbers"), ("adam", (0.8, 1.0), "below 1")],
)
def test_impossible_decay_rates_are_refused(name: str, betas: tuple[float, ...], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        make_optimizer(name, 0.1, betas=betas)


def test_every_name_is_known_to_keras() -> None:
    for name in ELEMENTWISE:
        assert type(make_optimizer(name, 0.1)).__name__.lower() == name


def test_an_unknown_optimiser_suggests_the_nearest() -> None:
    with pytest.raises(TrainingError, match="no optimiser 'adamm': did you mean 'adam"):
        make_optimizer("adamm", 0.1)


@pytest.mark.parametrize("settings", [ImageNetworkSettings, ImageTaggerSettings, ImageAutoencoderSettings])
def test_networks_on_images_have_the_optimiser_of_the_paper(settings: type[ImageNetworkSettings]) -> None:
    """Adam with a rate of 0.001 that decays by 0.0005, moments by 0.8 and 0.99 (arXiv:2002.12376, section 3.2)."""
    own = settings()
    optimizer = make_optimizer(own.optimizer, own.learning_rate, None, own.schedule, own.betas)
    assert type(optimizer).__name__ == "Adam"
    assert (optimizer.beta_1, optimizer.beta_2, own.clip_norm) == (0.8, 0.99, None)
    assert own.schedule is not None
    schedule = own.schedule.to_keras(own.learning_rate)
    steps = (0, 1, 1000, 50_000)
    assert [float(schedule(step)) for step in steps] == pytest.approx([1e-3 / (1 + 5e-4 * step) for step in steps])


def test_image_networks_have_the_optimiser_of_tag_n_train() -> None:
    """Adam with β₁ 0.8, β₂ 0.99 and the rate 10⁻³/(1 + 5·10⁻⁴·step), arXiv:2002.12376."""
    network = ImageTaggerSettings()
    made = make_optimizer(network.optimizer, network.learning_rate, schedule=network.schedule, betas=network.betas)
    assert (type(made).__name__, made.beta_1, made.beta_2) == ("Adam", 0.8, 0.99)
    for step in (0, 1000, 20_000):
        assert float(made._learning_rate(step)) == pytest.approx(1e-3 / (1 + 5e-4 * step), rel=1e-5)
