"""What every processor of this package does alike: cuts, columns, parts, histograms, and their merging."""

from __future__ import annotations

import difflib
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from coffea.processor import ProcessorABC

from processors.arrow_tables import to_table
from processors.columns import part_path, prepare_folder, write_parts
from processors.errors import InputError
from processors.exact import exact_sum, to_float
from processors.histograms import AxisSpec, ExactHistogram, build_histogram
from processors.identifiers import file_id, identify
from processors.sources import standardise

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """One variation of a chunk of events.

    ``cuts`` are masks over all events of the chunk in the order in which they are applied; ``columns`` gives the
    columns, without weight and identifiers, of the events of a mask.
    """

    variation: str
    cuts: Mapping[str, Mask]
    columns: Callable[[Mask], dict[str, Any]]


class ColumnProcessor(ProcessorABC):
    """A processor of events to columns, histograms and a cutflow; a subclass says what the events are described by.

    A run's output is ``{"histograms", "cutflow", "parts"}``:
    histograms are {column: hist.Hist} with axes dataset, variation, column; the cutflow is {dataset: {variation:
    {cut: {"events", "sum_of_weights"}}}}; parts are {dataset: {variation: [{"path", "events", "sum_of_weights",
    "file", "entrystart", "entrystop"}]}}. ``process`` returns the same with sums still exact, so that any order of
    chunks gives the same bits; ``postprocess``, which every runner calls, rounds them.
    """

    def __init__(
        self, *, histograms: Mapping[str, AxisSpec], columns_directory: str | os.PathLike[str] | None = None
    ) -> None:
        self.histograms = dict(histograms)
        self.columns_directory = None if columns_directory is None else Path(columns_directory).absolute()

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the columns of a part."""

    @property
    @abstractmethod
    def _collections(self) -> Sequence[str]:
        """Collections of the standard event record that are read."""

    @abstractmethod
    def _selections(self, record: ak.Array, *, source: ak.Array) -> Iterator[Selection]:
        """Every variation of a chunk; ``source`` are the events as read, for messages."""

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Columns, histograms and cutflow of one chunk; writes its Parquet parts."""
        metadata = events.metadata
        dataset = metadata["dataset"]
        if self.columns_directory is not None:
            prepare_folder(self.columns_directory)  # fails before the clustering, not after
        record = standardise(events, collections=self._collections)
        event = {
            "weight": np.asarray(record["weight"]),
            "truth": np.asarray(record["truth"]),
            **identify(metadata, len(record)),
        }
        output: dict[str, Any] = {"histograms": {}, "cutflow": {dataset: {}}, "parts": {dataset: {}}}
        tables: dict[Path, pa.Table] = {}
        for selection in self._selections(record, source=events):
            variation = selection.variation
            chosen, cutflow = _apply(selection.cuts, weight=event["weight"])
            columns = selection.columns(chosen)
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


def check_histograms(names: Iterable[str], columns: Sequence[str]) -> None:
    """Raise InputError, with the nearest name, where a histogram is of no known column."""
    for name in names:
        if name not in columns:
            nearest = difflib.get_close_matches(name, columns, n=1)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise InputError(
                f"there is no column {name!r} to make a histogram of.{hint} Columns: {', '.join(columns)}."
            )


def check_smearings(sizes: Mapping[str, float]) -> None:
    """Raise InputError where a smearing is not by a finite number of widths."""
    for name, size in sizes.items():
        if not np.isfinite(size):
            raise InputError(f"variation {name!r} smears by {size} widths, expected a finite number.")


def _apply(cuts: Mapping[str, Mask], *, weight: npt.NDArray[np.float64]) -> tuple[Mask, dict[str, dict[str, int]]]:
    passed, cutflow = np.ones(len(weight), dtype=bool), {}
    for name, cut in {"all": passed, **cuts}.items():
        passed = passed & cut
        cutflow[name] = {"events": int(np.count_nonzero(passed)), "sum_of_weights": exact_sum(weight[passed])}
    return passed, cutflow
