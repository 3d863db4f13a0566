"""Where the engine's data come from: chunks in place of one array, validation data, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, child_seed
from ml.mlp import make_optimizer
from ml.training import Schedule, Trainer

SEEDS = [child_seed(np.random.SeedSequence(8), i) for i in range(2)]


def line(parameters: Mapping[str, Any], batch: Mapping[str, Any], seed: Any) -> Mapping[str, Any]:
    """Mean squared error of slope · x + offset, per member."""
    import tensorflow as tf

    slope, offset = parameters["line"]
    each = (slope * batch["x"] + offset - batch["y"]) ** 2
    weight = batch["weight"]
    return {"loss": tf.reduce_sum(each * weight, axis=1) / (tf.reduce_sum(weight, axis=1) + 1e-9)}


def start() -> dict[str, list[np.ndarray]]:
    return {"line": [np.zeros((2, 1)), np.zeros((2, 1))]}


def events(count: int, *, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, count)
    return {"x": x, "y": 2 * x - 0.5}


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(line, lambda: make_optimizer("sgd", 0.2, None), threads=1)


class Source:
    """Chunks that are made when asked for; remembers how many were alive at once."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.made = sizes, 0

    def __call__(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        for index, size in enumerate(self.sizes):
            self.made += 1
            yield events(size, seed=index)


def test_chunks_that_never_exist_together_are_trained_on(trainer: Trainer) -> None:
    source = Source([300, 170, 20])  # the last is smaller than a batch
    schedule = Schedule(epochs=8, batch_size=30, validation_fraction=0.1, patience=None)
    fitted, history = trainer.fit(start(), source, schedule=schedule, seeds=SEEDS)
    np.testing.assert_allclose(fitted["line"][0], 2, atol=0.05)
    np.testing.assert_allclose(fitted["line"][1], -0.5, atol=0.05)
    assert history.losses["validation_loss"].shape == (8, 2)
    assert source.made == 2 * 8 * 3, "each epoch is read once to train and once to validate"
    again, _ = trainer.fit(start(), Source([300, 170, 20]), schedule=schedule, seeds=SEEDS)
    assert all(np.array_equal(a, b) for a, b in zip(again["line"], fitted["line"], strict=True))


def test_one_chunk_is_training_in_memory(trainer: Trainer) -> None:
    schedule = Schedule(epochs=3, batch_size=32, validation_fraction=0.25, patience=None)
    data = events(301, seed=3)
    inside, first = trainer.fit(start(), data, schedule=schedule, seeds=SEEDS)
    outside, second = trainer.fit(start(), lambda epoch: [data], schedule=schedule, seeds=SEEDS)
    np.testing.assert_allclose(outside["line"][0], inside["line"][0], rtol=1e-6)
    for name, values in first.losses.items():
        np.testing.assert_allclose(second.losses[name], values, rtol=1e-5)


def test_validation_events_are_never_trained_on(trainer: Trainer) -> None:
    """The held-out rows of both members carry the loss they had; all others are overwritten with something else."""
    schedule = Schedule(epochs=4, batch_size=10, validation_fraction=0.5, patience=None, restore_best=False)
    data = events(80, seed=4)
    _, reference = trainer.fit(start(), data, schedule=schedule, seeds=SEEDS[:1] * 2)
    from ml.rows import MemberRows, whole

    held_out = MemberRows(SEEDS[:1], validation_fraction=0.5).validation(whole(data))[0]
    changed = {**data, "y": data["y"].copy()}
    changed["y"][held_out] += 100.0
    _, moved = trainer.fit(start(), changed, schedule=schedule, seeds=SEEDS[:1] * 2)
    np.testing.assert_array_equal(moved.losses["loss"], reference.losses["loss"])
    assert (moved.losses["validation_loss"] > 1000 * reference.losses["validation_loss"]).all()


def test_validation_data_may_be_given(trainer: Trainer) -> None:
    schedule = Schedule(epochs=5, batch_size=20, validation_fraction=0, patience=None, restore_best=False)
    given = {"x": np.array([0.5, -0.5, 0.1]), "y": np.array([1.0, 2.0, 3.0]), "weight": np.array([1.0, 3.0, 0.0])}
    fitted, history = trainer.fit(start(), events(100, seed=5), schedule=schedule, seeds=SEEDS, validation=given)
    slope, offset = (a[:, 0] for a in fitted["line"])
    expected = ((0.5 * slope + offset - 1) ** 2 + 3 * (-0.5 * slope + offset - 2) ** 2) / 4
    np.testing.assert_allclose(history.losses["validation_loss"][-1], expected, rtol=1e-5)
    with pytest.raises(TrainingError, match="of the training data as well"):
        trainer.fit(start(), given, schedule=Schedule(validation_fraction=0.5), seeds=SEEDS, validation=given)
    wrong = {"x": given["x"], "label": given["y"]}
    for data in (events(100, seed=5), lambda epoch: [events(100, seed=5)]):
        with pytest.raises(TrainingError, match="other columns than the training events: label, y are missing"):
            trainer.fit(start(), data, schedule=schedule, seeds=SEEDS, validation=wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.array([1.0, np.nan, 2.0])}, "'x' has 1 values that are not finite"),
        ({"weight": np.zeros(3)}, "all 3 training weights are 0"),
        ({"weight": np.array([1.0, np.inf, 1.0])}, "'weight' has 1 values that are not finite"),
        ({"y": np.array([1e300, 0.0, 0.0])}, "'y' has 1 values that are not finite in float32"),
        (
            {"id": np.array([2**40 + 3, 5, 6])},
            "'id' has integers from 5 to 1099511627779, which do not fit into 32 bits",
        ),
        ({"id": np.array(["a", "b", "c"])}, "'id' has values of type <U1"),
    ],
)
def test_values_that_cannot_be_learned_from_are_refused(
    trainer: Trainer, change: dict[str, np.ndarray], message: str
) -> None:
    with np.errstate(over="ignore"), pytest.raises(TrainingError, match=message):
        trainer.fit(start(), {**events(3, seed=6), **change}, schedule=Schedule(validation_fraction=0), seeds=SEEDS)


