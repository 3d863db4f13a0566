"""How much one number depends on another: distance correlation, and what a cut on a score does to a mass spectrum.

Source: arXiv:2007.01850, equations 7 to 10 and 14; G. J. Székely, M. L. Rizzo, N. K. Bakirov, arXiv:0803.4101.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.divergence import spectrum_divergence
from ml.errors import TrainingError
from ml.selection import thresholds

SMALLEST = 1e-12  # squared distance covariances that count as 0, in units of those of the two variables


def distance_covariance(x: np.ndarray, y: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Distance covariance dCov of two columns (n,), in √(units of x · units of y); equation 10.

    dCov² = ⟨|x−x′||y−y′|⟩ + ⟨|x−x′|⟩⟨|y−y′|⟩ − 2⟨|x−x′||y−y″|⟩ over all (weighted) pairs and triples of events, an
    event with itself among them: the V-statistic, never negative, and above 0 for finite samples that are independent.
    Sorted sums: O(n log² n) in time and O(n) in memory.

    Raises:
        TrainingError: columns of unequal length, of less than two events or with NaN; weights that are negative or sum
            to 0.
    """
    x, y, share = _checked(x, y, weight)
    return float(np.sqrt(max(_squared_covariance(x, y, share), 0.0)))


def distance_correlation(x: np.ndarray, y: np.ndarray, *, weight: np.ndarray | None = None) -> float:
    """Distance correlation dCor of two columns (n,), from 0 (independent) to 1 (linear); equation 9.

    dCor² = dCov²(x, y)/√(dCov²(x, x)·dCov²(y, y)); 0 where one of them is constant. Of a bivariate Gaussian with
    correlation ½ it is 0.454 in the limit of many events. Arguments and errors as `distance_covariance`.
    """
    x, y, share = _checked(x, y, weight)
    own = _squared_covariance(x, x, share) * _squared_covariance(y, y, share)
    if own <= 0:
        return 0.0
    return float(np.sqrt(np.clip(_squared_covariance(x, y, share) / np.sqrt(own), 0.0, 1.0)))


def batch_distance_correlation(x: Any, y: Any, weight: Any) -> Any:
    """`distance_correlation` as TensorFlow has it, (members,) of columns (members, n): what a loss can contain.

    Tensors of n² numbers per member: for batches of about a thousand at most. Differentiable also where values are
    equal (the gradient of |x−x′| is taken as 0 there) and where nothing depends on anything.
    """
    import tensorflow as tf

    share = tf.math.divide_no_nan(weight, tf.reduce_sum(weight, axis=1, keepdims=True))
    pairs = share[:, :, None] * share[:, None, :]
    a, b = (_centred_distances(tf, values, share) for values in (x, y))
    both, own_x, own_y = (tf.reduce_sum(pairs * p * q, axis=[1, 2]) for p, q in ((a, b), (a, a), (b, b)))
    scale = tf.sqrt(tf.maximum(own_x * own_y, SMALLEST**2))
    # the slope of a root has no limit at 0
    return tf.sqrt(tf.maximum(both / scale, SMALLEST))


@dataclass(frozen=True)
class Sculpting:
    """What a cut on a score does to the mass spectrum of background.

    Attributes:
        divergence: Jensen–Shannon divergence of the selected from the inclusive spectrum, nats.
        uncertainty: its standard deviation when the selected counts fluctuate; near `expected`, where the counts
            fluctuated already, about 1.7 times the scatter of repeated selections.
        expected: mean divergence of a selection of as many events that does not sculpt at all, nats.
        efficiency: what the cut keeps of the weight.
        threshold: of the score; events at or above it are kept.
        n_selected, n: events.
    """

    divergence: float
    uncertainty: float
    expected: float
    efficiency: float
    threshold: float
    n_selected: int
    n: int

    @property
    def inverse(self) -> float:
        """1/JSD, the axis of figure 15; infinite where the spectra are equal."""
        return 1 / self.divergence if self.divergence else float("inf")

    def to_dict(self) -> dict[str, float | int]:
        """JSON-ready."""
        return asdict(self)


def jsd_at_efficiency(
    score: np.ndarray,
    mass: np.ndarray,
    efficiency: float,
    *,
    rng: np.random.Generator,
    weight: np.ndarray | None = None,
    bins: int | Sequence[float] = 50,
) -> Sculpting:
    """Jensen–Shannon divergence of the background's mass spectrum after a cut from the one before it; equation 14.

    The equation as printed has the second term between the wrong distributions; this is the usual ½KL(p‖p̄) + ½KL(p′‖p̄)
    in nats, at most ln 2. It depends on the binning, so compare values of the same bins only.

    Args:
        score: (n,) of background events; larger is kept.
        mass: (n,) GeV.
        efficiency: share of the background that the cut keeps; the paper has 0.05.
        rng: draws the fluctuations behind the uncertainty.
        weight: (n,) event weights; 1 if None.
        bins: edges in GeV, or a number of equally wide ones from the lowest mass to the 99.5th percentile. What lies
            beyond the edges is counted in the outermost bins.

    Raises:
        TrainingError: arrays of unequal length or with NaN, or an efficiency that is not above 0 and at most 1.
    """
    score, mass, share = _checked(score, mass, weight)
    weights = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    cut = thresholds(score, np.zeros(len(score), np.int64), efficiency, weight=weights)[0]
    kept = score >= cut
    edges = _edges(mass, bins)
    placed = np.clip(mass, edges[0], edges[-1])
    inclusive, selected = (np.histogram(placed[m], edges, weights=weights[m])[0] for m in (slice(None), kept))
    # weighted counts fluctuate as their equivalent number of unweighted events
    effective = weights[kept].sum() / (weights[kept] ** 2).sum()
    value, uncertainty = spectrum_divergence(selected * effective, inclusive, rng=rng)
    filled = int(np.count_nonzero(inclusive))
    kept_share = float(share[kept].sum())
    return Sculpting(
        divergence=value,
        uncertainty=uncertainty,
        expected=(filled - 1) * (1 - kept_share) / (8 * float(selected.sum() * effective)),
        efficiency=kept_share,
        threshold=float(cut),
        n_selected=int(kept.sum()),
        n=len(score),
    )


