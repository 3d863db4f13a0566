"""What is read from Pythia's record, and the physics of the generated events."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from analysis.samples import GenerationError, Recipe
from analysis.samples.events import Record, b_hadrons, is_b_hadron, stable_particles
from analysis.samples.generator import Generator
from processors.jets import cluster_jets


def make_record() -> Record:
    """Two events: B* → B⁰ γ with the B⁰ decayed, and a lone B⁺ with a neutrino."""
    n = 8
    return Record(
        offsets=np.array([0, 5, 8]),
        code=np.array([90, 513, 511, 22, 211, 90, 521, 12]),
        status=np.array([-11, -83, -91, 91, 91, -11, 83, 83]),
        first_daughter=np.array([0, 2, 4, 0, 0, 0, 0, 0]),
        last_daughter=np.array([0, 3, 4, 0, 0, 0, 0, 0]),
        momentum={"px": np.arange(n) + 1.0, "py": np.zeros(n), "pz": np.ones(n), "e": np.arange(n) + 9.0},
        mass=np.full(n, 5.3),
    )


def test_only_the_last_b_hadron_counts():
    hadrons = b_hadrons(make_record())
    np.testing.assert_array_equal(hadrons.event, [0, 1])
    np.testing.assert_array_equal(hadrons.pt, [3.0, 7.0])


def test_b_hadron_codes():
    code = np.array([511, -521, 531, 541, 5122, -5332, 513, 10511, 553, 100553, 5, 411, 4122, 2212, 90, 9900101])
    expected = [True] * 8 + [False] * 8
    np.testing.assert_array_equal(is_b_hadron(code), expected)


def test_stable_visible_particles_only():
    particles = stable_particles(make_record(), max_eta=5.0)
    np.testing.assert_array_equal(particles.code, [22, 211, 521])
    np.testing.assert_array_equal(particles.event, [0, 0, 1])
    assert np.allclose(particles.pt * np.sinh(particles.eta), 1.0)


def generate_batch(attempts: int, **settings):
    recipe = Recipe(process="wprime_xy", events=10, seed=3, **settings)
    generator = Generator(recipe, seeds=np.random.SeedSequence(5))
    return generator, generator.next_events(attempts)


@pytest.fixture(scope="module")
def signal():
    return generate_batch(250)


def two_jets(events):
    candidates = events.candidates
    columns = {name: getattr(candidates, name) for name in ("pt", "eta", "phi")} | {"mass": 0 * candidates.pt}
    return cluster_jets(ak.unflatten(ak.zip(columns), candidates.counts()), n_subjettiness=0)


def test_two_jets_peak_at_the_wprime_mass(signal):
    jets = two_jets(signal[1])
    px, py, pz = (jets.pt * along for along in (np.cos(jets.phi), np.sin(jets.phi), np.sinh(jets.eta)))
    energy = np.sqrt(px**2 + py**2 + pz**2 + jets.mass**2)
    mjj = np.sqrt(energy.sum(1) ** 2 - px.sum(1) ** 2 - py.sum(1) ** 2 - pz.sum(1) ** 2)
    assert np.median(mjj) == pytest.approx(3500, abs=75)
    assert np.mean(np.abs(mjj - 3500) < 350) > 0.75
    assert np.median(jets.mass.max(1)) == pytest.approx(500, abs=40)
    assert np.median(jets.mass.min(1)) == pytest.approx(105, abs=20)


def test_kept_events_pass_the_filter(signal):
    generator, events = signal
    jets = two_jets(events)
    assert jets.pt[:, 0].min() >= 1200
    assert np.abs(jets.eta[:, 0]).max() < 2.5
    counts = generator.counts()
    assert 0.8 < counts["passed"] / counts["tried"] < 0.98
    assert 0 < counts["cross_section_error"] < counts["cross_section"]


def test_b_quarks_make_b_hadrons():
    decays = {"mass": 500.0, "decays": [[4, -5]]}, {"mass": 100.0, "decays": [[5, -5]]}
    _, events = generate_batch(25, resonance={"x": decays[0], "y": decays[1]}, min_leading_jet_pt=None)
    hadrons = np.bincount(events.b_hadrons.event, minlength=events.n_events)
    assert hadrons.min() >= 2
    assert 2.8 < hadrons.mean() < 3.6
    assert np.all((events.b_hadrons.mass > 5.2) & (events.b_hadrons.mass < 6.5))


def test_three_quarks_and_tops_are_generated():
    _, events = generate_batch(
        20,
        resonance={"x": {"mass": 600.0, "decays": [[2, 2, 1]]}, "y": {"mass": 500.0, "decays": [[6, -6]]}},
        min_leading_jet_pt=None,
    )
    assert events.n_events == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["TimeShower:alphaSvalue = 0.12", "TimeShowr:pTmin = 1"], "'TimeShowr:pTmin = 1'"),
        (["TimeShower:alphaSvalue = much"], "'TimeShower:alphaSvalue = much'"),
        (["NewGaugeBoson:ffbar2Wprime = off"], "cannot start wprime_xy"),
    ],
)
def test_settings_that_pythia_refuses(settings, message):
    with pytest.raises(GenerationError, match=message):
        generate_batch(1, settings=settings)


def test_pythia_giving_up_is_an_error():
    resonance = {"y": {"mass": 0.5, "decays": [[1, -1]]}}
    with pytest.raises(GenerationError, match="Pythia gave up generating wprime_xy"):
        generate_batch(20, resonance=resonance, min_leading_jet_pt=None)


def test_a_hopeless_filter_is_an_error(monkeypatch):
    monkeypatch.setattr("analysis.samples.veto.HOPELESS", 50)
    with pytest.raises(GenerationError, match="min_leading_jet_pt = 6000 GeV"):
        generate_batch(20, min_leading_jet_pt=6000.0)
