"""Closure on the true background: the error of the ratio covers, and what closes is told from what does not."""

from __future__ import annotations

import numpy as np
import pytest

from stats import StatisticsError
from stats.abcd import Plane, beyond_tolerance, counting_estimate, is_doubtful, strips, true_closure


def toys(n_events: int, tail: float, *, signal: int = 0, n_toys: int = 400) -> np.ndarray:
    """(n_toys, 2) ratio and error, independent normal scores; thresholds are percentiles of all events."""
    rng, found = np.random.default_rng(1), []
    for _ in range(n_toys):
        scores = rng.normal(size=(2, n_events + signal))
        scores[:, n_events:] += 2.0
        rows, columns = (strips(one, (0.6, tail)) for one in scores)
        counts = np.bincount(3 * rows + columns, minlength=9).reshape(3, 3)
        true = int(((rows == 2) & (columns == 2))[:n_events].sum())
        one = true_closure(counting_estimate(Plane(counts), systematic=0.0), true)
        found.append((one.ratio, one.ratio_error))
    return np.array(found)


@pytest.mark.parametrize(("n_events", "tail"), [(4000, 0.316), (10000, 0.1)])
def test_error_of_the_ratio_is_the_spread_of_toys(n_events: int, tail: float) -> None:
    """400 toys with 400 and 100 events selected. Without the term of the shared events the first error would be 4% too
    large."""
    ratio, error = toys(n_events, tail).T
    pulls = np.log(ratio) * ratio / error
    assert pulls.mean() == pytest.approx(0, abs=0.2)
    assert pulls.std() == pytest.approx(1, abs=0.1)


def test_shared_events_make_the_error_smaller() -> None:
    counts = np.full((3, 3), 100.0)
    found = counting_estimate(Plane(counts), systematic=0.03)
    one = true_closure(found, 100.0)
    apart = np.hypot(found.statistical / found.predicted, 0.1)
    assert one.ratio_error / one.ratio == pytest.approx(np.sqrt(apart**2 - 2 / 900))
    # the numerical derivative of log(P/T) by each cell, cells being independent
    gradient = np.zeros((3, 3))
    for cell in np.ndindex(3, 3):
        moved = counts.copy()
        moved[cell] += 1e-3
        gradient[cell] = np.log(counting_estimate(Plane(moved)).predicted / moved[2, 2]) / 1e-3
    assert one.ratio_error / one.ratio == pytest.approx(np.sqrt((counts * gradient**2).sum()), rel=1e-3)


def test_signal_in_the_control_regions_raises_the_prediction() -> None:
    ratio, error = toys(20000, 0.2, signal=1000, n_toys=30).T
    assert ratio.mean() > 1.03
    assert ratio.mean() - 1 > 3 * error.mean() / np.sqrt(30)


@pytest.mark.parametrize(
    ("counts", "closes"),
    [
        (np.full((3, 3), 1e4), True),
        (np.diag([0.0, 0.0, 450.0]) + 1e4, True),  # 4% off, known to 1%
        (np.diag([0.0, 0.0, 1500.0]) + 1e4, False),  # 13% off
        (np.diag([0.0, 0.0, 2.0]) + 10.0, True),  # 17% off, known to 50%
    ],
)
def test_verdict(counts: np.ndarray, closes: bool) -> None:
    found = true_closure(counting_estimate(Plane(counts)), counts[2, 2])
    assert found.closes is closes
    assert found.doubtful is not closes


def test_beyond_is_the_same_for_a_ratio_and_its_inverse() -> None:
    assert beyond_tolerance(0.8, 0.04) == pytest.approx(beyond_tolerance(1.25, 0.04 * 1.25**2))
    assert beyond_tolerance(1 / 1.05, 1e-9) == pytest.approx(0, abs=1e-3)
    assert np.isnan(beyond_tolerance(0.0, 0.1))


@pytest.mark.parametrize(
    ("ratio", "error", "doubtful"),
    [
        (0.784, 0.055, True),  # 3.9 errors from 1, fewer than 3 beyond the tolerance
        (1.216, 0.055, True),
        (0.784, 0.073, False),  # 2.96 errors
        (0.96, 0.001, False),  # 40 errors, but inside the tolerance
        (0.94, 0.001, True),
        (float("nan"), float("nan"), False),
    ],
)
def test_doubt_asks_for_more_than_the_tolerance_and_three_errors(ratio: float, error: float, doubtful: bool) -> None:
    assert is_doubtful(ratio, error) is doubtful


def test_doubt_starts_nearer_than_three_errors_beyond_the_tolerance() -> None:
    """760 true events beside 618 predicted: 3.8 errors from 1; the table's verdict and the doubt agree."""
    counts = np.full((3, 3), 600.0)
    counts[2, 2] = 760.0
    found = true_closure(counting_estimate(Plane(counts), systematic=0.0), counts[2, 2])
    assert abs(found.ratio - 1) > 3 * found.ratio_error
    assert found.beyond < 3
    assert found.doubtful
    assert found.closes is False


def test_without_true_events_there_is_no_ratio() -> None:
    found = true_closure(counting_estimate(Plane(np.full((3, 3), 5.0))), 0.0).to_dict()
    assert found["ratio"] is None
    assert found["closes"] is None
    with pytest.raises(StatisticsError, match="not negative"):
        true_closure(counting_estimate(Plane(np.full((3, 3), 5.0))), -1.0)


def test_weighted_truth_counts_by_its_variance() -> None:
    counts = np.full((3, 3), 100.0)
    plain = true_closure(counting_estimate(Plane(counts)), 100.0)
    weighted = true_closure(counting_estimate(Plane(2 * counts, 4 * counts)), 200.0, variance=400.0)
    assert weighted.ratio == pytest.approx(plain.ratio)
    assert weighted.ratio_error == pytest.approx(plain.ratio_error)
