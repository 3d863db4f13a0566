"""When the members of an ensemble stop training, without a network in sight."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class StoppingRule(Protocol):
    """Watches one loss per member.

    Attributes:
        active: (n_members,) bool, still training.
        best_epoch: (n_members,) the epoch whose weights are to be kept, as far as it is known.
    """

    active: np.ndarray
    best_epoch: np.ndarray

    def update(self, epoch: int, losses: np.ndarray) -> np.ndarray:
        """Take in the losses (n_members,) of an epoch; returns of which members the present weights are to be kept."""


class EarlyStopping:
    """A member stops after `patience` epochs without a new minimum.

    Attributes:
        active, best_epoch: see `StoppingRule`.
        best: (n_members,) lowest loss so far.
    """

    def __init__(self, members: int, *, patience: int | None, min_delta: float = 0.0) -> None:
        self.active = np.ones(members, dtype=bool)
        self.best = np.full(members, np.inf)
        self.best_epoch = np.zeros(members, dtype=np.int64)
        self._patience, self._min_delta = patience, min_delta

    def update(self, epoch: int, losses: np.ndarray) -> np.ndarray:
        """Take in the losses (n_members,) of an epoch; returns which members reached a new minimum."""
        improved = self.active & (losses < self.best - self._min_delta)
        self.best[improved] = losses[improved]
        self.best_epoch[improved] = epoch
        if self._patience is not None:
            self.active &= epoch - self.best_epoch < self._patience
        return improved
