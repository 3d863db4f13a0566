"""Small search samples for the tests of the detectors."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from ml import Sample, Window

FEATURES = ("j1_m", "j1_tau21", "j2_m", "j2_tau21")
TINY_MLP = {"hidden": [8, 8], "epochs": 3, "batch_size": 100, "patience": None}
TINY = {"features": list(FEATURES), "members": 2, "mlp": TINY_MLP}


def toy_search(background: int, signal: int, *, seed: int) -> tuple[Sample, np.ndarray]:
    """A falling mass spectrum with a resonance at 3.5 TeV whose features differ; returns the sample and its truth."""
    random = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [background, signal])
    mass = np.where(truth == 1, random.normal(3500, 80, len(truth)), 2500 + random.exponential(800, len(truth)))
    masses = np.where(truth == 1, random.normal(500, 30, len(truth)), 50 + random.exponential(150, len(truth)))
    lighter = np.where(truth == 1, random.normal(100, 10, len(truth)), 20 + random.exponential(80, len(truth)))
    substructure = random.beta(*np.where(truth == 1, [[2], [8]], [[6], [4]]), (2, len(truth)))
    order = random.permutation(len(truth))
    columns = dict(zip(FEATURES, (masses, substructure[0], lighter, substructure[1]), strict=True))
    sample = Sample(
        columns=columns,
        mass=mass,
        weight=np.ones(len(truth)),
        fold=random.integers(0, 2**32, len(truth), dtype=np.uint32),
        event_id=np.arange(len(truth)),
    )
    return sample.select(order), truth[order]


@pytest.fixture(scope="session")
def window() -> Window:
    return Window(signal=(3300.0, 3700.0), sidebands=((2900.0, 3300.0), (3700.0, 4300.0)))


@pytest.fixture(scope="session")
def tiny() -> tuple[Sample, np.ndarray]:
    return toy_search(3000, 60, seed=1)
