"""No discovery from a background on its bound."""

from __future__ import annotations

import json

import pytest

from stats import StatisticsError, upper_limit
from stats.abcd import Regions, abcd_discovery, abcd_workspace

FULL = {"A": 60.0, "B": 100.0, "C": 300.0, "D": 900.0}


def workspace(counts: dict[str, float], *, blinded: bool = False) -> dict[str, object]:
    return abcd_workspace(Regions(counts, counts, is_counts=True), blinded=blinded)


def test_empty_control_regions_have_no_discovery_p_value() -> None:
    """Three events over B = C = 0 and D = 100 would be 5.2 standard deviations from a background of 10⁻¹⁰."""
    spec = workspace({"A": 3.0, "B": 0.0, "C": 0.0, "D": 100.0})
    assert upper_limit(spec).local_z > 5
    found = abcd_discovery(spec).to_dict()
    assert found["local_p0"] is None
    assert found["local_z"] is None
    assert "toys from its fit do not help" in found["local_p0_reason"]
    assert json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("region", ["B", "C"])
def test_a_few_events_in_a_control_region_are_too_few(region: str) -> None:
    assert abcd_discovery(workspace({**FULL, region: 4.0})).p0 is None
    assert abcd_discovery(workspace({**FULL, region: 5.0})).p0 is not None


def test_filled_regions_have_the_limits_p_value() -> None:
    spec = workspace(FULL)
    limit = upper_limit(spec)
    found = abcd_discovery(spec, limit=limit)
    assert (found.p0, found.z, found.reason) == (limit.local_p0, limit.local_z, None)
    with pytest.raises(StatisticsError, match="blinded"):
        abcd_discovery(workspace(FULL, blinded=True))
