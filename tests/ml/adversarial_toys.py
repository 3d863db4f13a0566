"""Events whose features follow a nuisance, as smearing in one direction does, for the tests of adversarial training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml import Sample
from ml.metrics import auc

FEATURES = ("shifted", "faithful", "other", "spare")
UP, CENTRAL, DOWN = 1, 0, 2


def smeared(events: int, direction: int, *, seed: int, signal: bool = False) -> Sample:
    """Events of one category. Signal is off in two features, of which smearing shifts one in its direction."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(events, len(FEATURES)))
    shift = {UP: 0.8, CENTRAL: 0.0, DOWN: -0.8}[direction]
    x[:, 0] += shift + (1.5 if signal else 0)
    x[:, 1] += 1.5 if signal else 0
    return of_columns(x, category=np.full(events, direction), random=random)


def of_columns(
    x: np.ndarray,
    *,
    random: np.random.Generator,
    category: np.ndarray | None = None,
    mass: np.ndarray | None = None,
) -> Sample:
    """A sample with the columns of x (n_events, n_features) as features, and masses that say nothing unless given."""
    return Sample(
        columns=dict(zip(FEATURES, x.T, strict=True)),
        mass=random.uniform(1000, 3000, len(x)) if mass is None else mass,
        weight=np.ones(len(x)),
        fold=random.integers(0, 2**32, len(x), dtype=np.uint32),
        event_id=np.arange(len(x)),
        category=category,
    )


def together(samples: Sequence[Sample]) -> Sample:
    """Samples with the same columns as one."""
    categories = [s.category for s in samples if s.category is not None]
    return Sample(
        columns={name: np.concatenate([s.columns[name] for s in samples]) for name in samples[0].columns},
        category=np.concatenate(categories) if categories else None,
        **{n: np.concatenate([getattr(s, n) for s in samples]) for n in ("mass", "weight", "fold", "event_id")},
    )


def areas(score: dict[str, np.ndarray], signal: np.ndarray) -> dict[str, float]:
    """Area under the ROC curve of signal scores (n,) against those of each background."""
    truth = {name: np.repeat([0, 1], [len(one), len(signal)]) for name, one in score.items()}
    return {name: auc(np.concatenate([one, signal]), truth[name]).value for name, one in score.items()}
