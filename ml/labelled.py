"""Data against simulation as one labelled sample: what reweighting, SALAD and closure tests are trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ml.errors import TrainingError
from ml.sample import Sample
from ml.window import MIN_EVENTS, Window


def data_and_simulation(data: Sample, simulation: Sample, features: Sequence[str]) -> tuple[Sample, np.ndarray]:
    """Both samples as one, and the labels (n,): 1 for data, 0 for simulation; only the named columns are kept."""
    both = (data, simulation)
    x = np.concatenate([sample.features(features) for sample in both])
    joined = Sample(
        columns={name: x[:, i] for i, name in enumerate(features)},
        mass=np.concatenate([sample.mass for sample in both]),
        weight=np.concatenate([sample.weight for sample in both]),
        fold=np.concatenate([sample.fold for sample in both]),
        event_id=np.concatenate([sample.event_id for sample in both]),
    )
    return joined, np.repeat([1, 0], [len(data), len(simulation)])


def require_columns(samples: Mapping[str, Sample], features: Sequence[str]) -> None:
    """Raise TrainingError, with the role, for a feature that a sample lacks or that is NaN or constant in it.

    A column that is constant in one sample alone tells the two apart without fail: a default value, not physics.
    """
    for role, sample in samples.items():
        try:
            x = sample.features(features)
        except TrainingError as error:
            raise TrainingError(f"sample of role {role!r}: {error}") from error
        constant = np.ptp(x, axis=0) == 0
        if constant.any():
            i = int(np.argmax(constant))
            raise TrainingError(
                f"sample of role {role!r}: feature {features[i]!r} is constant ({x[0, i]:g}) over its {len(x)} events: "
                "do not use it"
            )


def require_bands(samples: Mapping[str, Sample], window: Window) -> None:
    """Raise TrainingError, with role and band, where window or a sideband holds too few events or no weight."""
    for role, sample in samples.items():
        try:
            window.require_events(sample.mass, sample.weight, least=MIN_EVENTS)
        except TrainingError as error:
            raise TrainingError(f"sample of role {role!r}: {error}") from error
