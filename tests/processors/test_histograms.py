"""Histograms: binning, agreement with hist, and merging."""

from __future__ import annotations

import hist
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import InputError
from processors.histograms import AxisSpec, ExactHistogram, build_histogram

SPEC = AxisSpec(bins=5, start=0, stop=10, label="x [GeV]")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bins": 5, "start": 0},
        {"bins": 0, "start": 0, "stop": 1},
        {"bins": 3, "start": 1, "stop": 1},
        {"edges": (1.0,)},
        {"edges": (1.0, 3.0, 2.0)},
        {"edges": (1.0, 2.0), "bins": 3},
    ],
)
def test_impossible_binnings_are_refused(settings: dict) -> None:
    with pytest.raises(InputError):
        AxisSpec(**settings)


@pytest.mark.parametrize("spec", [SPEC, AxisSpec(edges=(0, 1, 4, 10))])
def test_contents_are_those_of_hist(spec: AxisSpec) -> None:
    rng = np.random.default_rng(1)
    values, weight = rng.uniform(-2, 12, 500), rng.integers(1, 5, 500) / 4  # sums of quarters are exact
    expected = hist.Hist(spec.axis("x"), storage=hist.storage.Weight()).fill(values, weight=weight)
    built = build_histogram("x", spec, {"a": {"nominal": ExactHistogram.filled(spec, values, weight=weight)}})
    assert built.axes.name == ("dataset", "variation", "x")
    np.testing.assert_array_equal(built["a", "nominal", :].values(flow=True), expected.values(flow=True))
    np.testing.assert_array_equal(built["a", "nominal", :].variances(flow=True), expected.variances(flow=True))


@given(st.lists(st.tuples(st.floats(-5, 15), st.floats(-1e6, 1e6)), max_size=30), st.integers(0, 30))
def test_merging_does_not_depend_on_the_partition(events: list[tuple[float, float]], cut: int) -> None:
    def build(*pieces: list[tuple[float, float]]) -> hist.Hist:
        filled = [ExactHistogram.filled(SPEC, [v for v, _ in p], weight=[w for _, w in p]) for p in pieces]
        total = filled[0]
        for other in filled[1:]:
            total = total + other
        return build_histogram("x", SPEC, {"a": {"nominal": total}})

    assert build(events) == build(events[:cut], events[cut:]) == build(events[cut:], events[:cut])


def test_results_of_two_runs_add() -> None:
    one = build_histogram("x", SPEC, {"a": {"nominal": ExactHistogram.filled(SPEC, [1.0], weight=[1.0])}})
    two = build_histogram("x", SPEC, {"b": {"up": ExactHistogram.filled(SPEC, [3.0], weight=[2.0])}})
    total = one + two
    assert total["a", "nominal", :].sum().value == 1
    assert total["b", "up", :].sum().value == 2


def test_not_a_number_goes_to_the_overflow() -> None:
    assert SPEC.index([np.nan, -1.0, 0.0, 9.9, 10.0]).tolist() == [6, 0, 1, 5, 6]
