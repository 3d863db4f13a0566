from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from stats import StatisticsError, gaussian_template
from stats.signals import CrystalBall, Gaussian, TemplateShape, normalised, scan_templates
from tests.stats.conftest import EDGES

CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
FINE = np.linspace(1000.0, 8000.0, 701)


def test_template_is_one_event_around_its_mass() -> None:
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    assert template.sum() == pytest.approx(1.0)
    assert template @ CENTRES == pytest.approx(3500.0, abs=1e-6)
    assert np.sqrt(template @ (CENTRES - 3500.0) ** 2) == pytest.approx(np.hypot(105.0, 100 / np.sqrt(12)), rel=1e-3)
    np.testing.assert_allclose(template, gaussian_template(EDGES, 3500.0, width=105.0, relative=False))


def test_a_peak_on_the_edge_is_normalised_inside() -> None:
    assert gaussian_template(EDGES, 2000.0, width=0.03).sum() == pytest.approx(1.0)


def test_what_falls_outside_the_spectrum_is_lost() -> None:
    shape = Gaussian(0.03)
    assert shape.template(EDGES, 2000.0).sum() == pytest.approx(0.5)
    assert shape.template(EDGES, 2060.0).sum() == pytest.approx(ndtr(60.0 / 61.8))
    assert scan_templates(EDGES, np.array([2000.0]), [shape]).sum() == pytest.approx(1.0)


def test_impossible_peaks_are_refused() -> None:
    with pytest.raises(StatisticsError, match="outside the spectrum"):
        gaussian_template(EDGES, 1900.0, width=0.03)
    with pytest.raises(StatisticsError, match="positive width"):
        gaussian_template(EDGES, 3000.0, width=0.0)
    for template in (np.zeros(4), np.array([1.0, -0.1]), np.array([np.nan, 1.0])):
        with pytest.raises(StatisticsError, match="non-negative bins"):
            normalised(template)
    for width in (0.0, -0.1, np.nan, np.inf):
        with pytest.raises(StatisticsError, match="positive width"):
            Gaussian(width)
    for mass in (np.nan, 1900.0, np.inf):
        with pytest.raises(StatisticsError, match="outside the spectrum"):
            Gaussian(0.03).template(EDGES, mass)
    with pytest.raises(StatisticsError, match="rising"):
        Gaussian(0.03).template(EDGES[::-1], 3000.0)


def test_a_width_is_a_fraction_of_the_mass_or_in_gev() -> None:
    fraction, fixed = Gaussian(0.03), Gaussian(105.0, relative=False)
    np.testing.assert_allclose(fraction.template(EDGES, 3500.0), fixed.template(EDGES, 3500.0))
    assert (fraction.width(3500.0), fixed.width(3500.0)) == (105.0, 105.0)
    assert (fraction.width(5000.0), fixed.width(5000.0)) == (150.0, 105.0)
    assert "3% of the mass" in fraction.describe()
    assert "105 GeV" in fixed.describe()


def test_peaks_narrower_than_a_bin_stay_in_it() -> None:
    template = Gaussian(1e-9, relative=False).template(EDGES, 3550.0)
    assert template[15] == 1.0
    assert np.count_nonzero(template) == 1
    on_edge = Gaussian(1e-9, relative=False).template(EDGES, 3500.0)
    np.testing.assert_allclose(on_edge[14:16], 0.5)


def test_peaks_wider_than_the_spectrum_are_refused() -> None:
    with pytest.raises(StatisticsError, match="wider than the spectrum"):
        scan_templates(EDGES, np.array([3000.0]), [Gaussian(6000.0, relative=False)])


TAILS = {"alpha_low": 1.2, "n_low": 2.5, "alpha_high": 1.8, "n_high": 6.0}


def density(mass: float, t: float) -> float:
    """The Crystal Ball's formula as in its paper, not normalised."""
    side, alpha, n = (-t, 1.2, 2.5) if t < 0 else (t, 1.8, 6.0)
    if side < alpha:
        return float(np.exp(-0.5 * t**2))
    return float((n / alpha) ** n * np.exp(-0.5 * alpha**2) * (n / alpha - alpha + side) ** -n)


