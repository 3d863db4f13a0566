"""Constituents of the jets of processed events: read when they or images of them are asked for, once per process."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as parquet

from analysis.errors import StageError
from ml.constituent_batches import WantedConstituents
from ml.image_batches import WantedImages

if TYPE_CHECKING:
    import awkward as ak

    from processors import ImageSettings, ImageStack, JetConstituents, JetImages

DIRECTIONS = ("pt", "eta", "phi")
MOMENTA = (*DIRECTIONS, "mass")
LOADED = 16  # jets of data sets that a process remembers
Made = Callable[[np.ndarray], np.ndarray]  # row indices → images or constituents


@dataclass(frozen=True)
class StoredEvents:
    """The processed events of one data set: `parts` below `directory`, ordered by file and entry as they are loaded."""

    directory: str
    parts: tuple[str, ...]

    @property
    def digest(self) -> str:
        """What tells these events from others, wherever they are: the folder above the columns has their key."""
        return f"{Path(self.directory).parent.name}|{'|'.join(self.parts)}"


@dataclass(frozen=True)
class StoredJets:
    """Images of one jet of stored events; `jets(rows)` is (n, pixels, pixels).

    It travels to other processes as the place of its files, which workers see, as they have written them.
    """

    events: StoredEvents
    jet: str
    settings: ImageSettings

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Images of the jets of these rows; raises StageError where their constituents cannot be read."""
        return _images(self)(rows)


@dataclass(frozen=True)
class StoredMomenta:
    """Prepared four-momenta of the constituents of some jets of stored events; of rows (n, len(jets), count, 4).

    It travels as `StoredJets` does.
    """

    events: StoredEvents
    wanted: WantedConstituents

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Constituents of the jets of these rows; raises StageError where they cannot be read."""
        jets = [_momenta(self.events, jet, self.wanted.count)(rows) for jet in self.wanted.jets]
        return np.stack(jets, axis=1)


@dataclass(frozen=True, eq=False)
class EventBatch:
    """Images or constituents of events of one data set or several: what is handed to detectors as `Sample.batch`.

    Attributes:
        parts: what makes those of each data set.
        source: (n_events,) which of the parts an event belongs to.
        row: (n_events,) its row there.
        digest: changes with the events and with what is made of them.
    """

    parts: tuple[Made, ...]
    source: np.ndarray
    row: np.ndarray
    digest: str

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """What was asked for of the events of these rows, in their order."""
        source, row = self.source[rows], self.row[rows]
        present = np.unique(source) if len(row) else np.zeros(1, np.int8)
        if len(present) == 1:
            return self.parts[present[0]](row)
        made = [(source == part, self.parts[part](row[source == part])) for part in present]
        together = np.empty((len(row), *made[0][1].shape[1:]), made[0][1].dtype)
        for own, of_part in made:
            together[own] = of_part
        return together


@dataclass(frozen=True, eq=False)
class Constituents:
    """Which stored events the events of a sample are; nothing of their jets is in memory.

    Attributes:
        stores: data sets.
        source: (n_events,) which of them an event is from.
        row: (n_events,) its row there.
    """

    stores: tuple[StoredEvents, ...]
    source: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, directory: Path, parts: Sequence[Mapping[str, Any]], events: int) -> Constituents:
        """Return those of all events of one data set, ordered by file and entry."""
        store = StoredEvents(str(Path(directory).resolve()), tuple(part["path"] for part in parts))
        return cls((store,), np.zeros(events, np.int8), np.arange(events))

    def take(self, rows: np.ndarray) -> Constituents:
        """Return those of a row mask or of row indices."""
        return Constituents(self.stores, self.source[rows], self.row[rows])

    def joined(self, other: Constituents) -> Constituents:
        """Return those of both, these before the others."""
        stores = tuple(dict.fromkeys((*self.stores, *other.stores)))
        place = np.array([stores.index(store) for store in other.stores], np.int8)
        source = np.concatenate([self.source, place[other.source]])
        return Constituents(stores, source, np.concatenate([self.row, other.row]))

    def images(self, wanted: WantedImages) -> EventBatch:
        """Return what makes the images of the events, (n, pixels, pixels) of one jet, (n, jets, …) of several."""
        from processors import ImageSettings, ImageStack

        settings = ImageSettings(**asdict(wanted.settings))
        parts: list[StoredJets | ImageStack] = []
        for store in self.stores:
            jets = [StoredJets(store, jet, settings) for jet in wanted.jets]
            parts.append(jets[0] if len(jets) == 1 else ImageStack(jets))
        return EventBatch(tuple(parts), self.source, self.row, self._digest(wanted))

    def momenta(self, wanted: WantedConstituents) -> EventBatch:
        """Return what makes the constituents of the events, (n, jets, count, 4) of E, px, py, pz in GeV."""
        parts = tuple(StoredMomenta(store, wanted) for store in self.stores)
        return EventBatch(parts, self.source, self.row, self._digest(wanted))

    def _digest(self, wanted: WantedImages | WantedConstituents) -> str:
        total = hashlib.sha256(repr([asdict(wanted), [store.digest for store in self.stores]]).encode())
        for array in (self.source, self.row):
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()


@functools.lru_cache(maxsize=LOADED)
def _images(jets: StoredJets) -> JetImages:
    from processors import JetImages

    offsets, pt, eta, phi = _flat(jets.events, jets.jet, DIRECTIONS)
    return JetImages(offsets, pt, eta, phi, settings=jets.settings)


@functools.lru_cache(maxsize=LOADED)
def _momenta(events: StoredEvents, jet: str, count: int) -> JetConstituents:
    from processors import JetConstituents

    offsets, pt, eta, phi, mass = _flat(events, jet, MOMENTA)
    return JetConstituents(offsets, pt, eta, phi, mass, count=count)


@functools.lru_cache(maxsize=LOADED)
def _flat(events: StoredEvents, jet: str, fields: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """Offsets and fields of one jet of all events, ordered by file and entry; shared by images of all settings."""
    import awkward as ak

    names = [f"{jet}_constituents_{field}" for field in fields]
    tables = [_read(Path(events.directory) / part, names) for part in events.parts]
    file_id, entry = (np.concatenate([ak.to_numpy(t[name]) for t in tables]) for name in ("file_id", "entry"))
    order = np.lexsort((entry, file_id))
    ordered = ak.concatenate([table[names] for table in tables])[order]
    counts = ak.to_numpy(ak.num(ordered[names[0]], axis=1))
    flat = [ak.to_numpy(ak.flatten(ordered[name], axis=1)) for name in names]
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), *flat


def _read(path: Path, names: Sequence[str]) -> ak.Array:
    import awkward as ak

    try:
        file = parquet.ParquetFile(path)
        missing = [name for name in names if name not in file.schema_arrow.names]
        if not missing:
            return ak.from_arrow(file.read(columns=[*names, "file_id", "entry"]))
    except OSError as error:
        raise StageError(
            f"The constituents in {path} cannot be read: {error}. Workers have to see the same data folder (--data) as "
            "this process."
        ) from error
    raise StageError(
        f"The processed events in {path.parent} have no column {missing[0]!r}: images, and networks on constituents, "
        "need those of that jet. Add `processing: {constituents: 200}`, or correct the name of the jet."
    )
