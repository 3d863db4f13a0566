"""The BumpHunter: the window of bins whose excess a smooth background explains least (arXiv:1101.0390, section 2).

No signal shape enters. In every window of neighbouring bins the observed events d are compared with the b expected by
the background fit; the test statistic is −log of the smallest probability to see d or more. Unlike the original
demonstration, and as its section 2.1 asks, the background is fitted again in every toy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammainc, gammaincc, gammaln, ndtri_exp

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, fit_background
from stats.procedures import Outcome, no_euler, refit

SMALLEST_P = 1e-290  # below, the probability is computed by its logarithm
LEAST_SIDEBAND_P = 1e-3  # of the paper: beside a bump the background describes the data


@dataclass(frozen=True)
class BumpHunter:
    """Which windows are tested, and how.

    Args:
        widths: widths of the windows in bins, rising; by default every one from 2 bins to half of the spectrum.
        step: bins from one window to the next of the same width.
        exclude: fit the background to the bins outside the tested window. Then a bump does not raise its own
            background, at the price of one background fit per window and toy. Only windows with as many bins on
            either side as they hold are tested: at the ends the function would be extrapolated, and the largest
            deviations would be those of the extrapolation.
        sidebands: count a window only if the bins on either side, half as wide, do not disagree with the background
            (probability above 10⁻³).
    """

    widths: Sequence[int] | None = None
    step: int = 1
    exclude: bool = False
    sidebands: bool = False

    def windows(self, n_bins: int) -> np.ndarray:
        """First bin and bin after the last of every window, shape (n_windows, 2).

        Raises:
            StatisticsError: for widths that are no rising whole numbers of bins, or do not fit into the spectrum.
        """
        widths = np.asarray(range(2, max(n_bins // 2, 2) + 1) if self.widths is None else self.widths)
        whole = widths.ndim == 1 and widths.size and np.issubdtype(widths.dtype, np.integer)
        if not whole or widths[0] < 1 or (np.diff(widths) <= 0).any() or widths[-1] > n_bins:
            raise StatisticsError(
                f"Windows of the BumpHunter must be rising whole numbers of bins from 1 to {n_bins}, "
                f"got {self.widths!r}."
            )
        if self.step < 1:
            raise StatisticsError(f"Windows of the BumpHunter move by at least one bin, not by {self.step!r}.")
        ends = [(first, first + w) for w in widths.tolist() for first in range(0, n_bins - w + 1, self.step)]
        if self.exclude:
            ends = [(first, last) for first, last in ends if min(first, n_bins - last) >= last - first]
        if not ends:
            raise StatisticsError(f"No window of {self.widths!r} bins has as many of {n_bins} bins on either side.")
        return np.array(ends)


@dataclass(frozen=True)
class Bump:
    """The most significant window of one spectrum.

    Attributes:
        low, high: its edges in GeV.
        observed, expected: (effective) events inside.
        p: probability to see as many or more in this window; no trials factor. 1 if no window has an excess, 0 where it
            is below what a float holds: ``statistic`` is exact.
        statistic: −log p, exact where p underflows.
        n_windows: how many were tested.
    """

    low: float
    high: float
    observed: float
    expected: float
    p: float
    statistic: float
    n_windows: int

    @property
    def z(self) -> float:
        """Significance of ``p``."""
        return float(-ndtri_exp(-self.statistic)) if self.statistic > 0 else float("-inf")

    def to_dict(self) -> dict[str, Any]:
        """As in ``results.json``."""
        return {
            "window": [self.low, self.high],
            "observed": self.observed,
            "expected": self.expected,
            "local_p": self.p,
            "log_local_p": -self.statistic,
            "local_z": self.z if np.isfinite(self.z) else None,
            "statistic": self.statistic,
            "windows": self.n_windows,
        }


@dataclass(frozen=True)
class BumpHunterScan:
    """Background fit, then every window: a procedure for toys.

    Attributes:
        background: fit of the data.
        settings: the windows.
    """

    background: BackgroundFits
    settings: BumpHunter

    def __call__(self, counts: np.ndarray) -> Outcome:
        """Largest −log p of spectra of shape (N, n_bins)."""
        table = self.table(refit(self.background, counts))
        sound = table.sound & ~np.isnan(table.statistic).any(axis=1)
        return Outcome(np.where(sound, table.statistic.max(axis=1), np.inf), no_euler(counts.shape[0]))

    def table(self, fits: BackgroundFits) -> Table:
        """Every window of every spectrum."""
        windows = self.settings.windows(fits.counts.shape[1])
        observed = _sums(fits.counts, windows)
        expected, sound = _sums(fits.seen, windows), fits.converged
        if self.settings.exclude:
            expected, sound = self._excluding(fits, windows)
        statistic = minus_log_p(observed, expected)
        if self.settings.sidebands:
            statistic = np.where(_quiet_beside(fits, windows), statistic, 0.0)
        return Table(windows, observed, expected, statistic, sound)

    def best(self, edges: np.ndarray) -> Bump:
        """The most significant window of the data; ``edges`` in GeV.

        Raises:
            StatisticsError: where a background fit failed.
        """
        table = self.table(self.background)
        if not table.sound[0] or np.isnan(table.statistic).any():
            raise StatisticsError(
                "A background fit of the BumpHunter did not converge: take fewer parameters or narrower windows."
            )
        index = int(np.argmax(table.statistic[0]))
        first, last = table.windows[index]
        statistic = float(table.statistic[0, index])
        return Bump(
            low=float(edges[first]),
            high=float(edges[last]),
            observed=float(table.observed[0, index]),
            expected=float(table.expected[0, index]),
            p=float(np.exp(-statistic)),
            statistic=statistic,
            n_windows=len(table.windows),
        )

    def _excluding(self, fits: BackgroundFits, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Events expected in each window by fits without it, and which spectra all those fits converged for."""
        n_bins = fits.counts.shape[1]
        base = np.ones(n_bins) if fits.exposure is None else fits.exposure
        expected, sound = np.empty((fits.counts.shape[0], len(windows))), fits.converged.copy()
        for index, (first, last) in enumerate(windows):
            outside = base.copy()
            outside[..., first:last] = 0.0
            if (outside > 0).sum() <= fits.model.n_parameters:
                raise StatisticsError(
                    f"A window of {last - first} bins leaves too few of {n_bins} to fit {fits.model.family.name}: "
                    "take narrower windows."
                )
            without = fit_background(fits.model, fits.counts, exposure=outside, reference=self.background)
            expected[:, index] = (without.expected * base)[:, first:last].sum(axis=1)
            sound &= without.converged
        return expected, sound


