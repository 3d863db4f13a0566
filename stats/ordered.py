"""Toys that choose the order of the background function as the data did.

Choosing the order on the very spectrum that is searched makes the background follow its fluctuations. The toys then
have to choose, too; a global p-value from toys with the order fixed would be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from stats.errors import StatisticsError
from stats.fits import BackgroundFits
from stats.goodness import bin_groups
from stats.procedures import Outcome, Procedure, no_euler, refit


@dataclass(frozen=True)
class OrderedProcedure:
    """F-test over nested families, then the procedure of the family it takes.

    Attributes:
        choices: one procedure per family, from few to many parameters.
        chosen: index of the data's family: toys are drawn from its fit.
        threshold: of the F-test, as in ``choose_order``.
    """

    choices: tuple[Procedure, ...]
    chosen: int
    threshold: float

    @property
    def background(self) -> BackgroundFits:
        """The data's fit with the family that was chosen."""
        return self.choices[self.chosen].background

    def __call__(self, counts: np.ndarray) -> Outcome:
        """Treat spectra of shape (N, n_bins)."""
        order = chosen_order([refit(choice.background, counts) for choice in self.choices], threshold=self.threshold)
        largest, euler = np.full(counts.shape[0], np.inf), no_euler(counts.shape[0])
        for index, choice in enumerate(self.choices):
            rows = np.flatnonzero(order == index)
            if rows.size:
                outcome = choice(counts[rows])
                largest[rows], euler[rows] = outcome.largest, outcome.euler
        return Outcome(largest, euler)


def chosen_order(fits: Sequence[BackgroundFits], *, threshold: float) -> np.ndarray:
    """What ``choose_order`` would take for each of N spectra fitted with every family.

    Args:
        fits: one per family, from few to many parameters, all of the same spectra.
        threshold: probability below which the richer family is taken.

    Returns:
        Index of the family, shape (N,); −1 where a fit failed or too few groups of bins are left for the test.
    """
    counts, richest = fits[0].counts, fits[-1]
    if any(fit.counts.shape != counts.shape for fit in fits):
        raise StatisticsError("An F-test compares fits of the same spectra.")
    labels = _group_labels(richest.seen)
    observed = _grouped(counts, labels)
    groups = labels[:, -1] + 1
    chi2 = np.stack([_pearson(observed, _grouped(fit.seen, labels)) for fit in fits])
    ndof = np.stack([groups - fit.model.n_parameters for fit in fits])
    order = np.full(counts.shape[0], len(fits) - 1)
    for index in reversed(range(len(fits) - 1)):
        p = _f_test(chi2[index], ndof[index], chi2[index + 1], ndof[index + 1])
        order = np.where(p < threshold, order, index)
    sound = np.all([fit.converged for fit in fits], axis=0) & (ndof[-1] > 0) & np.isfinite(chi2).all(axis=0)
    return np.where(sound, order, -1)


def _f_test(simpler: np.ndarray, simpler_ndof: np.ndarray, richer: np.ndarray, ndof: np.ndarray) -> np.ndarray:
    """Probability of a larger F, shape (N,)."""
    usable = (ndof > 0) & (richer > 0)
    mean = np.where(usable, richer, 1.0) / np.where(usable, ndof, 1)
    extra = simpler_ndof - ndof
    statistic = np.maximum(simpler - richer, 0.0) / extra / mean
    return np.where(usable, fdtrc(extra, np.where(usable, ndof, 1), statistic), 1.0)


def _pearson(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Σ (n − E)²/E over groups, shape (N,); groups that do not exist hold nothing."""
    safe = np.where(expected > 0, expected, 1.0)
    return np.sum(np.where(expected > 0, (observed - expected) ** 2 / safe, 0.0), axis=1)


def _group_labels(expected: np.ndarray) -> np.ndarray:
    """Number of the group of neighbours (``bin_groups``) that a bin is in, shape (N, n_bins)."""
    begins = np.zeros(expected.shape, dtype=int)
    for row, one in zip(begins, expected, strict=True):
        row[bin_groups(one)[1:]] = 1
    return begins.cumsum(axis=1)


def _grouped(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Sums over groups, shape (N, n_bins); places beyond the last group are 0."""
    place = labels + values.shape[1] * np.arange(values.shape[0])[:, None]
    return np.bincount(place.ravel(), weights=values.ravel(), minlength=values.size).reshape(values.shape)
