"""Injection and linearity: does the fit give back the signal that was put in, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from stats.errors import StatisticsError
from stats.functions import Family
from stats.signals import SignalShape
from stats.spectrum import Spectrum
from stats.validation.bias import THRESHOLD
from stats.validation.experiments import Truth, experiments, run
from stats.validation.inputs import check_toys, checked_masses, checked_strengths, or_none, peaks
from stats.validation.pulls import PullKind, PullPoint, Verdict, check_pull, joint_verdict


@dataclass(frozen=True)
class InjectionTest:
    """Fitted against injected signal.

    Attributes:
        truth, fit: names of the families that toys are drawn from and fitted with.
        mass: GeV.
        pull: its definition, as in ``pulls``; threshold: on |mean pull|.
        points: one per strength, rising.
        slope, slope_error: of the line through the mean fitted yields, 1 if all is well.
        offset, offset_error: fitted yield without signal, in events.
        chi2, ndof, p: of that line; p is NaN for two strengths.
    """

    truth: str
    fit: str
    mass: float
    pull: PullKind
    threshold: float
    points: tuple[PullPoint, ...]
    slope: float
    slope_error: float
    offset: float
    offset_error: float
    chi2: float
    ndof: int
    p: float

    @property
    def verdict(self) -> Verdict:
        """Over all strengths: biased if the mean pull of any is, unbiased if all are."""
        return joint_verdict(point.verdict(self.threshold) for point in self.points)

    @property
    def failure_rate(self) -> float:
        """Share of toys with a failed fit."""
        return sum(point.failed for point in self.points) / sum(point.toys for point in self.points)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "truth": self.truth,
            "fit": self.fit,
            "mass": self.mass,
            "pull": self.pull,
            "threshold": self.threshold,
            "verdict": self.verdict,
            "slope": self.slope,
            "slope_error": self.slope_error,
            "offset": self.offset,
            "offset_error": self.offset_error,
            "chi2": self.chi2,
            "ndof": self.ndof,
            "p": or_none(self.p),
            "failure_rate": self.failure_rate,
            "points": [point.to_dict() for point in self.points],
        }


def injection_test(
    spectrum: Spectrum,
    family: Family,
    *,
    mass: float,
    toys: int,
    rng: np.random.Generator,
    truth: Family | None = None,
    width: float = 0.03,
    relative: bool = True,
    shape: SignalShape | None = None,
    strengths: Sequence[float] = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
    pull: PullKind = "curvature",
    threshold: float = THRESHOLD,
    mask: np.ndarray | None = None,
    workers: int = 1,
) -> InjectionTest:
    """Inject signals into toys of the background and fit them again with background and a signed signal.

    Args:
        spectrum: what the true background is fitted to.
        family: background function of the fit.
        mass: GeV, inside the spectrum.
        toys: per strength, two at least.
        rng: spawns one generator per strength and block of toys.
        truth: family that toys are drawn from; ``family`` by default.
        width: standard deviation of the Gaussian peak, a fraction of its mass (``relative``) or in GeV.
        shape: another signal shape, in place of the Gaussian.
        strengths: two at least, in units of the error expected without signal.
        pull: "curvature", "expected" or "likelihood", see ``pulls``.
        threshold: on |mean pull|, to be fixed before looking.
        mask: bins that the truth is fitted to, True keeps; toys fill all bins.
        workers: threads.

    Raises:
        StatisticsError: for a spectrum that does not determine a family, a mass outside it, no toys, or fits so poor
            that no line can be drawn.
    """
    check_toys(toys, rng, workers, least=2)
    check_pull(pull, threshold)
    masses, values = checked_masses(mass), np.sort(checked_strengths(strengths, least=2))
    if masses.size != 1:
        raise StatisticsError(f"An injection test is made at one mass, got {masses.size}: call it for each.")
    templates = peaks(spectrum.edges, masses, width=width, relative=relative, shape=shape)
    source = Truth.of(spectrum, truth or family, [family], mask)
    todo = experiments(source, templates, masses, values)
    points = tuple(row[0] for row in run(todo, toys=toys, rng=rng, workers=workers, pull=pull))
    return InjectionTest(
        truth=(truth or family).name,
        fit=family.name,
        mass=float(masses[0]),
        pull=pull,
        threshold=float(threshold),
        points=points,
        **_line(points),
    )


def _line(points: Sequence[PullPoint]) -> dict[str, Any]:
    """Weighted straight line through the mean fitted yields."""
    injected, fitted, error = (
        np.array([getattr(point, name) for point in points]) for name in ("injected", "fitted", "fitted_error")
    )
    if not (np.all(np.isfinite(error)) and (error > 0).all()):
        raise StatisticsError("Too few toys of a strength were fitted to draw a line: the spectrum is too sparse.")
    design = np.stack([np.ones_like(injected), injected], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    offset, slope = covariance @ design.T @ (fitted / error)
    chi2 = float((((fitted - offset - slope * injected) / error) ** 2).sum())
    ndof = len(points) - 2
    return {
        "slope": float(slope),
        "slope_error": float(np.sqrt(covariance[1, 1])),
        "offset": float(offset),
        "offset_error": float(np.sqrt(covariance[0, 0])),
        "chi2": chi2,
        "ndof": ndof,
        "p": float(chdtrc(ndof, chi2)) if ndof > 0 else float("nan"),
    }
