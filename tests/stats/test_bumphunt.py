from __future__ import annotations

import json

import numpy as np
import pytest

from stats import (
    BinnedFamily,
    CrystalBall,
    Family,
    Gaussian,
    Spectrum,
    StatisticsError,
    TemplateShape,
    bump_hunt,
    dijet,
    gaussian_template,
    goodness_outside,
    resolution_edges,
)
from stats import family as named_family
from tests.stats.conftest import EDGES, SQRT_S

MASSES = np.linspace(2300.0, 5300.0, 31)


@pytest.fixture(scope="module")
def injected(shape: np.ndarray) -> Spectrum:
    signal = 150 * gaussian_template(EDGES, 3500.0, width=0.03)
    return Spectrum.from_counts(EDGES, np.random.default_rng(1).poisson(20000 * shape + signal))


def test_a_signal_is_found_where_it_is(injected: Spectrum, family: Family) -> None:
    hunt = bump_hunt(injected, family, masses=MASSES, widths=[0.02, 0.03, 0.05], toys=500, rng=np.random.default_rng(2))
    result = json.loads(json.dumps(hunt.to_dict(), allow_nan=False))
    assert result["mass"] == pytest.approx(3500.0, abs=100.0)
    assert result["yield"] == pytest.approx(150.0, abs=3 * result["yield_error"])
    assert result["local_z"] > 5
    assert result["local_p0"] < 1e-6
    assert result["background"]["family"] == "dijet3"
    assert result["background"]["parameters"] == 3
    assert result["background"]["p"] < 0.05
    assert result["global_p"]["method"] == "toys"
    assert result["global_p"]["is_bound"]
    assert result["global_p"]["value"] == pytest.approx(1 / 501)
    assert result["gross_vitells"]["value"] < 1e-4
    assert result["failed_fits"] == 0


def test_p_values_below_the_range_of_floats_keep_their_logarithm(injected: Spectrum, family: Family) -> None:
    """Mills: log Φ(−z) = −z²/2 − log(z √2π) − 1/z² + … ."""
    counts = injected.counts + 20_000 * gaussian_template(EDGES, 3500.0, width=0.03)
    spectrum = Spectrum.from_counts(EDGES, np.round(counts))
    result = bump_hunt(spectrum, family, masses=[3500.0, 5000.0], statistic="bumphunter").to_dict()
    z = result["local_z"]
    assert z > 40
    assert result["local_p0"] == 0.0
    assert result["log_local_p0"] == pytest.approx(-0.5 * z**2 - np.log(z * np.sqrt(2 * np.pi)) - z**-2, rel=1e-6)
    assert result["scan"]["log_local_p0"][0][0] == result["log_local_p0"]
    assert np.exp(result["scan"]["log_local_p0"][0][1]) == pytest.approx(result["scan"]["local_p0"][0][1])
    assert result["bumphunter"]["log_local_p"] < -745
    assert result["bumphunter"]["local_z"] > 40


def test_no_signal_leaves_an_uncapped_and_a_capped_p0(shape: np.ndarray, family: Family) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(3).poisson(20000 * shape))
    hunt = bump_hunt(spectrum, family, masses=MASSES, toys=300, rng=np.random.default_rng(4))
    assert hunt.local_p0.max() > 0.5
    assert hunt.capped_p0.max() == 0.5
    assert (hunt.local_p0 > 0.5).sum() == (hunt.yields < 0).sum()
    assert hunt.global_p is not None
    assert hunt.global_p.value > 0.05
    assert hunt.goodness.p > 0.01


def test_the_result_depends_on_the_seed_alone(injected: Spectrum, family: Family) -> None:
    def run(workers: int) -> dict:
        rng = np.random.default_rng(5)  # 1501 toys of 50 bins are two blocks
        hunt = bump_hunt(injected, family, masses=MASSES[::3], toys=1501, rng=rng, workers=workers)
        return hunt.to_dict()

    assert run(1) == run(2)


def test_bins_may_be_of_any_width(family: Family) -> None:
    edges = resolution_edges(2000.0, 7000.0, resolution=0.03)
    rng = np.random.default_rng(6)
    mass = 2000.0 * (1 - rng.random(20000)) ** (-1 / 6.0)
    spectrum = Spectrum.from_masses(np.concatenate([mass, rng.normal(3500.0, 105.0, 200)]), edges)
    hunt = bump_hunt(spectrum, family, masses=MASSES)
    assert hunt.masses[hunt.best[1]] == pytest.approx(3500.0, abs=100.0)


