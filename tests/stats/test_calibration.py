"""Over toys: what a p-value says is how often it happens. Data and calibrating toys never share a seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binomtest, kstest

from stats import BinnedFamily, CrystalBall, Gaussian, Spectrum, bump_hunt, dijet, fit_background, scan
from stats.lookelsewhere import run_toys
from stats.procedures import LikelihoodScan
from stats.signals import scan_templates
from tests.stats.conftest import EDGES, SQRT_S

TAILS = {"alpha_low": 1.2, "n_low": 3.0, "alpha_high": 1.8, "n_high": 5.0}


@pytest.mark.parametrize("events", [5_000, 100_000])
def test_uncapped_local_p0_is_uniform(shape: np.ndarray, model: BinnedFamily, events: int) -> None:
    """4000 background-only spectra per mass and shape; KS at 10⁻³ notices deviations of 0.03."""
    templates = scan_templates(EDGES, np.array([2600.0, 3100.0]), [Gaussian(0.03), CrystalBall(0.05, **TAILS)])
    counts = np.random.default_rng(events).poisson(events * shape, size=(4000, 50))
    background = fit_background(model, counts, reference=fit_background(model, events * shape))
    found = scan(background, templates)
    assert (~background.converged).sum() + found.failed.sum() == 0
    for significance in found.significance.reshape(4000, -1).T:
        assert kstest(ndtr(-significance), "uniform").pvalue > 1e-3


def test_capped_p0_is_half_for_every_deficit_and_uniform_below(shape: np.ndarray, model: BinnedFamily) -> None:
    counts = np.random.default_rng(1).poisson(20_000 * shape, size=(2000, 50))
    background = fit_background(model, counts, reference=fit_background(model, 20_000 * shape))
    significance = scan(background, scan_templates(EDGES, np.array([3000.0]), [Gaussian(0.05)])).significance.ravel()
    capped = np.minimum(ndtr(-significance), 0.5)
    assert binomtest(int((capped == 0.5).sum()), 2000, 0.5).pvalue > 1e-3
    assert kstest(2 * capped[capped < 0.5], "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("events", "widths"), [(60, [0.1]), (2_000, [0.05, 0.1])])
def test_global_p_is_uniform(shape: np.ndarray, events: int, widths: list[float]) -> None:
    """150 spectra of 25 bins, each with 99 toys from its own fit, at 5 masses; 60 events are a low-count case.

    The p-values are multiples of 1/100, a grain of 0.01 where KS at 10⁻³ allows for 0.16.
    """
    family, bins = dijet(2, sqrt_s=SQRT_S), np.linspace(2000.0, 7000.0, 26)
    truth = BinnedFamily(family, bins).expected(np.array([0.0, 6.0]))
    data = np.random.default_rng(events).poisson(events * truth / truth.sum(), size=(150, 25))
    p, failed = [], 0
    for counts, rng in zip(data, np.random.default_rng(2).spawn(150), strict=True):
        hunt = bump_hunt(
            Spectrum.from_counts(bins, counts),
            family,
            masses=np.linspace(2500.0, 4500.0, 5),
            widths=widths,
            toys=99,
            rng=rng,
        )
        assert hunt.global_p is not None
        p.append(hunt.global_p.value)
        failed += hunt.global_p.failed
    assert failed < 1e-3 * 150 * 99
    assert kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("events", [30, 1_000, 20_000])
def test_fewer_than_one_toy_in_a_thousand_fails(shape: np.ndarray, events: int) -> None:
    """3000 toys at 10 masses; of 30 events hardly one lies above 4 TeV."""
    model = BinnedFamily(dijet(2 if events < 100 else 4, sqrt_s=SQRT_S), EDGES)
    templates = scan_templates(EDGES, np.linspace(2200.0, 6500.0, 10), [Gaussian(0.05)])
    procedure = LikelihoodScan(fit_background(model, events * shape), templates)
    toys = run_toys(procedure, toys=3000, rng=np.random.default_rng(3))
    assert toys.failed < 3


@pytest.mark.parametrize("strength", [0.0, 2.0, 5.0])
def test_injected_signals_come_back(shape: np.ndarray, model: BinnedFamily, strength: float) -> None:
    """2000 spectra per strength (in standard deviations of the yield): |mean pull| < 0.1, spread 1 within 10%."""
    templates = scan_templates(EDGES, np.array([3500.0]), [CrystalBall(0.03, **TAILS)])
    reference = fit_background(model, 20_000 * shape)
    size = strength * float(scan(reference, templates).errors[0, 0, 0])
    counts = np.random.default_rng(4).poisson(20_000 * shape + size * templates[0, 0], size=(2000, 50))
    found = scan(fit_background(model, counts, reference=reference), templates)
    pulls = (found.yields - size).ravel() / found.errors.ravel()
    assert np.isfinite(pulls).all()
    assert abs(pulls.mean()) < 0.1
    assert pulls.std() == pytest.approx(1.0, abs=0.1)
