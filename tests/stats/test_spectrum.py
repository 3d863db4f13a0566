from __future__ import annotations

import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stats import Spectrum, StatisticsError, resolution_edges, uniform_edges

EDGES = np.array([100.0, 150.0, 230.0, 400.0])


def test_three_ways_to_the_same_spectrum() -> None:
    masses = np.array([101.0, 120.0, 200.0, 399.0, 401.0, 99.0])
    histogram = hist.Hist(hist.axis.Variable(EDGES), storage=hist.storage.Weight()).fill(masses)
    filled = [
        Spectrum.from_masses(masses, EDGES),
        Spectrum.from_hist(histogram),
        Spectrum.from_counts(EDGES, [2, 1, 1]),
    ]
    for spectrum in filled:
        np.testing.assert_array_equal(spectrum.counts, [2, 1, 1])
        np.testing.assert_array_equal(spectrum.variances, [2, 1, 1])
        assert spectrum.is_counts


def test_a_hist_without_weights_has_poisson_variances() -> None:
    histogram = hist.Hist(hist.axis.Regular(4, 0, 8)).fill([1.0, 1.5, 7.0])
    assert Spectrum.from_hist(histogram).is_counts


def test_weights_give_effective_events() -> None:
    spectrum = Spectrum.from_masses(np.full(10, 120.0), EDGES, weights=np.full(10, 0.5))
    assert not spectrum.is_counts
    assert spectrum.scale[0] * spectrum.counts[0] == pytest.approx(10.0)
    np.testing.assert_allclose(spectrum.scale, 2.0)


def test_weights_are_pooled_over_neighbours_until_there_are_enough() -> None:
    """Two weights, one on each side, many events each: the scale is the inverse weight; an empty bin takes both."""
    counts = np.concatenate([np.full(5, 400.0), np.zeros(1), np.full(5, 400.0)])
    weights = np.where(np.arange(11) < 5, 0.5, 2.0)
    scale = Spectrum(np.arange(12.0) + 1, weights * counts, weights**2 * counts).scale
    np.testing.assert_allclose(scale[[0, 4, 6, 10]], [2.0, 2.0, 0.5, 0.5])
    assert scale[5] == pytest.approx(2.5 / 4.25)
    few = Spectrum(EDGES, [3.0, 0.0, 1.0], [5.0, 0.0, 1.0])
    np.testing.assert_allclose(few.scale, 4.0 / 6.0)
    np.testing.assert_array_equal(Spectrum(EDGES, np.zeros(3), np.zeros(3)).scale, 1.0)


@given(st.lists(st.integers(0, 50), min_size=6, max_size=6))
def test_rebinning_keeps_every_event(counts: list[int]) -> None:
    spectrum = Spectrum.from_counts(np.arange(7.0) + 1, counts)
    merged = spectrum.rebin([1.0, 3.0, 4.0, 7.0])
    assert merged.total == spectrum.total
    np.testing.assert_array_equal(merged.counts, [sum(counts[:2]), counts[2], sum(counts[3:])])
    assert spectrum.between(2.0, 5.0).total == sum(counts[1:4])


@pytest.mark.parametrize(
    ("edges", "counts", "variances", "message"),
    [
        ([1, 2, np.nan], [1, 1], [1, 1], "nan at index 2"),
        ([1, 2, 3], [1, np.inf], [1, 1], "inf at index 1"),
        ([1, 3, 2], [1, 1], [1, 1], "Bin edges must rise"),
        ([1, 1, 2], [1, 1], [1, 1], "Bin edges must rise"),
        ([1], [], [], "at least one bin"),
        ([1, 2, 3], [1], [1], "make 2 bins"),
        ([1, 2, 3], [1, -1], [1, 1], "negative"),
        ([1, 2, 3], [1, 1], [1, 0], "no variance"),
    ],
)
def test_what_is_no_spectrum_is_refused(edges: list, counts: list, variances: list, message: str) -> None:
    with pytest.raises(StatisticsError, match=message):
        Spectrum(np.array(edges), np.array(counts), np.array(variances))


def test_bad_fillings_are_refused() -> None:
    with pytest.raises(StatisticsError, match="1 of 2 masses are NaN"):
        Spectrum.from_masses([120.0, np.nan], EDGES)
    with pytest.raises(StatisticsError, match="negative"):
        Spectrum.from_masses([120.0, 121.0], EDGES, weights=[-2.0, 1.0])
    with pytest.raises(StatisticsError, match="one axis"):
        Spectrum.from_hist(hist.Hist(hist.axis.Regular(2, 0, 1), hist.axis.Regular(2, 0, 1)))
    spectrum = Spectrum.from_counts(EDGES, [1, 2, 3])
    with pytest.raises(StatisticsError, match="not an edge"):
        spectrum.rebin([100.0, 160.0, 400.0])
    with pytest.raises(StatisticsError, match="No bin lies inside"):
        spectrum.between(500.0, 600.0)


def test_what_holds_no_numbers_is_refused() -> None:
    for call, match in (
        (lambda: Spectrum.from_counts(EDGES, ["a", "b", "c"]), "Spectrum.counts must be"),
        (lambda: Spectrum.from_counts("edges", [1, 2, 3]), "Spectrum.edges must be"),
        (lambda: Spectrum.from_counts(EDGES, [[1, 2], [3]]), "Spectrum.counts must be"),
        (lambda: Spectrum.from_masses(["heavy"], EDGES), "Masses must be"),
        (lambda: Spectrum.from_masses([120.0], EDGES, weights=["one"]), "Weights must be"),
        (lambda: Spectrum.from_hist(np.ones(3)), "from_counts"),
        (lambda: Spectrum.from_counts(EDGES, [1, 2, 3]).rebin(["a", "b"]), "Bin edges must be"),
    ):
        with pytest.raises(StatisticsError, match=match):
            call()


def test_a_spectrum_cannot_be_changed() -> None:
    spectrum = Spectrum.from_counts(EDGES, [1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        spectrum.counts[0] = 5


def test_edges() -> None:
    np.testing.assert_allclose(uniform_edges(2000, 2350, 100), [2000, 2100, 2200, 2300])
    edges = resolution_edges(2000, 7000, resolution=0.03, bins_per_sigma=2)
    np.testing.assert_allclose(np.diff(edges) / edges[:-1], 0.015)
    assert edges[-1] <= 7000 < edges[-1] * 1.015
    with pytest.raises(StatisticsError, match="low < high"):
        uniform_edges(3000, 2000, 100)
    with pytest.raises(StatisticsError, match="narrower than one bin"):
        resolution_edges(2000, 2010, resolution=0.1)


def test_outside_leaves_out_every_bin_that_an_interval_touches() -> None:
    spectrum = Spectrum.from_counts([0.0, 10.0, 20.0, 30.0, 50.0], [1, 2, 3, 4])
    assert spectrum.outside(10.0, 20.0).tolist() == [True, False, True, True]
    assert spectrum.outside(19.0, 31.0).tolist() == [True, False, False, False]
    assert spectrum.outside(60.0, 70.0).all()
