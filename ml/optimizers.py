"""Keras optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from ml.errors import TrainingError, nearest_names

ELEMENTWISE = ("adadelta", "adagrad", "adam", "adamax", "adamw", "ftrl", "lion", "nadam", "rmsprop", "sgd")
"""Lower-case names of the Keras optimisers that act on each weight alone."""

_NAMES = ", ".join(ELEMENTWISE)

BETAS = ("adam", "adamax", "adamw", "lion", "nadam")
"""Those that average gradients with two decay rates."""

_MIXES = "it mixes the weights of an array, and with them the members of an ensemble"
UNSUITABLE = {
    "adafactor": _MIXES,
    "lamb": _MIXES,
    "muon": _MIXES,
    "lossscaleoptimizer": "it scales one loss for all members of an ensemble, and wraps another optimiser",
    "multioptimizer": "it hands the layers of a Keras model to other optimisers, and there is no such model here",
    "schedulefreeadamw": "its result is an average of the weights that it keeps to itself",
}
"""Lower-case names of the other ones, and why they are refused."""


@dataclass(frozen=True)
class RateSchedule:
    """How the learning rate changes with the optimiser's steps; Keras's own schedules.

    Attributes:
        type: cosine (`CosineDecay`: down to `factor` of the start after `steps`, then level), exponential
            (`ExponentialDecay`: times `factor` every `steps`, continuously), staircase (the same in jumps, one after
            every `steps`) or inverse (`InverseTimeDecay`: falls as
            1/(1 + d·step), to `factor` of the start after `steps`; the `decay` d of older Keras optimisers is
            (1/factor − 1)/steps).
        steps: optimiser steps, not epochs: an epoch of a small sample has few.
        factor: see `type`.
    """

    type: Literal["cosine", "exponential", "inverse", "staircase"]
    steps: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.steps < 1 or not 0 <= self.factor <= 1:
            raise TrainingError(
                f"a learning-rate schedule needs steps of at least 1 and a factor from 0 to 1: got {self.steps} and "
                f"{self.factor:g}"
            )
        if self.type == "inverse" and not self.factor:
            raise TrainingError("a learning rate that falls as 1/step never reaches a factor of 0: give one above it")

    def to_keras(self, learning_rate: float) -> Any:
        """The Keras schedule that starts at `learning_rate`."""
        from keras.optimizers import schedules

        if self.type == "cosine":
            return schedules.CosineDecay(learning_rate, self.steps, alpha=self.factor)
        if self.type == "inverse":
            return schedules.InverseTimeDecay(learning_rate, self.steps, 1 / self.factor - 1)
        staircase = self.type == "staircase"
        return schedules.ExponentialDecay(learning_rate, self.steps, self.factor, staircase=staircase)


def check_optimizer(name: str, learning_rate: float, weight_decay: float | None = None) -> None:
    """Refuse what `make_optimizer` cannot make, without importing Keras.

    Raises:
        TrainingError: an unknown optimiser or one that would mix the members of an ensemble, a learning rate that is
            not above 0, a weight decay below 0.
    """
    if name in UNSUITABLE:
        raise TrainingError(f"optimiser {name!r} cannot train ensembles: {UNSUITABLE[name]}; use one of {_NAMES}")
    if name not in ELEMENTWISE:
        raise TrainingError(f"no optimiser {name!r}: {nearest_names(name, ELEMENTWISE)}")
    if not 0 < learning_rate < math.inf:
        raise TrainingError(f"learning_rate must be above 0 and finite: got {learning_rate:g}")
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise TrainingError(
            f"weight_decay must be at least 0 and finite, or null for the optimiser's own: got {weight_decay:g}"
        )


def check_betas(name: str, betas: tuple[float, ...] | None) -> None:
    """Refuse decay rates of moments that are not two numbers from 0 to below 1, or that the optimiser does not have."""
    if betas is None:
        return
    if name not in BETAS:
        raise TrainingError(f"optimiser {name!r} has no betas: set them to null, or take one of {', '.join(BETAS)}")
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise TrainingError(f"betas must be two numbers from 0 to below 1: got {list(betas)}")


def check_clip_norm(clip_norm: float | None) -> None:
    """Refuse a largest gradient norm that is not above 0: with 0 nothing is learned, below 0 the loss is maximised."""
    if clip_norm is not None and not 0 < clip_norm < math.inf:
        raise TrainingError(f"clip_norm must be above 0 and finite, or null for no clipping: got {clip_norm:g}")


def make_optimizer(
    name: str,
    learning_rate: float,
    weight_decay: float | None = None,
    schedule: RateSchedule | None = None,
    betas: tuple[float, ...] | None = None,
) -> Any:
    """A Keras optimiser by its lower-case name; raises what `check_optimizer` and `check_betas` raise.

    `betas` are the decay rates of the first and second moments; None leaves the optimiser's own.
    """
    import keras

    check_optimizer(name, learning_rate, weight_decay)
    check_betas(name, betas)
    known = {n.lower(): c for n, c in vars(keras.optimizers).items() if isinstance(c, type)}
    further = {} if weight_decay is None else {"weight_decay": weight_decay}
    if betas is not None:
        further |= {"beta_1": betas[0], "beta_2": betas[1]}
    return known[name](learning_rate=schedule.to_keras(learning_rate) if schedule else learning_rate, **further)
