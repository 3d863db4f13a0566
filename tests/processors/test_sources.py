"""One event record from every source."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from processors.errors import InputError
from processors.schemas import FORMATS, format_for, schema_for
from processors.sources import require, standardise
from tests.processors.conftest import write_delphes


def test_generated_layout(tmp_path: Path, nano_events, particles, generated_file) -> None:
    weight = np.linspace(0.5, 1.5, 6)
    path = generated_file(tmp_path / "a.root", particles(6), weight=weight, truth=1)
    record = standardise(nano_events(path, "darkhorse"))
    assert {"PFCands", "MET", "weight", "truth"} <= set(record.fields)
    assert ak.all(record.PFCands.pt == particles(6).pt)
    assert str(ak.type(record.PFCands.pt)).endswith("float64")
    np.testing.assert_allclose(record.PFCands.energy[0], record.PFCands.pt[0] * np.cosh(record.PFCands.eta[0]))
    np.testing.assert_allclose(record.weight, weight, rtol=1e-6)
    assert record.truth.tolist() == [1] * 6
    assert record.metadata["dataset"] == "d"


def test_data_have_weight_one(tmp_path: Path, nano_events, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(3), weight=None)
    assert standardise(nano_events(path, "darkhorse"), collections=()).weight.tolist() == [1.0] * 3


def test_weight_that_is_not_a_number(tmp_path: Path, nano_events, particles, generated_file) -> None:
    path = generated_file(tmp_path / "a.root", particles(3), weight=np.array([1, np.nan, 1]))
    with pytest.raises(InputError, match=r"weight of entry 1 of .*a\.root is nan"):
        standardise(nano_events(path, "darkhorse"))


def test_only_the_collections_asked_for(tmp_path: Path, nano_events, particles, generated_file) -> None:
    record = standardise(
        nano_events(generated_file(tmp_path / "a.root", particles(3)), "darkhorse"), collections=["MET"]
    )
    assert set(record.fields) == {"MET", "weight", "truth"}


def test_missing_collection_lists_what_there_is(tmp_path: Path, nano_events, particles, generated_file) -> None:
    events = nano_events(generated_file(tmp_path / "a.root", particles(3)), "darkhorse")
    with pytest.raises(InputError, match=r"has no FatJet: .* Its collections of momenta: PFCands"):
        require(standardise(events), "FatJet", source=events)


@pytest.mark.parametrize(
    ("name", "format_name", "has"),
    [
        ("pfnano.root", "pfnano", {"PFCands", "FatJet", "MET", "Electron", "Muon"}),
        ("nano_dy.root", "nanoaod", {"FatJet", "MET", "Electron", "Muon"}),
        ("nanoaod_2015_ttbar.root", "nanoaod", {"FatJet", "MET", "Electron", "Muon"}),
        ("scouting_nano.root", "scouting", {"FatJet", "MET"}),
    ],
)
def test_real_files(shared_data: Path, nano_events, *, name: str, format_name: str, has: set[str]) -> None:
    record = standardise(nano_events(shared_data / name, format_name))
    assert has <= set(record.fields)
    prefix = "ScoutingFatJet" if format_name == "scouting" else "FatJet"
    with uproot.open(shared_data / name) as file:
        for column in ("pt", "tau1", "tau2", "tau3"):
            assert ak.all(record.FatJet[column] == file["Events"][f"{prefix}_{column}"].array())
        np.testing.assert_array_equal(record.weight, file["Events"]["genWeight"].array())
    assert set(record.truth.tolist()) == {-1}


@pytest.mark.parametrize("name", ["Electron", "Muon"])
def test_leptons_keep_their_charge(shared_data: Path, nano_events, name: str) -> None:
    record = standardise(nano_events(shared_data / "pfnano.root", "pfnano"), collections=[name])
    with uproot.open(shared_data / "pfnano.root") as file:
        assert ak.to_list(record[name]["charge"]) == ak.to_list(file["Events"][f"{name}_charge"].array())
    assert set(ak.flatten(record[name]["charge"]).tolist()) == {-1, 1}


def test_delphes(tmp_path: Path, nano_events) -> None:
    content = write_delphes(tmp_path / "delphes.root", 5)
    record = standardise(nano_events(tmp_path / "delphes.root", "delphes"))
    candidates = ak.concatenate(
        [content[f"EFlow{name}"] for name in ("Track/EFlowTrack.PT", "Photon/EFlowPhoton.ET")]
        + [content["EFlowNeutralHadron/EFlowNeutralHadron.ET"]],
        axis=1,
    )
    assert ak.all(record.PFCands.pt == candidates)
    tracks = content["EFlowTrack_size"]
    for event, n_tracks in zip(record.PFCands, tracks, strict=True):
        assert (np.asarray(event.mass)[n_tracks:] == 0).all()
        assert (np.asarray(event.mass)[:n_tracks] > 0).all()
    assert ak.all(record.FatJet.pt == content["FatJet/FatJet.PT"])
    n_constituents = content["FatJet/FatJet.NCharged"] + content["FatJet/FatJet.NNeutrals"]
    assert ak.all(record.FatJet["n_constituents"] == n_constituents)
    assert record.weight.tolist() == ak.flatten(content["Event/Event.Weight"]).tolist()
    assert record.MET.pt.tolist() == ak.flatten(content["MissingET/MissingET.MET"]).tolist()


def test_formats_by_name() -> None:
    assert {"darkhorse", "nanoaod", "pfnano", "scouting", "delphes", "lhco"} == set(FORMATS)
    assert format_for("generated") is FORMATS["darkhorse"]
    with pytest.raises(InputError, match="Did you mean 'pfnano'"):
        format_for("pfnanoo")
    with pytest.raises(InputError, match="HDF5Runner"):
        schema_for("lhco")
