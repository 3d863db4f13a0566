"""What a variational autoencoder of jets trains on, epoch by epoch: jets, and the outliers exposed beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml.detector import child_seed
from ml.jet_inputs import JetInputs
from ml.jet_losses import JetLoss
from ml.mass_matching import resample

SPLIT, DRAW = 1_000_000, 1_000_001  # keys of seeds; members have the small ones
MASS_UNIT = 100.0  # GeV; distance correlation does not depend on it, 32-bit numbers of order 1 do better


@dataclass(frozen=True)
class Outliers:
    """Jets of another kind.

    Attributes:
        jets: standardised as the others are.
        odds: (n,) in proportion to which they are drawn.
    """

    jets: JetInputs
    odds: np.ndarray


@dataclass(frozen=True)
class JetColumns:
    """The columns of an epoch, as `ml.jet_losses.jet_loss` reads them; a source of `ml.training.Trainer.fit`.

    Attributes:
        jets: all of them.
        rows: (n,) indices of those that these columns are of.
        loss: which columns there are.
        strengths: of each epoch.
        outliers: drawn anew each epoch, or None.
        seeds: what they are drawn with.
    """

    jets: JetInputs
    rows: np.ndarray
    loss: JetLoss
    strengths: Sequence[float]
    outliers: Outliers | None
    seeds: np.random.SeedSequence

    def __call__(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """All jets as one chunk."""
        yield self.at(epoch)

    def at(self, epoch: int) -> dict[str, np.ndarray]:
        """The columns of an epoch."""
        rows = self.rows
        columns = {"x": self.jets.x[rows], "weight": self.jets.weight[rows]}
        if self.loss.decorrelation == "none":
            return columns
        columns["strength"] = np.full(len(rows), self.strengths[epoch], np.float32)
        if self.outliers is None:
            columns["mass"] = self.jets.mass[rows] / MASS_UNIT
        else:
            drawn = resample(self.outliers.odds, len(rows), np.random.default_rng(child_seed(self.seeds, DRAW, epoch)))
            columns["exposed"] = self.outliers.jets.x[drawn]
        return columns


def split(count: int, fraction: float, seeds: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to validate on, the given share of `count`, drawn at random."""
    order = np.random.default_rng(child_seed(seeds, SPLIT)).permutation(count)
    held_out = round(fraction * count)
    return order[held_out:], order[:held_out]
