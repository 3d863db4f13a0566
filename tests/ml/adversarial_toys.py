"""Events whose features follow a nuisance, as smearing in one direction does, for the tests of adversarial training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml import Sample
from ml.metrics import auc

FEATURES = ("shifted", "faithful", "other", "spare")
PATTERN = ("first", "second", "wide", "loose", "other_loose")
UP, CENTRAL, DOWN = 1, 0, 2


def smeared(events: int, direction: int, *, seed: int, signal: bool = False) -> Sample:
    """Events of one category. Signal is off in two features, of which smearing shifts one in its direction."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(events, len(FEATURES)))
    shift = {UP: 0.8, CENTRAL: 0.0, DOWN: -0.8}[direction]
    x[:, 0] += shift + (1.5 if signal else 0)
    x[:, 1] += 1.5 if signal else 0
    return of_columns(x, category=np.full(events, direction), random=random)


def stretched(events: int, direction: int, *, seed: int, signal: bool = False) -> Sample:
    """Events of one category, which decides the width of the feature "wide", for a bottleneck of two.

    Two features follow each other, but for signal, and two others loosely do. An autoencoder gains most by coding those
    two pairs: then its loss is large where "wide" is. It can also code "wide", and lose one of the loose pair.
    """
    random = np.random.default_rng(seed)
    noise = random.normal(size=(4, events))
    first, wide, loose = random.normal(size=(3, events))
    second = -first if signal else first
    wide *= {UP: 1.4, CENTRAL: 1.0, DOWN: 0.6}[direction]
    columns = [first + 0.2 * noise[0], second + 0.2 * noise[1], wide, loose + 0.7 * noise[2], loose + 0.7 * noise[3]]
    x = np.stack(columns, axis=1)
    return of_columns(x, category=np.full(events, direction), random=random, names=PATTERN)


def of_columns(
    x: np.ndarray,
    *,
    random: np.random.Generator,
    category: np.ndarray | None = None,
    mass: np.ndarray | None = None,
    names: Sequence[str] = FEATURES,
) -> Sample:
    """A sample with the columns of x (n_events, n_features) under these names; masses say nothing unless given."""
    return Sample(
        columns=dict(zip(names, x.T, strict=True)),
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
