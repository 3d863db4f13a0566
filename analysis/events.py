"""Processed columns back into memory, and pseudo-data mixed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from analysis.config import Mixture, WindowSettings
from analysis.constituents import Constituents
from analysis.errors import StageError
from analysis.settings import MASS_COLUMNS

IDENTIFIERS = ("weight", "truth", "file_id", "entry", "fold")
DIJET_MASS = MASS_COLUMNS["dijet"]


@dataclass(frozen=True)
class Events:
    """Columns of selected events, (n_events,) each; masses and momenta in GeV.

    `constituents` says where those of their jets are, None for events that were not read from files; `mass` is the
    column of the resonance mass.
    """

    columns: Mapping[str, np.ndarray]
    constituents: Constituents | None = None
    mass: str = DIJET_MASS

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def take(self, rows: np.ndarray) -> Events:
        """Return the events of a row mask or of row indices."""
        constituents = None if self.constituents is None else self.constituents.take(rows)
        return Events({name: values[rows] for name, values in self.columns.items()}, constituents, self.mass)

    @property
    def masses(self) -> np.ndarray:
        """The resonance masses in GeV."""
        return self[self.mass]

    @property
    def event_id(self) -> np.ndarray:
        """One uint64 per event: file and entry."""
        return (self["file_id"].astype(np.uint64) << np.uint64(32)) | self["entry"].astype(np.uint64)

    def inside(self, interval: tuple[float, float]) -> np.ndarray:
        """Return the mask of events whose resonance mass lies in [low, high) GeV."""
        return (self.masses >= interval[0]) & (self.masses < interval[1])


def load_events(
    columns_directory: Path,
    parts: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    scale: float = 1.0,
    mass: str = DIJET_MASS,
) -> Events:
    """Read columns of one data set and variation, ordered by file and entry; `scale` multiplies the weights.

    `mass` is the column of the resonance mass, which is always read.

    Raises StageError where a column that is asked for was not stored.
    """
    wanted = list(dict.fromkeys([*names, mass, *IDENTIFIERS]))
    tables = []
    for part in parts:
        file = parquet.ParquetFile(columns_directory / part["path"])
        missing = [name for name in wanted if name not in file.schema_arrow.names]
        if missing:
            raise StageError(
                f"The processed events have no column {missing[0]!r}; they have {', '.join(file.schema_arrow.names)}. "
                "Correct `features`."
            )
        tables.append(file.read(columns=wanted))
    columns = {name: _concatenated([table[name].to_numpy() for table in tables]) for name in wanted}
    order = np.lexsort((columns["entry"], columns["file_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    columns["weight"] = columns["weight"] * scale
    return Events(columns, Constituents.of(columns_directory, parts, len(order)), mass)


def _concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0)


def joined(first: Events, second: Events) -> Events:
    """Return the events of both, the first's before the second's."""
    columns = {name: np.concatenate([values, second[name]]) for name, values in first.columns.items()}
    if first.constituents is None or second.constituents is None:
        return Events(columns, mass=first.mass)
    return Events(columns, first.constituents.joined(second.constituents), first.mass)


@dataclass(frozen=True)
class MixtureCounts:
    """How much signal a sample holds; the window is in GeV and counts are after the processor's selection."""

    background: str
    signal: str | None
    n_signal: int
    n_background: int
    fraction: float
    window: tuple[float, float] | None
    n_signal_window: int | None
    n_background_window: int | None
    s_over_b_window: float | None
    s_over_sqrt_b_window: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for results.json."""
        return asdict(self)


def count_mixture(
    events: Events, *, background: str, signal: str | None, window: tuple[float, float] | None
) -> MixtureCounts:
    """Count signal (truth 1) against everything else in all events and in the window."""
    is_signal = events["truth"] == 1
    n_signal, total = int(is_signal.sum()), len(events)
    inside = events.inside(window) if window else None
    s = int((is_signal & inside).sum()) if inside is not None else None
    b = int((~is_signal & inside).sum()) if inside is not None else None
    return MixtureCounts(
        background=background,
        signal=signal,
        n_signal=n_signal,
        n_background=total - n_signal,
        fraction=n_signal / total if total else 0.0,
        window=window,
        n_signal_window=s,
        n_background_window=b,
        s_over_b_window=s / b if b and s is not None else None,
        s_over_sqrt_b_window=s / np.sqrt(b) if b and s is not None else None,
    )


def mix(
    mixture: Mixture,
    background: Events,
    signal: Events | None,
    *,
    window: WindowSettings | None,
    seed: int,
) -> tuple[Events, Events | None]:
    """Return pseudo-data and the signal events left over; all weights are 1.

    Of a sample that holds both (the LHC Olympics files), truth 1 serves as signal, the rest as background.
    Raises StageError where background is empty, weights differ, or there is too little signal.
    """
    background = background.take(background["truth"] != 1)
    if signal is not None:
        signal = _unweighted(signal.take(signal["truth"] != 0), str(mixture.signal))
    if len(background) == 0:
        raise StageError(f"The background {mixture.background!r} of a mixture has no selected events.")
    rng = np.random.default_rng(np.random.SeedSequence([seed, mixture.seed]))
    mixed = _unweighted(background.take(_background_rows(mixture, len(background), rng)), mixture.background)
    if signal is None or mixture.fraction == 0:
        return mixed, signal
    wanted = signal_to_inject(mixture, mixed, signal, window=window)
    if wanted > len(signal):
        raise StageError(
            f"A mixture asks for {wanted} events of {mixture.signal!r} (fraction {mixture.fraction:g} of "
            f"{mixture.of}), but only {len(signal)} pass the selection. Generate more or lower the fraction."
        )
    rows = rng.permutation(len(signal))
    injected = signal.take(np.sort(rows[:wanted]))
    injected = replace(injected, columns={**injected.columns, "truth": np.ones(wanted, dtype=mixed["truth"].dtype)})
    return joined(mixed, injected), signal.take(np.sort(rows[wanted:]))


def _background_rows(mixture: Mixture, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return which of `size` background events a mixture takes: a part in their order, or some by chance."""
    most = size if mixture.max_background is None else mixture.max_background
    if mixture.skip_background is not None:
        if mixture.skip_background >= size:
            raise StageError(
                f"A mixture skips {mixture.skip_background} events of {mixture.background!r}, of which only {size} "
                "pass the selection, so that none is left. Generate more or lower `skip_background`."
            )
        return np.arange(mixture.skip_background, min(size, mixture.skip_background + most))
    return np.sort(rng.choice(size, most, replace=False)) if most < size else np.arange(size)


def signal_to_inject(mixture: Mixture, background: Events, signal: Events, *, window: WindowSettings | None) -> int:
    """Return how many signal events make the asked fraction of all events, or S/B in the window."""
    if mixture.of == "total":
        return round(mixture.fraction / (1 - mixture.fraction) * len(background))
    assert window is not None  # the search model demands it
    efficiency = signal.inside(window.signal).mean() if len(signal) else 0.0
    if efficiency == 0:
        raise StageError(f"No event of {mixture.signal!r} lies in the window {window.signal}: S/B cannot be set there.")
    return round(mixture.fraction * background.inside(window.signal).sum() / efficiency)


def _unweighted(events: Events, name: str) -> Events:
    weight = events["weight"]
    if len(weight) and not np.allclose(weight, weight[0]):
        raise StageError(
            f"The events of {name!r} carry different weights: pseudo-data can be mixed of unweighted events only."
        )
    return replace(events, columns={**events.columns, "weight": np.ones(len(events))})
