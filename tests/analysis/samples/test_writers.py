"""The files: ROOT for coffea's NanoAODSchema, HDF5 for pandas, both the same bytes whenever they are written."""

from __future__ import annotations

import time

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest
import uproot
from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

from analysis.samples.events import BHadrons, Events
from analysis.samples.metadata import read_metadata
from analysis.samples.particles import Candidates
from analysis.samples.writers import write_events


class Schema(NanoAODSchema):
    """Coffea's, which would warn of every collection of CMS that generated events lack."""

    warn_missing_crossrefs = False


METADATA = {"key": "abc", "index": 3}


def make_events(counts: list[int], *, seed: int = 0) -> Events:
    """Events with `counts` candidates each, the first with two B hadrons."""
    random = np.random.default_rng(seed)
    event = np.repeat(np.arange(len(counts)), counts)
    pt = random.exponential(20.0, len(event)) + 0.1
    pt = pt[np.lexsort((-pt, event))]
    eta, phi = random.uniform(-2, 2, (2, len(event)))
    charge = random.integers(-1, 2, len(event)).astype(np.int8)
    candidates = Candidates(
        len(counts), event, pt, eta, phi, np.where(charge == 0, 22, 211 * charge.astype(np.int64)), charge
    )
    hadrons = BHadrons(np.zeros(2, np.int64), *np.full((4, 2), 5.0))
    return Events(candidates, hadrons, np.ones(len(counts)))


@pytest.fixture(scope="module")
def batches():
    return [make_events([5, 0, 700]), make_events([3, 4], seed=1)]


@pytest.mark.parametrize(("format", "suffix"), [("root", ".root"), ("lhco", ".h5")])
def test_same_events_same_bytes(tmp_path, batches, format, suffix):
    first, second = tmp_path / f"a{suffix}", tmp_path / f"somewhere-else{suffix}"
    write_events(first, batches, format=format, truth=1, metadata=METADATA)
    time.sleep(1.1)  # ROOT's dates count seconds
    write_events(second, batches, format=format, truth=1, metadata=METADATA)
    assert first.read_bytes() == second.read_bytes()
    assert read_metadata(first) == METADATA


def test_nanoaod_schema_reads_the_root_file(tmp_path, batches):
    path = tmp_path / "a.root"
    write_events(path, batches, format="root", truth=1, metadata=METADATA)
    events = NanoEventsFactory.from_root({str(path): "Events"}, schemaclass=Schema, mode="eager").events()
    assert ak.to_list(ak.num(events.PFCands)) == [5, 0, 700, 3, 4]
    assert ak.to_list(ak.num(events.GenBHadron)) == [2, 0, 0, 2, 0]
    first = batches[0].candidates
    np.testing.assert_allclose(ak.flatten(events.PFCands.pt[:3]), first.pt.astype(np.float32))
    np.testing.assert_array_equal(ak.flatten(events.PFCands.pdgId[:3]), first.code)
    assert ak.all(events.truth == 1)
    assert ak.all(events.genWeight == 1)
    x = ak.sum(events.PFCands.pt * np.cos(events.PFCands.phi), axis=1)
    np.testing.assert_allclose(events.MET.pt * np.cos(events.MET.phi), -x, rtol=1e-4, atol=1e-3)


def test_pandas_reads_the_lhco_file(tmp_path, batches):
    path = tmp_path / "a.h5"
    write_events(path, batches, format="lhco", truth=1, metadata=METADATA)
    frame = pd.read_hdf(path)
    assert frame.shape == (5, 2101)
    assert (frame[2100] == 1).all()
    particles = frame.to_numpy()[:, :2100].reshape(5, 700, 3)
    np.testing.assert_array_equal((particles[:, :, 0] > 0).sum(1), [5, 0, 700, 3, 4])
    assert (np.diff(particles[:, :, 0], axis=1) <= 0).all()
    assert not particles[0, 5:].any()
    np.testing.assert_array_equal(particles[2, :, 0], batches[0].candidates.pt[5:])


def test_lhco_file_has_the_layout_of_the_real_one(tmp_path, batches, shared_data):
    path = tmp_path / "a.h5"
    write_events(path, batches, format="lhco", truth=0, metadata=METADATA)
    with h5py.File(path) as made, h5py.File(shared_data / "lhco_rnd_tiny.h5") as real:
        nodes: list[str] = []
        real.visit(nodes.append)
        for name in nodes:
            assert dict(made[name].attrs) == dict(real[name].attrs), name
            if isinstance(real[name], h5py.Dataset):
                assert made[name].dtype == real[name].dtype
                assert made[name].ndim == real[name].ndim


def test_files_of_other_origin_have_no_metadata(tmp_path):
    with uproot.recreate(tmp_path / "a.root") as file:
        file["Events"] = {"x": np.arange(3)}
    with h5py.File(tmp_path / "a.h5", "w"):
        pass
    (tmp_path / "b.root").write_bytes(b"root")
    for name in ("a.root", "a.h5", "b.root", "missing.root"):
        with pytest.raises((ValueError, OSError)):
            read_metadata(tmp_path / name)
