"""What the processors of one and of two leading jets do alike: clustering, variations, checks of settings."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import awkward as ak
import numpy as np

from processors.column_processor import ColumnProcessor, Mask, Selection, check_histograms, check_smearings
from processors.errors import InputError
from processors.histograms import AxisSpec
from processors.leading_jets import LeadingJets, cluster_leading, given_leading
from processors.records import check_momenta
from processors.smearing import largest_jet_factor
from processors.sources import require


class LeadingJetsProcessor(ColumnProcessor):
    """A processor of the hardest jets of events; a subclass says how many, which cuts and which columns.

    Its settings are described at :class:`processors.DijetProcessor`.
    """

    count: ClassVar[int]
    columns: ClassVar[Sequence[str]]

    def __init__(
        self,
        *,
        jets: Literal["PFCands", "FatJet"],
        radius: float,
        min_jet_pt: float,
        histograms: Mapping[str, AxisSpec],
        variations: Mapping[str, float] | None,
        smearings: Mapping[str, float] | None,
        columns_directory: str | os.PathLike[str] | None,
        constituents: int,
        puppi: bool,
    ) -> None:
        super().__init__(histograms=histograms, columns_directory=columns_directory)
        self.jets = jets
        self.radius = float(radius)
        self.min_jet_pt = float(min_jet_pt)
        self.variations = {"nominal": 0.0, **(variations or {})}
        self.smearings = dict(smearings or {})
        self.constituents = constituents
        self.puppi = puppi
        self._check_settings()

    @abstractmethod
    def _cuts(self, jets: LeadingJets) -> dict[str, Mask]:
        """Masks over all events, in the order in which they are applied."""

    @abstractmethod
    def _columns(self, jets: LeadingJets, chosen: Mask) -> dict[str, Any]:
        """Columns of the events of a mask."""

    @property
    def _collections(self) -> Sequence[str]:
        return (self.jets,)

    def _selections(self, record: ak.Array, *, source: ak.Array) -> Iterator[Selection]:
        jets = self._leading_jets(record, source=source)
        varied = {name: jets.scaled(1 + shift) for name, shift in self.variations.items()}
        varied |= {name: jets.smeared(size) for name, size in self.smearings.items()}
        for variation, moved in varied.items():
            yield Selection(variation, self._cuts(moved), partial(self._columns, moved))

    def _leading_jets(self, record: ak.Array, *, source: ak.Array) -> LeadingJets:
        collection = require(record, self.jets, source=source)
        check_momenta(collection, self.jets, metadata=record.metadata)
        if self.jets == "FatJet":
            return given_leading(collection, count=self.count)
        if self.puppi:
            collection = _puppi(collection, filename=record.metadata["filename"])
        # an upward variation may lift a jet over the threshold, so the clustering starts below it
        largest = max([1 + max(self.variations.values()), *map(largest_jet_factor, self.smearings.values())])
        threshold = self.min_jet_pt / largest * (1 - 1e-9)
        return cluster_leading(
            collection,
            radius=self.radius,
            min_pt=threshold,
            count=self.count,
            keep_constituents=self.constituents > 0,
        )

    def _check_settings(self) -> None:
        if self.jets not in ("PFCands", "FatJet"):
            raise InputError(f"jets is {self.jets!r}, expected 'PFCands' (cluster particles) or 'FatJet'.")
        if not self.radius > 0:
            raise InputError(f"radius is {self.radius}, expected a positive number.")
        if self.constituents < 0:
            raise InputError(f"constituents is {self.constituents}, expected 0 or more.")
        if self.jets == "FatJet" and (self.constituents or self.puppi):
            raise InputError("constituents and puppi need jets='PFCands': the jets of a file come without particles.")
        for name, shift in self.variations.items():
            if not shift > -1 or not np.isfinite(shift):
                raise InputError(f"variation {name!r} shifts the energy scale by {shift}, expected more than -1.")
        if self.variations["nominal"] != 0:
            raise InputError(f"the nominal variation shifts by {self.variations['nominal']}, expected 0.")
        check_smearings(self.smearings)
        for name in self.smearings:
            if name in self.variations:
                raise InputError(f"{name!r} is both a variation and a smearing: give one of them another name.")
        check_histograms(self.histograms, self.columns)


def _puppi(particles: ak.Array, *, filename: str) -> ak.Array:
    """Particles with momenta scaled by ``puppiWeight``; those of weight 0 are dropped."""
    if "puppiWeight" not in particles.fields:
        raise InputError(f"{filename} has no PFCands_puppiWeight: run without puppi, or use a PFNano file that has it.")
    kept = particles[particles.puppiWeight > 0]
    scaled = ak.with_field(kept, kept.pt * kept.puppiWeight, "pt")
    return ak.with_field(scaled, kept.mass * kept.puppiWeight, "mass")
