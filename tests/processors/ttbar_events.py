"""Top-pair events made by hand, files of them in the layout of the project's top samples, and runs over those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pandas as pd
import uproot
from coffea.processor.executor import ExecutorBase

from processors import TTbarProcessor, read_parts, run_files

Particle = tuple[float, float, float, float, int]  # pt (GeV), eta, phi, mass (GeV), pdgId
ELECTRON_MASS, MUON_MASS = 0.000511, 0.10566
CUTS = ["all", "lepton", "two_fat_jets", "b_jets", "light_jets", "ht"]


@dataclass(frozen=True)
class Event:
    """One event: visible particles, electrons and muons (also among them), B hadrons (pt, eta, phi), missing energy."""

    particles: Sequence[Particle]
    leptons: Sequence[Particle] = ()
    hadrons: Sequence[tuple[float, float, float]] = ()
    met: tuple[float, float] = (120.0, 3.0)

    def with_particles(self, *more: Particle) -> Event:
        """The same event with more particles."""
        return replace(self, particles=[*self.particles, *more])


@dataclass(frozen=True)
class Jet:
    """Where to put a jet, and what it is made of: two particles that share its pT, 0.02 apart in phi."""

    pt: float
    eta: float
    phi: float
    b: bool = False

    def particles(self) -> list[Particle]:
        return [(0.6 * self.pt, self.eta, self.phi, 0.1396, 211), (0.4 * self.pt, self.eta, self.phi + 0.02, 0.0, 22)]


@dataclass(frozen=True)
class Tops:
    """A top pair by its jets and lepton: the hadronic top near phi = 0, the leptonic one near phi = 3."""

    hadronic: Sequence[Jet] = (Jet(250, 0.0, 0.0, b=True), Jet(260, 0.45, 0.0), Jet(150, -0.4, 0.1))
    leptonic: Sequence[Jet] = (Jet(300, 0.2, 2.9, b=True),)
    lepton: Particle | None = (150.0, -0.4, 3.0, MUON_MASS, -13)
    others: Sequence[Particle] = field(default_factory=tuple)
    met: tuple[float, float] = (120.0, 3.0)

    def event(self) -> Event:
        jets = [*self.hadronic, *self.leptonic]
        leptons = [] if self.lepton is None else [self.lepton]
        return Event(
            particles=[*(p for jet in jets for p in jet.particles()), *leptons, *self.others],
            leptons=leptons,
            hadrons=[(0.7 * jet.pt, jet.eta + 0.01, jet.phi) for jet in jets if jet.b],
            met=self.met,
        )


def random_event(rng: np.random.Generator) -> Event:
    """A top pair of many particles: three prongs and a b with a lepton, opposite in phi, and soft particles between."""
    axis, eta = rng.uniform(-np.pi, np.pi), rng.normal(0, 0.7, 2)

    def spray(pt: float, eta: float, phi: float) -> list[Particle]:
        size = int(rng.integers(4, 15))
        shares = rng.dirichlet(np.ones(size)) * pt
        directions = zip(rng.normal(eta, 0.04, size), rng.normal(phi, 0.04, size), strict=True)
        return [(float(s) + 0.2, float(e), float(p), 0.1396, 211) for s, (e, p) in zip(shares, directions, strict=True)]

    prongs = [(rng.uniform(150, 400), eta[0] + rng.uniform(-0.5, 0.5), axis + rng.uniform(-0.5, 0.5)) for _ in range(3)]
    b = (rng.uniform(200, 500), eta[1] + rng.uniform(-0.2, 0.2), axis + np.pi + rng.uniform(-0.2, 0.2))
    soft = [
        (float(rng.exponential(2) + 0.1), float(rng.uniform(-4, 4)), float(rng.uniform(-np.pi, np.pi)), 0.0, 22)
        for _ in range(30)
    ]
    flavour, mass = (11, ELECTRON_MASS) if rng.random() < 0.5 else (13, MUON_MASS)
    lepton = (
        float(rng.uniform(9, 250)),
        float(eta[1] + rng.uniform(-0.6, 0.6)),
        float(axis + np.pi + 0.3),
        mass,
        flavour,
    )
    particles = [p for jet in (*prongs, b) for p in spray(*map(float, jet))] + soft + [lepton]
    hadrons = [(0.7 * pt, eta, phi) for pt, eta, phi in (prongs[0], b)]
    met = (float(rng.uniform(20, 300)), float(rng.uniform(-np.pi, np.pi)))
    return Event(particles, [lepton], hadrons, met)


def shuffled(event: Event, rng: np.random.Generator) -> Event:
    """The same event with its particles, leptons and hadrons in another order."""
    lists = {name: getattr(event, name) for name in ("particles", "leptons", "hadrons")}
    return replace(event, **{name: [values[i] for i in rng.permutation(len(values))] for name, values in lists.items()})


def write_ttbar(
    path: Path, events: Sequence[Event], *, weight: np.ndarray | None = None, without: Sequence[str] = ()
) -> Path:
    """A ROOT file of events; ``without`` leaves out branches, or collections (their first part)."""
    branches: dict[str, Any] = {}
    for name, lists in {
        "PFCands": [event.particles for event in events],
        "Electron": [[p for p in event.leptons if abs(p[4]) == 11] for event in events],
        "Muon": [[p for p in event.leptons if abs(p[4]) == 13] for event in events],
    }.items():
        branches |= _collection(name, lists, ("pt", "eta", "phi", "mass", "pdgId"))
    for name in ("Electron", "Muon"):
        branches[f"{name}_charge"] = -np.sign(branches.pop(f"{name}_pdgId"))
    branches["PFCands_charge"] = ak.values_astype(abs(branches["PFCands_pdgId"]) != 22, np.int32)
    hadrons = [[(*hadron, 5.28) for hadron in event.hadrons] for event in events]
    branches |= _collection("GenBHadron", hadrons, ("pt", "eta", "phi", "mass"))
    met = np.array([event.met for event in events], dtype=np.float32).reshape(-1, 2)
    branches |= {"MET_pt": met[:, 0], "MET_phi": met[:, 1], "truth": np.zeros(len(events), np.int32)}
    branches |= {"event": np.arange(len(events), dtype=np.uint64)}
    branches |= {name: np.ones(len(events), np.uint32) for name in ("run", "luminosityBlock")}
    if weight is not None:
        branches["genWeight"] = np.asarray(weight, np.float32)
    branches = {n: values for n, values in branches.items() if n not in without and n.split("_")[0] not in without}
    types = {
        name: values.dtype if isinstance(values, np.ndarray) else f"var * {ak.type(values).content.content}"
        for name, values in branches.items()
    }
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", types, counter_name=lambda name: "n" + name.split("_")[0])
        if events:
            tree.extend(branches)
    return path


def _collection(name: str, lists: Sequence[Sequence[Sequence[float]]], fields: Sequence[str]) -> dict[str, ak.Array]:
    counts = np.array([len(entries) for entries in lists], dtype=np.int64)
    flat = np.array([row for entries in lists for row in entries], dtype=np.float64).reshape(-1, len(fields))
    kinds = {"pdgId": np.int32}
    return {
        f"{name}_{field}": ak.unflatten(flat[:, i].astype(kinds.get(field, np.float32)), counts)
        for i, field in enumerate(fields)
    }


def run(path: Path, executor: ExecutorBase, *, chunksize: int = 10_000, **settings: Any) -> dict[str, Any]:
    """The results of the processor for a file of events, as data set d."""
    processor = TTbarProcessor(**settings)
    return run_files({"d": [str(path)]}, processor, format="darkhorse", executor=executor, chunksize=chunksize).results


def frame_of(results: dict[str, Any], variation: str = "nominal") -> pd.DataFrame:
    """The columns of a run as a pandas frame."""
    table = read_parts(results["parts"]["d"][variation])
    return pd.DataFrame({name: table.column(name).to_pylist() for name in table.column_names})


def counts(results: dict[str, Any], variation: str = "nominal") -> dict[str, int]:
    """Events after each cut."""
    return {cut: n["events"] for cut, n in results["cutflow"]["d"][variation].items()}