@dataclass(frozen=True)
class Table:
    """Every window of N spectra.

    Attributes:
        windows: first bin and bin after the last, shape (n_windows, 2).
        observed, expected, statistic: events and −log p, shape (N, n_windows).
        sound: whether all background fits converged, shape (N,).
    """

    windows: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    statistic: np.ndarray
    sound: np.ndarray


def minus_log_p(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """−log of the probability of ``observed`` or more events where ``expected`` are; 0 for a deficit. Any shape.

    Between whole numbers the incomplete gamma function interpolates, as weighted spectra need.
    """
    statistic = np.zeros(np.broadcast(observed, expected).shape)
    statistic[np.isnan(expected) | np.isnan(observed)] = np.nan
    excess = (observed > expected) & (observed > 0)
    d, b = np.broadcast_to(observed, statistic.shape)[excess], np.broadcast_to(expected, statistic.shape)[excess]
    p = gammainc(d, b)
    tiny = p < SMALLEST_P
    values = -np.log(np.where(tiny, 1.0, p))
    if tiny.any():
        few, many = np.maximum(b[tiny], 1e-300), d[tiny]
        # the first term of the Poisson sum and the geometric series that bounds the rest
        values[tiny] = few + gammaln(many + 1.0) - many * np.log(few) + np.log1p(-few / (many + 1.0))
    statistic[excess] = values
    return statistic


def _sums(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Sums over windows, shape (N, n_windows)."""
    total = np.concatenate([np.zeros((values.shape[0], 1)), np.cumsum(values, axis=1)], axis=1)
    return np.maximum(total[:, windows[:, 1]] - total[:, windows[:, 0]], 0.0)


def _quiet_beside(fits: BackgroundFits, windows: np.ndarray) -> np.ndarray:
    """Whether the bins on both sides of each window agree with the background, shape (N, n_windows)."""
    n_bins = fits.counts.shape[1]
    reach = np.maximum((windows[:, 1] - windows[:, 0]) // 2, 1)
    left = np.stack([np.maximum(windows[:, 0] - reach, 0), windows[:, 0]], axis=1)
    right = np.stack([windows[:, 1], np.minimum(windows[:, 1] + reach, n_bins)], axis=1)
    quiet = np.ones((fits.counts.shape[0], len(windows)), dtype=bool)
    for side in (left, right):
        d, b = _sums(fits.counts, side), np.maximum(_sums(fits.seen, side), 1e-300)
        excess = gammainc(np.maximum(d, 1e-300), b)
        p = np.where(d >= b, np.where(d > 0, excess, 1.0), gammaincc(d + 1.0, b))
        quiet &= (p > LEAST_SIDEBAND_P) | (side[:, 0] == side[:, 1])
    return quiet
