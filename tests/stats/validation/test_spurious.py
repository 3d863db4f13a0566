"""A right function finds no signal in a smooth template, a wrong one does, and the template's errors are its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stats import Family, Spectrum, StatisticsError, dijet, fit_background, fit_signal, gaussian_template
from stats.functions import BinnedFamily
from stats.validation import SpuriousSignal, spurious_signal
from tests.stats.conftest import EDGES

MASSES = np.array([2400.0, 3000.0, 3500.0, 4500.0])


def test_the_true_function_finds_nothing(plenty: Spectrum, family: Family) -> None:
    result = spurious_signal(plenty, family, masses=MASSES, truth=family)
    assert np.abs(result.ratio).max() < 1e-3
    assert (result.template_errors == 0).all()
    assert result.verdict == "accepted"
    assert result.truth == "dijet3"


def test_a_wrong_function_is_rejected(curved: np.ndarray, two: Family, family: Family) -> None:
    data = Spectrum.from_counts(EDGES, np.random.default_rng(1).poisson(curved))
    result = spurious_signal(data, two, masses=MASSES, truth=family)
    assert result.verdict == "rejected"
    assert result.systematic == np.nanmax(np.abs(result.yields))
    right = spurious_signal(data, family, masses=MASSES, truth=two)
    assert right.verdict == "accepted"


def test_errors_are_those_of_the_fit(shape: np.ndarray, model: BinnedFamily, family: Family) -> None:
    """On its own expectation the expected information is the observed one; unit weights make both errors equal."""
    counts = np.round(1e7 * shape)
    result = spurious_signal(Spectrum.from_counts(EDGES, counts), family, masses=MASSES)
    templates = np.stack([gaussian_template(EDGES, mass, width=0.03) for mass in MASSES])
    fits = fit_signal(fit_background(model, counts), templates)
    np.testing.assert_allclose(result.errors, fits.errors, rtol=2e-3)
    np.testing.assert_allclose(result.template_errors, result.errors, rtol=2e-3)
    np.testing.assert_allclose(result.yields, fits.yields)


def test_template_errors_are_the_spread_of_templates(shape: np.ndarray, family: Family) -> None:
    """80 simulated samples with weights that vary over the spectrum by a factor of three."""
    weight = np.linspace(0.3, 0.1, 50)
    rng = np.random.default_rng(2)
    samples = rng.poisson(200_000 * shape / weight, size=(80, 50))
    results = [spurious_signal(Spectrum(EDGES, n * weight, n * weight**2), family, masses=MASSES) for n in samples]
    spread = np.std([result.yields for result in results], axis=0)
    np.testing.assert_allclose(np.mean([r.template_errors for r in results], axis=0), spread, rtol=0.25)
    pulls = [result.yields / result.template_errors for result in results]
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.4


def test_twice_the_data_halves_the_relative_error(plenty: Spectrum, two: Family, family: Family) -> None:
    once, twice = (spurious_signal(plenty, two, masses=MASSES, truth=family, scale=scale) for scale in (1.0, 2.0))
    np.testing.assert_allclose(twice.yields, 2 * once.yields, rtol=1e-3)
    np.testing.assert_allclose(twice.errors, np.sqrt(2) * once.errors, rtol=1e-3)


def result(yields: list[float], template_error: float, *, tolerance: float = 1.0) -> SpuriousSignal:
    values = np.array(yields)
    ones = np.ones(values.size)
    return SpuriousSignal("f", None, ones, values, ones, template_error * ones, 0.2, tolerance, 0)


def test_verdict_knows_what_the_template_can_tell() -> None:
    assert result([0.1, -0.1], 0.05).verdict == "accepted"
    assert result([0.1, -0.22], 0.05).verdict == "accepted"
    assert result([0.1, -0.22], 0.05, tolerance=0.0).verdict == "rejected"
    assert result([0.1, -0.3], 0.05).verdict == "rejected"
    assert result([0.1, -0.3], 0.5).verdict == "undecided"
    assert result([0.1, -0.1], 0.5).verdict == "undecided"
    assert result([0.1, np.nan], 0.05).verdict == "undecided"
    np.testing.assert_allclose(result([0.5, -0.5, 0.1], 0.2).relaxed, [0.3, -0.3, 0.0])


def test_a_template_of_the_data_s_own_size_accepts_nothing(shape: np.ndarray, family: Family) -> None:
    """Its error is the error of the data: five times what would have to be known."""
    rng = np.random.default_rng(5)
    templates = [Spectrum.from_counts(EDGES, counts) for counts in rng.poisson(2000 * shape, size=(40, 50))]
    verdicts = [spurious_signal(template, family, masses=[3500.0]).verdict for template in templates]
    assert "undecided" in verdicts
    assert "accepted" not in verdicts


def test_result_is_json(sparse: Spectrum, family: Family) -> None:
    sparse_result = spurious_signal(sparse, family, masses=np.linspace(2100, 6900, 20))
    assert sparse_result.failed == np.isnan(sparse_result.yields).sum()
    json.dumps(sparse_result.to_dict(), allow_nan=False)


def test_hard_input_is_refused(plenty: Spectrum, family: Family) -> None:
    for changes, match in (
        ({"masses": [1000.0]}, "outside the spectrum"),
        ({"masses": [3500.0, 3000.0]}, "rising"),
        ({"scale": 0.0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"scale": "1"}, "scale"),
        ({"limit": -1.0}, "limit"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"mask": np.ones(50, dtype=bool)}, "no mask"),
        ({"mask": np.ones(3, dtype=bool)}, "no mask"),
    ):
        with pytest.raises(StatisticsError, match=match):
            spurious_signal(plenty, family, **{"masses": MASSES} | changes)  # type: ignore[arg-type]
    empty = Spectrum.from_counts(EDGES, np.zeros(50))
    for truth in (None, family):
        with pytest.raises(StatisticsError, match="no events"):
            spurious_signal(empty, family, masses=MASSES, truth=truth)


def test_a_signal_in_the_data_stays_out_of_a_masked_truth(shape: np.ndarray, family: Family) -> None:
    """A richer function fitted over a peak bends after it; fitted beside the peak it does not."""
    counts = 1e5 * shape + 2000 * gaussian_template(EDGES, 3500.0, width=0.03)
    data = Spectrum.from_counts(EDGES, np.random.default_rng(4).poisson(counts))
    beside = (EDGES[1:] <= 3100.0) | (EDGES[:-1] >= 3900.0)
    truth = dijet(4, sqrt_s=13_000.0)
    over, clean = (spurious_signal(data, family, masses=[3500.0], truth=truth, mask=mask) for mask in (None, beside))
    assert abs(clean.ratio[0]) < 0.5 * abs(over.ratio[0])
