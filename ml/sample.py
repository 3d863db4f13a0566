"""Events as detectors see them: arrays of equal length, and nothing that says where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.errors import TrainingError, nearest_names


@dataclass(frozen=True)
class Sample:
    """Events of one role, column by column; every array is (n_events,).

    Attributes:
        columns: named features.
        mass: resonance mass in GeV; places events in the window, is never an input.
        weight: event weights.
        fold: uint32 hash of the event; fold i of k holds the events with `fold % k == i`.
        event_id: identifies an event, e.g. a hash of file and entry.
        category: nuisance or class label; never the truth of the data being searched, except for references
            with `uses_labels`.
        batch: row indices → images or constituents, for detectors that need them. A sample travels to other processes
            if this is picklable. Its attribute `digest` (text), where it has one, is part of the key of a training.
    """

    columns: Mapping[str, np.ndarray]
    mass: np.ndarray
    weight: np.ndarray
    fold: np.ndarray
    event_id: np.ndarray
    category: np.ndarray | None = None
    batch: Callable[[np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        _check_lengths(self)
        for name in ("mass", "weight"):
            _check_finite(name, getattr(self, name))

    def __len__(self) -> int:
        return len(self.mass)

    def select(self, mask: np.ndarray) -> Sample:
        """The events where `mask` (n_events,) is True, or those at the given row indices, in that order."""
        mask = np.asarray(mask)
        rows = np.flatnonzero(mask) if mask.dtype == bool else mask
        if mask.dtype == bool and len(mask) != len(self):
            raise TrainingError(f"a mask of {len(mask)} entries cannot select from {len(self)} events")
        batch = self.batch
        return Sample(
            columns={name: column[rows] for name, column in self.columns.items()},
            mass=self.mass[rows],
            weight=self.weight[rows],
            fold=self.fold[rows],
            event_id=self.event_id[rows],
            category=None if self.category is None else self.category[rows],
            batch=None if batch is None else _rows_of(batch, rows),
        )

    def features(self, names: Sequence[str]) -> np.ndarray:
        """The named columns side by side, (n_events, n_names) float64.

        Raises:
            TrainingError: for a column that is not there (with the nearest names) or that holds NaN or infinity.
        """
        for name in names:
            if name not in self.columns:
                raise TrainingError(f"the sample has no feature {name!r}: {nearest_names(name, self.columns)}")
            _check_finite(name, self.columns[name])
        if not names:
            raise TrainingError("no features were asked for: list at least one column of the sample")
        return np.stack([np.asarray(self.columns[name], dtype=np.float64) for name in names], axis=1)

    def digest(self, *, labels: bool) -> str:
        """A hash of everything a training can depend on: what tells a finished fold from an outdated one.

        `labels` says whether `category` counts; of `batch`, which is a callable, its `digest` does, if it has one.
        """
        parts = {f"column:{name}": column for name, column in self.columns.items()}
        parts |= {name: getattr(self, name) for name in ("mass", "weight", "fold", "event_id")}
        if labels and self.category is not None:
            parts["category"] = self.category
        total = hashlib.sha256()
        for name in sorted(parts):
            array = np.ascontiguousarray(parts[name])
            total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
            total.update(array.tobytes())
        total.update(str(getattr(self.batch, "digest", "")).encode())
        return total.hexdigest()


@dataclass(frozen=True)
class _Rows:
    """`batch` of some rows of a sample: row i of these is row `rows[i]` of that."""

    batch: Callable[[np.ndarray], np.ndarray]
    rows: np.ndarray

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        return self.batch(self.rows[indices])

    @property
    def digest(self) -> str:
        """That of the whole, and which rows of it."""
        whole = getattr(self.batch, "digest", None)
        rows = hashlib.sha256(np.asarray(self.rows, np.int64).tobytes()).hexdigest()
        return "" if whole is None else f"{whole}|{rows}"


def _rows_of(batch: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> _Rows:
    return _Rows(batch.batch, batch.rows[rows]) if isinstance(batch, _Rows) else _Rows(batch, rows)


def _check_lengths(sample: Sample) -> None:
    expected = len(sample.mass)
    arrays: dict[str, np.ndarray | None] = dict(sample.columns)
    arrays |= {name: getattr(sample, name) for name in ("weight", "fold", "event_id", "category")}
    for name, array in arrays.items():
        if array is not None and np.shape(array) != (expected,):
            raise TrainingError(
                f"{name!r} has shape {np.shape(array)} where 'mass' has {expected} events: "
                "every column of a sample is one value per event"
            )
    if not np.issubdtype(np.asarray(sample.fold).dtype, np.integer):
        raise TrainingError(f"'fold' holds {np.asarray(sample.fold).dtype}: expected the integer hash of the event")


def _check_finite(name: str, values: np.ndarray) -> None:
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.number):
        raise TrainingError(f"column {name!r} holds {array.dtype}: expected numbers")
    bad = ~np.isfinite(array)
    if bad.any():
        raise TrainingError(
            f"column {name!r} is NaN or infinite in {int(bad.sum())} of {len(array)} events "
            f"(first at row {int(np.argmax(bad))}): cut these events or repair the column before training"
        )
