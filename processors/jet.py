"""The single-jet processor: events to the hardest jet's columns, histograms and a cutflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from processors.column_processor import Mask
from processors.errors import InputError
from processors.histograms import AxisSpec
from processors.jet_columns import SINGLE_JET_COLUMNS, SINGLE_JET_HISTOGRAMS, event_schema, jet_columns
from processors.leading_jets import LeadingJets
from processors.leading_jets_processor import LeadingJetsProcessor


class JetProcessor(LeadingJetsProcessor):
    """Describe the hardest jet of each event, ``j1``, where it lies in a window of pT: one row per event.

    The selection of arXiv:2007.01850, sections II.A and III (its test sets have 550 to 650 GeV). Columns are those of
    ``j1`` of dijets; the mass in which a resonance shows is ``j1_m``. Works in coffea's ``Runner`` and in
    ``HDF5Runner``.

    Parameters
    ----------
    min_jet_pt, max_jet_pt
        The hardest jet has at least the first and less than the second (GeV; None for no upper bound). Softer jets are
        not clustered; an event whose hardest jet is too hard is lost, even if its second is not.
    max_abs_eta
        Largest |η| of the jet; None leaves that cut out.
    histograms
        Column name -> :class:`AxisSpec`; ``SINGLE_JET_HISTOGRAMS`` when None.
    jets, radius, variations, smearings, columns_directory, constituents, puppi
        As in :class:`DijetProcessor`. Constituents keep pT, η, φ and mass, and so their energies.

    Cuts, in order: ``jet``, ``max_jet_pt``, ``eta``. The output is described at :class:`ColumnProcessor`.

    Raises InputError for settings that cannot be and, while running, for events that are damaged.
    """

    count = 1
    columns = SINGLE_JET_COLUMNS

    def __init__(
        self,
        *,
        jets: Literal["PFCands", "FatJet"] = "PFCands",
        radius: float = 1.0,
        min_jet_pt: float = 450.0,
        max_jet_pt: float | None = None,
        max_abs_eta: float | None = 2.0,
        histograms: Mapping[str, AxisSpec] | None = None,
        variations: Mapping[str, float] | None = None,
        smearings: Mapping[str, float] | None = None,
        columns_directory: str | os.PathLike[str] | None = None,
        constituents: int = 0,
        puppi: bool = False,
    ) -> None:
        self.max_jet_pt = max_jet_pt
        self.max_abs_eta = max_abs_eta
        super().__init__(
            jets=jets,
            radius=radius,
            min_jet_pt=min_jet_pt,
            histograms=SINGLE_JET_HISTOGRAMS if histograms is None else histograms,
            variations=variations,
            smearings=smearings,
            columns_directory=columns_directory,
            constituents=constituents,
            puppi=puppi,
        )

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of a part."""
        return event_schema(jets=("j1",), constituents=self.constituents > 0)

    def _columns(self, jets: LeadingJets, chosen: Mask) -> dict[str, Any]:
        return jet_columns(jets.select(chosen), 0, name="j1", constituents=self.constituents)

    def _cuts(self, jets: LeadingJets) -> dict[str, Mask]:
        pt, eta = jets.pt[:, 0], jets.eta[:, 0]
        cuts = {"jet": pt >= self.min_jet_pt}
        if self.max_jet_pt is not None:
            cuts["max_jet_pt"] = pt < self.max_jet_pt
        if self.max_abs_eta is not None:
            cuts["eta"] = np.abs(eta) < self.max_abs_eta
        return cuts

    def _check_settings(self) -> None:
        super()._check_settings()
        if not (self.min_jet_pt >= 0 and np.isfinite(self.min_jet_pt)):
            raise InputError(f"min_jet_pt is {self.min_jet_pt}, expected a number of GeV, 0 or more.")
        if self.max_jet_pt is not None and not self.max_jet_pt > self.min_jet_pt:
            raise InputError(
                f"max_jet_pt is {self.max_jet_pt} and min_jet_pt {self.min_jet_pt} GeV: no jet is between them. Raise "
                "the first, or leave it out."
            )
