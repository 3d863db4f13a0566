"""How long two networks train in turns, and how.

Source: arXiv:1905.10384, steps 1 to 5 of sections 3 and 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ml.alternating_ensemble import ADVERSARY, MAIN, Side
from ml.compiled import LossFunction
from ml.errors import TrainingError
from ml.optimizers import RateSchedule, check_clip_norm, check_optimizer, make_optimizer


@dataclass(frozen=True)
class Game:
    """How long both networks train, and how. Optimisers are those of `ml.optimizers.make_optimizer`.

    A pass over n events is n/`batch_size` steps; the paper has rounds of one pass (480 steps of 500 events for each
    side of the autoencoder), 1500 of them (1000 for the classifier), a warm-up of three passes and plain gradient
    descent (`sgd`) with learning rates of 0.01 in the game. Adam, the default, gets as far in a hundredth of the steps,
    and does not care for the scale of alpha: with plain gradient descent a large one can saturate the main network for
    good, or take it to infinity, unless `clip_norm` holds it.

    Attributes:
        rounds: turns of either side.
        steps_per_round: optimiser steps of the main network in its turn.
        adversary_steps: those of the adversary; None is as many.
        batch_size: events per step.
        warm_up_steps: of each network before the first round, the main network first.
        warm_up_optimizer, warm_up_learning_rate: of the main network.
        optimizer, learning_rate: of the main network in the game.
        adversary_optimizer, adversary_learning_rate: of the adversary, in warm-up and game; None is the optimiser of
            the main network in the game.
        decay: what both learning rates of the game are multiplied with every `decay_rounds`, once for each; 1 keeps
            them.
        decay_rounds: see there.
        clip_norm: largest norm of the main network's gradient in the game; None does not clip.
        validation_fraction: share of the events that neither network trains on; other ones for each member.
        block: rounds in one call of compiled code, and between two entries of the history.
    """

    rounds: int = 200
    steps_per_round: int = 20
    adversary_steps: int | None = None
    batch_size: int = 500
    warm_up_steps: int = 500
    warm_up_optimizer: str = "adam"
    warm_up_learning_rate: float = 0.01
    optimizer: str = "adam"
    learning_rate: float = 0.002
    adversary_optimizer: str | None = None
    adversary_learning_rate: float = 0.01
    decay: float = 0.75
    decay_rounds: int = 100
    clip_norm: float | None = None
    validation_fraction: float = 0.2
    block: int = 10

    def __post_init__(self) -> None:
        counts = ("rounds", "steps_per_round", "batch_size", "warm_up_steps", "decay_rounds", "block")
        for name in counts:
            if getattr(self, name) < 1:
                raise TrainingError(f"game.{name} must be at least 1: got {getattr(self, name)}")
        if self.adversary_steps is not None and self.adversary_steps < 1:
            raise TrainingError(f"game.adversary_steps must be at least 1, or null: got {self.adversary_steps}")
        if not 0 <= self.validation_fraction < 1:
            raise TrainingError(f"game.validation_fraction must be in [0, 1): got {self.validation_fraction:g}")
        if not 0 < self.decay <= 1:
            raise TrainingError(f"game.decay must be above 0 and at most 1: got {self.decay:g}")
        check_clip_norm(self.clip_norm)
        check_optimizer(self.warm_up_optimizer, self.warm_up_learning_rate)
        check_optimizer(self.optimizer, self.learning_rate)
        check_optimizer(*self._of_adversary)

    @property
    def steps(self) -> dict[str, int]:
        """Steps of each side in a round."""
        return {MAIN: self.steps_per_round, ADVERSARY: self.adversary_steps or self.steps_per_round}

    @property
    def blocks(self) -> list[int]:
        """Rounds of each block."""
        whole_blocks, rest = divmod(self.rounds, self.block)
        return [self.block] * whole_blocks + ([rest] if rest else [])

    def sides(self, losses: Mapping[str, tuple[LossFunction, LossFunction]]) -> dict[str, Side]:
        """The sides that these settings describe, from the losses of each in the warm-up and in the game."""

        def optimizer(name: str, rate: float, side: str, *, falls: bool) -> Callable[[], Any]:
            steps = self.decay_rounds * self.steps[side]
            schedule = RateSchedule("staircase", steps, self.decay) if falls and self.decay < 1 else None
            return lambda: make_optimizer(name, rate, schedule=schedule)

        main, opponent = (self.optimizer, self.learning_rate), self._of_adversary
        starts = {MAIN: (self.warm_up_optimizer, self.warm_up_learning_rate), ADVERSARY: opponent}
        return {
            name: Side(
                warm_up_loss=first,
                loss=loss,
                warm_up=optimizer(*starts[name], name, falls=False),
                optimizer=optimizer(*(main if name == MAIN else opponent), name, falls=True),
                clip_norm=self.clip_norm if name == MAIN else None,
            )
            for name, (first, loss) in losses.items()
        }

    @property
    def _of_adversary(self) -> tuple[str, float]:
        return self.adversary_optimizer or self.optimizer, self.adversary_learning_rate
