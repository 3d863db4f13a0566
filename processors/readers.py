"""Opening a file and reading one work item of it, ROOT through coffea's NanoEvents and HDF5 by row slices."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import awkward as ak
import h5py
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory
from coffea.processor.executor import WorkItem

from processors.errors import InputError
from processors.lhco import find_layout
from processors.lhco_events import read_events
from processors.schemas import format_for


@dataclass(frozen=True)
class FileSummary:
    """What has to be known of a file before it is divided: number of events and an identity of 16 bytes."""

    n_events: int
    uuid: bytes


class Reader(Protocol):
    """A way to read files of one kind; instances travel to workers."""

    def inspect(self, filename: str, treename: str | None) -> FileSummary:
        """Open a file and count its events; whatever is wrong with it is raised."""
        ...

    def read(self, item: WorkItem) -> contextlib.AbstractContextManager[ak.Array]:
        """The events of one work item, with ``.metadata``, valid inside the ``with`` block."""
        ...


def item_metadata(item: WorkItem) -> dict[str, Any]:
    """What ``events.metadata`` holds, with the names of coffea's Runner and the user's own of the fileset."""
    return {
        "dataset": item.dataset,
        "filename": item.filename,
        "treename": item.treename,
        "entrystart": item.entrystart,
        "entrystop": item.entrystop,
        "fileuuid": str(uuid.UUID(bytes=item.fileuuid)) if item.fileuuid else "",
        **(item.usermeta or {}),
    }


@dataclass(frozen=True)
class RootReader:
    """ROOT files by a coffea schema; ``timeout`` in seconds is for remote files."""

    schema: type[BaseSchema]
    timeout: float = 60

    def inspect(self, filename: str, treename: str | None) -> FileSummary:
        """Open a file and count the entries of its tree."""
        with uproot.open({filename: None}, timeout=self.timeout) as file:
            tree = _tree(file, filename, treename)
            return FileSummary(int(tree.num_entries), file.file.uuid.bytes)

    @contextlib.contextmanager
    def read(self, item: WorkItem) -> Iterator[ak.Array]:
        """NanoEvents of one work item; branches are read when they are used."""
        with uproot.open({item.filename: None}, timeout=self.timeout) as file:
            yield NanoEventsFactory.from_root(
                file,
                treepath=item.treename,
                schemaclass=self.schema,
                metadata=item_metadata(item),
                mode="virtual",
                entry_start=item.entrystart,
                entry_stop=item.entrystop,
            ).events()


def _tree(file: Any, filename: str, treename: str | None) -> Any:
    if treename in file:
        return file[treename]
    trees = [name for name, kind in file.classnames(cycle=False).items() if kind in ("TTree", "ROOT::RNTuple")]
    raise InputError(
        f"{filename} has no tree {treename!r}: it holds {', '.join(trees) or 'no tree at all'}. Check the format "
        "named for this file, or name the tree of the fileset."
    )


@dataclass(frozen=True)
class HDF5Reader:
    """HDF5 files in a layout of the LHC Olympics; ``treename`` is the key of the pandas frame, if one is given."""

    def inspect(self, filename: str, treename: str | None) -> FileSummary:
        """Recognise the layout and count the events."""
        with _open_hdf5(filename) as file:
            layout = find_layout(file, key=treename or None)
        stamp = f"{os.path.abspath(filename)}:{layout.key}:{layout.n_events}:{os.path.getsize(filename)}"
        return FileSummary(layout.n_events, hashlib.blake2b(stamp.encode(), digest_size=16).digest())

    @contextlib.contextmanager
    def read(self, item: WorkItem) -> Iterator[ak.Array]:
        """Events of one work item; only its rows are read."""
        with _open_hdf5(item.filename) as file:
            layout = find_layout(file, key=item.treename or None)
            metadata = item_metadata(item)
            yield read_events(file, layout, item.entrystart, item.entrystop, metadata=metadata)


def _open_hdf5(filename: str) -> h5py.File:
    if "://" in filename:
        raise InputError(f"{filename} is remote, and HDF5 files are read from disk only: fetch it first.")
    return h5py.File(filename, "r")


def reader_for(name: str) -> Reader:
    """The reader of a file format (see :mod:`processors.schemas`); InputError for a format that is not known."""
    form = format_for(name)
    return HDF5Reader() if form.schema is None else RootReader(form.schema)


@dataclass(frozen=True)
class FileEntry:
    """One file of a fileset, before it is opened."""

    dataset: str
    filename: str
    treename: str | None
    metadata: Mapping[str, Any]


def files_of(fileset: Mapping[str, Any], *, treename: str | None = None) -> list[FileEntry]:
    """The files of a coffea fileset in its order.

    ``fileset`` is {dataset: [path, …]} or {dataset: {"files": [path, …] or {path: tree}, "treename": …,
    "metadata": {…}}}. Raises InputError where it is neither.
    """
    entries = []
    for dataset, given in fileset.items():
        files, tree, metadata = given, treename, {}
        if isinstance(given, Mapping):
            if "files" not in given:
                raise InputError(f"dataset {dataset!r} has no 'files': expected a list of paths, or a mapping with it.")
            files, tree = given["files"], given.get("treename", treename)
            metadata = dict(given.get("metadata") or {})
        if isinstance(files, str) or not hasattr(files, "__iter__"):
            raise InputError(f"the files of dataset {dataset!r} are {files!r}, expected a list of paths.")
        trees = files if isinstance(files, Mapping) else {}
        entries += [FileEntry(dataset, str(name), trees.get(name) or tree, metadata) for name in files]
    return entries
