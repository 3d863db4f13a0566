"""Two independent objects per event, and small detectors for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ml import DETECTORS, Sample, Window, detector_from_settings
from ml.tnt import TNT

SEEDS = np.random.SeedSequence(11)
WINDOW = Window((3300.0, 3700.0), ((2900.0, 3300.0), (3700.0, 4300.0)))
FEATURES = ("a", "b", "c")
DISTANCE = {"type": "distance"}
AUTOENCODER = {"settings": {"members": 1, "hidden": [8], "epochs": 2, "batch_size": 200}}
TREES = {"classifier": "bdt", "bdt": {"iterations": 40, "max_leaf_nodes": 4, "min_samples_leaf": 40}}
TINY: dict[str, Any] = {"features": list(FEATURES), "weak": DISTANCE, "members": 2, "iterations": 1, **TREES}
# one member is one compilation; several are tested with trees
NETWORKS = {
    "scheme": "disjoint",
    "members": 1,
    "classifier": "mlp",
    "mlp": {"hidden": [8, 8], "epochs": 3, "batch_size": 100, "patience": None},
}


@pytest.fixture(autouse=True, scope="module")
def distance_registered() -> Iterator[None]:
    """A cheap detector among the registered ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DETECTORS, "distance", ("tests.ml.distance", "Distance", "DistanceSettings"))
        yield


def toy(background: int, signal: int, *, seed: int, shift: float = 1.4) -> tuple[Sample, np.ndarray]:
    """Objects of three normal features, shifted in signal, whose pT says nothing; returns the sample and its truth."""
    random = np.random.default_rng(seed)
    truth = random.permutation(np.repeat([0, 1], [background, signal]))
    count = len(truth)
    columns = {
        f"{jet}_{name}": random.normal(size=count) + shift * truth * (name != "c")
        for jet in ("j1", "j2")
        for name in FEATURES
    }
    columns |= {f"{jet}_pt": 1200 + random.exponential(200, count) for jet in ("j1", "j2")}
    sample = Sample(
        columns=columns,
        mass=np.where(truth == 1, random.normal(3500, 80, count), random.uniform(2500, 4500, count)),
        weight=np.ones(count),
        fold=random.integers(0, 2**32, count, dtype=np.uint32),
        event_id=np.arange(count),
    )
    return sample, truth


def train(
    sample: Sample, *, window: Window | None = WINDOW, seeds: np.random.SeedSequence = SEEDS, **settings: Any
) -> TNT:
    detector = detector_from_settings("tnt", TINY | settings)
    assert isinstance(detector, TNT)
    detector.fit({"data": sample}, window=window, seeds=seeds)
    return detector
