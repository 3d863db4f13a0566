"""Jets from particles: FastJet clusters, the jets come back as plain arrays.

FastJet (Cacciari, Salam, Soyez, arXiv:1111.6097) does the clustering through the batched interface of its Python
package. Its banner, which would end up in the output of every command, is switched off; cite the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import fastjet
import numpy as np
import numpy.typing as npt

from processors.errors import InputError
from processors.momenta import coordinates, four_momenta
from processors.nsubjettiness import n_subjettiness as _n_subjettiness

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FIELDS = ("pt", "eta", "phi", "mass")
_ALGORITHMS = {
    "antikt": fastjet.antikt_algorithm,
    "cambridge": fastjet.cambridge_algorithm,
    "kt": fastjet.kt_algorithm,
}
# FastJet keeps the history of every event of a batch: this bounds the memory (about 50 MB) whatever the chunk size.
_BATCH_PARTICLES = 100_000


@dataclass(frozen=True)
class Jets:
    """The ``count`` hardest jets of each event, hardest pT first; NaN and 0 where an event has fewer."""

    pt: FloatArray  # (n_events, count) GeV
    eta: FloatArray  # (n_events, count) pseudorapidity
    phi: FloatArray  # (n_events, count) in [-π, π]
    mass: FloatArray  # (n_events, count) GeV, never negative
    tau: FloatArray  # (n_events, count, N): τ_1 … τ_N, no unit
    n_constituents: npt.NDArray[np.int32]  # (n_events, count)
    n_jets: IntArray  # (n_events,): all jets above min_pt
    constituents: ak.Array | None = None  # (n_events, count, var) pt, eta, phi, mass; hardest first, empty where no jet


@dataclass(frozen=True)
class _Found:
    """The selected jets of a batch, flat, in the order (event, hardest first)."""

    event: IntArray  # (n,) event within the batch
    position: IntArray  # (n,) 0 is the hardest jet of its event
    momenta: FloatArray  # (4, n) px, py, pz, E
    constituents: IntArray  # particle numbers within the batch
    offsets: IntArray  # (n + 1,) into constituents
    n_jets: IntArray  # (events of the batch,)


def cluster_jets(
    particles: ak.Array,
    *,
    radius: float = 1.0,
    min_pt: float = 20.0,
    count: int = 2,
    algorithm: str = "antikt",
    n_subjettiness: int = 3,
    keep_constituents: bool = False,
    first_event: int = 0,
) -> Jets:
    """Cluster the particles of each event (E-scheme) and describe its hardest jets.

    What comes out for an event does not depend on the events around it.

    Args:
        particles: (n_events, var) record of pt, eta, phi, mass (GeV), any float type; computed in double precision.
        radius: R of the clustering, and R0 of the N-subjettiness.
        min_pt: smallest pT of a jet in GeV.
        count: jets to keep per event.
        algorithm: "antikt", "cambridge" or "kt".
        n_subjettiness: largest N of τ_N (exclusive-kT axes, β = 1); 0 for none.
        keep_constituents: also return the constituents of each jet.
        first_event: number of the first event in its file, for messages.

    Raises:
        InputError: a particle has a negative pT or a value that is not finite or missing, or a field is missing.
        ValueError: an unknown algorithm.
    """
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"unknown jet algorithm {algorithm!r}: expected one of {', '.join(_ALGORITHMS)}")
    offsets, fields = _flat_particles(particles)
    momenta = four_momenta(*fields, offsets=offsets, first_event=first_event)
    definition = fastjet.JetDefinition(_ALGORITHMS[algorithm], float(radius))
    jets = _empty(len(offsets) - 1, count, n_subjettiness)
    kept = []
    for start, stop in _batches(offsets):
        inside = slice(offsets[start], offsets[stop])
        found = _cluster_batch(
            momenta[:, inside], offsets[start : stop + 1] - offsets[start], definition, min_pt, count
        )
        constituents = found.constituents + offsets[start]
        taus = _n_subjettiness(momenta, constituents, offsets=found.offsets, count=n_subjettiness, radius=radius)
        _fill(jets, start, stop, found=found, taus=taus)
        if keep_constituents:
            kept.append(_hardest_first(constituents, found.offsets, fields[0]))
    if keep_constituents:
        order = np.concatenate([np.empty(0, np.int64), *kept])
        return Jets(**jets, constituents=_ragged(fields, order, jets["n_constituents"]))
    return Jets(**jets)


def _flat_particles(particles: ak.Array) -> tuple[IntArray, list[npt.NDArray[Any]]]:
    """Event offsets and the four fields as flat arrays."""
    missing = [name for name in _FIELDS if name not in particles.fields]
    if missing:
        raise InputError(
            f"The particles have no field {', '.join(missing)} (they have {', '.join(particles.fields) or 'none'}): "
            "jets need pt, eta, phi and mass in GeV."
        )
    try:
        counts = ak.to_numpy(ak.num(particles["pt"], axis=1), allow_missing=False)
        flat = [ak.to_numpy(ak.flatten(particles[name], axis=1), allow_missing=False) for name in _FIELDS]
    except ValueError as error:
        raise InputError(
            "Some particles, or whole events, are missing (None): drop them (ak.drop_none) before clustering."
        ) from error
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), flat


def _batches(offsets: IntArray) -> list[tuple[int, int]]:
    """Ranges of events with about _BATCH_PARTICLES particles each, at least one event."""
    ranges, start, events = [], 0, len(offsets) - 1
    while start < events:
        stop = int(np.searchsorted(offsets, offsets[start] + _BATCH_PARTICLES, side="right")) - 1
        stop = min(max(stop, start + 1), events)
        ranges.append((start, stop))
        start = stop
    return ranges


def _cluster_batch(
    momenta: FloatArray, offsets: IntArray, definition: fastjet.JetDefinition, min_pt: float, count: int
) -> _Found:
    """Cluster a batch of events and pick the hardest jets of each."""
    clusters = _cluster_sequence(momenta, offsets, definition)
    jets = clusters.inclusive_jets(min_pt)
    n_jets = ak.to_numpy(ak.num(jets, axis=1)).astype(np.int64)
    jet_momenta = np.stack([ak.to_numpy(ak.flatten(jets[c], axis=1)) for c in ("px", "py", "pz", "E")])
    members = ak.flatten(clusters.constituent_index(min_pt), axis=1)
    sizes = ak.to_numpy(ak.num(members, axis=1)).astype(np.int64)
    index = ak.to_numpy(ak.flatten(members, axis=1))

    event = np.repeat(np.arange(len(n_jets)), n_jets)
    order = np.lexsort((-(jet_momenta[0] ** 2 + jet_momenta[1] ** 2), event))
    position = np.arange(len(order)) - np.repeat(np.cumsum(n_jets) - n_jets, n_jets)
    chosen = order[position < count]
    ends = np.concatenate([[0], np.cumsum(sizes[chosen])])
    starts = (np.cumsum(sizes) - sizes)[chosen]
    within = np.arange(ends[-1]) + np.repeat(starts - ends[:-1], sizes[chosen])
    constituents = index[within] + np.repeat(offsets[event[chosen]], sizes[chosen])
    return _Found(event[chosen], position[position < count], jet_momenta[:, chosen], constituents, ends, n_jets)


def _cluster_sequence(momenta: FloatArray, offsets: IntArray, definition: fastjet.JetDefinition) -> Any:
    """FastJet's cluster sequence of a batch."""
    _silence_banner()
    record = ak.contents.RecordArray(
        [ak.contents.NumpyArray(component) for component in momenta], ["px", "py", "pz", "E"]
    )
    events = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))
    return fastjet.ClusterSequence(events, definition)


