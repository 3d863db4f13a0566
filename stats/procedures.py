"""What is done to a spectrum, data or toy, so that one number says how signal-like it is.

A global p-value is right only if every toy goes through what the data went through. A procedure is that, as one
callable: everything the data decided (the order of the function, the best window) happens inside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stats.fits import BackgroundFits, fit_background
from stats.scan import LEVELS, euler_characteristic, scan


@dataclass(frozen=True)
class Outcome:
    """What a procedure made of N spectra.

    Attributes:
        largest: the test statistic, larger for more signal-like spectra, shape (N,); +∞ where a fit failed, so that
            such a toy never helps a discovery.
        euler: Euler characteristic of the regions above each of ``LEVELS``, shape (N, n_levels); NaN for a statistic
            that has none.
    """

    largest: np.ndarray
    euler: np.ndarray


class Procedure(Protocol):
    """Spectra to test statistics.

    Attributes:
        background: fit of the data that toys are drawn from.
    """

    @property
    def background(self) -> BackgroundFits: ...

    def __call__(self, counts: np.ndarray) -> Outcome:
        """Treat spectra of shape (N, n_bins), in effective events, like the data."""


@dataclass(frozen=True)
class LikelihoodScan:
    """Background fit, then a signal fit of every template; the statistic is the largest signed significance.

    Attributes:
        background: fit of the data.
        templates: shape (n_widths, n_masses, n_bins).
    """

    background: BackgroundFits
    templates: np.ndarray

    def __call__(self, counts: np.ndarray) -> Outcome:
        """Scan spectra of shape (N, n_bins)."""
        fits = refit(self.background, counts)
        found = scan(fits, self.templates)
        good = fits.converged & (found.failed == 0)
        return Outcome(np.where(good, found.largest, np.inf), euler_characteristic(found.significance))


def refit(background: BackgroundFits, counts: np.ndarray) -> BackgroundFits:
    """The fit of ``background`` repeated on other spectra, shape (N, n_bins)."""
    return fit_background(background.model, counts, exposure=background.exposure, reference=background)


def no_euler(n_spectra: int) -> np.ndarray:
    """For statistics to which Gross and Vitells do not apply: NaN, shape (n_spectra, n_levels)."""
    return np.full((n_spectra, len(LEVELS)), np.nan)