def test_masked_bins_take_no_part(injected: Spectrum, family: Family) -> None:
    mask = EDGES[:-1] < 4500.0
    spoiled = Spectrum.from_counts(EDGES, np.where(mask, injected.counts, 77.0))
    hunts = [bump_hunt(s, family, masses=[3300.0, 3500.0], mask=mask) for s in (injected, spoiled)]
    np.testing.assert_allclose(hunts[0].significance, hunts[1].significance, rtol=1e-6)


@pytest.mark.parametrize("name", ["dijet", "polynomial"])
def test_masses_that_the_mask_hides_are_refused(name: str, injected: Spectrum) -> None:
    """Compiled or not, the fit of a tail makes a yield of thousands, or none: neither is an answer."""
    family = named_family(name, 3, sqrt_s=SQRT_S, mass_range=(2000.0, 7000.0))
    mask = (EDGES[1:] <= 3500.0) | (EDGES[:-1] >= 4500.0)
    with pytest.raises(StatisticsError, match="a peak at 3800, 3900, 4000, 4100 GeV"):
        bump_hunt(
            injected, family, masses=np.arange(3300.0, 4701.0, 100.0)[[0, 5, 6, 7, 8, 14]], widths=[0.02], mask=mask
        )
    rng = np.random.default_rng(14)
    hunt = bump_hunt(injected, family, masses=[3600.0, 4600.0], widths=[0.02], mask=mask, toys=50, rng=rng)
    assert hunt.failed_fits == 0
    assert hunt.global_p is not None
    assert hunt.global_p.failed == 0


def test_masses_at_the_edge_have_an_answer(injected: Spectrum, family: Family) -> None:
    hunt = bump_hunt(injected, family, masses=[2000.0, 2050.0, 6950.0])
    assert np.isfinite(hunt.significance).all()
    assert abs(hunt.significance[0]).max() < 4


@pytest.mark.parametrize(
    ("masses", "widths", "message"),
    [
        ([1500.0], [0.03], "outside the spectrum"),
        ([], [0.03], "masses of a scan"),
        ([3000.0, np.nan], [0.03], "masses of a scan"),
        ([3000.0, 2900.0], [0.03], "masses of a scan"),
        ([3000.0], [-0.1], "widths of a scan"),
    ],
)
def test_impossible_grids_are_refused(
    masses: list, widths: list, message: str, injected: Spectrum, family: Family
) -> None:
    with pytest.raises(StatisticsError, match=message):
        bump_hunt(injected, family, masses=masses, widths=widths)


def test_toys_need_random_numbers(injected: Spectrum, family: Family) -> None:
    with pytest.raises(StatisticsError, match="rng"):
        bump_hunt(injected, family, masses=MASSES, toys=10)


def test_zero_count_sidebands_are_refused(family: Family) -> None:
    counts = np.zeros(50)
    counts[12:15] = [5, 9, 4]
    spectrum = Spectrum.from_counts(EDGES, counts)
    mask = counts == 0
    with pytest.raises(StatisticsError, match="no events"):
        bump_hunt(spectrum, family, masses=[3350.0], mask=mask)


def test_sparse_spectra_are_fitted(shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(7).poisson(60 * shape))
    hunt = bump_hunt(spectrum, dijet(2, sqrt_s=SQRT_S), masses=MASSES, toys=500, rng=np.random.default_rng(8))
    assert hunt.failed_fits == 0
    assert hunt.global_p is not None
    assert hunt.global_p.failed == 0


def test_a_peak_spoils_the_background_fit_but_not_beside_it() -> None:
    edges = np.arange(3000.0, 6401.0, 100.0)
    family = dijet(3, sqrt_s=13000.0)
    centres = 0.5 * (edges[1:] + edges[:-1]) / 13000.0
    background = (1 - centres) ** 10 / centres**5
    rng = np.random.default_rng(5)
    expected = 20_000 * background / background.sum() + 800 * gaussian_template(edges, 4000.0, width=0.03)
    spectrum = Spectrum.from_counts(edges, rng.poisson(expected))
    found = bump_hunt(spectrum, family, masses=[4000.0])
    assert found.goodness.p < 1e-6
    assert goodness_outside(spectrum, family, mass=4000.0, width=0.03).p > 0.01


