"""The two hardest jets: order, masses, ratios, missing jets."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.leading_jets import given_leading, tau_ratio


def fat_jets(events: list[list[dict]]) -> ak.Array:
    return ak.Array(events)


def jet(pt: float, mass: float, *, eta: float = 0.0, phi: float = 0.0, **others: float) -> dict:
    return {"pt": pt, "eta": eta, "phi": phi, "mass": mass, **others}


def test_the_two_hardest_are_taken_and_ordered_by_mass() -> None:
    jets = given_leading(fat_jets([[jet(100, 500), jet(300, 10), jet(200, 20)], [jet(300, 30), jet(200, 20)]]))
    np.testing.assert_array_equal(jets.pt, [[300, 200], [300, 200]])
    chosen = jets.select(np.array([True, True]))
    np.testing.assert_array_equal(chosen.mass, [[20, 10], [30, 20]])
    np.testing.assert_array_equal(chosen.pt, [[200, 300], [300, 200]])


def test_equal_masses_put_the_harder_first() -> None:
    chosen = given_leading(fat_jets([[jet(100, 10), jet(300, 10)]])).select(np.array([True]))
    np.testing.assert_array_equal(chosen.pt, [[300, 100]])


def test_missing_jets_are_not_numbers() -> None:
    jets = given_leading(fat_jets([[jet(100, 10, tau1=0.5)], [jet(90, 9, tau1=0.4), jet(80, 8, tau1=0.3)]]))
    assert np.isnan(jets.pt[0, 1])
    assert jets.tau[1, 1].tolist() == [0.3, -1, -1]
    assert jets.n_constituents.tolist() == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_dijet_mass_of_back_to_back_massless_jets(scale: float) -> None:
    pair = [jet(1000, 0, eta=0.5, phi=0.2), jet(1000, 0, eta=-0.5, phi=0.2 - np.pi)]
    mass = given_leading(fat_jets([pair])).scaled(scale).dijet_mass()
    assert mass[0] == pytest.approx(2000 * np.cosh(0.5) * scale, rel=1e-12)


def test_dijet_mass_counts_the_jets_own() -> None:
    pair = [jet(400, 300), jet(400, 300, phi=np.pi)]
    assert given_leading(fat_jets([pair])).dijet_mass()[0] == pytest.approx(1000, rel=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_ratios_are_always_numbers(numerator: float, denominator: float) -> None:
    ratio = tau_ratio(np.array([numerator]), np.array([denominator]))[0]
    assert np.isfinite(ratio)
    assert ratio == (0 if denominator <= 1e-10 else numerator / denominator)


def test_ratio_of_unknown_is_unknown() -> None:
    assert tau_ratio(np.array([-1.0, 0.1, -1.0]), np.array([0.5, -1.0, -1.0])).tolist() == [-1, -1, -1]
