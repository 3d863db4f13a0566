from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from stats import BinnedFamily, Gaussian, Spectrum, StatisticsError, bump_hunt, choose_order, dijet, fit_background
from stats.lookelsewhere import run_toys, toy_p
from stats.ordered import OrderedProcedure, chosen_order
from stats.procedures import LikelihoodScan, refit
from stats.signals import scan_templates
from tests.stats.conftest import EDGES, SQRT_S

FAMILIES = [dijet(number, sqrt_s=SQRT_S) for number in (2, 3, 4)]
BINS = np.linspace(2000.0, 7000.0, 26)
BINNED = BinnedFamily(FAMILIES[0], BINS).expected(np.array([0.0, 6.0]))
MASSES = np.linspace(2500.0, 5000.0, 6)


@pytest.mark.parametrize("events", [60, 5000])
def test_many_spectra_choose_as_one_does(shape: np.ndarray, events: int) -> None:
    """20 spectra; with a threshold of 0.3 several orders occur."""
    spectra = np.random.default_rng(1).poisson(events * shape, size=(20, 50)).astype(float)
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
    assert agree >= 19
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
    # its toys are those that choose
    assert isinstance(hunt.procedure, OrderedProcedure)
    assert hunt.toys is not None
    toys = run_toys(hunt.procedure, toys=300, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(hunt.toys.largest, toys.largest)


def test_toys_that_choose_the_order_are_right_and_those_with_a_fixed_one_wrong() -> None:
    """600 spectra of 5000 events, of which the F-test at 0.5 takes 2, 3 and 4 parameters for a fourth at least.

    The spectra choose by ``chosen_order`` and are then scanned with that family alone; 4000 toys go through the
    procedure, 2000 through the scan of each fixed family; independent seeds. Peaks of 30% resemble the parameters that
    are added. KS at 10⁻³ allows for D < 0.08; toys that choose give 0.03, those with the spectrum's order fixed 0.16.
    """
    events = 5000 * BINNED / BINNED.sum()
    templates = scan_templates(BINS, np.array([2500.0, 3500.0, 4500.0]), [Gaussian(0.3)])
    scans = [LikelihoodScan(fit_background(BinnedFamily(one, BINS), events), templates) for one in FAMILIES]
    data = np.random.default_rng(4).poisson(events, size=(600, 25)).astype(float)
    order = chosen_order([refit(one.background, data) for one in scans], threshold=0.5)
    assert (np.bincount(order, minlength=3) > 120).all()
    observed = np.stack([one(data).largest for one in scans])[order, np.arange(600)]

    chosen = run_toys(OrderedProcedure(tuple(scans), 0, 0.5), toys=4000, rng=np.random.default_rng(5))
    assert chosen.failed == 0
    assert kstest([toy_p(z, chosen).value for z in observed], "uniform").pvalue > 0.01

    fixed = [run_toys(one, toys=2000, rng=np.random.default_rng(6)) for one in scans]
    wrong = [toy_p(z, fixed[index]).value for z, index in zip(observed, order, strict=True)]
    assert kstest(wrong, "uniform").pvalue < 1e-6


def test_families_must_be_nested(shape: np.ndarray) -> None:
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(6).poisson(1000 * shape))
    with pytest.raises(StatisticsError, match="nested families"):
        bump_hunt(spectrum, FAMILIES[::-1], masses=MASSES)
    with pytest.raises(StatisticsError, match="nested families"):
        bump_hunt(spectrum, FAMILIES[:1], masses=MASSES)
