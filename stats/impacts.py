"""Impacts: how far the fitted signal strength moves when one nuisance parameter does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.modelfits import ModelFits
from stats.profiling import Nuisance, PostFit, open_fits, post_fit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Impact:
    """Changes of the fitted strength with one nuisance parameter θ held away from its best value θ̂.

    Attributes:
        nuisance: the parameter after the best fit.
        postfit: Δμ̂ with θ at θ̂ − and + its error after the fit; None where a fit failed or there is no error.
        prefit: with θ at θ̂ − and + σ₀ of its constraint; None for free parameters.
        cut: whether one of these θ lay beyond the parameter's bounds and the bound was taken.
    """

    nuisance: Nuisance
    postfit: tuple[float | None, float | None]
    prefit: tuple[float | None, float | None]
    cut: bool = False

    @property
    def largest(self) -> float:
        """The larger of the two post-fit changes, 0 where neither is known."""
        return max((abs(change) for change in self.postfit if change is not None), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **self.nuisance.to_dict(),
            "postfit_impact": list(self.postfit),
            "prefit_impact": list(self.prefit),
            "cut": self.cut,
        }


@dataclass(frozen=True)
class Impacts:
    """Impacts of all nuisance parameters, largest first.

    Attributes:
        strength, error: signal strength of the best fit and its error.
        statistical_error: what is left of it with every constrained parameter held at its best value.
        ranking: impacts by ``largest``, free parameters among them.
        fit: the best fit.
        failed_fits: fits that failed.
    """

    strength: float
    error: float | None
    statistical_error: float | None
    ranking: tuple[Impact, ...]
    fit: PostFit
    failed_fits: int

    @property
    def systematic_error(self) -> float | None:
        """√(error² − statistical²)."""
        if self.error is None or self.statistical_error is None:
            return None
        return float(np.sqrt(max(self.error**2 - self.statistical_error**2, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "strength": self.strength,
            "error": self.error,
            "statistical_error": self.statistical_error,
            "systematic_error": self.systematic_error,
            "ranking": [impact.to_dict() for impact in self.ranking],
            "failed_fits": self.failed_fits,
        }


def impacts(workspace: Mapping[str, Any], *, signed: bool = True) -> Impacts:
    """Rank nuisance parameters by what they do to the fitted signal strength.

    Each is held one standard deviation below and above its best value, by its error after the fit (the Hessian's) and
    by that of its constraint, and everything else fitted again. Free parameters have no constraint to be moved by, so
    they have post-fit impacts only; what they cost is part of the statistical error.

    Args:
        signed: whether the strength may be negative (see ``stats.profiling``).

    Raises:
        StatisticsError: when the best fit fails or has no errors.
    """
    fits = open_fits(workspace, signed=signed)
    with fits.session():
        best = post_fit(fits)
        start = fits.fit(fits.data)
        movements = _Movements(fits, best, fits.initial if start is None else start[0])
        ranking = sorted((movements.impact(nuisance) for nuisance in best.nuisances), key=lambda i: -i.largest)
    if movements.failed:
        logger.warning("%d of the fits for impacts failed; those impacts are unknown", movements.failed)
    return Impacts(
        strength=best.strength,
        error=best.strength_error,
        statistical_error=_statistical_error(best, fits.names[fits.poi]),
        ranking=tuple(ranking),
        fit=best,
        failed_fits=movements.failed,
    )


class _Movements:
    """Fits with one parameter held away from its best value."""

    def __init__(self, fits: ModelFits, best: PostFit, point: np.ndarray) -> None:
        self.fits, self.best, self.point = fits, best, point
        self.failed = 0

    def impact(self, nuisance: Nuisance) -> Impact:
        """What the strength does when this parameter moves by its errors, after the fit and before."""
        index = self.fits.names.index(nuisance.name)
        errors = nuisance.error, nuisance.prefit_error
        changes = [tuple(self._change(index, sign, error) for sign in (-1.0, 1.0)) for error in errors]
        low, high = self.fits.bounds[index]
        known = [error for error in errors if error is not None]
        reach = max(known, default=0.0)
        cut = not (low <= self.point[index] - reach and self.point[index] + reach <= high)
        return Impact(nuisance, (changes[0][0], changes[0][1]), (changes[1][0], changes[1][1]), cut)

    def _change(self, index: int, sign: float, error: float | None) -> float | None:
        if error is None:
            return None
        value = float(np.clip(self.point[index] + sign * error, *self.fits.bounds[index]))
        found = self.fits.fit(self.fits.data, fixed={index: value}, start=self.point)
        if found is None:
            self.failed += 1
            return None
        return float(found[0][self.fits.poi] - self.best.strength)


def _statistical_error(best: PostFit, poi: str) -> float | None:
    """Error of the strength with all constrained parameters held: from the Hessian of the others alone."""
    if best.strength_error is None:
        return None
    constrained = {nuisance.name for nuisance in best.nuisances if nuisance.prefit_error is not None}
    kept = [place for place, name in enumerate(best.names) if name not in constrained]
    hessian = np.linalg.inv(best.covariance)[np.ix_(kept, kept)]
    names = [best.names[place] for place in kept]
    return float(np.sqrt(np.linalg.inv(hessian)[names.index(poi), names.index(poi)]))
