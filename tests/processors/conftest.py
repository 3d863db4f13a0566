"""Small files of every format, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import hdf5plugin
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoEventsFactory
from coffea.processor import IterativeExecutor
from coffea.processor.executor import ExecutorBase

from processors.executors import open_executor
from processors.schemas import format_for

PARTICLES = 700


def make_particles(n_events: int, *, seed: int = 1) -> ak.Array:
    """Two back-to-back sprays of massless particles and a few soft ones per event, float32 values, pt-ordered."""
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(n_events):
        axis, eta = rng.uniform(-np.pi, np.pi), rng.normal(0, 0.8, 2)
        sizes = rng.integers(5, 25, 2)
        parts = [
            np.stack(
                [
                    rng.dirichlet(np.ones(size)) * rng.uniform(1250, 1600),
                    eta[jet] + rng.normal(0, 0.2, size),
                    axis + jet * np.pi + rng.normal(0, 0.2, size),
                ],
                axis=1,
            )
            for jet, size in enumerate(sizes)
        ]
        soft = np.stack([rng.exponential(2, 8) + 0.1, rng.uniform(-2.5, 2.5, 8), rng.uniform(-np.pi, np.pi, 8)], axis=1)
        event = np.concatenate([*parts, soft]).astype(np.float32).astype(np.float64)
        event[:, 2] = (event[:, 2] + np.pi) % (2 * np.pi) - np.pi
        events.append(event[np.argsort(-event[:, 0], kind="stable")])
    counts = np.array([len(event) for event in events], dtype=np.int64)
    flat = np.concatenate(events) if events else np.zeros((0, 3))
    return ak.zip(
        {name: ak.unflatten(flat[:, i].astype(np.float32), counts) for i, name in enumerate(("pt", "eta", "phi"))}
    )


def lhco_rows(particles: ak.Array, *, label: np.ndarray | None = None) -> np.ndarray:
    """The same events as rows of the LHC Olympics files."""
    rows = np.zeros((len(particles), 3 * PARTICLES + (label is not None)))
    for i, event in enumerate(particles):
        for j, name in enumerate(("pt", "eta", "phi")):
            rows[i, j : 3 * len(event) : 3] = np.asarray(event[name])
    if label is not None:
        rows[:, -1] = label
    return rows


def write_generated(path: Path, particles: ak.Array, *, weight: np.ndarray | None = None, truth: int = 0) -> Path:
    """A ROOT file in the layout of the project's samples, with the event numbers that NanoAODSchema asks for."""
    n_events = len(particles)
    candidates = {
        "pt": particles.pt,
        "eta": particles.eta,
        "phi": particles.phi,
        "mass": ak.zeros_like(particles.pt),
        "charge": ak.values_astype(ak.zeros_like(particles.pt), np.int32),
        "pdgId": ak.values_astype(ak.full_like(particles.pt, 22), np.int32),
    }
    flat: dict[str, Any] = {
        "run": np.ones(n_events, np.uint32),
        "luminosityBlock": np.ones(n_events, np.uint32),
        "event": np.arange(n_events, dtype=np.uint64),
        "MET_pt": np.ones(n_events, np.float32),
        "MET_phi": np.zeros(n_events, np.float32),
        "truth": np.full(n_events, truth, np.int32),
    }
    if weight is not None:
        flat["genWeight"] = np.asarray(weight, np.float32)
    types = {f"PFCands_{name}": f"var * {ak.type(values).content.content}" for name, values in candidates.items()}
    types |= {name: values.dtype for name, values in flat.items()}
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", types, counter_name=lambda name: "n" + name.split("_")[0])
        if n_events:
            tree.extend({f"PFCands_{name}": values for name, values in candidates.items()} | flat)
    return path


