"""Momenta, masses and images of jets against those of `vector` and of jets made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import vector

from analysis.stages.jet_kinematics import kinematics, mean_image


def massless(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Four-momenta (E, px, py, pz) of massless particles."""
    made = vector.array({"pt": pt, "eta": eta, "phi": phi, "mass": np.zeros_like(pt)})
    return np.stack([made.E, made.px, made.py, made.pz], axis=-1)


def test_kinematics_are_those_of_the_sum() -> None:
    rng = np.random.default_rng(1)
    pt, eta, phi = rng.exponential(50, (30, 8)), rng.normal(0, 0.3, (30, 8)), rng.normal(0, 0.3, (30, 8))
    total = vector.array({"pt": pt, "eta": eta, "phi": phi, "mass": np.zeros_like(pt)}).sum(axis=1)
    found_pt, found_mass = kinematics(massless(pt, eta, phi))
    np.testing.assert_allclose(found_pt, total.pt)
    np.testing.assert_allclose(found_mass, total.mass)


def test_momenta_off_their_mass_shell_have_the_mass_zero() -> None:
    _, mass = kinematics(np.array([[[1.0, 2.0, 0.0, 0.0]]]))
    assert mass == [0.0]


def test_an_image_has_phi_upwards_and_shares_of_each_jet() -> None:
    hard, soft = massless(np.array([300.0, 100.0]), np.array([0.45, -0.45]), np.array([0.45, -0.45]))
    jet = np.stack([hard, soft])
    image = mean_image(np.stack([jet, 7 * jet]), half_width=0.5, pixels=10)
    assert image.sum() == pytest.approx(1.0)
    assert image[0, -1] == pytest.approx(0.75)
    assert image[-1, 0] == pytest.approx(0.25)
