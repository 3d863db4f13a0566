"""The processor of semileptonic top pairs: events to the 21 observables of arXiv:1905.10384."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import awkward as ak
import numpy as np
import pyarrow as pa

from processors.column_processor import ColumnProcessor, Mask, Selection, check_histograms, check_smearings
from processors.errors import InputError
from processors.histograms import AxisSpec
from processors.isolation import isolated_leptons
from processors.reclustering import recluster
from processors.records import check_missing_energy, check_momenta
from processors.smearing import largest_jet_factor
from processors.sources import require
from processors.ttbar_columns import TTBAR_COLUMNS, TTBAR_HISTOGRAMS, ttbar_columns, ttbar_schema
from processors.ttbar_selection import Chosen, Thresholds, TTbarEvents, choose

_MOMENTA = ("PFCands", "GenBHadron", "Electron", "Muon")


class TTbarProcessor(ColumnProcessor):
    """Select boosted top pairs of which one decays to a lepton, and describe jets, lepton and missing energy.

    Section 2 of arXiv:1905.10384. Isolated leptons are taken out of the particles, the rest is clustered to
    Cambridge-Aachen fat jets, and the constituents of the two hardest are clustered again with kT. Needs ``PFCands``
    with pdgId, ``Electron``, ``Muon``, ``GenBHadron`` and ``MET``, as the project's top samples have them. Works in
    coffea's ``Runner`` and in ``run_files``.

    Parameters
    ----------
    radius, subjet_radius
        R of the fat jets and of the jets inside.
    min_fat_jet_pt
        Softer fat jets are not clustered (GeV); those of top pairs are far above.
    min_jet_pt, min_lepton_pt, min_ht
        Cuts on jets, on isolated leptons and on the scalar sum H_T (GeV), after the smearing. ``min_ht`` None leaves
        that cut out. Leptons also need ``min_lepton_pt`` before it, where isolation is decided.
    ht_of
        H_T is the scalar sum of the pT of everything ``visible``, or of ``objects``: the jets and isolated leptons.
    isolation_cone, max_isolation
        A lepton is isolated if the other particles within this ΔR have at most this fraction of its pT.
    b_tag_radius
        Largest ΔR between a b-jet and its B hadron.
    histograms
        Column name -> :class:`AxisSpec`; ``TTBAR_HISTOGRAMS`` when None.
    variations
        Name -> signed number of widths by which all objects are smeared together (:mod:`processors.smearing`).
        ``nominal``, 0, is always there. The paper has +3 and -3, and for a smaller smearing +1 and -1.
    columns_directory
        Where Parquet parts go, ``dataset=…/variation=…/part-….parquet``; None writes none.

    Cuts, in order: ``lepton``, ``two_fat_jets``, ``b_jets`` (one in each fat jet), ``light_jets`` (two in one of them),
    ``ht``. The output is described at :class:`ColumnProcessor`, the choice of objects at
    :func:`processors.ttbar_selection.choose`.

    Raises InputError for settings that cannot be and, while running, for events that are damaged or lack a collection.
    """

    def __init__(
        self,
        *,
        radius: float = 1.0,
        subjet_radius: float = 0.2,
        min_fat_jet_pt: float = 20.0,
        min_jet_pt: float = 30.0,
        min_lepton_pt: float = 10.0,
        min_ht: float | None = 1000.0,
        ht_of: Literal["visible", "objects"] = "visible",
        isolation_cone: float = 0.2,
        max_isolation: float = 0.1,
        b_tag_radius: float = 0.2,
        histograms: Mapping[str, AxisSpec] | None = None,
        variations: Mapping[str, float] | None = None,
        columns_directory: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(
            histograms=TTBAR_HISTOGRAMS if histograms is None else histograms, columns_directory=columns_directory
        )
        self.radius = float(radius)
        self.subjet_radius = float(subjet_radius)
        self.min_fat_jet_pt = float(min_fat_jet_pt)
        self.min_jet_pt = float(min_jet_pt)
        self.min_lepton_pt = float(min_lepton_pt)
        self.min_ht = min_ht
        self.ht_of = ht_of
        self.isolation_cone = float(isolation_cone)
        self.max_isolation = float(max_isolation)
        self.b_tag_radius = float(b_tag_radius)
        self.variations = {"nominal": 0.0, **(variations or {})}
        self._check_settings()

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of a part."""
        return ttbar_schema()

    @property
    def _collections(self) -> Sequence[str]:
        return (*_MOMENTA, "MET")

    def _selections(self, record: ak.Array, *, source: ak.Array) -> Iterator[Selection]:
        events = self._reconstruct(record, source=source)
        thresholds = Thresholds(jet_pt=self.min_jet_pt, lepton_pt=self.min_lepton_pt, ht_of=self.ht_of)
        for variation, size in self.variations.items():
            smeared = events.smeared(size, thresholds=thresholds)
            chosen = choose(smeared, thresholds=thresholds, b_tag_radius=self.b_tag_radius, min_ht=self.min_ht)
            yield Selection(variation, chosen.cuts, partial(_columns, smeared, chosen))

    def _reconstruct(self, record: ak.Array, *, source: ak.Array) -> TTbarEvents:
        for name in self._collections:
            require(record, name, source=source)
        for name in _MOMENTA:
            check_momenta(record[name], name, metadata=record.metadata)
        check_missing_energy(record["MET"], metadata=record.metadata)
        leptons, own = isolated_leptons(
            record, min_pt=self.min_lepton_pt, cone=self.isolation_cone, max_isolation=self.max_isolation
        )
        particles = record["PFCands"]
        counts = np.asarray(ak.num(particles, axis=1))
        # events without a lepton are lost anyway: with no particle they cost no clustering
        kept = ~own & np.repeat(leptons.per_event() > 0, counts)
        jets = recluster(
            particles[ak.unflatten(kept, counts)],
            fat_radius=self.radius,
            radius=self.subjet_radius,
            min_fat_jet_pt=self.min_fat_jet_pt,
            # an upward variation may lift a jet over the threshold, so the clustering starts below it
            min_jet_pt=self.min_jet_pt / max(map(largest_jet_factor, self.variations.values())) * (1 - 1e-9),
            first_event=int(record.metadata["entrystart"]),
        )
        hadrons = record["GenBHadron"]
        return TTbarEvents(
            jets=jets,
            leptons=leptons,
            met=np.asarray(record["MET"]["pt"]),
            met_phi=np.asarray(record["MET"]["phi"]),
            visible=np.asarray(ak.sum(particles["pt"], axis=1), dtype=np.float64),
            hadron_offsets=np.concatenate([[0], np.cumsum(np.asarray(ak.num(hadrons, axis=1)), dtype=np.int64)]),
            hadron_eta=np.asarray(ak.flatten(hadrons["eta"], axis=1)),
            hadron_phi=np.asarray(ak.flatten(hadrons["phi"], axis=1)),
        )

    def _check_settings(self) -> None:
        for name in ("radius", "subjet_radius", "isolation_cone", "b_tag_radius"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected a positive number.")
        for name in ("min_fat_jet_pt", "min_jet_pt", "min_lepton_pt", "max_isolation"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 or more.")
        if self.min_ht is not None and not np.isfinite(self.min_ht):
            raise InputError(f"min_ht is {self.min_ht}, expected a finite number of GeV, or None for no cut.")
        if self.ht_of not in ("visible", "objects"):
            raise InputError(f"ht_of is {self.ht_of!r}, expected 'visible' (all particles) or 'objects'.")
        check_smearings(self.variations)
        if self.variations["nominal"] != 0:
            raise InputError(f"the nominal variation smears by {self.variations['nominal']} widths, expected 0.")
        check_histograms(self.histograms, TTBAR_COLUMNS)


def _columns(events: TTbarEvents, chosen: Chosen, passed: Mask) -> dict[str, Any]:
    return dict(ttbar_columns(chosen, passed, met=events.met, met_phi=events.met_phi))
