"""How well scores tell signal from background, where the truth is known; events may be weighted.

Every number comes with what it rests on: a statistical uncertainty, and the spread over members where they are given.
How much a score depends on a mass, and what a cut on it does to the spectrum, needs no truth: see `ml.dependence`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from ml.errors import TrainingError


@dataclass(frozen=True)
class Measured:
    """A figure of merit.

    Attributes:
        value: its value.
        uncertainty: statistical, one standard deviation.
        n_signal, n_background: events it was measured on; for working points those that pass.
        spread: standard deviation of the same figure over the members of the ensemble, None without members.
    """

    value: float
    uncertainty: float
    n_signal: int
    n_background: int
    spread: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """JSON-ready, with `n` for the number of events in all."""
        return asdict(self) | {"n": self.n_signal + self.n_background}


@dataclass(frozen=True)
class ROC:
    """Efficiencies at each distinct threshold, tightest first; all arrays (n_points,), starting at nothing selected.

    Attributes:
        signal, background: efficiencies ε_S and ε_B, weighted.
        signal_variance, background_variance: of the efficiencies: Σw² of passing and failing events combined
            binomially, ((1−ε)²Σ_pass w² + ε²Σ_fail w²)/(Σw)².
        n_signal, n_background: raw counts of selected events.
    """

    signal: np.ndarray
    background: np.ndarray
    signal_variance: np.ndarray
    background_variance: np.ndarray
    n_signal: np.ndarray
    n_background: np.ndarray


def roc(scores: np.ndarray, truth: np.ndarray, *, weight: np.ndarray | None = None) -> ROC:
    """The ROC of scores (n,) against truth (n,), 1 signal and 0 background; other values do not count.

    Raises:
        TrainingError: one of the two classes is missing, or its weights do not sum to something positive.
    """
    scores, truth, weights = _classes(scores, truth, weight)
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    curves = {}
    for name, value in (("signal", 1), ("background", 0)):
        own = (truth == value)[order]
        w = np.where(own, weights[order], 0.0)
        total, squares = w.sum(), (w**2).sum()
        passed, passed_squares = np.cumsum(w)[ends], np.cumsum(w**2)[ends]
        efficiency = np.concatenate([[0.0], passed / total])
        kept = np.concatenate([[0.0], passed_squares])
        left = np.maximum(squares - kept, 0.0)  # rounding
        curves[name] = efficiency
        curves[f"{name}_variance"] = ((1 - efficiency) ** 2 * kept + efficiency**2 * left) / total**2
        curves[f"n_{name}"] = np.concatenate([[0], np.cumsum(own)[ends]])
    return ROC(**curves)


def auc(
    scores: np.ndarray, truth: np.ndarray, *, weight: np.ndarray | None = None, members: np.ndarray | None = None
) -> Measured:
    """Area under the ROC curve, ties counted half, with DeLong's uncertainty (Biometrics 44 (1988) 837), weighted.

    The uncertainty comes from the structural components: the mean, over the other class, of 1 (½ for ties) where
    signal scores above background. It needs no resampling and is exact in the limit of many events.

    Args:
        scores: (n,). truth: (n,) 1, 0. weight: (n,). members: (n, n_members) for the spread.
    """
    kept, labels, weights = _classes(scores, truth, weight)
    signal, background = labels == 1, labels == 0
    over = share_below(kept[signal], kept[background], weights[background])
    under = 1 - share_below(kept[background], kept[signal], weights[signal])
    value = float(np.average(over, weights=weights[signal]))
    variance = variance_of_mean(over, weights[signal]) + variance_of_mean(under, weights[background])
    return Measured(
        value=value,
        uncertainty=float(np.sqrt(variance)),
        n_signal=int(signal.sum()),
        n_background=int(background.sum()),
        spread=_spread(lambda column: auc(column, truth, weight=weight).value, members),
    )


def significance_improvement(curve: ROC, *, regulator: float = 0.0) -> np.ndarray:
    """SIC = ε_S/√(ε_B + regulator) at each point of the curve, (n_points,); NaN where it is 0/0 or diverges.

    SALAD's regulator is 1e-4 (arXiv:2001.05001); 0 leaves the plain ratio, to be cut at a minimum background count.
    """
    below = curve.background + regulator
    return np.divide(curve.signal, np.sqrt(below), out=np.full(len(below), np.nan), where=below > 0)


def max_sic(
    scores: np.ndarray,
    truth: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    members: np.ndarray | None = None,
    min_background: int = 20,
    regulator: float = 0.0,
) -> Measured:
    """Largest SIC over thresholds that keep at least `min_background` background events.

    The maximum of a fluctuating curve is biased upwards; with 20 events or more ε_B is known to 22% and SIC to 11%.

    Raises:
        TrainingError: fewer background events than `min_background`.
    """
    curve = roc(scores, truth, weight=weight)
    values = np.where(
        curve.n_background >= min_background, significance_improvement(curve, regulator=regulator), np.nan
    )
    if np.isnan(values).all():
        raise TrainingError(
            f"no threshold keeps {min_background} background events: there are {int(curve.n_background[-1])}; "
            "measure on more background or lower min_background"
        )
    return _sic_at(
        curve,
        int(np.nanargmax(values)),
        regulator,
        _spread(
            lambda c: max_sic(c, truth, weight=weight, min_background=min_background, regulator=regulator).value,
            members,
        ),
    )


def sic_at(
    scores: np.ndarray,
    truth: np.ndarray,
    signal_efficiency: float = 0.5,
    *,
    weight: np.ndarray | None = None,
    members: np.ndarray | None = None,
    regulator: float = 0.0,
) -> Measured:
    """SIC at the tightest threshold with at least the given ε_S.

    Where no background passes, ε_B is taken as one background event: the value is then a lower bound, which
    `n_background` = 0 tells.
    """
    curve = roc(scores, truth, weight=weight)
    spread = _spread(lambda c: sic_at(c, truth, signal_efficiency, weight=weight, regulator=regulator).value, members)
    return _sic_at(curve, _point(curve, signal_efficiency), regulator, spread)


def background_rejection(
    scores: np.ndarray,
    truth: np.ndarray,
    signal_efficiency: float = 0.5,
    *,
    weight: np.ndarray | None = None,
    members: np.ndarray | None = None,
) -> Measured:
    """1/ε_B at the tightest threshold with at least the given ε_S; a lower bound where no background passes."""
    curve = roc(scores, truth, weight=weight)
    i = _point(curve, signal_efficiency)
    background, variance = _background(curve, i)
    return Measured(
        value=1 / background,
        uncertainty=float(np.sqrt(variance)) / background**2,
        n_signal=int(curve.n_signal[i]),
        n_background=int(curve.n_background[i]),
        spread=_spread(lambda c: background_rejection(c, truth, signal_efficiency, weight=weight).value, members),
    )


def _sic_at(curve: ROC, i: int, regulator: float, spread: float | None) -> Measured:
    """SIC of point i; relative variances of ε_S and √(ε_B + regulator) added."""
    background, variance = _background(curve, i)
    below = background + regulator
    value = curve.signal[i] / np.sqrt(below)
    relative = curve.signal_variance[i] / curve.signal[i] ** 2 + variance / (4 * below**2)
    return Measured(
        value=float(value),
        uncertainty=float(value * np.sqrt(relative)),
        n_signal=int(curve.n_signal[i]),
        n_background=int(curve.n_background[i]),
        spread=spread,
    )


def _background(curve: ROC, i: int) -> tuple[float, float]:
    """ε_B of point i and its variance; one event of mean weight where none passes."""
    if curve.n_background[i] > 0 and curve.background[i] > 0:
        return float(curve.background[i]), float(curve.background_variance[i])
    one = 1.0 / float(curve.n_background[-1])
    return one, one**2


def _point(curve: ROC, signal_efficiency: float) -> int:
    if not 0 < signal_efficiency <= 1:
        raise TrainingError(f"a signal efficiency must be above 0 and at most 1: got {signal_efficiency:g}")
    return int(np.argmax(curve.signal >= signal_efficiency - 1e-12))


def _classes(
    scores: np.ndarray, truth: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, truth = np.asarray(scores, dtype=np.float64), np.asarray(truth)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not len(scores) == len(truth) == len(weights):
        raise TrainingError(f"lengths differ: {len(scores)} scores, {len(truth)} truth, {len(weights)} weights")
    for value, name in ((1, "signal"), (0, "background")):
        if not weights[truth == value].sum() > 0:
            raise TrainingError(
                f"no {name} (truth {value}) with a positive sum of weights: this figure needs both classes"
            )
    known = np.isin(truth, (0, 1))
    if not np.isfinite(scores[known]).all():
        raise TrainingError(f"{int((~np.isfinite(scores[known])).sum())} scores are not finite")
    return scores[known], truth[known], weights[known]


def share_below(values: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted fraction of `others` below each value, equal ones counted half; (n_values,)."""
    order = np.argsort(others, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])
    low = cumulative[np.searchsorted(others[order], values, side="left")]
    high = cumulative[np.searchsorted(others[order], values, side="right")]
    return (low + high) / 2 / cumulative[-1]


def variance_of_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Variance of the weighted mean, Σw²(v−v̄)²/(Σw)², with the small-sample factor n_eff/(n_eff−1)."""
    total, squares = weights.sum(), (weights**2).sum()
    effective = total**2 / squares
    raw = float((weights**2 * (values - np.average(values, weights=weights)) ** 2).sum() / total**2)
    return raw * effective / (effective - 1) if effective > 1 else raw


def _spread(figure: Callable[[np.ndarray], float], members: np.ndarray | None) -> float | None:
    if members is None or members.shape[1] < 2:
        return None
    return float(np.std([figure(column) for column in members.T], ddof=1))
