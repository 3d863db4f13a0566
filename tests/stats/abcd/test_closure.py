"""Closure and dependence: independent scores close, dependent ones do not, even without correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stats import StatisticsError
from stats.abcd import (
    Plane,
    closure_checks,
    count_plane,
    dependence,
    even_strips,
    extended_estimate,
    plain_estimate,
    toy_closure,
)

TAILS = (0.8, 0.6, 0.4, 0.2, 0.1)


def correlated(correlation: float, n: int = 40000, *, seed: int = 1) -> np.ndarray:
    first, second = np.random.default_rng(seed).normal(size=(2, n))
    return np.stack([first, correlation * first + np.sqrt(1 - correlation**2) * second])


def test_independent_scores_close() -> None:
    checks = closure_checks(count_plane(*correlated(0.0), first_tails=TAILS), tails=TAILS)
    assert len(checks) == 12
    assert {one.region for one in checks} == {"inside", "first", "second"}
    assert {one.tail for one in checks} == set(TAILS[:-1])
    assert max(abs(one.pull) for one in checks) < 3.5
    assert all(abs(one.ratio - 1) < 4 * one.ratio_error for one in checks)


def test_pulls_are_standard_normal() -> None:
    rng = np.random.default_rng(3)
    means = np.outer((0.5, 0.4, 0.1), (0.6, 0.3, 0.1)) * 2000
    pulls = [one.pull for toy in rng.poisson(means, (300, 3, 3)) for one in closure_checks(Plane(toy))]
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)
    assert np.std(pulls) == pytest.approx(1, abs=0.1)


def test_correlated_scores_do_not_close_and_the_extended_estimate_mends_it() -> None:
    scores = correlated(0.1)
    assert max(one.pull for one in closure_checks(count_plane(*scores, first_tails=TAILS))) > 5
    plane = count_plane(*scores, first_tails=even_strips(0.1), second_tails=(0.1,))
    assert plain_estimate(plane).closure > 1.2
    extended = extended_estimate(plane)
    assert abs(extended.closure - 1) < 3 * extended.closure_error


def test_dependence_without_correlation_shows_in_closure() -> None:
    rng = np.random.default_rng(5)
    sign, size = rng.choice((-1.0, 1.0), (2, 40000)), np.abs(rng.normal(size=40000))
    first, second = sign[0] * size, sign[1] * size * rng.uniform(0.5, 1.5, 40000)
    plane = count_plane(first, second, first_tails=TAILS)
    found = dependence(plane, first=first, second=second)
    assert abs(found.pearson) < 3 * found.pearson_error
    assert found.p < 1e-10
    assert found.mutual_information > 0.05
    assert max(abs(one.pull) for one in closure_checks(plane)) > 10


def test_dependence_of_normal_scores() -> None:
    scores = correlated(0.3)
    tails = tuple(np.arange(19, 0, -1) / 20)
    found = dependence(count_plane(*scores, first_tails=tails), first=scores[0], second=scores[1])
    assert found.pearson == pytest.approx(0.3, abs=0.02)
    # −log(1 − ρ²)/2 of a bivariate normal, less what 20 strips lose
    assert found.mutual_information == pytest.approx(-0.5 * np.log(1 - 0.09), rel=0.05)
    assert found.distance_correlation == pytest.approx(0.27, abs=0.02)
    assert found.n == 40000


def test_dependence_of_independent_scores() -> None:
    rng = np.random.default_rng(6)
    found = [dependence(Plane(rng.poisson(np.full((4, 4), 60.0)))) for _ in range(300)]
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(0.05, abs=0.03)
    assert np.mean([one.mutual_information for one in found]) < 0.003
    assert all(one.to_dict()["pearson"] is None for one in found)


def test_distance_correlation_against_its_definition() -> None:
    counts = np.random.default_rng(7).integers(1, 9, (3, 4)).astype(float)
    rows, columns = (np.repeat(part.ravel(), counts.ravel().astype(int)) for part in np.indices(counts.shape))
    a, b = (np.abs(np.subtract.outer(one, one)).astype(float) for one in (rows, columns))
    a, b = (m - m.mean(axis=0) - m.mean(axis=1)[:, None] + m.mean() for m in (a, b))
    expected = np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))
    assert dependence(Plane(counts)).distance_correlation == pytest.approx(expected)


def test_weighted_events_have_the_dependence_of_as_many_as_they_are_worth() -> None:
    counts = np.random.default_rng(8).poisson(np.full((4, 4), 200.0)).astype(float)
    one, other = dependence(Plane(counts)), dependence(Plane(5 * counts, 25 * counts))
    assert one.p == pytest.approx(other.p)
    assert one.mutual_information == pytest.approx(other.mutual_information)


def test_empty_regions_are_left_out_or_refused() -> None:
    assert closure_checks(Plane(np.diag([9.0, 9.0, 9.0]))) is not None
    assert closure_checks(Plane(np.zeros((3, 3)))) == ()
    with pytest.raises(StatisticsError, match="No event"):
        dependence(Plane(np.zeros((3, 3))))
    with pytest.raises(StatisticsError, match="three or more"):
        closure_checks(Plane(np.ones((2, 2))))
    assert np.isnan(dependence(Plane(np.array([[0.0, 0.0], [3.0, 1.0]]))).p)


def test_toys_close_with_correlation_and_signal() -> None:
    """60 toys of 4,000 events, tail 0.2 (160 expected in A): plain biased by the correlation, extended not."""
    options: dict[str, Any] = {"n_events": 4000, "tail": 0.2, "toys": 60}
    for name, one in toy_closure(**options, rng=np.random.default_rng(1)).items():
        assert abs(one.ratio - 1) < 3 * one.ratio_error + 0.01, name
        assert one.pull_width == pytest.approx(1, abs=0.3)
        assert one.failed == 0
    found = toy_closure(**options, rng=np.random.default_rng(2), correlation=0.1)
    assert found["plain"].ratio < 0.8
    assert found["counting"].ratio < found["plain"].ratio
    assert abs(found["extended"].ratio - 1) < 3 * found["extended"].ratio_error + 0.03
    signal = toy_closure(**options, rng=np.random.default_rng(3), n_signal=80)
    assert signal["plain"].ratio > 1.02
    same = toy_closure(**options, rng=np.random.default_rng(3), n_signal=80)
    assert same == signal


@pytest.mark.parametrize("change", [{"toys": 1}, {"n_events": 0}, {"correlation": 1.0}, {"n_signal": -1}])
def test_toys_that_make_no_sense_are_refused(change: dict[str, float]) -> None:
    options: dict[str, Any] = {"n_events": 100, "tail": 0.2, "toys": 5, **change}
    with pytest.raises(StatisticsError, match="Toys need"):
        toy_closure(rng=np.random.default_rng(1), **options)
