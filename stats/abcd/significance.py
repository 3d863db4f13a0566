"""How significant an excess over an estimated background is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betainc, gammainc, ndtri

from stats.errors import StatisticsError


@dataclass(frozen=True)
class Significance:
    """An excess in standard deviations.

    Attributes:
        simple: (observed − predicted) / √(observed + σ²), equation 4.1 of arXiv:2002.12376, NaN where its denominator
            is 0. It takes the observed count's error for the background's, which understates large excesses.
        p: probability of as many events or more without signal, from the binomial form of the on/off problem.
        z: one-sided significance of ``p``; −∞ where nothing was observed.
        expected_simple: N_signal / √(observed + σ²), NaN where the signal is not known.
        expected: median significance of that signal, NaN where it is not known.
    """

    simple: float
    p: float
    z: float
    expected_simple: float = float("nan")
    expected: float = float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Plain data; None for what is not known or not finite."""
        values = {name: float(getattr(self, name)) for name in self.__dataclass_fields__}
        return {name: value if np.isfinite(value) else None for name, value in values.items()}


def excess_significance(
    observed: float, predicted: float, uncertainty: float, *, signal: float | None = None
) -> Significance:
    """Significance of ``observed`` events over ``predicted`` ± ``uncertainty`` background events.

    The p-value is that of Z_Bi (Cousins, Linnemann, Tucker, arXiv:physics/0702156): a background known
    to ``uncertainty`` is what an auxiliary region with (predicted/uncertainty)² events would tell. Without an
    uncertainty it is the Poisson tail.

    Args:
        observed: events in the signal region.
        signal: true number of signal events among them, where it is known.

    Raises:
        StatisticsError: for numbers that are negative or not finite, and a prediction of 0, which no excess of events
            can be compared with.
    """
    given = {"observed": observed, "predicted": predicted, "uncertainty": uncertainty, "signal": signal or 0.0}
    wrong = [f"{name} {value:g}" for name, value in given.items() if not np.isfinite(value) or value < 0]
    if wrong or predicted == 0:
        raise StatisticsError(
            "An excess is measured against a positive number of predicted events with an uncertainty, all finite: got "
            f"{', '.join(wrong) or 'a prediction of 0'}."
        )
    spread = float(np.sqrt(observed + uncertainty**2))
    p = _tail(observed, predicted, uncertainty)
    return Significance(
        simple=(observed - predicted) / spread if spread else float("nan"),
        p=p,
        z=float(-ndtri(p)),
        expected_simple=float("nan") if signal is None or not spread else signal / spread,
        expected=float("nan") if signal is None else expected_significance(signal, predicted, uncertainty),
    )


def _tail(observed: float, predicted: float, uncertainty: float) -> float:
    """P(n ≥ observed); fractional (weighted) counts interpolate."""
    if observed <= 0:
        return 1.0
    if uncertainty == 0:
        return float(gammainc(observed, predicted))
    ratio = predicted / uncertainty**2
    return float(betainc(observed, predicted * ratio + 1.0, 1.0 / (1.0 + ratio)))


def expected_significance(signal: float, background: float, uncertainty: float) -> float:
    """Median discovery significance of ``signal`` over ``background`` ± ``uncertainty`` events.

    Li and Ma's likelihood ratio (Astrophys. J. 272 (1983) 317, equation 17) at its expectation, the background
    measured by an auxiliary Poisson count of relative error uncertainty/background (G. Cowan, "Discovery
    sensitivity for a counting experiment with background uncertainty", 2012).

    >>> round(expected_significance(10.0, 100.0, 0.0), 4), round(expected_significance(10.0, 100.0, 10.0), 4)
    (0.984, 0.6902)
    """
    s, b, variance = signal, background, uncertainty**2
    if s == 0:
        return 0.0
    if variance == 0:
        return float(np.sqrt(2.0 * ((s + b) * np.log1p(s / b) - s)))
    first = (s + b) * np.log((s + b) * (b + variance) / (b * b + (s + b) * variance))
    second = b * b / variance * np.log1p(variance * s / (b * (b + variance)))
    return float(np.sqrt(max(2.0 * (first - second), 0.0)))
