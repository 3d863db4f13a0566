from __future__ import annotations

import numpy as np
import pytest

from stats import BinnedFamily, Gaussian, StatisticsError, dijet, fit_background, fit_signal, scan
from stats.signals import scan_templates
from tests.stats.conftest import EDGES, SQRT_S

MASSES = np.array([2000.0, 2400.0, 3100.0, 4300.0, 6900.0])


@pytest.mark.parametrize("events", [30, 300, 5000, 200_000])
@pytest.mark.parametrize("n_parameters", [2, 4])
def test_a_scan_is_what_single_signal_fits_are(shape: np.ndarray, events: int, n_parameters: int) -> None:
    model = BinnedFamily(dijet(n_parameters, sqrt_s=SQRT_S), EDGES)
    reference = fit_background(model, 1000 * shape)
    counts = np.random.default_rng(events).poisson(events * shape, size=(100, 50)).astype(float)
    background = fit_background(model, counts, reference=reference)
    templates = scan_templates(EDGES, MASSES, [Gaussian(0.01), Gaussian(0.05)])
    found = scan(background, templates)
    for width in range(2):
        for mass in range(MASSES.size):
            single = fit_signal(background, templates[width, mass])
            np.testing.assert_array_equal(np.isnan(found.significance[:, width, mass]), ~single.converged)
            # a likelihood equal to 1e-7 leaves a significance of 0 uncertain by 5e-4
            np.testing.assert_allclose(
                np.sign(found.significance[:, width, mass]) * found.significance[:, width, mass] ** 2,
                np.sign(single.significance) * single.significance**2,
                atol=3e-7 * (1 + events / 1000),
            )
            precise = np.abs(single.significance) > 0.05
            # where hardly an event is under the peak the curvature still changes within the tolerance of the minimum
            alike = np.isclose(found.errors[:, width, mass], single.errors, rtol=2e-3, equal_nan=True)
            assert alike[precise].mean() > (0.95 if events > 100 else 0.85)
            close = np.abs(found.yields[:, width, mass] - single.yields) < 1e-3 * np.nan_to_num(single.errors, nan=1.0)
            assert close[single.converged].mean() > 0.99


def test_exposure_and_masks_scan_alike(shape: np.ndarray, model: BinnedFamily) -> None:
    exposure = np.linspace(0.5, 2.0, 50)
    exposure[20:24] = 0.0
    counts = np.random.default_rng(1).poisson(5000 * shape * exposure, size=(50, 50)).astype(float)
    background = fit_background(model, counts, exposure=exposure)
    templates = scan_templates(EDGES, MASSES, [Gaussian(0.05)])
    found = scan(background, templates)
    for mass in range(MASSES.size):
        single = fit_signal(background, templates[0, mass])
        np.testing.assert_allclose(found.significance[:, 0, mass], single.significance, atol=2e-3)
        np.testing.assert_allclose(found.yields[:, 0, mass], single.yields, rtol=1e-3, atol=1e-2)


def test_a_spectrum_alone_and_among_others_scans_alike(shape: np.ndarray, model: BinnedFamily) -> None:
    counts = np.random.default_rng(2).poisson(5000 * shape, size=(3, 50)).astype(float)
    background = fit_background(model, counts)
    templates = scan_templates(EDGES, MASSES, [Gaussian(0.05)])
    alone = scan(fit_background(model, counts[1], reference=background), templates)
    np.testing.assert_allclose(alone.significance[0], scan(background, templates).significance[1], atol=1e-3)


@pytest.mark.parametrize("n_spectra", [1, 2])
def test_templates_in_bins_left_out_are_refused(shape: np.ndarray, model: BinnedFamily, n_spectra: int) -> None:
    exposure = np.ones((n_spectra, 50))
    exposure[-1, 15:25] = 0.0
    background = fit_background(model, np.tile(5000 * shape, (n_spectra, 1)), exposure=exposure)
    hidden = scan_templates(EDGES, np.array([3900.0, 4400.0]), [Gaussian(0.02)])
    with pytest.raises(StatisticsError, match="1 of 2 templates"):
        scan(background, hidden)
    assert np.isfinite(scan(background, hidden[:, 1:]).yields).all()
