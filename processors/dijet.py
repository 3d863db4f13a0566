"""The dijet processor: events to columns, histograms and a cutflow."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from coffea.processor import ProcessorABC

from processors.columns import part_path, prepare_folder, write_parts
from processors.dijet_columns import HISTOGRAM_COLUMNS, dijet_columns, dijet_schema, to_table
from processors.errors import InputError
from processors.exact import exact_sum, to_float
from processors.histograms import DEFAULT_HISTOGRAMS, AxisSpec, ExactHistogram, build_histogram
from processors.identifiers import file_id, identify
from processors.leading_jets import LeadingJets, cluster_leading, given_leading
from processors.records import check_momenta
from processors.sources import require, standardise


class DijetProcessor(ProcessorABC):
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
    columns_directory
        Where Parquet parts go, ``dataset=…/variation=…/part-….parquet``; None writes none.
    constituents
        How many of the hardest particles of each jet the columns keep (0: none). Only with ``PFCands``.
    puppi
        Scale each particle's four-momentum by its ``puppiWeight`` before clustering.

    A run's output is ``{"histograms", "cutflow", "parts"}``:
    histograms are {column: hist.Hist} with axes dataset, variation, column; the cutflow is {dataset: {variation:
    {cut: {"events", "sum_of_weights"}}}}; parts are {dataset: {variation: [{"path", "events", "sum_of_weights",
    "file", "entrystart", "entrystop"}]}}. ``process`` returns the same with sums still exact, so that any order of
    chunks gives the same bits; ``postprocess``, which every runner calls, rounds them.

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
        columns_directory: str | os.PathLike[str] | None = None,
        constituents: int = 0,
        puppi: bool = False,
    ) -> None:
        self.jets = jets
        self.radius = float(radius)
        self.min_jet_pt = float(min_jet_pt)
        self.min_leading_pt = min_leading_pt
        self.max_abs_eta = max_abs_eta
        self.max_delta_eta = max_delta_eta
        self.min_mjj = min_mjj
        self.histograms = dict(DEFAULT_HISTOGRAMS if histograms is None else histograms)
        self.variations = {"nominal": 0.0, **(variations or {})}
        self.columns_directory = None if columns_directory is None else Path(columns_directory).absolute()
        self.constituents = constituents
        self.puppi = puppi
        self._check_settings()

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns of a part."""
        return dijet_schema(constituents=self.constituents > 0)

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Columns, histograms and cutflow of one chunk; writes its Parquet parts."""
        metadata = events.metadata
        dataset = metadata["dataset"]
        if self.columns_directory is not None:
            prepare_folder(self.columns_directory)  # fails before the clustering, not after
        record = standardise(events, collections=(self.jets,))
        jets = self._leading_jets(record, source=events)
        event = {
            "weight": np.asarray(record["weight"]),
            "truth": np.asarray(record["truth"]),
            **identify(metadata, len(record)),
        }
        output: dict[str, Any] = {"histograms": {}, "cutflow": {dataset: {}}, "parts": {dataset: {}}}
        tables: dict[Path, pa.Table] = {}
        for variation, shift in self.variations.items():
            shifted = jets.scaled(1 + shift)
            chosen, cutflow = self._select(shifted, weight=event["weight"])
            columns = dijet_columns(shifted.select(chosen), constituents=self.constituents)
            columns |= {name: values[chosen] for name, values in event.items()}
            output["cutflow"][dataset][variation] = cutflow
            output["parts"][dataset][variation] = self._part(tables, columns, variation=variation, metadata=metadata)
            for name, spec in self.histograms.items():
                filled = ExactHistogram.filled(spec, columns[name], weight=columns["weight"])
                output["histograms"].setdefault(name, {dataset: {}})[dataset][variation] = filled
        write_parts(tables)
        return output

    def postprocess(self, accumulator: dict[str, Any]) -> dict[str, Any]:
        """The merged chunks as hist.Hist, floats and sorted manifests."""
        histograms = {
            name: build_histogram(name, self.histograms[name], contents)
            for name, contents in accumulator["histograms"].items()
        }
        cutflow = {
            dataset: {
                variation: {
                    cut: {"events": n["events"], "sum_of_weights": to_float(n["sum_of_weights"])}
                    for cut, n in cuts.items()
                }
                for variation, cuts in variations.items()
            }
            for dataset, variations in accumulator["cutflow"].items()
        }
        parts = {
            dataset: {
                variation: sorted(manifest, key=lambda part: (part["file"], part["entrystart"]))
                for variation, manifest in variations.items()
            }
            for dataset, variations in accumulator["parts"].items()
        }
        return {"histograms": histograms, "cutflow": cutflow, "parts": parts}

    def _leading_jets(self, record: ak.Array, *, source: ak.Array) -> LeadingJets:
        collection = require(record, self.jets, source=source)
        check_momenta(collection, self.jets, metadata=record.metadata)
        if self.jets == "FatJet":
            return given_leading(collection)
        if self.puppi:
            collection = _puppi(collection, filename=record.metadata["filename"])
        # an upward variation may lift a jet over the threshold, so the clustering starts below it
        threshold = self.min_jet_pt / (1 + max(self.variations.values())) * (1 - 1e-9)
        return cluster_leading(
            collection, radius=self.radius, min_pt=threshold, keep_constituents=self.constituents > 0
        )

    def _select(
        self, jets: LeadingJets, *, weight: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.bool_], dict[str, dict[str, int]]]:
        cuts = {"all": np.ones(len(weight), dtype=bool), "two_jets": jets.pt[:, 1] >= self.min_jet_pt}
        if self.min_leading_pt is not None:
            cuts["leading_pt"] = jets.pt[:, 0] >= self.min_leading_pt
        if self.max_abs_eta is not None:
            cuts["eta"] = np.all(np.abs(jets.eta) < self.max_abs_eta, axis=1)
        if self.max_delta_eta is not None:
            cuts["delta_eta"] = jets.delta_eta() < self.max_delta_eta
        if self.min_mjj is not None:
            cuts["mjj"] = jets.dijet_mass() >= self.min_mjj
        passed, cutflow = cuts["all"], {}
        for name, cut in cuts.items():
            passed = passed & cut
            cutflow[name] = {"events": int(np.count_nonzero(passed)), "sum_of_weights": exact_sum(weight[passed])}
        return passed, cutflow

    def _part(
        self, tables: dict[Path, pa.Table], columns: Mapping[str, Any], *, variation: str, metadata: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        if self.columns_directory is None:
            return []
        start, stop = int(metadata["entrystart"]), int(metadata["entrystop"])
        stem = f"{file_id(metadata['filename']):08x}-{start}-{stop}"
        path = part_path(self.columns_directory, dataset=metadata["dataset"], variation=variation, stem=stem)
        tables[path] = to_table(columns, self.schema)
        return [
            {
                "path": str(path),
                "events": len(columns["weight"]),
                "sum_of_weights": to_float(exact_sum(columns["weight"])),
                "file": metadata["filename"],
                "entrystart": start,
                "entrystop": stop,
            }
        ]

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
        for name in self.histograms:
            if name not in HISTOGRAM_COLUMNS:
                nearest = difflib.get_close_matches(name, HISTOGRAM_COLUMNS, n=1)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                raise InputError(
                    f"there is no column {name!r} to make a histogram of.{hint} Columns: "
                    f"{', '.join(HISTOGRAM_COLUMNS)}."
                )


def _puppi(particles: ak.Array, *, filename: str) -> ak.Array:
    """Particles with momenta scaled by ``puppiWeight``; those of weight 0 are dropped."""
    if "puppiWeight" not in particles.fields:
        raise InputError(f"{filename} has no PFCands_puppiWeight: run without puppi, or use a PFNano file that has it.")
    kept = particles[particles.puppiWeight > 0]
    scaled = ak.with_field(kept, kept.pt * kept.puppiWeight, "pt")
    return ak.with_field(scaled, kept.mass * kept.puppiWeight, "mass")
