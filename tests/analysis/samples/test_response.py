"""The detector: identities of a perfect one, and what each imperfection does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.samples.detector import Calorimeter, Detector, Tracker
from analysis.samples.particles import Particles, charge_of, kind_of
from analysis.samples.response import detect, find_tracks, make_towers, missing_momentum, track_response

PERFECT_CALORIMETER = Calorimeter(
    max_eta=10.0,
    cell=0.0,
    forward_cell=0.0,
    forward_eta=10.0,
    constant=0.0,
    stochastic=0.0,
    forward_constant=0.0,
    forward_stochastic=0.0,
    min_energy=0.0,
    min_significance=0.0,
)
PERFECT = Detector(
    tracker=Tracker(
        max_eta=10.0,
        min_pt=0.0,
        soft_pt=0.0,
        efficiency=1.0,
        endcap_efficiency=1.0,
        resolution=0.0,
        resolution_per_gev=0.0,
    ),
    electromagnetic=PERFECT_CALORIMETER,
    hadronic=PERFECT_CALORIMETER,
)


def make_particles(n: int, *, seed: int, codes=(211, -321, 22, 130, -2112, 11, -13), n_events: int = 5) -> Particles:
    """Massless particles of the given kinds within |eta| < 2."""
    random = np.random.default_rng(seed)
    code = random.choice(codes, n)
    pt, eta = random.exponential(10.0, n) + 0.01, random.uniform(-2, 2, n)
    return Particles(
        n_events,
        event=np.sort(random.integers(0, n_events, n)),
        pt=pt,
        eta=eta,
        phi=random.uniform(-np.pi, np.pi, n),
        energy=pt * np.cosh(eta),
        code=code,
        kind=kind_of(code),
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 200))
def test_perfect_detector_changes_nothing(seed, n):
    particles = make_particles(n, seed=seed)
    found = detect(particles, PERFECT, generator=np.random.default_rng(0))
    order = np.lexsort((-particles.pt, particles.event))
    np.testing.assert_array_equal(found.event, particles.event[order])
    for name in ("pt", "eta", "phi"):
        np.testing.assert_allclose(getattr(found, name), getattr(particles, name)[order], rtol=1e-12)
    np.testing.assert_array_equal(found.charge, charge_of(particles.code, particles.kind)[order])


def test_neutrinos_and_unknown_particles_are_invisible():
    particles = make_particles(50, seed=1, codes=(12, -14, 16, 1000022))
    assert len(detect(particles, PERFECT, generator=np.random.default_rng(0)).pt) == 0


def test_charges_follow_the_particle():
    code = np.array([11, -11, 13, 211, -211, 2212, -2212, 22, 130, 3112, 3222, 12])
    np.testing.assert_array_equal(charge_of(code, kind_of(code)), [-1, 1, -1, 1, -1, 1, -1, 0, 0, -1, 1, 0])


def test_nothing_beyond_the_acceptance():
    particles = make_particles(3000, seed=2)
    perfect = Detector(
        tracker=PERFECT.tracker.model_copy(update={"max_eta": 1.0}),
        electromagnetic=PERFECT_CALORIMETER.model_copy(update={"max_eta": 1.5}),
        hadronic=PERFECT_CALORIMETER.model_copy(update={"max_eta": 1.5}),
    )
    found = detect(particles, perfect, generator=np.random.default_rng(0))
    eta = np.abs(found.eta)
    assert eta[found.charge != 0].max() < 1.0
    assert 1.4 < eta.max() < 1.5
    # charged hadrons beyond the tracker still leave energy in the calorimeter
    total = particles.energy[(np.abs(particles.eta) < 1.5) & (particles.kind != kind_of(np.array([13]))[0])].sum()
    seen = found.pt * np.cosh(found.eta)
    assert np.isclose(seen[np.abs(found.code) != 13].sum(), total)


def test_track_efficiency_is_what_the_settings_say():
    particles = make_particles(40_000, seed=3, codes=(211,))
    tracker = Tracker()
    found = find_tracks(particles, tracker, generator=np.random.default_rng(0))
    barrel, hard = np.abs(particles.eta) < 1.5, particles.pt > 1
    assert found[barrel & hard].mean() == pytest.approx(tracker.efficiency, abs=0.006)
    assert found[~barrel & hard].mean() == pytest.approx(tracker.endcap_efficiency, abs=0.015)
    assert not found[particles.pt < tracker.min_pt].any()


def test_responses_are_unbiased():
    particles = make_particles(40_000, seed=4, codes=(211,))
    response = track_response(particles, Tracker(resolution=0.1), generator=np.random.default_rng(0))
    assert response.mean() == pytest.approx(1.0, abs=0.002)
    assert response.std() == pytest.approx(0.1, rel=0.02)
    assert response.min() > 0


@pytest.mark.parametrize(("code", "energy"), [(22, 50.0), (130, 200.0), (211, 200.0)])
def test_energy_of_single_particles_is_unbiased(code, energy):
    n = 4000
    codes = np.full(n, code)
    eta = np.random.default_rng(1).uniform(-1, 1, n)
    particles = Particles(
        n, np.arange(n), energy / np.cosh(eta), eta, np.zeros(n), np.full(n, energy), codes, kind_of(codes)
    )
    found = detect(particles, Detector(), generator=np.random.default_rng(0))
    seen = np.bincount(found.event, weights=found.pt * np.cosh(found.eta), minlength=n)
    # a charged hadron and an upward fluctuation of its tower count twice: the price of energy flow, below 8%
    assert seen.mean() == pytest.approx(energy, rel=0.01 if code != 211 else 0.08)


def test_towers_conserve_energy_and_point_near_their_deposits():
    particles = make_particles(5000, seed=5, codes=(22,))
    calorimeter = Detector().hadronic
    towers = make_towers(particles, calorimeter, generator=np.random.default_rng(0))
    assert len(towers.energy) < len(particles.pt)
    np.testing.assert_allclose(towers.energy.sum(), particles.energy.sum())
    np.testing.assert_array_equal(towers.event[towers.of_deposit], particles.event)
    assert np.abs(towers.eta[towers.of_deposit] - particles.eta).max() < calorimeter.cell
    gap = np.abs(towers.phi[towers.of_deposit] - particles.phi)
    assert np.minimum(gap, 2 * np.pi - gap).max() < 1.02 * calorimeter.cell


def test_missing_momentum_balances_the_candidates():
    found = detect(make_particles(300, seed=6), Detector(), generator=np.random.default_rng(0))
    size, azimuth = missing_momentum(found)
    x = np.bincount(found.event, weights=found.pt * np.cos(found.phi), minlength=found.n_events)
    y = np.bincount(found.event, weights=found.pt * np.sin(found.phi), minlength=found.n_events)
    np.testing.assert_allclose(size * np.cos(azimuth) + x, 0, atol=1e-9)
    np.testing.assert_allclose(size * np.sin(azimuth) + y, 0, atol=1e-9)


def test_candidates_are_ordered_and_limited():
    found = detect(make_particles(900, seed=7), Detector(max_candidates=20), generator=np.random.default_rng(0))
    assert found.counts().max() == 20
    assert np.all((np.diff(found.pt) <= 0) | (np.diff(found.event) > 0))


def test_selected_events_are_renumbered():
    found = detect(make_particles(300, seed=8), PERFECT, generator=np.random.default_rng(0))
    keep = np.array([False, True, False, True, True])
    kept = found.select(keep)
    np.testing.assert_array_equal(kept.counts(), found.counts()[keep])
    np.testing.assert_array_equal(kept.pt, found.pt[keep[found.event]])
