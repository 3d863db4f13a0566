"""Data and simulation whose ratio of densities is known, in two features and the mass."""

from __future__ import annotations

import numpy as np

from ml import Sample, Window

FEATURES = ("x", "y")
WINDOW = Window(
    signal=(3300.0, 3700.0),
    sidebands=((2700.0, 3200.0), (3800.0, 4500.0)),
    validation=((3200.0, 3300.0), (3700.0, 3800.0)),
)
SIGNAL_X, SIGNAL_Y = -2.0, 0.1  # where simulation has more events than data, as in the paper


def toy(events: int, *, seed: int, simulation: bool = False, signal: int = 0, signal_width: float = 60.0) -> Sample:
    """x is normal, its mean moving with the mass in data; y falls exponentially, less steeply in simulation."""
    random = np.random.default_rng(seed)
    mass = 2500 + random.exponential(800, events)
    x = random.normal(0.0 if simulation else shift(mass), 1.0, events)
    y = random.exponential(1.5 if simulation else 1.0, events)
    mass = np.append(mass, random.normal(3500, signal_width, signal))
    total = events + signal
    return Sample(
        columns={
            "x": np.append(x, random.normal(SIGNAL_X, 0.3, signal)),
            "y": np.append(y, random.exponential(SIGNAL_Y, signal)),
        },
        mass=mass,
        weight=np.ones(total),
        fold=random.integers(0, 2**32, total, dtype=np.uint32),
        event_id=np.arange(total),
    )


def shift(mass: np.ndarray) -> np.ndarray:
    """Mean of x in data, GeV in."""
    return 0.3 + 0.2 * (mass - 3500) / 500


def true_ratio(sample: Sample) -> np.ndarray:
    """p(x, y | m, data)/p(x, y | m, simulation); the mass spectra are the same."""
    x, y, mean = sample.columns["x"], sample.columns["y"], shift(sample.mass)
    return np.exp(x * mean - mean**2 / 2) * 1.5 * np.exp(y / 1.5 - y)