def _edges(mass: np.ndarray, bins: int | Sequence[float]) -> np.ndarray:
    if not isinstance(bins, int):
        return np.asarray(bins, np.float64)
    low, high = mass.min(), np.quantile(mass, 0.995)
    if not high > low:
        raise TrainingError(f"all {len(mass)} masses are {low:g} GeV: there is no spectrum that a cut could change")
    return np.linspace(low, high, bins + 1)


def _checked(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both columns as float64, and the weights scaled to a sum of 1."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    weights = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
    if x.ndim != 1 or not x.shape == y.shape == weights.shape or len(x) < 2:
        raise TrainingError(
            f"dependence is between two columns of equal length, of two events at least: got {x.shape}, {y.shape} and "
            f"weights {weights.shape}"
        )
    bad = int((~np.isfinite(x) | ~np.isfinite(y)).sum())
    if bad:
        raise TrainingError(f"{bad} of {len(x)} events have NaN or infinity in one of the columns: drop them")
    if not (weights >= 0).all() or not weights.sum() > 0:
        raise TrainingError("weights must be at least 0 each, and sum to something positive")
    return x, y, weights / weights.sum()


def _squared_covariance(x: np.ndarray, y: np.ndarray, share: np.ndarray) -> float:
    """dCov² with shares that sum to 1."""
    x, y = x - share @ x, y - share @ y  # distances stay; sums lose fewer digits
    rows_x, rows_y = _mean_distances(x, share), _mean_distances(y, share)
    product = _mean_product(x, y, share)
    return product + float((share @ rows_x) * (share @ rows_y) - 2 * (share @ (rows_x * rows_y)))


def _mean_distances(x: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n,) mean distance of each value to all: Σ_j s_j|x_i − x_j|, from sums over the sorted values."""
    order = np.argsort(x, kind="stable")
    values, shares = x[order], share[order]
    below, moment = np.cumsum(shares), np.cumsum(shares * values)
    result = np.empty_like(x)
    result[order] = values * (2 * below - 1) - 2 * moment + moment[-1]
    return result


def _mean_product(x: np.ndarray, y: np.ndarray, share: np.ndarray) -> float:
    """Σ_ij s_i s_j |x_i − x_j||y_i − y_j|.

    The events, in the order of x, are merged in blocks of 1, 2, 4 …: between a left and a right block the sign of
    x_j − x_i is known, and sums over the lower values of y, which come from sorting by y within a pair of blocks, give
    that of the y. Each pair of events is met once.
    """
    order = np.argsort(x, kind="stable")
    x, y, share = x[order], y[order], share[order]
    total, size, place = 0.0, 1, np.arange(len(x))
    while size < len(x):
        pair, right = place // (2 * size), (place // size) % 2 == 1
        by_y = np.lexsort((y, pair))
        own_x, own_y, own_pair, is_right, s = x[by_y], y[by_y], pair[by_y], right[by_y], share[by_y]
        left = np.where(is_right, 0.0, s)
        first = np.searchsorted(own_pair, own_pair)  # of each event's pair of blocks
        last = np.searchsorted(own_pair, own_pair, side="right")
        moments = np.cumsum([left, left * own_x, left * own_y, left * own_x * own_y], axis=1)
        sums = np.concatenate([np.zeros((4, 1)), moments], axis=1)
        lower, everything = sums[:, place] - sums[:, first], sums[:, last] - sums[:, first]
        n, mx, my, mxy = 2 * lower - everything  # those below count positive, those above negative
        met = s * (own_x * own_y * n - own_x * my - own_y * mx + mxy)
        total += float(met[is_right].sum())
        size *= 2
    return 2 * total


def _centred_distances(tf: Any, values: Any, share: Any) -> Any:
    """(members, n, n) of values (members, n): |v_i − v_j| without its weighted means over rows and columns."""
    distances = tf.abs(values[:, :, None] - values[:, None, :])
    rows = tf.einsum("mij,mj->mi", distances, share)
    mean = tf.einsum("mi,mi->m", rows, share)
    return distances - rows[:, :, None] - rows[:, None, :] + mean[:, None, None]