def test_crystal_ball_bins_hold_the_integral_of_the_formula() -> None:
    shape = CrystalBall(0.03, **TAILS)
    template, sigma = shape.template(EDGES, 3520.0), shape.width(3520.0)
    lower = quad(lambda t: density(3520.0, t), -np.inf, -1.2)[0] + quad(lambda t: density(3520.0, t), -1.2, 0)[0]
    upper = quad(lambda t: density(3520.0, t), 1.8, np.inf)[0] + quad(lambda t: density(3520.0, t), 0, 1.8)[0]
    for index in (0, 9, 13, 15, 16, 25, 49):
        low, high = (EDGES[index : index + 2] - 3520.0) / sigma
        points = [t for t in (-1.2, 0.0, 1.8) if low < t < high]
        exact = quad(lambda t: density(3520.0, t), low, high, points=points or None, epsrel=1e-12)[0] / (lower + upper)
        assert template[index] == pytest.approx(exact, rel=1e-9)
    assert template.sum() < 1.0


def test_crystal_ball_with_far_tails_is_a_gaussian() -> None:
    far = CrystalBall(0.03, alpha_low=9.0, n_low=5.0, alpha_high=9.0, n_high=5.0)
    np.testing.assert_allclose(far.template(EDGES, 3500.0), Gaussian(0.03).template(EDGES, 3500.0), atol=1e-14)
    assert "Crystal Ball" in far.describe()


@given(
    st.floats(0.2, 4.0), st.floats(1.05, 80.0), st.floats(0.2, 4.0), st.floats(1.05, 80.0), st.floats(2000.0, 7000.0)
)
def test_crystal_ball_is_a_probability(
    alpha_low: float, n_low: float, alpha_high: float, n_high: float, mass: float
) -> None:
    shape = CrystalBall(80.0, alpha_low=alpha_low, n_low=n_low, alpha_high=alpha_high, n_high=n_high, relative=False)
    template = shape.template(EDGES, mass)
    assert (template >= 0).all()
    assert 0 < template.sum() <= 1 + 1e-12
    coarse = shape.template(EDGES[::5], mass)
    np.testing.assert_allclose(template.reshape(-1, 5).sum(axis=1), coarse, atol=1e-13)


def test_impossible_crystal_balls_are_refused() -> None:
    for name, value, message in (
        ("alpha_low", 0.0, "positive"),
        ("n_high", 1.0, "above 1"),
        ("n_low", np.nan, "above 1"),
    ):
        with pytest.raises(StatisticsError, match=message):
            CrystalBall(0.03, **{**TAILS, name: value})
    with pytest.raises(StatisticsError, match="positive width"):
        CrystalBall(-1.0, **TAILS)


def simulated() -> TemplateShape:
    rows = [Gaussian(0.03).template(FINE, mass) for mass in (3000.0, 4000.0, 5000.0)]
    return TemplateShape([3000.0, 4000.0, 5000.0], rows, edges=FINE)


@given(st.floats(3000.0, 5000.0))
def test_between_simulated_masses_the_peak_moves_linearly(mass: float) -> None:
    shape = simulated()
    template = shape.template(FINE, mass)
    centres = 0.5 * (FINE[1:] + FINE[:-1])
    assert (template >= 0).all()
    assert template.sum() == pytest.approx(1.0, abs=1e-9)
    assert template @ centres == pytest.approx(mass, abs=0.1)
    # for Gaussians the quantiles themselves are linear in the mass, so the answer is known: a bin's grain is left
    assert np.abs(template - Gaussian(0.03).template(FINE, mass)).max() < 0.01 * template.max()
    assert shape.width(mass) == pytest.approx(0.03 * mass, rel=0.01)


