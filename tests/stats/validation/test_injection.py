"""What goes in comes out: slope one, offset zero; and a wrong background shows as an offset."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stats import BinnedFamily, Family, Spectrum, StatisticsError, resolution_edges
from stats.validation import injection_test
from tests.stats.conftest import EDGES


def test_true_family_is_linear(plenty: Spectrum, family: Family) -> None:
    result = injection_test(plenty, family, mass=3500.0, toys=1500, rng=np.random.default_rng(1), workers=2)
    assert abs(result.slope - 1) < 3 * result.slope_error < 0.06
    assert abs(result.offset) < 3 * result.offset_error
    assert result.p > 0.01
    assert result.ndof == 4
    assert result.verdict == "unbiased"
    assert result.failure_rate == 0


def test_wrong_background_has_an_offset(curved: np.ndarray, two: Family, family: Family) -> None:
    data = Spectrum.from_counts(EDGES, np.random.default_rng(2).poisson(curved))
    result = injection_test(data, two, truth=family, mass=2600.0, toys=300, rng=np.random.default_rng(3))
    assert abs(result.offset) > 10 * result.offset_error
    assert result.verdict == "biased"
    assert (result.truth, result.fit) == ("dijet3", "dijet2")


class Box:
    """A peak as wide as three bins, with a tail outside the spectrum."""

    def template(self, edges: np.ndarray, mass: float) -> np.ndarray:
        centres = 0.5 * (edges[1:] + edges[:-1])
        return 0.25 * (np.abs(centres - mass) < 150.0)

    def width(self, mass: float) -> float:
        return 300.0 / 12**0.5

    def describe(self) -> str:
        return "box"


def test_any_shape_and_a_width_in_gev(plenty: Spectrum, family: Family) -> None:
    settings = {"mass": 3550.0, "strengths": [0.0, 5.0], "toys": 200}
    box, narrow = (
        injection_test(plenty, family, rng=np.random.default_rng(4), **settings, **options)  # type: ignore[arg-type]
        for options in ({"shape": Box()}, {"width": 80.0, "relative": False})
    )
    assert box.points[1].expected_error == pytest.approx(narrow.points[1].expected_error, rel=0.1)
    assert box.slope == pytest.approx(1.0, abs=0.1)
    assert np.isnan(box.p)
    assert box.to_dict()["p"] is None
    json.dumps(box.to_dict(), allow_nan=False)
    with pytest.raises(StatisticsError, match="outside the spectrum"):
        injection_test(plenty, family, rng=np.random.default_rng(4), **settings | {"mass": 9000.0}, shape=Box())  # type: ignore[arg-type]


def test_bins_of_any_width(family: Family) -> None:
    edges = resolution_edges(2000.0, 7000.0, resolution=0.02)
    expected = BinnedFamily(family, edges).expected(np.array([0.0, 10.0, 5.0]))
    spectrum = Spectrum.from_counts(edges, np.random.default_rng(6).poisson(100_000 * expected / expected.sum()))
    result = injection_test(spectrum, family, mass=3500.0, toys=500, rng=np.random.default_rng(7), strengths=[0, 3])
    assert result.verdict == "unbiased"
    assert abs(result.slope - 1) < 3 * result.slope_error


def test_hard_input_is_refused(plenty: Spectrum, family: Family) -> None:
    rng = np.random.default_rng(5)
    for changes, match in (
        ({"strengths": [1.0]}, "at least 2 different"),
        ({"mass": [3000.0, 3500.0]}, "at one mass"),
        ({"mass": float("nan")}, "masses of a test"),
        ({"toys": 0}, "at least 2 toys"),
    ):
        with pytest.raises(StatisticsError, match=match):
            injection_test(plenty, family, **{"mass": 3500.0, "toys": 10, "rng": rng} | changes)  # type: ignore[arg-type]
    with pytest.raises(StatisticsError, match="no events"):
        injection_test(Spectrum.from_counts(EDGES, np.zeros(50)), family, mass=3500.0, toys=10, rng=rng)
