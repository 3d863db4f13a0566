"""Events at particle level: nothing is lost or invented, and what the files hold of them."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from coffea.nanoevents import NanoEventsFactory

from analysis.samples import Recipe, generate, read_summary
from analysis.samples.events import read_batch
from analysis.samples.generator import Generator
from analysis.samples.metadata import read_metadata
from analysis.samples.particle_level import particle_level
from analysis.samples.particles import kind_of
from processors.schemas import schema_for
from processors.sources import standardise

N = 60
RECIPE = Recipe(process="ttbar", events=20, events_per_file=10, seed=4)


@pytest.fixture(scope="module")
def record():
    generator = Generator(RECIPE, seeds=np.random.SeedSequence(3))
    return read_batch(generator._pythia.nextBatch(N))


def sums(events, momentum) -> np.ndarray:
    return np.bincount(events.candidates.event, weights=momentum, minlength=events.candidates.n_events)


def test_visible_and_invisible_momenta_balance(record):
    """The protons have no transverse momentum, so that all particles together have none."""
    everything = particle_level(record, np.ones(N), max_eta=np.inf)
    candidates = everything.candidates
    assert everything.missing is not None
    for axis, along in enumerate((np.cos, np.sin)):
        total = sums(everything, candidates.pt * along(candidates.phi)) + everything.missing[:, axis]
        np.testing.assert_allclose(total, 0, atol=1e-5)
    np.testing.assert_array_equal(sums(everything, candidates.charge), 2)
    inside = particle_level(record, np.ones(N))
    np.testing.assert_array_equal(inside.missing, everything.missing)
    assert np.abs(inside.candidates.eta).max() < 5
    assert 0 < len(inside.candidates.pt) < len(candidates.pt)
    px, py, pz, energy = (record.momentum[name] for name in ("px", "py", "pz", "e"))
    central = np.abs(pz) < np.tanh(5.0) * np.sqrt(px**2 + py**2 + pz**2)
    expected = energy[(record.status > 0) & (kind_of(record.code) > 0) & central]
    found = np.hypot(inside.candidates.pt * np.cosh(inside.candidates.eta), inside.candidates.mass)
    np.testing.assert_allclose(np.sort(found), np.sort(expected), rtol=1e-6, atol=1e-6)


def test_every_final_particle_is_visible_or_a_neutrino(record):
    codes = np.abs(record.code[record.status > 0])
    assert set(codes[kind_of(codes) == 0]) <= {12, 14, 16}


def test_candidates_are_ordered_and_selected_with_their_masses(record):
    events = particle_level(record, np.ones(N))
    candidates = events.candidates
    assert candidates.mass is not None
    assert (np.diff(candidates.pt)[np.diff(candidates.event) == 0] <= 0).all()
    pions = np.abs(candidates.code) == 211
    np.testing.assert_allclose(candidates.mass[pions], 0.13957, atol=1e-4)
    keep = np.arange(N) % 3 == 1
    kept = events.select(keep)
    assert kept.candidates.mass is not None
    assert events.missing is not None
    np.testing.assert_array_equal(kept.missing, events.missing[keep])
    np.testing.assert_array_equal(kept.candidates.mass, candidates.mass[keep[candidates.event]])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tops")
    return directory, generate(RECIPE, directory, name="t")


def events_of(path):
    factory = NanoEventsFactory.from_root({str(path): "Events"}, schemaclass=schema_for("darkhorse"), mode="eager")
    return factory.events()


def test_files_hold_leptons_hadrons_and_the_momentum_of_the_neutrinos(made):
    _, files = made
    generator = Generator(RECIPE, seeds=np.random.SeedSequence([RECIPE.seed, 0]))
    expected = generator.next_events().select(np.arange(250) < 10)
    events = events_of(files[0])
    found = standardise(events)
    assert len(found) == 10
    assert expected.missing is not None
    np.testing.assert_allclose(found.MET.pt * np.cos(found.MET.phi), expected.missing[:, 0], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found.MET.pt * np.sin(found.MET.phi), expected.missing[:, 1], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(ak.flatten(found.PFCands.mass), expected.candidates.mass, rtol=1e-6)
    np.testing.assert_array_equal(ak.flatten(found.PFCands["pdgId"]), expected.candidates.code)
    for name, code in (("Electron", 11), ("Muon", 13)):
        same = found.PFCands[abs(found.PFCands["pdgId"]) == code]
        same = same[(same.pt > 10) & (abs(same.eta) < 2.5)]
        assert ak.to_list(found[name].pt) == ak.to_list(same.pt)
        assert ak.to_list(found[name]["charge"]) == ak.to_list(same["charge"])
        np.testing.assert_allclose(ak.flatten(found[name].mass), {11: 0.000511, 13: 0.10566}[code], rtol=1e-3)
    assert ak.sum(ak.num(found.Electron) + ak.num(found.Muon) > 0) >= 8
    assert ak.all(ak.num(found.GenBHadron) >= 2)
    assert set(found.truth.tolist()) == {0}


def test_generated_files_are_whole_and_the_same_again(made, tmp_path):
    directory, files = made
    again = generate(RECIPE, tmp_path, name="t", workers=2)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    summary = read_summary(RECIPE, directory, "t")
    assert (summary["kept"], summary["filter_efficiency"]) == (20, 1.0)
    # leading order at 14 TeV, both tops above 500 GeV, with the branching ratio
    assert 0.3 < summary["cross_section"] < 0.9
    assert read_metadata(files[1])["index"] == 1


def test_resonances_are_signal_and_their_filter_is_the_cut_on_the_tops(tmp_path):
    recipe = Recipe(process="resonance_ttbar", events=10, seed=4, top_resonance={"kind": "octet"})
    (path,) = generate(recipe, tmp_path, name="r")
    assert set(events_of(path).truth.tolist()) == {1}
    assert 0.7 < read_summary(recipe, tmp_path, "r")["filter_efficiency"] < 1