def test_at_a_simulated_mass_the_template_is_the_simulated_one() -> None:
    shape = simulated()
    for mass in (3000.0, 4000.0, 5000.0):
        np.testing.assert_allclose(shape.template(FINE, mass), Gaussian(0.03).template(FINE, mass), atol=1e-8)
    coarse = shape.template(EDGES, 4000.0)
    np.testing.assert_allclose(coarse, Gaussian(0.03).template(EDGES, 4000.0), atol=1e-8)


def test_the_accepted_fraction_is_interpolated() -> None:
    rows = np.stack([Gaussian(0.03).template(FINE, mass) for mass in (3000.0, 4000.0)])
    shape = TemplateShape([3000.0, 4000.0], rows * 100, edges=FINE, produced=[200.0, 400.0])
    assert shape.template(FINE, 3000.0).sum() == pytest.approx(0.5)
    assert shape.template(FINE, 3500.0).sum() == pytest.approx(0.375)


def test_empty_bins_inside_a_template_do_no_harm() -> None:
    rows = np.zeros((2, 10))
    rows[0, [1, 5]] = 1.0
    rows[1, [3, 7]] = 1.0
    shape = TemplateShape([3000.0, 4000.0], rows, edges=np.linspace(2000.0, 7000.0, 11))
    between = shape.template(np.linspace(2000.0, 7000.0, 11), 3500.0)
    np.testing.assert_allclose(between[[2, 6]], 0.5, atol=1e-6)


def test_samples_make_templates() -> None:
    rng = np.random.default_rng(1)
    samples = {m: rng.normal(m, 0.03 * m, 20_000) for m in (4000.0, 3000.0)}
    samples[3000.0][:2000] = 500.0
    shape = TemplateShape.from_samples(samples, edges=FINE)
    assert shape.template(FINE, 3000.0).sum() == pytest.approx(0.9, abs=1e-3)
    assert shape.width(3500.0) == pytest.approx(105.0, rel=0.05)
    assert "2 masses from 3000 to 4000 GeV" in shape.describe()
    with pytest.raises(StatisticsError, match="finite masses"):
        TemplateShape.from_samples({3000.0: np.array([np.nan]), 4000.0: np.array([1.0])}, edges=FINE)


def test_simulation_is_not_extrapolated() -> None:
    for mass in (2999.0, 5001.0):
        with pytest.raises(StatisticsError, match="not extrapolated"):
            simulated().template(FINE, mass)
    with pytest.raises(StatisticsError, match="not extrapolated"):
        simulated().width(2500.0)


def test_one_simulated_mass_is_a_shape_at_that_mass() -> None:
    both = simulated()
    alone = TemplateShape(both.masses[:1], [np.diff(both._cumulative[0])], edges=both.edges)
    np.testing.assert_allclose(alone.template(FINE, both.masses[0]), both.template(FINE, both.masses[0]), atol=1e-9)
    with pytest.raises(StatisticsError, match="not extrapolated"):
        alone.template(FINE, both.masses[0] + 1.0)


@pytest.mark.parametrize(
    ("masses", "rows", "message"),
    [
        ([4000.0, 3000.0], np.ones((2, 50)), "needs rising masses"),
        ([3000.0, 4000.0], np.ones((2, 49)), "masses by bins"),
        ([3000.0, 4000.0], np.zeros((2, 50)), "above zero"),
        ([3000.0, 4000.0], -np.ones((2, 50)), "non-negative"),
        ([3000.0, 4000.0], np.full((2, 50), np.nan), "finite"),
    ],
)
def test_impossible_simulation_is_refused(masses: list, rows: np.ndarray, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        TemplateShape(masses, rows, edges=EDGES)


def test_a_shape_without_signal_is_refused_by_name() -> None:
    class Nothing:
        def template(self, edges: np.ndarray, mass: float) -> np.ndarray:
            return np.zeros(edges.size - 1)

        def width(self, mass: float) -> float:
            return 1.0

        def describe(self) -> str:
            return "nothing"

    with pytest.raises(StatisticsError, match="nothing at 3000 GeV"):
        scan_templates(EDGES, np.array([3000.0]), [Nothing()])
