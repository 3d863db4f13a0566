"""Constituents of jets as detectors get them: what they may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from ml.errors import TrainingError
from ml.image_batches import JETS


@dataclass(frozen=True)
class WantedConstituents:
    """What a detector asks to find in `Sample.batch`, by its attribute `needs_constituents`.

    That is a batch (n, len(jets), count, 4) float32: (E, px, py, pz) in GeV of the hardest constituents of each jet,
    hardest first, prepared as in section II.A of arXiv:2007.01850 and padded with zeros.

    Attributes:
        jets: of `JETS`, each once, in the order of the second axis.
        count: constituents of a jet; the paper has 20.

    Raises TrainingError for other jets and for a count below 1.
    """

    jets: tuple[str, ...] = ("j1",)
    count: int = 20

    def __post_init__(self) -> None:
        if not self.jets or len(set(self.jets)) < len(self.jets) or set(self.jets) - set(JETS):
            raise TrainingError(f"constituents are of the jets {', '.join(JETS)}, each once: got {list(self.jets)}")
        if self.count != int(self.count) or self.count < 1:
            raise TrainingError(f"a jet has {self.count} constituents in a batch: expected a whole number, 1 or more")