def write_lhco(path: Path, rows: np.ndarray, *, key: str = "df") -> Path:
    """A Blosc-compressed pandas "fixed" frame of particle rows, as the LHC Olympics files are."""
    columns = np.arange(rows.shape[1])
    with h5py.File(path, "w") as file:
        group = file.create_group(key)
        for name, values in {"axis0": columns, "axis1": np.arange(len(rows)), "block0_items": columns}.items():
            group.create_dataset(name, data=values)
        group.create_dataset(
            "block0_values", data=rows, chunks=(min(7, len(rows)), rows.shape[1]), **hdf5plugin.Blosc()
        )
    return path


def write_delphes(path: Path, n_events: int, *, scale: float = 1.0) -> dict[str, ak.Array]:
    """Branches named as Delphes does; uproot cannot write its classes, only their names and contents.

    Momenta and masses lie between 0.5 and 2 times `scale` (GeV).
    """
    rng = np.random.default_rng(2)
    content: dict[str, ak.Array] = {}
    collections = {
        "EFlowTrack": ("PT", "Eta", "Phi", "Mass"),
        "EFlowPhoton": ("ET", "Eta", "Phi", "E"),
        "EFlowNeutralHadron": ("ET", "Eta", "Phi", "E"),
        "FatJet": ("PT", "Eta", "Phi", "Mass", "NCharged", "NNeutrals"),
        "MissingET": ("MET", "Eta", "Phi"),
        "Event": ("Weight",),
    }
    for name, leaves in collections.items():
        counts = np.ones(n_events, int) if name in ("MissingET", "Event") else rng.integers(2, 6, n_events)
        content[f"{name}_size"] = counts.astype(np.int32)
        for leaf in leaves:
            values = rng.integers(1, 9, counts.sum()) if leaf.startswith("N") else rng.uniform(0.5, 2, counts.sum())
            if leaf in ("PT", "ET", "Mass", "E", "MET"):
                values = scale * values
            kind = np.int32 if leaf.startswith("N") else np.float32
            content[f"{name}/{name}.{leaf}"] = ak.unflatten(values.astype(kind), counts)
    types = {
        name: values.dtype if isinstance(values, np.ndarray) else f"var * {ak.type(values).content.content}"
        for name, values in content.items()
    }
    with uproot.recreate(path) as file:
        file.mktree("Delphes", types, counter_name=lambda name: name.split("/")[0] + "_size").extend(content)
    return content


@pytest.fixture(scope="session")
def particles() -> Callable[..., ak.Array]:
    """make_particles(n_events, seed=…)."""
    return make_particles


@pytest.fixture(scope="session")
def generated_file() -> Callable[..., Path]:
    """write_generated(path, particles, weight=…, truth=…)."""
    return write_generated


@pytest.fixture(scope="session")
def lhco_file() -> Callable[..., Path]:
    """write_lhco(path, rows, key=…)."""
    return write_lhco


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., np.ndarray]:
    """lhco_rows(particles, label=…)."""
    return lhco_rows


@pytest.fixture(scope="session")
def nano_events() -> Callable[..., ak.Array]:
    """nano_events(path, format name): the NanoEvents of a whole ROOT file."""

    def read(path: Path, format_name: str) -> ak.Array:
        form = format_for(format_name)
        return NanoEventsFactory.from_root(
            {str(path): form.treename},
            schemaclass=form.schema,
            mode="virtual",
            metadata={"dataset": "d", "filename": str(path), "entrystart": 0},
        ).events()

    return read


@pytest.fixture
def iterative() -> ExecutorBase:
    return IterativeExecutor(status=False)


@pytest.fixture(scope="session")
def executors() -> Iterator[dict[str, ExecutorBase]]:
    """One executor of each kind, two workers where it has any, kept for all tests: workers are slow to start."""
    with (
        open_executor("iterative") as iterative,
        open_executor("futures", workers=2) as futures,
        open_executor("dask", workers=2) as dask,
    ):
        yield {"iterative": iterative, "futures": futures, "dask": dask}
