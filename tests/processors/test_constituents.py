"""Constituents prepared for networks: what Lorentz transformations keep, conventions, odd jets, bad input."""

from __future__ import annotations

import math
import pickle

import awkward as ak
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.constituents import JetConstituents
from processors.errors import InputError
from processors.momenta import coordinates, four_momenta
from tests.benchmarks.constituents import padded, prepared_in_numpy
from tests.benchmarks.images import synthetic_jets

ROUNDING = 3e-6  # of the energy, from directions and results in float32

Jet = list[tuple[float, float, float, float]]  # pt, eta, phi, mass


def prepared(*jets: Jet, count: int = 20) -> np.ndarray:
    """Prepared constituents of jets, (n, count, 4)."""
    flat = np.array([particle for jet in jets for particle in jet], dtype=np.float32).reshape(-1, 4)
    offsets = np.concatenate([[0], np.cumsum([len(jet) for jet in jets], dtype=np.int64)])
    return JetConstituents(offsets, *flat.T, count=count)(np.arange(len(jets)))


def pt_and_mass(jet: Jet, count: int) -> tuple[float, float]:
    """pT and mass (GeV) of the sum of the hardest constituents, in double precision."""
    hardest = np.array(sorted(jet, key=lambda one: -one[0])[:count], dtype=np.float32)
    total = four_momenta(*hardest.T, offsets=np.array([0, len(hardest)])).sum(axis=1)
    pt, _, _, mass = coordinates(total[:, None])[:, 0]
    return float(pt), float(mass)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    prepared([(1, 0, 0, 0)])  # takes longer than hypothesis grants an example


