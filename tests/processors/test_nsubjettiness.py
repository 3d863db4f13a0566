"""N-subjettiness against FastJet's exclusive jets, known answers and limits."""

from __future__ import annotations

import math

import fastjet
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.nsubjettiness import n_subjettiness

FloatArray = npt.NDArray[np.float64]


def momenta_of(pt: FloatArray, eta: FloatArray, phi: FloatArray, mass: float = 0.0) -> FloatArray:
    """(4, n) px, py, pz, E."""
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
    return np.concatenate([p, np.sqrt((p**2).sum(axis=0) + mass**2)[np.newaxis]])


def one_jet(momenta: FloatArray, *, count: int = 3, radius: float = 1.0) -> FloatArray:
    """τ of a jet made of all particles."""
    size = momenta.shape[1]
    return n_subjettiness(momenta, np.arange(size), offsets=np.array([0, size]), count=count, radius=radius)[0]


def reference(momenta: FloatArray, n: int, radius: float) -> float:
    """τ_n from FastJet's own exclusive jets, one at a time."""
    particles = [fastjet.PseudoJet(*map(float, p)) for p in momenta.T]
    sequence = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.kt_algorithm, radius))
    axes = sequence.exclusive_jets(n)
    distance = [
        min(math.hypot(p.eta() - a.eta(), math.remainder(p.phi() - a.phi(), 2 * math.pi)) for a in axes)
        for p in particles
    ]
    pt = [p.pt() for p in particles]
    return sum(w * d for w, d in zip(pt, distance, strict=True)) / (sum(pt) * radius)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 90),
    spread=st.sampled_from([0.05, 0.5, 1.5]),  # wide ones: objects merge with the beam
    radius=st.sampled_from([0.4, 1.0]),
    mass=st.sampled_from([0.0, 0.13957]),
)
def test_agrees_with_fastjet(seed: int, size: int, spread: float, radius: float, mass: float) -> None:
    rng = np.random.default_rng(seed)
    phi = math.pi + rng.normal(0, spread, size)  # across the seam
    momenta = momenta_of(rng.exponential(10, size) + 0.1, rng.normal(0.5, spread, size), phi, mass)
    taus = one_jet(momenta, count=4, radius=radius)
    for n in range(1, 5):
        expected = reference(momenta, n, radius) if n < size else 0.0
        assert taus[n - 1] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_three_prongs_are_seen_as_three() -> None:
    rng = np.random.default_rng(1)
    prong = np.repeat([0, 1, 2], 20)
    eta = np.array([0.0, 0.5, 0.1])[prong] + rng.normal(0, 0.01, 60)
    phi = np.array([0.0, 0.1, 0.6])[prong] + rng.normal(0, 0.01, 60)
    tau1, tau2, tau3 = one_jet(momenta_of(rng.uniform(5, 10, 60), eta, phi))
    assert tau1 > tau2 > 10 * tau3


def test_few_constituents() -> None:
    momenta = momenta_of(np.array([10.0, 20.0, 5.0]), np.array([0.0, 0.3, -0.4]), np.array([3.1, -3.1, 3.0]))
    particles, offsets = np.array([0, 1, 2, 0, 1, 2]), np.array([0, 1, 3, 3, 6])
    taus = n_subjettiness(momenta, particles, offsets=offsets)
    assert taus[0].tolist() == [0.0, 0.0, 0.0]
    assert taus[1, 0] > 0
    assert taus[1, 1:].tolist() == [0.0, 0.0]
    assert np.isnan(taus[2]).all()  # no constituents
    assert taus[3, 0] > taus[3, 1] > 0
    assert taus[3, 2] == 0.0


def test_no_jets_and_no_taus() -> None:
    momenta = np.zeros((4, 0))
    assert n_subjettiness(momenta, np.zeros(0, np.int64), offsets=np.array([0])).shape == (0, 3)
    assert n_subjettiness(momenta, np.zeros(0, np.int64), offsets=np.array([0, 0]), count=0).shape == (1, 0)


def test_particles_without_transverse_momentum_have_no_weight() -> None:
    pt, eta, phi = np.array([10.0, 20.0, 5.0]), np.array([0.0, 0.3, -0.4]), np.array([0.1, 0.2, 0.3])
    momenta = momenta_of(pt, eta, phi)
    padded = np.concatenate([momenta, np.zeros((4, 1))], axis=1)
    assert np.isfinite(one_jet(padded)).all()
    assert one_jet(padded)[0] >= 0
    assert np.isfinite(one_jet(np.zeros((4, 3)))).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(4, 120))
def test_more_axes_describe_the_jet_better(seed: int, size: int) -> None:
    """Up to the choice of axes: exclusive-kT axes do not minimise τ, so a small rise is possible."""
    rng = np.random.default_rng(seed)
    momenta = momenta_of(rng.exponential(10, size) + 0.1, rng.normal(0, 0.2, size), rng.normal(0, 0.2, size))
    taus = one_jet(momenta, count=size)
    assert (taus >= 0).all()
    assert (np.diff(taus) <= 0.25 * taus[0]).all()
    assert taus[-1] == 0.0


def test_order_of_jets_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    momenta = momenta_of(rng.exponential(10, 200), rng.normal(0, 0.4, 200), rng.normal(0, 0.4, 200))
    offsets = np.array([0, 150, 153, 200])
    together = n_subjettiness(momenta, np.arange(200), offsets=offsets)
    for k in range(3):
        np.testing.assert_array_equal(one_jet(momenta[:, offsets[k] : offsets[k + 1]]), together[k])
