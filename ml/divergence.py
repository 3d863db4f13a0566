"""How far one distribution is from another."""

from __future__ import annotations

import numpy as np

from ml.errors import TrainingError


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen–Shannon divergence in nats of two histograms (n,) with the same bins; 0 for equal shapes, at most ln 2.

    J. Lin, IEEE Trans. Inf. Theory 37 (1991) 145, equation 4.1 with equal weights.
    Raises TrainingError for an empty histogram.
    """
    shapes = []
    for counts in (first, second):
        counts = np.asarray(counts, dtype=float)
        if not np.all(np.isfinite(counts)) or (counts < 0).any() or counts.sum() <= 0:
            raise TrainingError("a divergence needs two histograms with finite, not negative and not only empty bins")
        shapes.append(counts / counts.sum())
    middle = 0.5 * (shapes[0] + shapes[1])
    divergence = sum(0.5 * _kullback_leibler(shape, middle) for shape in shapes)
    return max(float(divergence), 0.0)


def spectrum_divergence(
    selected: np.ndarray, inclusive: np.ndarray, *, rng: np.random.Generator, resamplings: int = 200
) -> tuple[float, float]:
    """Divergence of a selected spectrum (n,) from the inclusive one, and its standard deviation when the selected
    counts fluctuate as Poisson numbers.

    A selection of N events without any sculpting has about (n − 1)/(8 N) nats, which is to be compared with.
    """
    value = jensen_shannon(selected, inclusive)
    toys = rng.poisson(np.asarray(selected, dtype=float), size=(resamplings, len(selected)))
    spread = [jensen_shannon(toy, inclusive) for toy in toys if toy.sum() > 0]
    return value, float(np.std(spread))


def _kullback_leibler(shape: np.ndarray, reference: np.ndarray) -> float:
    filled = shape > 0
    return float(np.sum(shape[filled] * np.log(shape[filled] / reference[filled])))
