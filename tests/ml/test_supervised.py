"""Where the labelled reference trains."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, Window, detector_from_settings
from tests.ml.conftest import FEATURES

SEEDS = np.random.SeedSequence(1)
Tiny = tuple[Sample, np.ndarray]


def scores(sample: Sample, probe: Sample, window: Window | None, **changes: Any) -> np.ndarray:
    """Train the reference with trees on labelled events; return its scores of others."""
    settings = {"features": list(FEATURES), "classifier": "bdt", "members": 1, "bdt": {"iterations": 10}} | changes
    detector = detector_from_settings("supervised", settings)
    detector.fit({"data": sample}, window=window, seeds=SEEDS)
    return detector.score(probe).event


def test_the_reference_trains_in_the_window_alone_where_it_is_told_to(tiny: Tiny, window: Window) -> None:
    sample = dataclasses.replace(tiny[0], category=tiny[1])
    inside = window.in_signal(sample.mass)
    told = scores(sample, tiny[0], window, region="window")
    assert np.array_equal(told, scores(sample.select(inside), tiny[0], window))
    assert not np.array_equal(told, scores(sample, tiny[0], window))
    # events beside the window are free to say anything
    turned = dataclasses.replace(sample, category=np.where(inside, tiny[1], 1 - tiny[1]))
    assert np.array_equal(told, scores(turned, tiny[0], window, region="window"))


def test_it_trains_on_all_masses_unless_it_is_told_otherwise(tiny: Tiny, window: Window) -> None:
    sample = dataclasses.replace(tiny[0], category=tiny[1])
    assert np.array_equal(scores(sample, tiny[0], window), scores(sample, tiny[0], None, region="all"))


def test_a_region_that_cannot_be_trained_in_is_named(tiny: Tiny, window: Window) -> None:
    sample = dataclasses.replace(tiny[0], category=np.where(window.in_signal(tiny[0].mass), 0, tiny[1]))
    sample.category[np.argmin(sample.mass)] = 1
    with pytest.raises(TrainingError, match=r"no signal events .* in the signal window"):
        scores(sample, tiny[0], window, region="window")
    with pytest.raises(TrainingError, match="needs a signal window"):
        scores(sample, tiny[0], None, region="window")
    with pytest.raises(TrainingError, match="cannot take decorrelation 'slices'"):
        detector_from_settings("supervised", {"region": "window", "decorrelation": "slices"})
    with pytest.raises(TrainingError, match="region"):
        detector_from_settings("supervised", {"region": "windo"})
