from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from stats import BinnedFamily, Spectrum, StatisticsError, bump_hunt, choose_order, dijet, fit_background
from stats.ordered import chosen_order
from tests.stats.conftest import EDGES, SQRT_S

FAMILIES = [dijet(number, sqrt_s=SQRT_S) for number in (2, 3, 4)]
MASSES = np.linspace(2500.0, 5000.0, 6)


@pytest.mark.parametrize("events", [60, 5000])
def test_many_spectra_choose_as_one_does(shape: np.ndarray, events: int) -> None:
    """30 spectra; with a threshold of 0.3 several orders occur."""
    spectra = np.random.default_rng(1).poisson(events * shape, size=(30, 50)).astype(float)
    references = [fit_background(BinnedFamily(family, EDGES), events * shape) for family in FAMILIES]
    fits = [fit_background(one.model, spectra, reference=one) for one in references]
    order, agree = chosen_order(fits, threshold=0.3), 0
    for index, counts in zip(order, spectra, strict=True):
        try:
            choice = choose_order(Spectrum.from_counts(EDGES, counts), FAMILIES, threshold=0.3)
        except StatisticsError:
            agree += 1
            continue
        agree += index >= 0 and choice.family.name == FAMILIES[index].name
    # toys share one expansion of the bin integrals, single spectra have their own: p-values at the threshold may flip
    assert agree >= 29
    assert len(set(order)) > 1


def test_the_choice_is_reported_and_repeated(shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(2).poisson(20000 * shape))
    hunt = bump_hunt(spectrum, FAMILIES, masses=MASSES, toys=300, rng=np.random.default_rng(3))
    assert hunt.order is not None
    assert hunt.family.name == hunt.order.family.name
    assert hunt.to_dict()["order"]["family"] == hunt.family.name
    assert hunt.global_p is not None
    assert hunt.global_p.failed == 0
    fixed = bump_hunt(spectrum, hunt.family, masses=MASSES)
    np.testing.assert_allclose(hunt.significance, fixed.significance)
    assert "order" not in fixed.to_dict()


def test_global_p_is_uniform_although_the_order_is_chosen_on_the_spectrum(shape: np.ndarray) -> None:
    """100 spectra of 1000 events, each with 99 toys from its own fit that choose again; independent seeds."""
    bins = np.linspace(2000.0, 7000.0, 26)
    rng, p = np.random.default_rng(4), []
    for toys_rng in np.random.default_rng(5).spawn(100):
        spectrum = Spectrum.from_counts(bins, rng.poisson(1000 * shape.reshape(25, 2).sum(axis=1)))
        hunt = bump_hunt(spectrum, FAMILIES[:2], masses=MASSES[:4], widths=[0.05], threshold=0.2, toys=99, rng=toys_rng)
        assert hunt.global_p is not None
        p.append(hunt.global_p.value)
    assert kstest(p, "uniform").pvalue > 1e-3


def test_families_must_be_nested(shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(6).poisson(1000 * shape))
    with pytest.raises(StatisticsError, match="nested families"):
        bump_hunt(spectrum, FAMILIES[::-1], masses=MASSES)
    with pytest.raises(StatisticsError, match="nested families"):
        bump_hunt(spectrum, FAMILIES[:1], masses=MASSES)