def test_sources_that_change_or_end_are_refused(trainer: Trainer) -> None:
    schedule = Schedule(epochs=3, batch_size=10, validation_fraction=0.2, patience=None)
    with pytest.raises(TrainingError, match="chunk 0 has 50 events in epoch 2 and had 40: a validation_fraction needs"):
        trainer.fit(start(), lambda epoch: [events(40 + 10 * epoch, seed=7)], schedule=schedule, seeds=SEEDS)
    two = [events(40, seed=7)] * 2
    turned = [{name: column[::-1] for name, column in two[0].items()}, two[1]]
    for passes, message in (  # of the first epoch's training, its validation, the second epoch's training
        ((two, two, [*two, *two]), "there is a chunk 2 in epoch 2, and there were 2"),
        ((two, two, two[:1]), "there are 1 chunks in epoch 2, and there were 2"),
        ((two, turned), "chunk 0 has other values in epoch 1, or has them in another order"),
    ):
        given = iter(passes)
        with pytest.raises(TrainingError, match=message):
            trainer.fit(start(), lambda epoch, given=given: next(given), schedule=schedule, seeds=SEEDS)
    with pytest.raises(TrainingError, match="gave no chunk in epoch 1"):
        trainer.fit(start(), lambda epoch: [], schedule=schedule, seeds=SEEDS)
    with pytest.raises(TrainingError, match="chunk 0 of epoch 1 column 'x' has 1 values"):
        trainer.fit(start(), lambda epoch: [{"x": np.array([np.nan])}], schedule=schedule, seeds=SEEDS)


def test_validation_without_weight_is_no_divergence(trainer: Trainer) -> None:
    data = {**events(100, seed=9), "weight": np.r_[1.0, np.zeros(99)]}
    with pytest.raises(TrainingError, match="validation events of a member have weights that sum to 0"):
        trainer.fit(start(), data, schedule=Schedule(batch_size=10, validation_fraction=0.02), seeds=SEEDS)


def test_progress_says_how_long_it_takes(trainer: Trainer) -> None:
    calls: list[tuple[float, str]] = []
    trainer.fit(
        start(),
        events(100, seed=1),
        schedule=Schedule(epochs=4, batch_size=10, validation_fraction=0),
        seeds=SEEDS,
        progress=lambda fraction, text: calls.append((fraction, text)),
    )
    assert [fraction for fraction, _ in calls] == [0.25, 0.5, 0.75, 1.0]
    assert calls[1][1].startswith("epoch 2 of at most 4, at most ")
    assert calls[1][1].endswith(" s left")
