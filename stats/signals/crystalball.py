"""The double-sided Crystal Ball: a Gaussian core with a power law on each side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError
from stats.signals.base import Width, check_edges, check_inside


@dataclass(frozen=True, init=False)
class CrystalBall:
    """A double-sided Crystal Ball, normalised over all masses.

    With t = (m − mass)/σ: exp(−t²/2) for −α_low < t < α_high; beyond, A (B + |t|)^(−n) with A = (n/α)^n exp(−α²/2) and
    B = n/α − α, so that function and slope are continuous (J. E. Gaiser, SLAC-R-255, appendix F, for the lower tail;
    the upper one is its mirror image). Bins hold the exact integral.

    Args:
        width: standard deviation σ of the core, as a fraction of the mass (``relative``) or in GeV.
        alpha_low, alpha_high: where the tails begin, in σ below and above the mass.
        n_low, n_high: powers of the tails, above 1: at 1 the tail holds infinitely many events.
    """

    sigma: Width
    alpha_low: float
    n_low: float
    alpha_high: float
    n_high: float

    def __init__(
        self,
        width: float,
        *,
        alpha_low: float,
        n_low: float,
        alpha_high: float,
        n_high: float,
        relative: bool = True,
    ) -> None:
        for name, value in (("alpha_low", alpha_low), ("alpha_high", alpha_high)):
            if not (np.isfinite(value) and value > 0):
                raise StatisticsError(f"{name} of a Crystal Ball must be positive, got {value!r}.")
        for name, value in (("n_low", n_low), ("n_high", n_high)):
            if not (np.isfinite(value) and value > 1):
                raise StatisticsError(
                    f"{name} of a Crystal Ball must be above 1, got {value!r}: "
                    "its tail would hold infinitely many events."
                )
        values = (Width(width, relative), alpha_low, n_low, alpha_high, n_high)
        for name, entry in zip(("sigma", "alpha_low", "n_low", "alpha_high", "n_high"), values, strict=True):
            object.__setattr__(self, name, entry)

    def template(self, edges: np.ndarray, mass: float) -> np.ndarray:
        """Events per bin for one produced, shape (n_bins,); ``mass`` (GeV) must lie inside ``edges``."""
        edges = check_edges(edges)
        check_inside(edges, mass)
        t = (edges - mass) / self.width(mass)
        below = _side(np.minimum(t, 0.0), self.alpha_low, self.n_low)
        above = _side(-np.maximum(t, 0.0), self.alpha_high, self.n_high)
        # each half counted from its own end, so that the differences of far bins do not cancel
        events = np.diff(below) - np.diff(above)
        total = float(_side(np.zeros(1), self.alpha_low, self.n_low)[0])
        total += float(_side(np.zeros(1), self.alpha_high, self.n_high)[0])
        return np.maximum(events, 0.0) / total

    def width(self, mass: float) -> float:
        """Standard deviation of the core in GeV."""
        return self.sigma.gev(mass)

    def describe(self) -> str:
        """In words."""
        tails = f"α = {self.alpha_low:g}/{self.alpha_high:g}, n = {self.n_low:g}/{self.n_high:g} (lower/upper tail)"
        return f"double-sided Crystal Ball, {self.sigma.describe()}, {tails}"


def _side(t: np.ndarray, alpha: float, n: float) -> np.ndarray:
    """Integral of the lower side from −∞ to t ≤ 0, core exp(−t²/2); any shape."""
    start = n / alpha * np.exp(-0.5 * alpha**2)  # the tail's value at −α times n/α
    ratio = np.maximum(1.0 - alpha / n * (alpha + t), 1.0)  # (B − t) α/n, 1 at t = −α
    tail = start / (n - 1.0) * ratio ** (1.0 - n)
    core = np.sqrt(2.0 * np.pi) * (ndtr(t) - ndtr(-alpha))
    return np.where(t < -alpha, tail, start / (n - 1.0) + core)
