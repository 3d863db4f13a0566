"""Smearing by widths: known values, and what holds for any object and any size."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from processors.smearing import (
    electron_width,
    jet_width,
    largest_jet_factor,
    missing_energy_width,
    muon_width,
    shifted_missing_energy,
    smearing_factor,
)

MOMENTA = arrays(np.float64, st.integers(1, 20), elements=st.floats(1e-3, 1e4))
SIZES = st.floats(-20, 20)


@pytest.mark.parametrize(
    ("pt", "width"),
    [(20, 0.145), (49.9, 0.145), (50, 0.115), (99, 0.095), (120, 0.075), (199, 0.07), (200, 0.05), (5e4, 0.04)],
)
def test_jet_widths_of_the_source(pt: float, width: float) -> None:
    assert jet_width(np.array([pt])).tolist() == [width]


def test_electron_widths_of_the_source() -> None:
    """σ(E) = 0.005 E ⊕ 0.05 √E ⊕ 0.25 GeV above 25 GeV in the centre, 1.5% below."""
    at_100 = np.sqrt(0.5**2 + 0.05**2 * 100 + 0.25**2) / 100
    assert electron_width(100.0, 0.0, 100.0) == pytest.approx(at_100)
    assert electron_width(10.0, -2.4, 55.0) == pytest.approx(0.015)
    assert electron_width(10.0, 3.5, 100.0) == pytest.approx(np.sqrt(0.107**2 + 2.08**2 / 100))
    assert electron_width(10.0, 0.0, 0.0) == 0


def test_muon_widths_of_the_source() -> None:
    pt, eta = np.array([0.5, 5.0, 50.0, 500.0]), np.full(4, -1.4)
    assert muon_width(pt, eta).tolist() == [0.03, 0.02, 0.03, 0.05]
    assert muon_width(pt, -1.5 * np.ones(4)).tolist() == [0.04, 0.03, 0.04, 0.05]


def test_missing_energy_width_grows_with_the_root_of_ht() -> None:
    assert missing_energy_width(np.array([100.0, 400.0, 1600.0])).tolist() == pytest.approx([4.5, 9, 18])
    assert shifted_missing_energy(np.array([50.0]), np.array([1600.0]), 1).tolist() == [68]


def test_ragged_arrays_give_what_flat_ones_give() -> None:
    ragged = ak.Array([[10.0, 60.0, 7.0], [], [500.0]])[[2, 1, 0]]
    flat = ak.to_numpy(ak.flatten(ragged))
    eta = ak.Array([[2.0], [], [0.0, 1.6, -2.7]])
    flat_eta = ak.to_numpy(ak.flatten(eta))
    for got, expected in (
        (jet_width(ragged), jet_width(flat)),
        (muon_width(ragged, eta), muon_width(flat, flat_eta)),
        (electron_width(ragged, eta, 3 * ragged), electron_width(flat, flat_eta, 3 * flat)),
        (smearing_factor(jet_width(ragged), -2), smearing_factor(jet_width(flat), -2)),
    ):
        assert ak.num(got).tolist() == [1, 0, 3]
        assert ak.flatten(got).tolist() == expected.tolist()


@given(momenta=MOMENTA)
def test_size_zero_is_the_identity_to_the_bit(momenta: np.ndarray) -> None:
    assert (momenta * smearing_factor(jet_width(momenta), 0)).tobytes() == momenta.tobytes()
    assert shifted_missing_energy(momenta, momenta[::-1], 0).tobytes() == momenta.tobytes()


@given(momenta=MOMENTA, eta=st.floats(-3, 3), size=st.floats(0.01, 20))
def test_all_objects_move_the_same_way(momenta: np.ndarray, eta: float, size: float) -> None:
    directions = np.full_like(momenta, eta)
    widths = [jet_width(momenta), electron_width(momenta + 1, directions, momenta + 1), muon_width(momenta, directions)]
    for width in widths:
        up, down = smearing_factor(width, size), smearing_factor(width, -size)
        moved = width > 0  # below 0.1 GeV the source has no width for leptons
        assert (up[moved] > 1).all()
        assert (down[moved] < 1).all()
        assert (down >= 0).all()
        assert (up[~moved] == 1).all()
    up, down = (shifted_missing_energy(momenta, momenta, sign * size) for sign in (1, -1))
    assert (up > momenta).all()
    assert (down < momenta).all()
    assert (down >= 0).all()


@given(momenta=MOMENTA)
def test_relative_width_of_jets_and_electrons_never_rises_with_pt(momenta: np.ndarray) -> None:
    ordered = np.sort(momenta)
    assert (np.diff(jet_width(ordered)) <= 0).all()
    hard = 25 + ordered
    assert (np.diff(electron_width(hard, np.zeros_like(hard), hard)) <= 1e-15).all()


@given(momenta=MOMENTA, first=st.floats(-3, 3), second=st.floats(-3, 3))
def test_shifts_add(momenta: np.ndarray, first: float, second: float) -> None:
    width = jet_width(momenta)
    shifts = [smearing_factor(width, size) - 1 for size in (first, second, first + second)]
    np.testing.assert_allclose(shifts[0] + shifts[1], shifts[2], atol=1e-14)


@given(momenta=MOMENTA, size=SIZES)
def test_no_jet_gets_a_larger_factor_than_the_largest(momenta: np.ndarray, size: float) -> None:
    assert smearing_factor(jet_width(momenta), size).max() <= largest_jet_factor(size)


def test_floor() -> None:
    assert smearing_factor(jet_width(np.array([10.0])), -7).tolist() == [0]
    assert shifted_missing_energy(np.array([10.0]), np.array([1e4]), -1).tolist() == [0]


def test_an_object_comes_out_the_same_in_any_array() -> None:
    rng = np.random.default_rng(5)
    pt, eta = rng.uniform(5, 800, 101), rng.uniform(-2.5, 2.5, 101)
    energy, some = pt * np.cosh(eta), slice(3, 40)
    for width, values in ((jet_width, (pt,)), (muon_width, (pt, eta)), (electron_width, (pt, eta, energy))):
        assert width(*values)[some].tobytes() == width(*(array[some] for array in values)).tobytes()
