"""What constituents a detector may ask for."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from ml import TrainingError, detector_from_settings
from ml.constituent_batches import WantedConstituents


def test_defaults_are_those_of_the_paper() -> None:
    assert asdict(WantedConstituents()) == {"jets": ("j1",), "count": 20}
    assert WantedConstituents(("j2", "j1")).jets == ("j2", "j1")
    assert detector_from_settings("cwola").needs_constituents is None


@pytest.mark.parametrize("jets", [(), ("j1", "j1"), ("j3",), ("j1", "leading")])
def test_jets_that_there_are_none_of(jets: tuple[str, ...]) -> None:
    with pytest.raises(TrainingError, match="j1, j2, each once"):
        WantedConstituents(jets)


@pytest.mark.parametrize("count", [0, -3, 2.5])
def test_counts_that_cannot_be(count: float) -> None:
    with pytest.raises(TrainingError, match="whole number, 1 or more"):
        WantedConstituents(count=count)  # type: ignore[arg-type]
