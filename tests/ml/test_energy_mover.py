"""Energy mover's distance: known cases, and what makes it a metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml import TrainingError
from ml.energy_mover import energy_flow, energy_movers_distance, energy_movers_distances

# no two particles are farther apart than 2R, or it is no metric
PARTICLE = st.tuples(st.floats(0.01, 2), st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
JET = st.lists(PARTICLE, min_size=1, max_size=5).map(np.array)


def test_one_particle_pays_its_distance_and_what_is_missing() -> None:
    here, there = np.array([[2.0, 0.1, 0.2]]), np.array([[2.0, 0.4, 0.6]])
    assert energy_movers_distance(here, there) == pytest.approx(2 * 0.5)
    assert energy_movers_distance(here, there, radius=0.5) == pytest.approx(2 * 1.0)
    assert energy_movers_distance(here, np.array([[5.0, 0.4, 0.6]])) == pytest.approx(2 * 0.5 + 3)
    assert energy_movers_distance(np.array([[5.0, 0.4, 0.6]]), here) == pytest.approx(2 * 0.5 + 3)


def test_energy_goes_the_shorter_way() -> None:
    """Two particles to two others: 0.3 of the energy has to cross, by either route the same."""
    first = np.array([[0.8, 0.0, 0.0], [0.2, 1.0, 0.0]])
    second = np.array([[0.5, 0.0, 0.0], [0.5, 1.0, 0.0]])
    assert energy_movers_distance(first, second) == pytest.approx(0.3)
    # to the two places between: 0.5 from the first, 0.2 from the second and 0.3 from the first again
    between = np.array([[0.5, 0.0, 0.1], [0.5, 1.0, 0.1]])
    assert energy_movers_distance(first, between) == pytest.approx(0.5 * 0.1 + 0.2 * 0.1 + 0.3 * np.hypot(1, 0.1))


def test_it_is_what_a_linear_program_finds() -> None:
    from scipy.optimize import linprog

    rng = np.random.default_rng(1)
    for n, m in ((3, 4), (4, 3), (2, 2)):
        jets = [np.column_stack([rng.uniform(0.1, 1, k), *rng.normal(0, 0.4, (2, k))]) for k in (n, m)]
        energies = [jet[:, 0] for jet in jets]
        distance = np.linalg.norm(jets[0][:, None, 1:] - jets[1][None, :, 1:], axis=-1)
        limits = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
        total = min(e.sum() for e in energies)
        found = linprog(
            distance.ravel(), limits, np.concatenate(energies), np.ones((1, n * m)), [total], bounds=(0, None)
        )
        expected = found.fun + abs(energies[0].sum() - energies[1].sum())
        assert energy_movers_distance(*jets) == pytest.approx(expected)


@given(JET, JET, JET)
@settings(max_examples=60, deadline=None)
def test_it_is_a_metric(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    ab, bc, ac = (energy_movers_distance(*pair) for pair in ((a, b), (b, c), (a, c)))
    assert ab == pytest.approx(energy_movers_distance(b, a), abs=1e-9)
    assert energy_movers_distance(a, a[::-1]) == pytest.approx(0, abs=1e-9)
    assert ac <= ab + bc + 1e-9
    assert ab >= abs(a[:, 0].sum() - b[:, 0].sum()) - 1e-9


def test_distances_go_around_the_circle_and_nothing_counts_nothing() -> None:
    here, there = np.array([[1.0, 0.0, np.pi - 0.1]]), np.array([[1.0, 0.0, -np.pi + 0.1]])
    assert energy_movers_distance(here, there) == pytest.approx(0.2)
    padded = np.vstack([here, [0.0, 3.0, 1.0]])
    assert energy_movers_distance(padded, there) == pytest.approx(0.2)
    assert energy_movers_distance(np.zeros((2, 3)), here) == pytest.approx(1.0)
    assert energy_movers_distance(np.zeros((2, 3)), np.zeros((0, 3))) == 0


MOMENTA = arrays(np.float64, (4, 3, 4), elements=st.floats(-100, 100, width=32))


@given(MOMENTA)
@settings(max_examples=40, deadline=None)
def test_energy_flows_of_any_output_of_a_network_can_be_compared(momenta: np.ndarray) -> None:
    flow = energy_flow(momenta)
    assert np.isfinite(flow).all()
    sums = flow[..., 0].sum(axis=-1)
    np.testing.assert_allclose(sums[sums > 0], 1)
    assert np.isfinite(energy_movers_distances(flow, flow[::-1])).all()


def test_flows_are_coordinates_of_momenta() -> None:
    pt, eta, phi = np.array([30.0, 10.0]), np.array([0.3, -1.2]), np.array([0.1, -3.0])
    momenta = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
    np.testing.assert_allclose(energy_flow(momenta), np.stack([pt / 40, eta, phi], axis=-1))
    np.testing.assert_array_equal(energy_flow(np.zeros((2, 4))), np.zeros((2, 3)))


def test_pairs_are_compared_one_by_one_and_progress_is_told() -> None:
    rng = np.random.default_rng(2)
    first, second = (energy_flow(rng.normal(size=(1001, 2, 4))) for _ in range(2))
    said: list[tuple[float, str]] = []
    found = energy_movers_distances(first, second, progress=lambda *told: said.append(told))
    assert found[-1] == energy_movers_distance(first[-1], second[-1])
    assert said == [(1000 / 1001, "1,000 of 1,001 energy mover's distances")]


def test_what_is_no_jet_is_refused() -> None:
    jet = np.array([[1.0, 0.0, 0.0]])
    for bad in (np.array([[-1.0, 0, 0]]), np.array([[1.0, np.nan, 0]])):
        with pytest.raises(TrainingError, match="negative energies, or values that are NaN"):
            energy_movers_distance(jet, bad)
    with pytest.raises(TrainingError, match=r"\(constituents, 3\)"):
        energy_movers_distance(jet, np.ones((1, 4)))
    with pytest.raises(TrainingError, match="radius"):
        energy_movers_distance(jet, jet, radius=0)
    with pytest.raises(TrainingError, match="pair by pair"):
        energy_movers_distances(jet[None], np.ones((2, 1, 3)))
