"""Clustering against FastJet's own classes, against an independent analysis of real events, and its symmetries."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import fastjet
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import jets as jets_module
from processors.errors import InputError
from processors.jets import Jets, cluster_jets


def random_events(seed: int, multiplicities: list[int], *, massive: bool = False) -> ak.Array:
    """Events of a few collimated sprays and some soft particles everywhere."""
    rng = np.random.default_rng(seed)
    total = sum(multiplicities)
    centre_eta, centre_phi = rng.uniform(-2, 2, 4), rng.uniform(-np.pi, np.pi, 4)
    spray, spread = rng.integers(0, 4, total), rng.exponential(0.3, total)
    angle = rng.uniform(0, 2 * np.pi, total)
    phi = centre_phi[spray] + spread * np.sin(angle)
    particles = {
        "pt": rng.exponential(20.0, total) + 0.5,
        "eta": centre_eta[spray] + spread * np.cos(angle),
        "phi": np.remainder(phi + np.pi, 2 * np.pi) - np.pi,
        "mass": np.full(total, 0.13957) if massive else np.zeros(total),
    }
    return ak.unflatten(ak.zip(particles), multiplicities)


def classic_fastjet(event: ak.Array, *, radius: float, min_pt: float) -> list[tuple[float, float, float, float, int]]:
    """(pt, eta, phi, mass, constituents) of one event's jets through FastJet's own classes, hardest first."""
    inputs = []
    for p in event.to_list():
        px, py, pz = p["pt"] * np.cos(p["phi"]), p["pt"] * np.sin(p["phi"]), p["pt"] * np.sinh(p["eta"])
        inputs.append(fastjet.PseudoJet(px, py, pz, float(np.sqrt(px**2 + py**2 + pz**2 + p["mass"] ** 2))))
    sequence = fastjet.ClusterSequence(inputs, fastjet.JetDefinition(fastjet.antikt_algorithm, radius))
    found = fastjet.sorted_by_pt(sequence.inclusive_jets(min_pt))
    return [(j.pt(), j.eta(), j.phi_std(), max(j.m(), 0.0), len(j.constituents())) for j in found]


def equal(first: Jets, second: Jets) -> None:
    """Assert that two results are the same bit for bit."""
    for name in ("pt", "eta", "phi", "mass", "tau", "n_constituents", "n_jets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    multiplicities=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    radius=st.sampled_from([0.4, 0.8, 1.0]),
    massive=st.booleans(),
)
def test_agrees_with_fastjet_event_by_event(seed: int, multiplicities: list[int], radius: float, massive: bool) -> None:
    particles = random_events(seed, multiplicities, massive=massive)
    found = cluster_jets(particles, radius=radius, min_pt=5.0, count=3)
    for e in range(len(particles)):
        expected = classic_fastjet(particles[e], radius=radius, min_pt=5.0)
        assert found.n_jets[e] == len(expected)
        for k in range(3):
            if k < len(expected):
                got = (found.pt[e, k], found.eta[e, k], found.phi[e, k])
                np.testing.assert_allclose(got, expected[k][:3], rtol=1e-9, atol=1e-9)
                assert found.mass[e, k] == pytest.approx(expected[k][3], rel=1e-6, abs=2e-4)
                assert found.n_constituents[e, k] == expected[k][4]
            else:
                assert np.isnan([found.pt[e, k], found.mass[e, k], found.tau[e, k, 0]]).all()
                assert found.n_constituents[e, k] == 0


def test_reproduces_the_independent_analysis_of_real_events(shared_data: Path) -> None:
    h5py, pd = pytest.importorskip("h5py"), pytest.importorskip("pandas")
    pytest.importorskip("hdf5plugin")
    with h5py.File(shared_data / "lhco_rnd_tiny.h5") as file:
        raw = file["df/block0_values"][:, :2100].reshape(-1, 700, 3)
    reference = pd.read_csv(shared_data / "lhco_rnd_tiny_reference.csv.gz")
    real = raw[:, :, 0] > 0
    pt, eta, phi = raw[real].T
    particles = ak.unflatten(ak.zip({"pt": pt, "eta": eta, "phi": phi, "mass": np.zeros_like(pt)}), real.sum(axis=1))
    jets = cluster_jets(particles)
    reliable = reference["tau_reliable"].to_numpy() == 1
    assert reliable.sum() > 300
    for k in (0, 1):
        momentum = {
            "px": jets.pt[:, k] * np.cos(jets.phi[:, k]),
            "py": jets.pt[:, k] * np.sin(jets.phi[:, k]),
            "pz": jets.pt[:, k] * np.sinh(jets.eta[:, k]),
        }
        for name, values in momentum.items():
            np.testing.assert_allclose(values, reference[f"{name}j{k + 1}"], rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(jets.mass[:, k], reference[f"mj{k + 1}"], rtol=0, atol=1e-5)
        for n in (1, 2, 3):
            expected = reference[f"tau{n}j{k + 1}"].to_numpy()
            np.testing.assert_allclose(jets.tau[reliable, k, n - 1], expected[reliable], rtol=0, atol=1e-6)


def test_jets_are_the_sums_of_their_constituents() -> None:
    particles = random_events(1, [40, 0, 80, 1, 120], massive=True)
    jets = cluster_jets(particles, min_pt=1.0, keep_constituents=True)
    inside = jets.constituents
    assert inside is not None
    assert ak.to_numpy(ak.num(inside, axis=1)).tolist() == [2] * 5
    np.testing.assert_array_equal(ak.to_numpy(ak.num(inside, axis=2)), jets.n_constituents)
    assert ak.all(inside.pt[..., :-1] >= inside.pt[..., 1:])
    px = ak.to_numpy(ak.sum(inside.pt * np.cos(inside.phi), axis=-1))
    pz = ak.to_numpy(ak.sum(inside.pt * np.sinh(inside.eta), axis=-1))
    np.testing.assert_allclose(px, np.nan_to_num(jets.pt * np.cos(jets.phi)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(pz, np.nan_to_num(jets.pt * np.sinh(jets.eta)), rtol=1e-9, atol=1e-9)
    energy2 = inside.mass**2 + (inside.pt * np.cosh(inside.eta)) ** 2
    jet_energy2 = np.nan_to_num(jets.mass**2 + (jets.pt * np.cosh(jets.eta)) ** 2)
    np.testing.assert_allclose(ak.to_numpy(ak.sum(np.sqrt(energy2), axis=-1)), np.sqrt(jet_energy2), rtol=1e-9)


def test_rotating_the_event_rotates_the_jets() -> None:
    particles = random_events(2, [60] * 10, massive=True)
    before = cluster_jets(particles)
    after = cluster_jets(ak.with_field(particles, particles.phi + 2.5, "phi"))
    for name in ("pt", "eta", "mass", "tau"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-8, atol=1e-8, err_msg=name)
    turned = np.remainder(after.phi - before.phi, 2 * np.pi)
    np.testing.assert_allclose(turned[np.isfinite(turned)], 2.5, rtol=1e-9)


def test_a_boost_along_the_beam_leaves_pt_and_mass() -> None:
    """τ is invariant only as far as the axes are light: its distances are in pseudorapidity, not rapidity."""
    particles = random_events(3, [60] * 10)  # massless: the boost shifts every eta by as much
    before = cluster_jets(particles)
    after = cluster_jets(ak.with_field(particles, particles.eta + 0.7, "eta"))
    for name in ("pt", "phi", "mass"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-8, atol=1e-8, err_msg=name)
    np.testing.assert_array_equal(after.n_constituents, before.n_constituents)
    np.testing.assert_allclose(after.tau, before.tau, rtol=0, atol=0.1)


def test_values_do_not_depend_on_chunks_batches_or_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    particles = random_events(4, [37, 0, 91, 5, 64, 1, 80, 13])
    whole = cluster_jets(particles)
    monkeypatch.setattr(jets_module, "_BATCH_PARTICLES", 50)
    equal(cluster_jets(particles), whole)
    order = [6, 2, 0]
    picked = cluster_jets(particles[order])
    np.testing.assert_array_equal(picked.tau, whole.tau[order])
    np.testing.assert_array_equal(picked.mass, whole.mass[order])
    for e in range(len(particles)):
        alone = cluster_jets(particles[e : e + 1])
        np.testing.assert_array_equal(alone.pt[0], whole.pt[e])
        np.testing.assert_array_equal(alone.eta[0], whole.eta[e])
        np.testing.assert_array_equal(alone.tau[0], whole.tau[e])


def test_single_precision_input_is_computed_in_double() -> None:
    particles = ak.values_astype(random_events(5, [50, 50]), np.float32)
    equal(cluster_jets(particles), cluster_jets(ak.values_astype(particles, np.float64)))


@pytest.mark.parametrize("multiplicities", [[], [0], [0, 0, 0], [1], [2, 0]])
def test_few_or_no_particles(multiplicities: list[int]) -> None:
    particles = random_events(6, [*multiplicities, 3])[: len(multiplicities)]
    jets = cluster_jets(particles, min_pt=0.1, keep_constituents=True)
    assert jets.pt.shape == (len(multiplicities), 2)
    assert jets.tau.shape == (len(multiplicities), 2, 3)
    assert jets.n_jets.shape == (len(multiplicities),)
    assert (jets.n_jets <= multiplicities).all()
    assert np.isnan(jets.pt[jets.n_constituents == 0]).all()
    assert jets.constituents is not None
    assert len(jets.constituents) == len(multiplicities)
    alone = jets.n_constituents == 1
    assert (jets.tau[alone] == 0).all()


@pytest.mark.parametrize("algorithm", ["antikt", "cambridge", "kt"])
def test_two_particles_make_the_obvious_jets(algorithm: str) -> None:
    near = ak.Array(
        [[{"pt": 100.0, "eta": 0.0, "phi": 3.1, "mass": 0.0}, {"pt": 50.0, "eta": 0.0, "phi": -3.1, "mass": 0.0}]]
    )
    jets = cluster_jets(near, algorithm=algorithm)
    angle = 2 * np.pi - 6.2
    assert jets.n_jets[0] == 1
    assert jets.mass[0, 0] == pytest.approx(np.sqrt(2 * 100 * 50 * (1 - np.cos(angle))), rel=1e-9)
    assert jets.pt[0, 0] == pytest.approx(np.hypot(100 + 50 * np.cos(angle), 50 * np.sin(angle)), rel=1e-9)
    assert jets.tau[0, 0, 0] == pytest.approx(
        (100 * (axis := np.arctan2(50 * np.sin(angle), 100 + 50 * np.cos(angle))) + 50 * (angle - axis)) / 150, rel=1e-9
    )
    assert jets.tau[0, 0, 1:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("pt", -1.0, "pt is negative or not finite"),
        ("pt", np.nan, "pt is negative or not finite"),
        ("pt", np.inf, "pt is negative or not finite"),
        ("eta", np.nan, "eta is not finite"),
        ("eta", 1e4, "pt, eta is too large"),
        ("phi", np.inf, "phi is not finite"),
        ("mass", np.nan, "mass is not finite"),
    ],
)
def test_unusable_particles_are_named(field: str, value: float, words: str) -> None:
    particles = random_events(7, [4, 0, 5, 6])
    values = ak.to_numpy(ak.flatten(particles[field])).copy()
    values[[6, 10]] = value
    broken = ak.with_field(particles, ak.unflatten(values, ak.num(particles)), field)
    with pytest.raises(InputError, match=rf"{words}.* 2 particle.* of 2 event.* event 1002 \(particle 2") as error:
        cluster_jets(broken, first_event=1000)
    assert "Repair" in str(error.value)


def test_missing_field_and_unknown_algorithm_are_named() -> None:
    particles = random_events(8, [3])
    with pytest.raises(InputError, match="no field mass"):
        cluster_jets(particles[["pt", "eta", "phi"]])
    with pytest.raises(ValueError, match=r"'siscone'.*antikt, cambridge, kt"):
        cluster_jets(particles, algorithm="siscone")


def test_missing_particles_are_refused_and_a_mask_without_any_is_not() -> None:
    particles = random_events(10, [30, 40])
    equal(cluster_jets(ak.mask(particles, [True, True])), cluster_jets(particles))
    for broken in (ak.mask(particles, [True, False]), ak.mask(particles, particles.pt > 5)):
        with pytest.raises(InputError, match="missing"):
            cluster_jets(broken)


def test_no_banner_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    cluster_jets(random_events(9, [10]))
    assert capfd.readouterr().out == ""
