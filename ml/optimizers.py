"""Keras optimisers and learning-rate schedules by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ml.errors import TrainingError, nearest_names


@dataclass(frozen=True)
class RateSchedule:
    """How the learning rate changes with the optimiser's steps; Keras's own schedules.

    Attributes:
        type: cosine (`CosineDecay`: down to `factor` of the start after `steps`, then level) or exponential
            (`ExponentialDecay`: times `factor` every `steps`, continuously).
        steps: optimiser steps, not epochs: an epoch of a small sample has few.
        factor: see `type`.
    """

    type: Literal["cosine", "exponential"]
    steps: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.factor <= 1:
            raise TrainingError(
                f"a learning-rate schedule needs steps of at least 1 and a factor from 0 to 1: got {self.steps} and "
                f"{self.factor:g}"
            )

    def to_keras(self, learning_rate: float) -> Any:
        """The Keras schedule that starts at `learning_rate`."""
        from keras.optimizers import schedules

        if self.type == "cosine":
            return schedules.CosineDecay(learning_rate, self.steps, alpha=self.factor)
        return schedules.ExponentialDecay(learning_rate, self.steps, self.factor)


def make_optimizer(
    name: str, learning_rate: float, weight_decay: float | None = None, schedule: RateSchedule | None = None
) -> Any:
    """A Keras optimiser by its lower-case name; TrainingError for an unknown one."""
    import keras

    known = {
        n.lower(): c
        for n, c in vars(keras.optimizers).items()
        if isinstance(c, type) and issubclass(c, keras.optimizers.Optimizer) and c is not keras.optimizers.Optimizer
    }
    if name not in known:
        raise TrainingError(f"no optimiser {name!r}: {nearest_names(name, known)}")
    decay = {} if weight_decay is None else {"weight_decay": weight_decay}
    return known[name](learning_rate=schedule.to_keras(learning_rate) if schedule else learning_rate, **decay)