def test_widths_in_gev_are_said_to_be(injected: Spectrum, family: Family) -> None:
    relative = bump_hunt(injected, family, masses=[3500.0], widths=[0.03])
    fixed = bump_hunt(injected, family, masses=[3500.0], widths=[105.0], relative=False)
    np.testing.assert_allclose(relative.significance, fixed.significance, rtol=1e-6)
    assert (relative.to_dict()["width"], relative.to_dict()["width_unit"]) == (0.03, "relative")
    assert (fixed.to_dict()["width"], fixed.to_dict()["width_unit"]) == (105.0, "GeV")
    assert fixed.to_dict()["shape"] == "Gaussian, σ = 105 GeV"
    by_shape = bump_hunt(injected, family, masses=[3500.0], shapes=[Gaussian(105.0, relative=False)])
    assert by_shape.to_dict() == fixed.to_dict()
    beside = [
        goodness_outside(injected, family, mass=3500.0, width=width, relative=unit)
        for width, unit in ((0.03, True), (105.0, False))
    ]
    assert beside[0] == beside[1]


def test_any_shapes_are_scanned(injected: Spectrum, family: Family) -> None:
    ball = CrystalBall(0.03, alpha_low=1.5, n_low=3.0, alpha_high=2.0, n_high=4.0)
    fine = np.linspace(1000.0, 8000.0, 701)
    rows = [Gaussian(0.03).template(fine, mass) for mass in (2000.0, 6000.0)]
    simulated = TemplateShape([2000.0, 6000.0], rows, edges=fine)
    hunt = bump_hunt(injected, family, masses=MASSES, shapes=[ball, simulated], toys=50, rng=np.random.default_rng(9))
    result = json.loads(json.dumps(hunt.to_dict(), allow_nan=False))
    assert hunt.significance.shape == (2, MASSES.size)
    assert result["width"] in result["scan"]["width"]
    assert result["width_unit"] == "relative"
    assert result["scan"]["shape"] == [ball.describe(), simulated.describe()]
    gaussian = bump_hunt(injected, family, masses=MASSES, widths=[0.03])
    np.testing.assert_allclose(hunt.significance[1], gaussian.significance[0], atol=0.02)
    with pytest.raises(StatisticsError, match="not extrapolated"):
        bump_hunt(injected, family, masses=[6500.0], shapes=[simulated])
    with pytest.raises(StatisticsError, match="at least one signal shape"):
        bump_hunt(injected, family, masses=[3500.0], shapes=[])


BALL = {"alpha_low": 1.5, "n_low": 3.0, "alpha_high": 2.0, "n_high": 4.0}


@pytest.mark.parametrize(
    ("shapes", "continuous"),
    [
        ([Gaussian(0.03), Gaussian(0.05)], True),
        ([Gaussian(0.05), Gaussian(0.03)], False),
        ([Gaussian(0.03), Gaussian(0.03)], False),
        ([Gaussian(0.03), Gaussian(150.0, relative=False)], False),
        ([CrystalBall(0.03, **BALL)], True),
        ([CrystalBall(0.03, **BALL), CrystalBall(0.05, **BALL)], True),
        ([Gaussian(0.03), CrystalBall(0.05, **BALL)], False),
        ([CrystalBall(0.03, **BALL), CrystalBall(0.05, **(BALL | {"n_low": 2.0}))], False),
    ],
)
def test_only_a_scan_over_the_width_is_extrapolated(
    shapes: list, continuous: bool, injected: Spectrum, family: Family
) -> None:
    hunt = bump_hunt(injected, family, masses=MASSES[::3], shapes=shapes, toys=20, rng=np.random.default_rng(10))
    assert hunt.global_p is not None
    assert (hunt.gross_vitells is not None) == continuous


@pytest.mark.parametrize("edges", [resolution_edges(2000.0, 7000.0, resolution=0.03), np.linspace(2000, 7000, 9)])
def test_peaks_narrower_than_a_bin_have_an_answer(edges: np.ndarray, family: Family) -> None:
    """Such a peak fills one bin, so that the fit is that bin's excess."""
    expected = BinnedFamily(family, edges).expected(np.array([0.0, 10.0, 5.0]))
    counts = np.round(5000 * expected / expected.sum())
    counts[3] += 40
    mass = float(0.5 * (edges[3] + edges[4]))
    hunt = bump_hunt(Spectrum.from_counts(edges, counts), family, masses=[mass], widths=[1.0], relative=False)
    assert hunt.yields[0, 0] == pytest.approx(40, abs=3)


