"""Write events to ROOT (NanoAOD-like) or LHC Olympics HDF5, with the sample's metadata in the file.

Nothing in the files depends on when or where they were written: the same events give the same bytes.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import uproot

from analysis.samples.branches import branch_types, branches_of, event_numbers, joined
from analysis.samples.events import Events
from analysis.samples.metadata import METADATA_NAME
from analysis.samples.reproducible import fix_dates

PARTICLES_PER_EVENT = 700
# enough that the streamers never move: a gap in the file would hide the records behind it from `fix_dates`
STREAMER_BYTES = 32768
ROWS_PER_CHUNK = 7  # as in the LHC Olympics files: 118 kB
# PyTables marks every node with its class and version; pandas wants its own description of the frame.
GROUP = {"CLASS": "GROUP", "TITLE": "", "VERSION": "1.0"}
ARRAY = {"CLASS": "CARRAY", "TITLE": "", "VERSION": "1.1"}
INDEX = {"kind": "integer", "name": "N."}
FRAME = {
    "pandas_type": "frame",
    "pandas_version": "0.15.2",
    "encoding": "UTF-8",
    "errors": "strict",
    "axis0_variety": "regular",
    "axis1_variety": "regular",
    "block0_items_variety": "regular",
}


def write_events(
    path: Path, batches: Sequence[Events], *, format: str, truth: int, metadata: Mapping[str, Any]
) -> None:
    """Write `batches` one after the other to `path`; `truth` is 1 for signal, 0 for background."""
    text = json.dumps(metadata, sort_keys=True)
    if format == "root":
        write_root(path, batches, truth=truth, block=metadata["index"] + 1, metadata=text)
    else:
        write_lhco(path, batches, truth=truth, metadata=text)


def write_root(path: Path, batches: Sequence[Events], *, truth: int, block: int, metadata: str) -> None:
    """Write the TTree `Events` with NanoAOD-like branches, and the metadata as a TObjString.

    Events are numbered from 1 in luminosity block `block` of run 1.
    """
    identity = uuid.uuid5(uuid.NAMESPACE_OID, metadata)
    # given an open file, uproot does not write the (temporary) name into it
    sink = path.open("w+b")
    with uproot.recreate(sink, uuid_function=lambda: identity, initial_streamers_bytes=STREAMER_BYTES) as file:
        file[METADATA_NAME] = metadata
        # one basket per branch: small ones cost more to read than the events
        branches = joined([branches_of(batch, truth=truth) for batch in batches])
        file.mktree("Events", branch_types(branches), title="Events")
        file["Events"].extend(event_numbers(len(branches["truth"]), block=block) | branches)
    fix_dates(path)


def write_lhco(path: Path, batches: Sequence[Events], *, truth: int, metadata: str) -> None:
    """Write a pandas "fixed" frame under /df: 700 × (pT, eta, phi) and the label per event, as float64."""
    rows = np.concatenate([lhco_rows(batch, truth=truth) for batch in batches])
    content = io.BytesIO()
    with h5py.File(content, "w", track_order=False) as file:
        _mark(file, GROUP | {"PYTABLES_FORMAT_VERSION": "2.1"})
        file.attrs[METADATA_NAME] = np.bytes_(metadata.encode())
        frame = file.create_group("df")
        _mark(frame, GROUP | FRAME)
        frame.attrs["ndim"], frame.attrs["nblocks"] = np.int64(2), np.int64(1)
        columns = np.arange(rows.shape[1], dtype=np.int64)
        for name, index in (("axis0", columns), ("axis1", np.arange(len(rows))), ("block0_items", columns)):
            _array(frame, name, index, chunks=(min(len(index), 8192),), attributes=ARRAY | INDEX)
        _array(frame, "block0_values", rows, chunks=(min(len(rows), ROWS_PER_CHUNK), rows.shape[1]), attributes=ARRAY)
    path.write_bytes(content.getbuffer())  # HDF5 itself may crash where the disk is full


def lhco_rows(events: Events, *, truth: int) -> np.ndarray:
    """Return the (n_events, 2101) rows of the LHC Olympics layout, zero-padded, hardest first."""
    candidates = events.candidates
    counts = candidates.counts()
    rank = np.arange(len(candidates.event)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.zeros((candidates.n_events, 3 * PARTICLES_PER_EVENT + 1))
    for offset, column in enumerate((candidates.pt, candidates.eta, candidates.phi)):
        rows[candidates.event, 3 * rank + offset] = column
    rows[:, -1] = truth
    return rows


def _mark(node: h5py.Group | h5py.Dataset, attributes: Mapping[str, str]) -> None:
    for name, value in attributes.items():
        # PyTables takes only UTF-8 for text, and an empty string for none
        kind = h5py.string_dtype("utf-8", length=len(value.encode()) or 1)
        node.attrs.create(name, h5py.Empty(kind) if not value else value.encode(), dtype=kind)


def _array(
    frame: h5py.Group, name: str, values: np.ndarray, *, chunks: tuple[int, ...], attributes: Mapping[str, str]
) -> None:
    filters = hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE)
    dataset = frame.create_dataset(name, data=values, chunks=chunks, track_times=False, **filters)
    _mark(dataset, attributes)
    dataset.attrs["transposed"] = np.uint8(1)
