"""The dijet processor: events to columns, histograms and a cutflow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import awkward as ak
import numpy as np
import pyarrow as pa

from processors.column_processor import ColumnProcessor, Mask, Selection, check_histograms, check_smearings
from processors.dijet_columns import HISTOGRAM_COLUMNS, dijet_columns, dijet_schema
from processors.errors import InputError
from processors.histograms import DEFAULT_HISTOGRAMS, AxisSpec
from processors.leading_jets import LeadingJets, cluster_leading, given_leading
from processors.records import check_momenta
from processors.smearing import largest_jet_factor
from processors.sources import require


class DijetProcessor(ColumnProcessor):
    """Select events with two hard jets and describe the jets.

    ``j1`` is the more massive of the two hardest-pT jets, ``j2`` the other, decided in each event and variation; the
    harder of them is the one with the larger pT column. Works in coffea's ``Runner`` and in ``HDF5Runner``.

    Parameters
    ----------
    jets
        ``PFCands``: cluster the particles with anti-kT; ``FatJet``: take the jets of the file.
    radius
        Jet radius of the clustering; without effect on the jets of the file.
    min_jet_pt
        Both jets are harder than this (GeV); softer ones are not clustered.
    min_leading_pt, max_abs_eta, max_delta_eta, min_mjj
        Cuts on the leading jet's pT (GeV), on |η| of both jets, on |η1 − η2| and on the dijet mass (GeV), in this
        order. None leaves a cut out. The defaults are the trigger and acceptance of the LHC Olympics.
    histograms
        Column name -> :class:`AxisSpec`; ``DEFAULT_HISTOGRAMS`` when None.
    variations
        Name -> relative shift of the jet energy scale, which multiplies the jets' four-momenta by 1 + shift before
        the cuts. ``nominal`` is always there.
    smearings
        Further variations: name -> signed number of widths of the jet resolution (:mod:`processors.smearing`) by which
        the three-momenta of both jets are scaled before the cuts.
    columns_directory
        Where Parquet parts go, ``dataset=…/variation=…/part-….parquet``; None writes none.
    constituents
        How many of the hardest particles of each jet the columns keep (0: none). Only with ``PFCands``.
    puppi
        Scale each particle's four-momentum by its ``puppiWeight`` before clustering.

    The output is described at :class:`ColumnProcessor`.

    Raises InputError for settings that cannot be and, while running, for events that are damaged.
    """

    def __init__(
        self,
        *,
        jets: Literal["PFCands", "FatJet"] = "PFCands",
        radius: float = 1.0,
        min_jet_pt: float = 20.0,
        min_leading_pt: float | None = 1200.0,
        max_abs_eta: float | None = 2.5,
        max_delta_eta: float | None = None,
        min_mjj: float | None = None,
        histograms: Mapping[str, AxisSpec] | None = None,
        variations: Mapping[str, float] | None = None,
        smearings: Mapping[str, float] | None = None,
        columns_directory: str | os.PathLike[str] | None = None,
        constituents: int = 0,
        puppi: bool = False,
    ) -> None:
        super().__init__(
            histograms=DEFAULT_HISTOGRAMS if histograms is None else histograms, columns_directory=columns_directory
        )
        self.jets = jets
        self.radius = float(radius)
        self.min_jet_pt = float(min_jet_pt)
        self.min_leading_pt = min_leading_pt
        self.max_abs_eta = max_abs_eta
        self.max_delta_eta = max_delta_eta
        self.min_mjj = min_mjj
        self.variations = {"nominal": 0.0, **(variations or {})}
        self.smearings = dict(smearings or {})
        self.constituents = constituents
        self.puppi = puppi
        self._check_settings()

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of a part."""
        return dijet_schema(constituents=self.constituents > 0)

    @property
    def _collections(self) -> Sequence[str]:
        return (self.jets,)

    def _selections(self, record: ak.Array, *, source: ak.Array) -> Iterator[Selection]:
        jets = self._leading_jets(record, source=source)
        varied = {name: jets.scaled(1 + shift) for name, shift in self.variations.items()}
        varied |= {name: jets.smeared(size) for name, size in self.smearings.items()}
        for variation, moved in varied.items():
            yield Selection(variation, self._cuts(moved), partial(self._columns, moved))

    def _columns(self, jets: LeadingJets, chosen: Mask) -> dict[str, Any]:
        return dijet_columns(jets.select(chosen), constituents=self.constituents)

    def _leading_jets(self, record: ak.Array, *, source: ak.Array) -> LeadingJets:
        collection = require(record, self.jets, source=source)
        check_momenta(collection, self.jets, metadata=record.metadata)
        if self.jets == "FatJet":
            return given_leading(collection)
        if self.puppi:
            collection = _puppi(collection, filename=record.metadata["filename"])
        # an upward variation may lift a jet over the threshold, so the clustering starts below it
        largest = max([1 + max(self.variations.values()), *map(largest_jet_factor, self.smearings.values())])
        threshold = self.min_jet_pt / largest * (1 - 1e-9)
        return cluster_leading(
            collection, radius=self.radius, min_pt=threshold, keep_constituents=self.constituents > 0
        )

    def _cuts(self, jets: LeadingJets) -> dict[str, Mask]:
        cuts = {"two_jets": jets.pt[:, 1] >= self.min_jet_pt}
        if self.min_leading_pt is not None:
            cuts["leading_pt"] = jets.pt[:, 0] >= self.min_leading_pt
        if self.max_abs_eta is not None:
            cuts["eta"] = np.all(np.abs(jets.eta) < self.max_abs_eta, axis=1)
        if self.max_delta_eta is not None:
            cuts["delta_eta"] = jets.delta_eta() < self.max_delta_eta
        if self.min_mjj is not None:
            cuts["mjj"] = jets.dijet_mass() >= self.min_mjj
        return cuts

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
        check_histograms(self.histograms, HISTOGRAM_COLUMNS)


def _puppi(particles: ak.Array, *, filename: str) -> ak.Array:
    """Particles with momenta scaled by ``puppiWeight``; those of weight 0 are dropped."""
    if "puppiWeight" not in particles.fields:
        raise InputError(f"{filename} has no PFCands_puppiWeight: run without puppi, or use a PFNano file that has it.")
    kept = particles[particles.puppiWeight > 0]
    scaled = ak.with_field(kept, kept.pt * kept.puppiWeight, "pt")
    return ak.with_field(scaled, kept.mass * kept.puppiWeight, "mass")