def test_peaks_wider_than_the_spectrum_are_refused(injected: Spectrum, family: Family) -> None:
    with pytest.raises(StatisticsError, match="wider than the spectrum"):
        bump_hunt(injected, family, masses=[3500.0], widths=[0.03, 2.0])
    wide = bump_hunt(injected, family, masses=[3500.0], widths=[0.5])
    assert np.isfinite(wide.significance).all()


def test_empty_bins_are_data(family: Family) -> None:
    """Half of the bins hold nothing, one event lies alone: fits converge and the lone event is no discovery."""
    counts = np.zeros(50)
    counts[:12] = [200, 140, 101, 72, 52, 40, 30, 22, 15, 11, 8, 6]
    counts[30] = 1
    hunt = bump_hunt(
        Spectrum.from_counts(EDGES, counts),
        dijet(2, sqrt_s=SQRT_S),
        masses=MASSES,
        toys=300,
        rng=np.random.default_rng(11),
    )
    assert hunt.failed_fits == 0
    assert np.abs(hunt.significance).max() < 4
    assert hunt.global_p is not None
    assert hunt.global_p.failed == 0
    with pytest.raises(StatisticsError, match="no events"):
        bump_hunt(Spectrum.from_counts(EDGES, np.zeros(50)), family, masses=MASSES)
    lone = np.zeros(50)
    lone[10] = 1
    with pytest.raises(StatisticsError, match="determine"):
        bump_hunt(Spectrum.from_counts(EDGES, lone), family, masses=MASSES)


def test_a_p_of_one_has_no_significance(shape: np.ndarray, family: Family) -> None:
    """Whole deficits: every toy is more signal-like, p = 1 and Z = −∞, which JSON has no number for."""
    counts = np.round(20000 * shape)
    hunt = bump_hunt(
        Spectrum.from_counts(EDGES, counts), family, masses=[3000.0], toys=50, rng=np.random.default_rng(12)
    )
    assert hunt.global_p is not None
    saturated = type(hunt.global_p)(1.0, 0.9, 1.0, "toys", 50, 50)
    assert not saturated.is_bound
    assert saturated.z == -np.inf
    json.dumps(hunt.to_dict(), allow_nan=False)


def test_toys_are_a_number(injected: Spectrum, family: Family) -> None:
    with pytest.raises(StatisticsError, match="must not be negative"):
        bump_hunt(injected, family, masses=MASSES, toys=-1, rng=np.random.default_rng(1))


@pytest.mark.parametrize("name", ["exponential_polynomial", "bernstein"])
def test_families_of_every_kind_are_searched_with(name: str, injected: Spectrum) -> None:
    """One log-linear, so scanned by the compiled fits, one not; over a range that both describe."""
    part = injected.between(2800.0, 4600.0)
    background = named_family(name, 5, sqrt_s=SQRT_S, mass_range=(2800.0, 4600.0))
    hunt = bump_hunt(part, background, masses=[3300.0, 3500.0, 3700.0], toys=50, rng=np.random.default_rng(13))
    assert hunt.best == (0, 1)
    assert hunt.significance.max() > 3
    assert hunt.global_p is not None
    assert hunt.global_p.failed == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rng": 5, "toys": 10}, "numpy.random.default_rng"),
        ({"rng": 5}, "numpy.random.default_rng"),
        ({"toys": 1.5, "rng": np.random.default_rng(1)}, "whole number"),
        ({"toys": "10", "rng": np.random.default_rng(1)}, "whole number"),
        ({"workers": 0}, "number of workers"),
        ({"masses": None}, "masses of a scan"),
        ({"widths": "narrow"}, "widths of a scan"),
        ({"shapes": [0.03]}, "given in a row"),
        ({"shapes": Gaussian(0.03)}, "given in a row"),
        ({"threshold": None}, "probability"),
        ({"statistic": "bumphunter", "windows": [2, 3]}, "is a BumpHunter"),
        ({"spectrum": np.ones(50)}, "Expected a Spectrum"),
        ({"family": "dijet3"}, "is a Family"),
        ({"family": None}, "is a Family"),
    ],
)
def test_other_things_than_asked_for_are_refused(
    options: dict, message: str, injected: Spectrum, family: Family
) -> None:
    arguments = {"spectrum": injected, "family": family, "masses": MASSES} | options
    with pytest.raises(StatisticsError, match=message):
        bump_hunt(arguments.pop("spectrum"), arguments.pop("family"), **arguments)


def test_the_fit_beside_a_peak_needs_a_spectrum(family: Family) -> None:
    with pytest.raises(StatisticsError, match="Expected a Spectrum"):
        goodness_outside(np.ones(50), family, mass=3500.0, width=0.03)
