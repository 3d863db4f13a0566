"""CLs against signal strength from toys: p-values at each strength, crossings, and their statistical errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from stats.teststatistics import tied

# standard deviations of the background-only outcome of the curves that follow the observed one
BAND = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])


@dataclass(frozen=True)
class CurvePoint:
    """CLs at one strength.

    Attributes:
        mu: strength.
        values: CLs, observed and then expected at −2 … 2 standard deviations, shape (6,).
        errors: of the toys, binomial, shape (6,).
    """

    mu: float
    values: np.ndarray
    errors: np.ndarray


class RankedToys:
    """Toys of one strength in order of q̃, ready to be counted again with other weights.

    Counting with weights is what the bootstrap does: weight k for a toy drawn k times.
    """

    def __init__(self, mu: float, observed: float, signal: np.ndarray, background: np.ndarray) -> None:
        self.mu = mu
        self.n_signal = signal.size
        self.order = np.argsort(background, kind="stable")
        ranked, values = np.sort(signal), background[self.order]
        statistics = np.concatenate([values, [observed]])
        least = np.where(np.isneginf(statistics), -np.inf, tied(np.where(np.isfinite(statistics), statistics, 0.0)))
        self.from_signal = np.searchsorted(ranked, least)  # first toy at least as extreme; the last entry is the data
        self.from_background = np.searchsorted(values, least)

    def curve(self, signal: np.ndarray | None = None, background: np.ndarray | None = None) -> np.ndarray:
        """CLs, observed then expected, shape (6,), of toys with these weights; 1 each by default."""
        return self._counted(signal, background)[0]

    def exhausted(self, curve: int) -> bool:
        """Whether no toy with a signal is as extreme as this outcome (0 observed, 1 to 5 expected)."""
        return bool(self._counted(None, None)[1][curve] == 0)

    def unexpected(self, curve: int) -> bool:
        """Whether no toy without a signal is as extreme as this outcome."""
        return bool(self._counted(None, None)[2][curve] == 0)

    def point(self) -> CurvePoint:
        """CLs with binomial errors."""
        values, p_signal, p_background = self._counted(None, None)
        trials = np.array([self.n_signal, self.order.size])[:, None]
        p = np.maximum(np.stack([p_signal, p_background]), 1.0 / trials)
        relative = np.sqrt(((1.0 - p) / (trials * p)).sum(axis=0))
        return CurvePoint(self.mu, values, np.where(values < 1.0, values * relative, 0.0))

    def _counted(
        self, signal: np.ndarray | None, background: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tail_signal = _tails(np.ones(self.n_signal) if signal is None else signal)
        tail_background = _tails(np.ones(self.order.size) if background is None else background[self.order])
        # the largest statistic that at least Φ(band) of the background-only toys reach
        rows = np.searchsorted(-tail_background, -ndtr(BAND) * (1.0 - 1e-12), side="right") - 1
        places = np.concatenate([[self.order.size], np.clip(rows, 0, self.order.size - 1)])
        p_signal = tail_signal[self.from_signal[places]]
        p_background = tail_background[self.from_background[places]]
        # no background-only toy as extreme as the data: CLb is unknown, and 1 is the CLs that excludes nothing
        ratio = np.where(p_background > 0, p_signal / np.where(p_background > 0, p_background, 1.0), 1.0)
        # no toy with a signal as extreme: one is the most that is compatible with none
        floor = 1.0 / self.n_signal
        ratio = np.where((p_signal == 0) & (p_background > 0), floor / np.maximum(p_background, floor), ratio)
        return np.minimum(ratio, 1.0), p_signal, p_background


def _tails(weights: np.ndarray) -> np.ndarray:
    """Share of the weight at and after every place, and 0 after the last, shape (n + 1,)."""
    sums = np.concatenate([np.cumsum(weights[::-1])[::-1], [0.0]])
    return sums / sums[0]


def bracket(strengths: np.ndarray, values: np.ndarray, level: float) -> tuple[int, int] | None:
    """The last strength with CLs of at least ``level``, −1 if there is none, and the next; None without a next."""
    above = np.flatnonzero(values >= level)
    low = int(above[-1]) if above.size else -1
    return (low, low + 1) if low + 1 < strengths.size else None


def crossing(strengths: np.ndarray, values: np.ndarray, level: float) -> float:
    """Where CLs falls through ``level`` for the last time, linear in log CLs, CLs = 1 at no signal; NaN if nowhere."""
    places = bracket(strengths, values, level)
    if places is None:
        return float("nan")
    low, high = places
    start, first = (0.0, 0.0) if low < 0 else (strengths[low], np.log(values[low]))
    share = (first - np.log(level)) / (first - np.log(values[high]))
    return float(start + share * (strengths[high] - start))


def bootstrap_errors(
    ranked: list[RankedToys], level: float, *, rng: np.random.Generator, replicas: int
) -> tuple[np.ndarray, np.ndarray]:
    """Spread of the six limits when the toys are drawn again from themselves, and the share of replicas with a limit.

    Background-only toys are the same at all strengths, and so are their weights. Half the distance between the 16th
    and 84th percentile: a few replicas without a crossing do not spoil it.
    """
    strengths = np.array([toys.mu for toys in ranked])
    number = ranked[0].order.size
    limits = np.empty((replicas, 6))
    for replica in limits:
        weights = _resampled(rng, number)
        curves = np.stack([toys.curve(_resampled(rng, toys.n_signal), weights) for toys in ranked])
        replica[:] = [crossing(strengths, curves[:, column], level) for column in range(6)]
    fine = np.isfinite(limits)
    spread = np.full(6, np.nan)
    for column in np.flatnonzero(fine.mean(axis=0) > 0.9):
        low, high = np.quantile(limits[fine[:, column], column], [ndtr(-1.0), ndtr(1.0)])
        spread[column] = 0.5 * (high - low)
    return spread, fine.mean(axis=0)


def _resampled(rng: np.random.Generator, number: int) -> np.ndarray:
    return np.bincount(rng.integers(number, size=number), minlength=number).astype(float)
