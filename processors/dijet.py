"""The dijet processor: events to columns, histograms and a cutflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from processors.column_processor import Mask
from processors.dijet_columns import HISTOGRAM_COLUMNS, dijet_columns, dijet_schema
from processors.histograms import DEFAULT_HISTOGRAMS, AxisSpec
from processors.leading_jets import LeadingJets
from processors.leading_jets_processor import LeadingJetsProcessor


class DijetProcessor(LeadingJetsProcessor):
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

    count = 2
    columns = HISTOGRAM_COLUMNS

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
        self.min_leading_pt = min_leading_pt
        self.max_abs_eta = max_abs_eta
        self.max_delta_eta = max_delta_eta
        self.min_mjj = min_mjj
        super().__init__(
            jets=jets,
            radius=radius,
            min_jet_pt=min_jet_pt,
            histograms=DEFAULT_HISTOGRAMS if histograms is None else histograms,
            variations=variations,
            smearings=smearings,
            columns_directory=columns_directory,
            constituents=constituents,
            puppi=puppi,
        )

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of a part."""
        return dijet_schema(constituents=self.constituents > 0)

    def _columns(self, jets: LeadingJets, chosen: Mask) -> dict[str, Any]:
        return dijet_columns(jets.select(chosen), constituents=self.constituents)

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
