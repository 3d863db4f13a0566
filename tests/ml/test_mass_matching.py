"""Weighted and resampled jets have the masses of the reference."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.stats import chi2

from ml import TrainingError
from ml.mass_matching import matching_weights, resample


@pytest.fixture
def spectra() -> tuple[np.ndarray, np.ndarray]:
    """Masses of jets around several values, and a falling spectrum."""
    rng = np.random.default_rng(1)
    return rng.normal(rng.choice([60, 80, 120, 170], 20_000), 25).clip(5), 5 + rng.gamma(2, 30, 10_000)


def compatible(drawn: np.ndarray, reference: np.ndarray, edges: np.ndarray) -> float:
    """p-value of equal spectra; jets that are drawn several times make the variance larger."""
    counts, wanted = np.histogram(drawn, edges)[0], np.histogram(reference, edges)[0]
    scale = counts.sum() / wanted.sum()
    times = np.unique(drawn, return_counts=True)[1]
    variance = counts * (times**2).sum() / times.sum() + scale**2 * wanted
    used = variance > 0
    return float(chi2.sf((((counts - scale * wanted)[used]) ** 2 / variance[used]).sum(), used.sum() - 1))


def test_resampled_jets_have_the_spectrum_of_the_reference(spectra: tuple[np.ndarray, np.ndarray]) -> None:
    mass, reference = spectra
    drawn = mass[resample(matching_weights(mass, reference), 5000, np.random.default_rng(2))]
    edges = np.linspace(10, 200, 26)  # not those of the matching
    assert compatible(drawn, reference, edges) > 0.01
    plain = mass[resample(np.ones(len(mass)), 5000, np.random.default_rng(2))]
    assert compatible(plain, reference, edges) < 1e-30


def test_weights_match_bin_by_bin_and_carry_those_of_the_events(spectra: tuple[np.ndarray, np.ndarray]) -> None:
    mass, reference = spectra
    rng = np.random.default_rng(3)
    own, other = rng.uniform(0.5, 2, len(mass)), rng.uniform(0.5, 2, len(reference))
    weights = matching_weights(mass, reference, weight=own, reference_weight=other, bins=20)
    assert weights.mean() == pytest.approx(1)
    edges = np.quantile(reference, np.linspace(0, 1, 21))
    matched, wanted = np.histogram(mass, edges, weights=weights)[0], np.histogram(reference, edges, weights=other)[0]
    np.testing.assert_allclose(matched / matched.sum(), wanted / wanted.sum(), rtol=1e-6)
    assert not weights[(mass < edges[0]) | (mass > edges[-1])].any()
    inside = (mass >= edges[3]) & (mass < edges[4])
    assert np.ptp(weights[inside] / own[inside]) < 1e-9


def test_equal_spectra_need_no_weights() -> None:
    mass = np.random.default_rng(4).exponential(50, 2000)
    np.testing.assert_allclose(matching_weights(mass, mass), 1)


def test_masses_that_no_jet_has_are_told(caplog: pytest.LogCaptureFixture) -> None:
    mass, reference = np.linspace(50, 100, 1000), np.linspace(0, 100, 1000)
    with caplog.at_level(logging.WARNING):
        weights = matching_weights(mass, reference, bins=10)
    assert "50% of the reference jets have masses that none of the 1000 jets" in caplog.text
    np.testing.assert_allclose(weights, 1, rtol=0.05)


def test_spectra_without_anything_in_common_are_refused() -> None:
    far, near = np.linspace(200, 300, 50), np.linspace(0, 100, 50)
    with pytest.raises(TrainingError, match="from 200 to 300 GeV cannot be given the spectrum"):
        matching_weights(far, near)
    with pytest.raises(TrainingError, match="1 of 50 jets have masses that are not finite"):
        matching_weights(np.append(near[:-1], np.nan), near)
    with pytest.raises(TrainingError, match="weights"):
        matching_weights(near, near, weight=np.zeros(50))
