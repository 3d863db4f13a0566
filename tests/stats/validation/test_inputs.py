"""What is no number of toys, no generator and no family is refused in plain words by every test of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stats import Family, Spectrum, StatisticsError
from stats.validation import bias_matrix, injection_test, saturated_test

GOOD = {"toys": 10, "rng": np.random.default_rng(1), "workers": 1}


@pytest.mark.parametrize("name", ["saturated", "bias", "injection"])
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"toys": 1.5}, "whole number"),
        ({"toys": "10"}, "whole number"),
        ({"toys": True}, "whole number"),
        ({"rng": 5}, "random numbers, got int 5"),
        ({"rng": None}, "random numbers"),
        ({"workers": 0}, "positive whole number"),
        ({"workers": 1.5}, "positive whole number"),
    ],
)
def test_toys_are_whole_and_random(
    name: str, change: dict[str, Any], match: str, plenty: Spectrum, family: Family
) -> None:
    given: dict[str, Any] = GOOD | change
    calls = {
        "saturated": lambda: saturated_test(plenty, family, **given),
        "bias": lambda: bias_matrix(plenty, [family], fits=[family], masses=3500.0, **given),
        "injection": lambda: injection_test(plenty, family, mass=3500.0, **given),
    }
    with pytest.raises(StatisticsError, match=match):
        calls[name]()


def test_families_masses_and_strengths_are_what_they_are_called(plenty: Spectrum, family: Family) -> None:
    for change, match in (
        ({"truths": family}, "sequence of background families"),
        ({"fits": ["dijet3"]}, "sequence of background families"),
        ({"masses": "heavy"}, "Masses must be"),
        ({"strengths": ["strong"]}, "strengths must be"),
    ):
        given: dict[str, Any] = GOOD | {"truths": [family], "fits": [family], "masses": 3500.0} | change
        with pytest.raises(StatisticsError, match=match):
            bias_matrix(plenty, **given)
