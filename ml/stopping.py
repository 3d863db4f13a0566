"""When the members of an ensemble stop training, without a network in sight."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ml.errors import TrainingError


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


class PeakStopping:
    """A member stops once its loss has risen and then fallen, and keeps the weights of the top (arXiv:2103.06595).

    That is how the latent-space autoencoder watches its KL divergence, which peaks where latent coordinates separate
    events best. The peak is observed when the loss has increased at `rise` points in a row and, later, decreased at
    `fall` points in a row. What was higher before the rise does not count: an untrained encoder may start anywhere.

    Attributes:
        active, best_epoch: see `StoppingRule`.
        peaked: (n_members,) bool, whether the peak was observed; others keep the highest point since their rise, or
            their last weights where the loss never rose so long.
    """

    def __init__(self, members: int, *, rise: int = 5, fall: int = 5, every: int = 1) -> None:
        """Every so many epochs, counted from the end of the first of them, the loss is looked at: with steps in place
        of epochs, small and large samples have the same points."""
        if min(rise, fall, every) < 1:
            raise TrainingError(f"rise, fall and every must be at least 1: got {rise}, {fall} and {every}")
        self.active = np.ones(members, dtype=bool)
        self.best_epoch = np.zeros(members, dtype=np.int64)
        self.peaked = np.zeros(members, dtype=bool)
        self._rise, self._fall, self._every = rise, fall, every
        self._last = np.full(members, np.nan)
        self._top = np.full(members, -np.inf)
        self._up, self._down = np.zeros(members, dtype=int), np.zeros(members, dtype=int)
        self._risen = np.zeros(members, dtype=bool)

    def update(self, epoch: int, losses: np.ndarray) -> np.ndarray:
        """Take in the losses (n_members,) of an epoch; returns of which members it is the highest point so far."""
        if (epoch + 1) % self._every:
            first = self.active & np.isnan(self._last)  # before the first point, whatever comes later is kept
            self.best_epoch[first] = epoch
            return first
        higher, lower = losses > self._last, losses < self._last  # False at the first point
        self._up = np.where(higher, self._up + 1, 0)
        self._down = np.where(lower, self._down + 1, 0)
        self._last = losses.copy()
        self._risen |= self._up >= self._rise
        # until the rise is there, whatever comes later is kept
        kept = self.active & (~self._risen | (losses > self._top))
        self._top[kept] = losses[kept]
        self.best_epoch[kept] = epoch
        self.peaked |= self.active & self._risen & (self._down >= self._fall)
        self.active &= ~self.peaked
        return kept
