from __future__ import annotations

import json

import numpy as np
import pytest

from stats import (
    Family,
    Spectrum,
    StatisticsError,
    bump_hunt,
    dijet,
    gaussian_template,
    goodness_outside,
    resolution_edges,
)
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
        hunt = bump_hunt(injected, family, masses=MASSES, toys=3200, rng=np.random.default_rng(5), workers=workers)
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