@st.composite
def jets(draw: st.DrawFn, smallest: int = 1) -> Jet:
    """Particles around an axis that may lie far forward, hardest in any place."""
    n, width = draw(st.integers(smallest, 30)), draw(st.sampled_from([0.01, 0.1, 0.4]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    eta, phi = draw(st.floats(-5, 5)), draw(st.floats(-math.pi, math.pi))
    values = np.stack(
        [
            rng.exponential(30, n) + 0.5,
            eta + rng.normal(0, width, n),
            (phi + rng.normal(0, width, n) + math.pi) % (2 * math.pi) - math.pi,
            rng.choice([0, 0.14, 0.94], n),
        ],
        axis=1,
    )
    return [tuple(row) for row in values.astype(np.float32).tolist()]


@given(jets(), st.sampled_from([1, 3, 20]))
def test_jet_is_centred_and_keeps_its_pt_and_mass(jet: Jet, count: int) -> None:
    total = prepared(jet, count=count)[0].sum(axis=0, dtype=np.float64)
    energy, px, py, pz = total
    pt, mass = pt_and_mass(jet, count)
    assert abs(pz) < ROUNDING * energy
    assert abs(py) < ROUNDING * energy
    assert px == pytest.approx(pt, rel=ROUNDING)
    # masses of narrow jets are small differences of large numbers
    assert energy**2 - px**2 == pytest.approx(mass**2, rel=1e-5, abs=ROUNDING * energy**2)


@given(jets(smallest=2))
def test_principal_axis_points_upwards(jet: Jet) -> None:
    (found,) = prepared(jet)
    energy, _, py, pz = found[found[:, 0] > 0].astype(np.float64).T
    across = np.hypot(py, pz)
    assume(across.min() > 1e-3)
    up, right = (energy * py / across).sum(), (energy * pz / across).sum()
    assume(up > 0.01 * energy.sum())
    assert abs(right) < 1e-3 * up


def test_principal_axis_is_that_of_equation_3_for_narrow_jets() -> None:
    rng = np.random.default_rng(3)
    for width, degrees in ((0.02, 0.05), (0.1, 1.0)):
        narrow: list[Jet] = [
            [(*one, 0.0) for one in zip(rng.exponential(20, 20), *rng.normal(0.8, width, (2, 20)), strict=True)]
            for _ in range(100)
        ]
        energy, px, py, pz = np.moveaxis(prepared(*narrow).astype(np.float64), 2, 0)
        eta, phi = np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)
        radius = np.hypot(eta, phi)
        axis = [(energy * angle / radius).sum(axis=1) for angle in (eta, phi)]
        assert np.quantile(np.abs(np.degrees(np.arctan2(*axis))), 0.8) < degrees


@st.composite
def clear_jets(draw: st.DrawFn) -> Jet:
    """Massless particles, each a bit less than half as hard as the one before: the first outweighs all others."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pt = 300 * 0.45 ** np.arange(draw(st.integers(2, 8)))
    eta, phi = rng.normal(0, draw(st.sampled_from([0.1, 0.3])), (2, len(pt)))
    return [(float(one), float(e), float(f), 0.0) for one, e, f in zip(pt, eta, phi, strict=True)]


@given(clear_jets(), st.floats(-3, 3), st.floats(-math.pi, math.pi), st.floats(-math.pi, math.pi))
def test_direction_and_orientation_of_the_jet_do_not_matter(jet: Jet, boost: float, phi: float, turn: float) -> None:
    """What is prepared, turned around its axis, boosted and turned around the beam, is prepared to the same."""
    (found,) = prepared(jet)
    first = found[found[:, 0] > 0].astype(np.float64)
    energy, px, py, pz = first.T
    across = np.hypot(py, pz)
    # the axis must not hang on particles whose direction across is rounding, nor on a vanishing sum
    assume((across / energy).min() > 1e-3)
    assume((energy * py / across).sum() > 0.05 * energy.sum())
    py, pz = py * math.cos(turn) - pz * math.sin(turn), pz * math.cos(turn) + py * math.sin(turn)
    pz = pz * math.cosh(boost) + energy * math.sinh(boost)
    px, py = px * math.cos(phi) - py * math.sin(phi), py * math.cos(phi) + px * math.sin(phi)
    pt = np.hypot(px, py)
    (again,) = prepared([(*one, 0.0) for one in zip(pt, np.arcsinh(pz / pt), np.arctan2(py, px), strict=True)])
    again = again[again[:, 0] > 0]
    total = energy.sum()
    same = np.abs(first[:, None] - again[None]).max(axis=2) < 2e-4 * total  # pT and with it the order may change
    assert again.shape == first.shape
    assert same.any(axis=0).all()
    assert same.any(axis=1).all()


def test_numpy_makes_the_same() -> None:
    sample = synthetic_jets(300, seed=6)
    found = JetConstituents(*sample, mass=np.zeros(len(sample[1])))(np.arange(300))
    expected = prepared_in_numpy(padded(*sample, count=20))
    scale = expected[..., 0].sum(axis=1)[:, None, None]
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=ROUNDING)
    assert found.dtype == np.float32


def test_one_particle_is_the_axis() -> None:
    massless, heavy, forward, backward = prepared(
        [(50, 1.5, 2.0, 0)], [(30, -2.0, -3.0, 40)], [(5, 15.0, 1.0, 0)], [(5, -15.0, 1.0, 3)], count=2
    )
    np.testing.assert_allclose(massless[0], [50, 50, 0, 0], atol=1e-4)
    np.testing.assert_allclose(heavy[0], [50, 30, 0, 0], atol=1e-4)
    np.testing.assert_allclose(forward[0], [5, 5, 0, 0], atol=1e-4)
    np.testing.assert_allclose(backward[0], [math.hypot(5, 3), 5, 0, 0], atol=1e-4)
    assert not np.any([one[1] for one in (massless, heavy, forward, backward)])


def test_jets_without_particles_are_zeros() -> None:
    found = prepared([], [(10, 0, 0, 0)], [(0, 1, 1, 0)], [])
    assert found.shape == (4, 20, 4)
    assert np.count_nonzero(found.sum(axis=(1, 2))) == 1
    assert not found[[0, 2, 3]].any()


@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0, -2.5])
def test_two_equal_particles_lie_on_the_vertical_first_one_up(angle: float) -> None:
    eta, phi = 0.2 * math.cos(angle), 0.2 * math.sin(angle)
    (found,) = prepared([(100, eta, phi, 0), (100, -eta, -phi, 0)], count=2)
    np.testing.assert_allclose(found[:, 3], 0, atol=2e-4)
    assert found[0, 2] > 15
    assert found[1, 2] == pytest.approx(-found[0, 2], rel=1e-5)


def test_equal_particles_in_a_ring_and_on_one_spot_stay_finite() -> None:
    turns = np.arange(8) * math.pi / 4
    ring: Jet = [(50, 0.3 * math.cos(one), 1 + 0.3 * math.sin(one), 0) for one in turns]
    spot: Jet = [(50, 1.0, 1.0, 0)] * 5
    around, together = prepared(ring, spot)
    assert np.isfinite(around).all()
    assert around[0, 2] > 0
    assert abs(around[0, 3]) < 2e-3
    np.testing.assert_allclose(together[:5], [[50, 50, 0, 0]] * 5, atol=1e-3)


def test_particles_that_balance_have_no_direction_to_turn_to() -> None:
    (found,) = prepared([(40, 0.5, 0.0, 0), (40, 0.5, math.pi, 0)], count=2)
    np.testing.assert_allclose(found.sum(axis=0), [80, 0, 0, 0], atol=1e-3)


@given(jets(), st.integers(1, 30), st.randoms(use_true_random=False))
def test_hardest_are_taken_whatever_their_order(jet: Jet, count: int, random: object) -> None:
    assume(len({pt for pt, *_ in jet}) == len(jet))
    shuffled = list(jet)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = prepared(jet, shuffled, count=count)
    np.testing.assert_array_equal(first, second)
    pt = np.hypot(first[:, 1], first[:, 2])
    assert np.count_nonzero(first[:, 0]) == min(count, len(jet))
    assert not first[min(count, len(jet)) :].any()
    assert pt.shape == (count,)


def test_hardest_come_first_and_of_equals_the_first() -> None:
    jet: Jet = [(10, 0.1, 0, 0), (30, 0, 0.1, 1), (10, 0, 0, 2), (10, 0.2, 0.2, 3)]
    (found,) = prepared(jet, count=3)
    mass2 = found[:, 0].astype(float) ** 2 - (found[:, 1:].astype(float) ** 2).sum(axis=1)
    np.testing.assert_allclose(mass2, [1, 0, 4], atol=2e-3)


def test_rows_in_any_order_from_ragged_columns_also_elsewhere() -> None:
    ragged = [ak.Array([[3.0, 2.0], [], [5.0]]), ak.Array([[0.0, 0.1], [], [1.0]])]
    ragged += [ak.Array([[0.0, 3.0], [], [2.0]]), ak.Array([[0.0, 0.1], [], [0.0]])]
    made = JetConstituents.from_ragged(*ragged, count=2)
    assert len(made) == 3
    rows = np.array([2, 0, 0])
    np.testing.assert_array_equal(made(rows), made(np.arange(3))[rows])
    there = pickle.loads(pickle.dumps(made))  # noqa: S301 (our own, just made)
    np.testing.assert_array_equal(there(rows), made(rows))
    assert made(rows[:0]).shape == (0, 2, 4)


def test_masses_below_zero_are_rounding() -> None:
    np.testing.assert_array_equal(prepared([(10, 0.3, 0, -0.01)]), prepared([(10, 0.3, 0, 0)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 3, 2, 4])}, "fall from 3 to 2 at jet 1"),
        ({"mass": np.zeros(3)}, r"mass has shape \(3,\)"),
        ({"mass": np.array([0, 0, np.nan, 0])}, "mass is nan at constituent 0 of jet 1"),
        ({"pt": np.array([1, 1, 1, -2.0])}, "pt is -2 at constituent 1 of jet 1"),
        ({"eta": np.array([0, 0, 0, -21.0])}, "eta is -21 for 1 constituent"),
        ({"phi": np.array([0, np.inf, 0, 0])}, "phi is inf"),
        ({"count": 0}, "0 constituents of each jet"),
        ({"count": 2.5}, "whole number"),
    ],
)
def test_damaged_arrays_are_refused(change: dict[str, np.ndarray], message: str) -> None:
    arrays = {"offsets": np.array([0, 2, 4]), "pt": np.ones(4), "eta": np.zeros(4), "phi": np.zeros(4)}
    with pytest.raises(InputError, match=message):
        JetConstituents(**(arrays | {"mass": np.zeros(4)} | change))


def test_ragged_arrays_that_do_not_fit_are_refused() -> None:
    whole, short = ak.Array([[1.0, 1.0], [1.0]]), ak.Array([[0.0], [0.0, 0.0]])
    with pytest.raises(InputError, match="Jet 0 has 1 values of mass and 2 of pt"):
        JetConstituents.from_ragged(whole, whole, whole, short)


@pytest.mark.parametrize("rows", [[-1], [3], [0.5], [[0, 1]]])
def test_rows_that_do_not_exist_are_refused(rows: list[object]) -> None:
    made = JetConstituents(np.array([0, 1, 1, 1]), *np.ones((4, 1)))
    with pytest.raises(InputError, match=r"[Rr]ow"):
        made(np.array(rows))
