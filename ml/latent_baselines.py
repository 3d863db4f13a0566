"""What needs no network: directions in the features that a latent space has to be better than."""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError
from ml.latent_scores import oriented_sum
from ml.latent_settings import LatentVAESettings
from ml.preprocessing import MaxAbs
from ml.sample import Sample
from ml.whitening import OrientedScores

BASELINES = ("oriented_sum", "principal_component", "linear_direction")


def baselines(sample: Sample, settings: LatentVAESettings, *, fitted: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (n_events,) of `BASELINES`, larger for more anomalous events; nothing for features without direction.

    `oriented_sum` adds the oriented features in units of their widths; `principal_component` is the first one of the
    features divided by their largest value, with the sign of its correlation with that sum; `linear_direction` is that
    of `ml.whitening.OrientedScores`. Truth takes no part.

    Args:
        sample: events.
        settings: features and orientation.
        fitted: (n_events,) bool, the events that means, widths and directions are taken from, weighted.
    """
    full = settings.resolved
    orientation = full.orientation or ()
    x, weight = sample.features(full.features), np.asarray(sample.weight, np.float64)
    if not orientation:
        return {}
    total = oriented_sum(x, full.features, orientation, weight=np.where(fitted, weight, 0))
    scaled = MaxAbs.fit(x[fitted], weight[fitted], names=full.features).apply(x).astype(np.float64)
    _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(scaled[fitted], rowvar=False, aweights=weight[fitted])))
    component = scaled @ vectors[:, -1]
    sign = np.sign(np.cov(component[fitted], total[fitted], aweights=weight[fitted])[0, 1])
    found = {"oriented_sum": total, "principal_component": sign * component}
    try:
        space = OrientedScores.fit(
            x[fitted], weight[fitted], names=full.features, orientation=orientation, stretch=full.stretch
        )
    except TrainingError:  # features that determine one another have no such direction
        return found
    return found | {"linear_direction": space.apply(x) @ space.direction}
