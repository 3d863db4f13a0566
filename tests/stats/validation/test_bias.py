"""A true family gives signals back unbiased; a wrong one is caught."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stats import Family, Spectrum, StatisticsError, dijet
from stats.validation import bias_matrix
from tests.stats.conftest import EDGES, SQRT_S


@pytest.mark.parametrize("width", [0.03, 0.05, 0.1])
def test_true_family_is_unbiased_at_0_2_and_5_sigma(plenty: Spectrum, family: Family, width: float) -> None:
    """|mean pull| < 0.1 with an error of 0.026 (1500 toys) at three masses; failures below 0.1%."""
    result = bias_matrix(
        plenty, [family], fits=[family], masses=[2600.0, 3500.0, 4500.0], width=width, toys=1500,
        rng=np.random.default_rng(3), threshold=0.1, workers=2,
    )  # fmt: skip
    pair = result.pair(family.name, family.name)
    assert len(pair.points) == 9
    assert pair.failure_rate < 1e-3
    for point in pair.points:
        assert point.mean_error < 0.03
        assert abs(point.mean) < 0.1
        assert abs(point.bias) < 0.1
        assert point.width == pytest.approx(1.0, abs=0.07)
    without, *others = pair.points[:3]
    assert without.injected == 0
    for point in others:
        assert point.injected == pytest.approx(point.strength * without.expected_error)


def test_wrong_family_is_biased_and_a_richer_one_is_not(curved: np.ndarray, two: Family, family: Family) -> None:
    data = Spectrum.from_counts(EDGES, np.random.default_rng(4).poisson(curved))
    rich = dijet(4, sqrt_s=SQRT_S)
    result = bias_matrix(
        data, [family], fits=[two, family, rich], masses=2600.0, strengths=[0.0, 2.0], toys=1000,
        rng=np.random.default_rng(5),
    )  # fmt: skip
    assert [pair.verdict for pair in result.pairs] == ["biased", "unbiased", "unbiased"]
    mean, error = result.table()
    assert mean.shape == error.shape == (1, 3)
    assert abs(mean[0, 0]) > 1
    np.testing.assert_array_equal(result.table(0.0)[0][0, 0], result.pairs[0].points[0].mean)


def test_likelihood_pulls_stay_defined_in_sparse_spectra(sparse: Spectrum, family: Family) -> None:
    """300 events, a peak in the tail: a good part of the yields rest on their bound, where there is no curvature."""
    settings = {"masses": 4000.0, "strengths": [0.0, 2.0], "toys": 300}
    custom, likelihood = (
        bias_matrix(sparse, [family], fits=[family], pull=pull, rng=np.random.default_rng(6), **settings).pairs[0]  # type: ignore[arg-type]
        for pull in ("curvature", "likelihood")
    )
    assert custom.points[0].bounded == likelihood.points[0].bounded > 30
    assert custom.points[0].undefined == custom.points[0].bounded
    assert custom.verdict == "undecided"
    assert max(point.undefined for point in likelihood.points) <= 3
    assert abs(likelihood.points[1].mean) < 0.3


def test_same_toys_whatever_is_fitted_to_them_and_on_any_number_of_threads(
    sparse: Spectrum, two: Family, family: Family
) -> None:
    def run(fits: list[Family], workers: int):
        rng = np.random.default_rng(7)
        return bias_matrix(sparse, [two, family], fits=fits, masses=[2600.0], toys=40, rng=rng, workers=workers)

    alone, both = run([family], 1), run([two, family], 3)
    for truth in alone.truths:
        assert alone.pair(truth, family.name) == both.pair(truth, family.name)


def test_weighted_spectra_inject_weighted_events(plenty: Spectrum, family: Family) -> None:
    weighted = Spectrum(EDGES, 0.5 * plenty.counts, 0.25 * plenty.variances)
    points = [
        bias_matrix(
            s, [family], fits=[family], masses=3500.0, strengths=[5.0], toys=50, rng=np.random.default_rng(8)
        ).pairs[0].points[0]
        for s in (plenty, weighted)
    ]  # fmt: skip
    assert points[1].injected == pytest.approx(0.5 * points[0].injected, rel=1e-6)
    assert points[1].mean == pytest.approx(points[0].mean, abs=1e-6)


def test_a_signal_in_the_data_is_left_out_by_the_mask(plenty: Spectrum, family: Family) -> None:
    spoiled = np.array(plenty.counts)
    spoiled[14:17] *= 2
    mask = np.ones(50, dtype=bool)
    mask[14:17] = False
    settings = {"masses": 3500.0, "strengths": [0.0], "toys": 10}
    error = [
        bias_matrix(Spectrum.from_counts(EDGES, counts), [family], fits=[family], mask=flags,
                    rng=np.random.default_rng(9), **settings).pairs[0].points[0].expected_error  # type: ignore[arg-type]
        for counts, flags in ((plenty.counts, None), (spoiled, mask), (spoiled, None))
    ]  # fmt: skip
    assert error[1] == pytest.approx(error[0], rel=0.01)
    assert error[2] != pytest.approx(error[0], rel=0.01)


def test_result_is_json(sparse: Spectrum, family: Family) -> None:
    result = bias_matrix(sparse, [family], fits=[family], masses=[6900.0], toys=2, rng=np.random.default_rng(10))
    json.dumps(result.to_dict(), allow_nan=False)


def test_hard_input_is_refused(plenty: Spectrum, family: Family) -> None:
    def run(spectrum: Spectrum = plenty, **changes) -> None:
        settings = {"masses": 3500.0, "toys": 10, "rng": np.random.default_rng(11), "fits": [family]} | changes
        bias_matrix(spectrum, settings.pop("truths", [family]), **settings)  # type: ignore[arg-type]

    for changes, match in (
        ({"toys": 1}, "at least 2 toys"),
        ({"toys": 10, "rng": None}, "random numbers"),
        ({"masses": 1500.0}, "outside the spectrum"),
        ({"masses": []}, "masses of a test"),
        ({"masses": [np.nan]}, "masses of a test"),
        ({"width": -0.1}, "positive width"),
        ({"strengths": [-1.0]}, "not negative"),
        ({"strengths": []}, "not negative"),
        ({"strengths": [2.0, 2.0]}, "different injected strengths"),
        ({"fits": []}, "fitted families"),
        ({"truths": [family, family]}, "true families"),
        ({"pull": "minos"}, "no pull 'minos'"),
        ({"threshold": -1.0}, "threshold"),
        ({"spectrum": Spectrum.from_counts(EDGES, np.zeros(50))}, "no events"),
    ):  # fmt: skip
        with pytest.raises(StatisticsError, match=match):
            run(**changes)  # type: ignore[arg-type]
    result = bias_matrix(plenty, [family], fits=[family], masses=3500.0, toys=2, rng=np.random.default_rng(1))
    with pytest.raises(StatisticsError, match="No pair"):
        result.pair("dijet3", "other")
    with pytest.raises(StatisticsError, match="No strength 1"):
        result.table(1.0)
