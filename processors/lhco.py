"""HDF5 files of the LHC Olympics: which layout a file has, and how many events.

Known layouts (Kasieczka et al., arXiv:2101.08320, doi 10.5281/zenodo.2629073):

- raw particles, 2100 columns of 700 × (pT, η, φ) and perhaps a truth label, as pandas "fixed" or "table";
- the official features, columns ``pxj1 … tau3j2`` of the two hardest jets and perhaps ``label``, pandas "fixed".

Column names of pandas tables are pickles, which are never opened here: widths tell enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import h5py
import hdf5plugin  # noqa: F401  (registers Blosc and the other compressions with h5py)
import numpy as np

from processors.errors import InputError

PARTICLES_PER_EVENT = 700
PARTICLE_COLUMNS = 3 * PARTICLES_PER_EVENT
JET_COLUMNS = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
FEATURE_COLUMNS = tuple(f"{name}j{jet}" for jet in (1, 2) for name in JET_COLUMNS)
KNOWN_LAYOUTS = (
    f"raw LHC Olympics particles ({PARTICLE_COLUMNS} columns of (pT, eta, phi), or {PARTICLE_COLUMNS + 1} with "
    "the label last) in a pandas 'fixed' or 'table' frame, and the official features (columns "
    f"{FEATURE_COLUMNS[0]} … {FEATURE_COLUMNS[-1]}, label) in a pandas 'fixed' frame"
)


@dataclass(frozen=True)
class Column:
    """Where a column lies: the HDF5 dataset, the field of a compound row (or None), the position in its block."""

    dataset: str
    field: str | None
    width: int
    position: int = 0


@dataclass(frozen=True)
class Layout:
    """Where the events of one HDF5 file are.

    ``particles`` is the block that starts with the 2100 particle columns (its ``position`` is 0) and is None for
    feature files, whose columns are in ``features`` by name. ``label`` is None where there is no truth.
    """

    kind: Literal["particles", "features"]
    key: str
    n_events: int
    particles: Column | None = None
    label: Column | None = None
    features: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True)
class _Block:
    dataset: str
    field: str | None
    width: int
    names: tuple[str, ...]

    def column(self, position: int = 0) -> Column:
        return Column(self.dataset, self.field, self.width, position)


def find_layout(file: h5py.File, *, key: str | None = None) -> Layout:
    """Recognise the layout of an open file.

    ``key`` selects a pandas frame where a file holds several. Raises InputError, saying what the file holds
    and what is known, when no frame (or more than one) has a known layout.
    """
    frames = [name for name in _frames(file) if key is None or name == key.strip("/")]
    found = [layout for name in frames if (layout := _frame_layout(file, name)) is not None]
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(f"/{layout.key}" for layout in found)
        raise InputError(f"it holds several frames of events ({keys}): name one of them as the tree of this file.")
    wanted = "" if key is None else f" under the key {key!r}"
    raise InputError(
        f"its layout is not one this program knows: it holds {_contents(file)}, and none of that{wanted} is "
        f"{KNOWN_LAYOUTS}."
    )


def _frames(file: h5py.File) -> Iterator[str]:
    names: list[str] = []

    def visit(name: str, node: h5py.HLObject) -> None:
        if isinstance(node, h5py.Group) and ("table" in node or "block0_values" in node):
            names.append(name)

    file.visititems(visit)
    yield from names


def _frame_layout(file: h5py.File, name: str) -> Layout | None:
    group = file[name]
    if "block0_values" in group:
        n_events, blocks = _fixed_blocks(group)
    elif isinstance(group["table"], h5py.Dataset) and group["table"].dtype.names:
        n_events, blocks = _table_blocks(group["table"])
    else:
        return None
    return _particle_layout(name, n_events, blocks) or _feature_layout(name, n_events, blocks)


def _fixed_blocks(group: h5py.Group) -> tuple[int, list[_Block]]:
    blocks, n_events = [], 0
    index = 0
    while f"block{index}_values" in group:
        values, items = group[f"block{index}_values"], group[f"block{index}_items"]
        # pandas stores a frame without rows as one dummy value and notes the true type beside it
        empty = "value_type" in values.attrs
        if values.ndim == 2:
            width = items.shape[0] if empty else values.shape[1]
            blocks.append(_Block(values.name, None, width, _names(items)))
            n_events = 0 if empty else values.shape[0]
        index += 1
    return n_events, blocks


def _names(items: h5py.Dataset) -> tuple[str, ...]:
    if items.dtype.kind == "S":
        return tuple(item.decode("utf-8", "replace") for item in items[()])
    return ()


def _table_blocks(table: h5py.Dataset) -> tuple[int, list[_Block]]:
    blocks = []
    for name in table.dtype.names:
        shape = table.dtype[name].shape
        if name.startswith("values_block_"):
            blocks.append(_Block(table.name, name, shape[0] if shape else 1, ()))
        elif name != "index":  # a pandas data column: the field is the column
            blocks.append(_Block(table.name, name, 1, (name,)))
    return table.shape[0], blocks


def _particle_layout(key: str, n_events: int, blocks: list[_Block]) -> Layout | None:
    wide = [block for block in blocks if block.width in (PARTICLE_COLUMNS, PARTICLE_COLUMNS + 1)]
    others = [block for block in blocks if block not in wide]
    if len(wide) != 1 or any(block.width != 1 for block in others) or len(others) > 1:
        return None
    block, label = wide[0], None
    if block.width == PARTICLE_COLUMNS + 1:
        if others:
            return None
        label = block.column(PARTICLE_COLUMNS)
    elif others:
        label = others[0].column()
    return Layout("particles", key, n_events, particles=block.column(), label=label)


def _feature_layout(key: str, n_events: int, blocks: list[_Block]) -> Layout | None:
    columns = {name: block.column(position) for block in blocks for position, name in enumerate(block.names)}
    if not set(FEATURE_COLUMNS) <= set(columns):
        return None
    features = {name: columns[name] for name in FEATURE_COLUMNS}
    return Layout("features", key, n_events, label=columns.get("label"), features=features)


def _contents(file: h5py.File) -> str:
    """A short list of the datasets of a file with their shapes."""
    found: list[str] = []

    def visit(name: str, node: h5py.HLObject) -> None:
        if isinstance(node, h5py.Dataset):
            fields = f" with fields {', '.join(node.dtype.names[:4])}" if node.dtype.names else ""
            found.append(f"/{name} {node.shape}{fields}")

    file.visititems(visit)
    if not found:
        return "no data"
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return ", ".join(found[:6]) + more


def read_blocks(file: h5py.File, columns: Mapping[str, Column], start: int, stop: int) -> dict[str, np.ndarray]:
    """Rows ``start`` to ``stop`` of the named columns, each block read once: {name: (stop - start,) float64}."""
    blocks: dict[tuple[str, str | None], np.ndarray] = {}
    out = {}
    for name, column in columns.items():
        where = (column.dataset, column.field)
        if where not in blocks:
            blocks[where] = read_rows(file, column, start, stop)
        out[name] = blocks[where][:, column.position]
    return out


def read_rows(file: h5py.File, column: Column, start: int, stop: int) -> np.ndarray:
    """Rows ``start`` to ``stop`` of the whole block that holds a column, (stop - start, width) float64."""
    dataset = file[column.dataset]
    if stop <= start:
        return np.zeros((0, column.width))
    rows = dataset[start:stop] if column.field is None else dataset.fields(column.field)[start:stop]
    return np.asarray(rows, dtype=np.float64).reshape(stop - start, -1)
