"""Spectra that break fits: an answer or a clear error from every kind of family, never a silent number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats import (
    BinnedFamily,
    Spectrum,
    StatisticsError,
    chi2_test,
    effective,
    family,
    fit_background,
    fit_signal,
    gaussian_template,
    resolution_edges,
)
from tests.stats.conftest import EDGES, SQRT_S

KINDS = [("dijet", 3), ("polynomial", 4), ("bernstein", 4), ("modified_exponential", 3)]
TEMPLATE = gaussian_template(EDGES, 3500.0, width=0.05)
kinds = pytest.mark.parametrize("kind", KINDS, ids=[name for name, _ in KINDS])


def binned(kind: tuple[str, int], edges: np.ndarray = EDGES) -> BinnedFamily:
    return BinnedFamily(family(*kind, sqrt_s=SQRT_S, mass_range=(edges[0], edges[-1])), edges)


def falling(total: float, edges: np.ndarray = EDGES) -> np.ndarray:
    expected = np.exp(-edges[:-1] / 1500.0) * np.diff(edges)
    return total * expected / expected.sum()


@kinds
def test_sparse_spectra_with_empty_bins_have_fits(kind: tuple[str, int]) -> None:
    """40 events in 50 bins (100 for the family that is not linear), 300 toys: every fit, with and without signal."""
    model = binned(kind)
    reference = fit_background(model, falling(100.0 if kind[0] == "modified_exponential" else 40.0))
    toys = np.random.default_rng(1).poisson(reference.expected[0], size=(300, 50))
    fits = fit_background(model, toys, reference=reference)
    assert fits.converged.all()
    assert (fits.expected >= 0).all()
    assert (fits.deviance >= 0).all()
    np.testing.assert_allclose(fits.expected.sum(axis=1), toys.sum(axis=1), rtol=1e-4, atol=1e-4)
    signal = fit_signal(fits, TEMPLATE)
    assert signal.converged.all()
    assert (signal.nll <= fits.nll + 1e-6).all()
    capped = fit_signal(fits, TEMPLATE, non_negative=True)
    assert capped.converged.all()
    assert (capped.yields >= 0).all()
    np.testing.assert_array_equal(np.isnan(capped.errors), capped.bounded)


@kinds
def test_empty_sidebands_leave_the_signal_to_the_peak(kind: tuple[str, int]) -> None:
    counts = falling(500.0).round()
    counts[EDGES[:-1] >= 4000] = 0.0
    fits = fit_background(binned(kind), counts)
    signal = fit_signal(fits, gaussian_template(EDGES, 5500.0, width=0.03))
    assert fits.converged[0]
    assert signal.converged[0]
    assert signal.yields[0] < 0.5
    assert signal.significance[0] < 1.0


@kinds
def test_one_event_is_an_error_or_a_fit_of_one_event(kind: tuple[str, int]) -> None:
    counts = np.zeros(50)
    counts[20] = 1.0
    try:
        fits = fit_background(binned(kind), counts)
    except StatisticsError as error:
        assert "do not determine" in str(error)  # noqa: PT017
        return
    assert fits.converged[0]
    assert fits.expected.sum() == pytest.approx(1.0, abs=1e-4)


@kinds
def test_two_filled_bins(kind: tuple[str, int]) -> None:
    counts = np.zeros(50)
    counts[[10, 30]] = 7.0, 3.0
    try:
        fits = fit_background(binned(kind), counts)
    except StatisticsError as error:
        assert "do not determine" in str(error)  # noqa: PT017
        return
    assert fits.converged[0]
    assert fits.expected.sum() == pytest.approx(10.0, abs=1e-3)


@kinds
def test_no_events_is_an_error(kind: tuple[str, int]) -> None:
    with pytest.raises(StatisticsError, match="no events"):
        fit_background(binned(kind), np.zeros(50))
    with pytest.raises(StatisticsError, match="no events"):
        fit_background(binned(kind), np.where(EDGES[:-1] < 3000, 5.0, 0.0), exposure=(EDGES[:-1] >= 3000) * 1.0)


@kinds
def test_an_empty_toy_among_others_is_flagged(kind: tuple[str, int]) -> None:
    fits = fit_background(binned(kind), np.stack([falling(1000.0), np.zeros(50)]))
    assert fits.determined.tolist() == [True, False]
    assert fits.nll[1] == pytest.approx(0.0, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=12, max_size=12).filter(any), st.sampled_from(["polynomial", "bernstein"])
)
def test_positive_functions_fit_any_spectrum(counts: list[int], name: str) -> None:
    """Whatever the counts: a fit, positive in every bin, that holds as many events as there are."""
    edges = np.linspace(2000.0, 7000.0, 13)
    fits = fit_background(binned((name, 4), edges), np.array(counts))
    assert fits.converged[0]
    assert (fits.expected > 0).all()
    assert fits.expected.sum() == pytest.approx(sum(counts), rel=1e-4)


@kinds
def test_non_uniform_bins(kind: tuple[str, int]) -> None:
    """Bins of the resolution: yields of injected signals come back within three errors of the mean over 200 toys."""
    edges = resolution_edges(2000.0, 7000.0, resolution=0.05)
    model = binned(kind, edges)
    truth = fit_background(model, falling(20000.0, edges)).expected[0]
    template = gaussian_template(edges, 3500.0, width=0.05)
    toys = np.random.default_rng(4).poisson(truth + 300 * template, size=(200, edges.size - 1))
    signal = fit_signal(fit_background(model, toys), template)
    assert signal.converged.all()
    assert signal.yields.mean() == pytest.approx(300.0, abs=3 * signal.yields.std() / np.sqrt(200))
    assert ((signal.yields - 300) / signal.errors).std() == pytest.approx(1.0, abs=0.15)


@kinds
def test_blinded_bins_do_not_matter(kind: tuple[str, int]) -> None:
    counts = np.random.default_rng(3).poisson(falling(5000.0)).astype(float)
    mask = (EDGES[:-1] < 3300) | (EDGES[1:] > 3800)
    spoiled = np.where(mask, counts, counts + 500)
    fits = []
    for values in (counts, spoiled):
        numbers, exposure = effective(Spectrum.from_counts(EDGES, values), mask)
        fits.append(fit_background(binned(kind), numbers, exposure=exposure))
    np.testing.assert_allclose(fits[0].expected, fits[1].expected, rtol=1e-9)
    assert (fits[0].expected[0][~mask] > 0).all()
    assert fits[0].ndof[0] == mask.sum() - kind[1]


@kinds
def test_a_signal_in_blinded_bins_has_no_yield(kind: tuple[str, int]) -> None:
    hidden = np.where((EDGES[:-1] >= 3300) & (EDGES[1:] <= 3800), 0.2, 0.0)
    fits = fit_background(binned(kind), falling(5000.0), exposure=(hidden == 0) * 1.0)
    signal = fit_signal(fits, hidden)
    assert not signal.converged[0]
    assert np.isnan(signal.yields[0])
    assert np.isnan(signal.significance[0])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (np.zeros(50), "empty"),
        (np.where(np.arange(50) == 3, np.nan, TEMPLATE), "finite"),
        (-TEMPLATE, "not negative"),
        (TEMPLATE[:-1], "expected"),
        (np.stack([TEMPLATE] * 3), "one row per spectrum"),
    ],
)
def test_templates_that_are_none_are_refused(template: np.ndarray, message: str) -> None:
    fits = fit_background(binned(KINDS[0]), np.stack([falling(1000.0), falling(900.0)]))
    with pytest.raises(StatisticsError, match=message):
        fit_signal(fits, template)


@kinds
@pytest.mark.parametrize(("value", "message"), [(np.nan, "finite"), (np.inf, "finite"), (-1.0, "not negative")])
def test_counts_that_are_none_are_refused(kind: tuple[str, int], value: float, message: str) -> None:
    counts = falling(1000.0)
    counts[4] = value
    with pytest.raises(StatisticsError, match=message):
        fit_background(binned(kind), counts)
    exposure = np.ones(50)
    exposure[4] = value
    with pytest.raises(StatisticsError, match="Exposure must be finite"):
        fit_background(binned(kind), falling(1000.0), exposure=exposure)


def test_chi2_refuses_what_it_cannot_judge() -> None:
    with pytest.raises(StatisticsError, match="no bin expects events"):
        chi2_test(np.zeros(5), np.zeros(5), n_parameters=2)
    with pytest.raises(StatisticsError, match="finite"):
        chi2_test(np.array([1.0, np.nan]), np.ones(2), n_parameters=1)
    with pytest.raises(StatisticsError, match="expects none"):
        chi2_test(np.array([5.0, 20.0]), np.array([0.0, 20.0]), n_parameters=0)