def _silence_banner() -> None:
    """Keep FastJet's banner off standard output, where the package allows it."""
    classic = getattr(getattr(fastjet, "_swig", None), "ClusterSequence", None)
    if classic is not None and hasattr(classic, "set_fastjet_banner_stream"):
        classic.set_fastjet_banner_stream(None)


def _empty(events: int, count: int, n_subjettiness: int) -> dict[str, npt.NDArray[Any]]:
    """The fields of Jets for events without any jet."""
    columns = {name: np.full((events, count), np.nan) for name in _FIELDS}
    return {
        **columns,
        "tau": np.full((events, count, n_subjettiness), np.nan),
        "n_constituents": np.zeros((events, count), np.int32),
        "n_jets": np.zeros(events, np.int64),
    }


def _fill(jets: dict[str, npt.NDArray[Any]], start: int, stop: int, *, found: _Found, taus: FloatArray) -> None:
    """Write what was found in events start to stop."""
    where = (found.event + start, found.position)
    jets["n_jets"][start:stop] = found.n_jets
    for name, values in zip(_FIELDS, coordinates(found.momenta), strict=True):
        jets[name][where] = values
    jets["n_constituents"][where] = np.diff(found.offsets)
    jets["tau"][where] = taus


def _hardest_first(constituents: IntArray, offsets: IntArray, pt: npt.NDArray[Any]) -> IntArray:
    """Particle numbers of the constituents, hardest first within each jet."""
    jet = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return constituents[np.lexsort((-pt[constituents], jet))]


def _ragged(fields: list[npt.NDArray[Any]], order: IntArray, sizes: npt.NDArray[np.int32]) -> ak.Array:
    """The particles in ``order`` as (n_events, count, var) lists of the given sizes."""
    events, count = sizes.shape
    columns = [ak.contents.NumpyArray(np.asarray(values[order], np.float64)) for values in fields]
    ends = ak.index.Index64(np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]))
    lists = ak.contents.ListOffsetArray(ends, ak.contents.RecordArray(columns, list(_FIELDS)))
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(np.arange(events + 1) * count), lists))
