"""Jets drawn, or weighted, so that their masses are distributed as those of other jets.

Source: arXiv:2007.01850, section V: outliers whose masses are those of QCD jets teach a network nothing of the mass.
"""

from __future__ import annotations

import logging

import numpy as np

from ml.errors import TrainingError

logger = logging.getLogger(__name__)

BINS = 50
UNCOVERED = 0.05  # share of the reference in bins without a jet that is warned of
FEWEST = 20.0  # effective number of jets, below which a few of them would be seen again and again


def matching_weights(
    mass: np.ndarray,
    reference: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    reference_weight: np.ndarray | None = None,
    bins: int = BINS,
) -> np.ndarray:
    """Weights (n,) of mean 1 with which the masses (n,) have the spectrum of the reference, bin by bin.

    The weight of a jet is the ratio of the two histograms in its bin, times its own weight. Bins hold equally much of
    the reference. Where the reference lies in bins that no jet falls into, the others keep their proportions.

    Args:
        mass: (n,) GeV, of the jets that are weighted.
        reference: (m,) GeV.
        weight, reference_weight: (n,) and (m,) event weights; 1 if None.
        bins: of the histograms, at most.

    Raises:
        TrainingError: no jets of positive weight, masses that are not finite, or spectra with so little in common that
            the weights are worth fewer than 20 jets.
    """
    mass, own = _checked(mass, weight, "jets")
    reference, other = _checked(reference, reference_weight, "reference jets")
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)))
    wanted = np.bincount(_bins(reference, edges), weights=other, minlength=len(edges) + 1)
    there = np.bincount(_bins(mass, edges), weights=own, minlength=len(edges) + 1)
    uncovered = wanted[there == 0].sum() / wanted.sum()
    if uncovered > UNCOVERED:
        logger.warning(
            "%.0f%% of the reference jets have masses that none of the %d jets to be matched has, between %.0f and "
            "%.0f GeV: there the spectra cannot agree", 100 * uncovered, len(mass), mass.min(), mass.max(),
        )  # fmt: skip
    ratio = np.divide(wanted, there, out=np.zeros_like(wanted), where=there > 0)
    weights = own * ratio[_bins(mass, edges)]
    effective = weights.sum() ** 2 / (weights**2).sum() if weights.any() else 0.0
    if effective < FEWEST:
        raise TrainingError(
            f"{len(mass)} jets of masses from {mass.min():.0f} to {mass.max():.0f} GeV cannot be given the spectrum of "
            f"the reference, from {reference.min():.0f} to {reference.max():.0f} GeV: the weights would be worth "
            f"{effective:.0f} jets, and {FEWEST:.0f} are needed; add jets of the masses that are missing"
        )
    return weights / weights.mean()


def resample(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Row indices (count,) drawn with replacement in proportion to the weights (n,)."""
    weights = np.asarray(weights, np.float64)
    return rng.choice(len(weights), size=count, p=weights / weights.sum())


def _bins(mass: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """0 below the edges, len(edges) above them."""
    # the last edge belongs to the last bin: it is the largest mass of the reference
    index = np.searchsorted(edges, mass, side="right")
    return np.where(mass == edges[-1], len(edges) - 1, index)


def _checked(mass: np.ndarray, weight: np.ndarray | None, what: str) -> tuple[np.ndarray, np.ndarray]:
    mass = np.asarray(mass, np.float64)
    weights = np.ones(len(mass)) if weight is None else np.asarray(weight, np.float64)
    if mass.shape != weights.shape or not weights.sum() > 0 or (weights < 0).any():
        raise TrainingError(f"the {what} need masses (n,) with weights (n,) of at least 0 and of positive sum")
    if not np.isfinite(mass).all():
        raise TrainingError(f"{int((~np.isfinite(mass)).sum())} of {len(mass)} {what} have masses that are not finite")
    return mass, weights
