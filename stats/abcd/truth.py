"""Does an estimate close? How far a prediction may be off, and how far it is from the true background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.abcd.counting import CountingEstimate
from stats.errors import StatisticsError

TOLERANCE = 0.05  # relative: what a background estimate may be off by, the dashed lines of arXiv:2002.12376, figure 5
DOUBTFUL = 3.0  # standard errors of a ratio from 1 beyond which two scores are not taken to be independent


def beyond_tolerance(ratio: float, error: float, *, tolerance: float = TOLERANCE) -> float:
    """How many standard errors a ratio is further from 1 than the tolerance allows; 0 inside, NaN for no ratio.

    Counted in the logarithm, (|log ratio| − log(1 + tolerance)) · ratio / error: a ratio and its inverse are equally
    far from 1, and a count that fluctuated down brings a larger error along than one that fluctuated up.

    >>> round(beyond_tolerance(0.5, 0.05), 2), beyond_tolerance(1.03, 0.001)
    (6.44, 0.0)
    """
    if not ratio > 0 or not error > 0 or not np.isfinite(ratio) or not np.isfinite(error):
        return float("nan")
    return float(max(abs(np.log(ratio)) - np.log1p(tolerance), 0.0) * ratio / error)


def is_doubtful(ratio: float, error: float, *, tolerance: float = TOLERANCE) -> bool:
    """Whether a ratio speaks against independent scores: off by more than the tolerance and by more than 3 errors.

    The two conditions stand side by side: a ratio that is known badly has to be 3 errors from 1, not from the edge of
    the tolerance. Without a ratio there is no doubt.

    >>> is_doubtful(0.784, 0.055), is_doubtful(0.784, 0.08), is_doubtful(0.96, 0.001)
    (True, False, False)
    """
    off = abs(ratio - 1.0)
    return bool(off > tolerance and off > DOUBTFUL * error)


@dataclass(frozen=True)
class TrueClosure:
    """A prediction beside the true number of background events in the signal region.

    Attributes:
        predicted, statistical: events, and the standard deviation from the counts alone, without a systematic one.
        true: background events.
        ratio: predicted / true, NaN without true events.
        ratio_error: its standard deviation, see `true_closure`.
        tolerance: relative; what is not held against the estimate.
    """

    predicted: float
    statistical: float
    true: float
    ratio: float
    ratio_error: float
    tolerance: float

    @property
    def beyond(self) -> float:
        """Standard errors outside the tolerance, see `beyond_tolerance`."""
        return beyond_tolerance(self.ratio, self.ratio_error, tolerance=self.tolerance)

    @property
    def doubtful(self) -> bool:
        """Whether the ratio speaks against independent scores, see `is_doubtful`."""
        return is_doubtful(self.ratio, self.ratio_error, tolerance=self.tolerance)

    @property
    def closes(self) -> bool | None:
        """Whether the ratio lies within the tolerance and one standard error, or within two; None without a ratio."""
        off = beyond_tolerance(self.ratio, self.ratio_error, tolerance=0.0)
        return None if np.isnan(off) else bool(self.beyond <= 1.0 or off <= 2.0)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, None for what is not known."""
        values = {name: float(getattr(self, name)) for name in (*self.__dataclass_fields__, "beyond")}
        return {**{name: v if np.isfinite(v) else None for name, v in values.items()}, "closes": self.closes}


def true_closure(
    found: CountingEstimate, true: float, *, variance: float | None = None, tolerance: float = TOLERANCE
) -> TrueClosure:
    """Compare a counting estimate with the true background T in its signal region.

    The prediction P = N ε₁ ε₂ and T share events: those selected are part of N, and of nothing else in P. With
    cov(log P, log T) = var(T)/(N T) the standard deviation of the ratio r is, to first order,

        σ_r² = r² [(σ_P/P)² + var(T)/T² − 2 var(T)/(N T)],

    where σ_P is the statistical error alone. The true count enters by its Poisson error, var(T) = T.

    Args:
        found: from the background alone, which tests whether the scores are independent, or from all events, whose
            prediction signal in the control regions raises.
        true: background events in the signal region.
        variance: of ``true``, sum of squared weights; by default the count.

    Raises:
        StatisticsError: a number of events that is negative or not finite.
    """
    spread = true if variance is None else variance
    if not np.isfinite(true) or not np.isfinite(spread) or min(true, spread) < 0:
        raise StatisticsError(
            f"The true background and its variance are finite and not negative: got {true:g} and {spread:g}."
        )
    ratio = error = float("nan")
    if true > 0:
        ratio = found.predicted / true
        relative = (found.statistical / found.predicted) ** 2 + spread / true**2 - 2.0 * spread / (found.total * true)
        error = ratio * float(np.sqrt(max(relative, 0.0)))
    return TrueClosure(found.predicted, found.statistical, true, ratio, error, tolerance)
