"""The bias matrix: what each background family makes of toys of every other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.functions import Family
from stats.signals import SignalShape
from stats.spectrum import Spectrum
from stats.validation.experiments import Truth, experiments, run
from stats.validation.inputs import check_families, check_toys, checked_masses, checked_strengths, peaks
from stats.validation.pulls import PullKind, PullPoint, Verdict, check_pull, joint_verdict

THRESHOLD = 0.2  # of the mean pull: a bias of 0.2 σ adds 2% to the error in quadrature, 0.5 σ adds 12%


@dataclass(frozen=True)
class BiasPair:
    """Toys of one family fitted with another, at every mass and strength.

    Attributes:
        truth, fit: names of the families.
        points: masses in the outer order, strengths in the inner.
        threshold: on |mean pull|, fixed beforehand.
    """

    truth: str
    fit: str
    points: tuple[PullPoint, ...]
    threshold: float

    @property
    def verdict(self) -> Verdict:
        """Over all masses and strengths: biased if any is, unbiased if all are."""
        return joint_verdict(point.verdict(self.threshold) for point in self.points)

    @property
    def worst(self) -> PullPoint | None:
        """The point with the largest |mean pull|; None where no toy has a pull."""
        known = [point for point in self.points if np.isfinite(point.mean)]
        return max(known, key=lambda point: abs(point.mean), default=None)

    @property
    def failure_rate(self) -> float:
        """Share of toys with a failed fit."""
        return sum(point.failed for point in self.points) / sum(point.toys for point in self.points)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        worst = self.worst
        return {
            "truth": self.truth,
            "fit": self.fit,
            "verdict": self.verdict,
            "worst_mean": None if worst is None else worst.mean,
            "worst_mean_error": None if worst is None else worst.mean_error,
            "failure_rate": self.failure_rate,
            "points": [point.to_dict() for point in self.points],
        }


@dataclass(frozen=True)
class BiasMatrix:
    """Pulls of the signal for every pair of a true and a fitted background family.

    Attributes:
        truths, fits: names, in the order of rows and columns.
        masses: GeV.
        strengths: injected, in units of the expected error without signal.
        pull: its definition, as in ``pulls``.
        threshold: on |mean pull|.
        pairs: row by row.
    """

    truths: tuple[str, ...]
    fits: tuple[str, ...]
    masses: tuple[float, ...]
    strengths: tuple[float, ...]
    pull: PullKind
    threshold: float
    pairs: tuple[BiasPair, ...]

    def pair(self, truth: str, fit: str) -> BiasPair:
        """One pair by the names of its families."""
        for pair in self.pairs:
            if (pair.truth, pair.fit) == (truth, fit):
                return pair
        raise StatisticsError(f"No pair ({truth}, {fit}): rows are {self.truths}, columns {self.fits}.")

    def table(self, strength: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean pull and its error where |mean| is largest over masses (and strengths); shape (n_truths, n_fits).

        Args:
            strength: one of ``strengths``; all by default.
        """
        if strength is not None and strength not in self.strengths:
            raise StatisticsError(f"No strength {strength:g} was injected, only {self.strengths}.")
        values = np.full((2, len(self.pairs)), np.nan)
        for index, pair in enumerate(self.pairs):
            points = tuple(point for point in pair.points if strength is None or point.strength == strength)
            worst = BiasPair(pair.truth, pair.fit, points, pair.threshold).worst
            if worst is not None:
                values[:, index] = worst.mean, worst.mean_error
        mean, error = values.reshape(2, len(self.truths), len(self.fits))
        return mean, error

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "truths": list(self.truths),
            "fits": list(self.fits),
            "masses": list(self.masses),
            "strengths": list(self.strengths),
            "pull": self.pull,
            "threshold": self.threshold,
            "pairs": [pair.to_dict() for pair in self.pairs],
        }


def bias_matrix(
    spectrum: Spectrum,
    truths: Sequence[Family],
    *,
    fits: Sequence[Family],
    masses: Sequence[float] | np.ndarray | float,
    toys: int,
    rng: np.random.Generator,
    width: float = 0.03,
    relative: bool = True,
    shape: SignalShape | None = None,
    strengths: Sequence[float] = (0.0, 2.0, 5.0),
    pull: PullKind = "curvature",
    threshold: float = THRESHOLD,
    mask: np.ndarray | None = None,
    workers: int = 1,
) -> BiasMatrix:
    """Fit every truth to the spectrum, draw toys with an injected signal, fit each with every family.

    The criterion of the CMS diphoton search (arXiv:1207.7235): the fit may be wrong by no more than a fifth of the
    statistical error whichever function nature chose. Many searches are content with 0.5.

    Args:
        spectrum: what the truths are fitted to; weighted events are taken as effective events.
        truths, fits: families for the rows and columns.
        masses: GeV, inside the spectrum.
        toys: per truth, mass and strength, two at least; the error on a mean pull is 1/√toys.
        rng: the same seed gives the same toys, whatever ``fits`` and ``workers`` are.
        width: standard deviation of the Gaussian peak, a fraction of its mass (``relative``) or in GeV.
        shape: another signal shape, in place of the Gaussian.
        strengths: injected, in units of the error that the true family expects without signal.
        pull: "curvature", "expected" or "likelihood", see ``pulls``.
        threshold: on |mean pull|, to be fixed before looking.
        mask: bins that the truths are fitted to, True keeps, to leave a signal out; toys fill all bins.
        workers: threads.

    Raises:
        StatisticsError: for a spectrum that does not determine a family, masses outside it, or no toys.
    """
    check_toys(toys, rng, workers, least=2)
    check_families(truths, "true")
    check_families(fits, "fitted")
    check_pull(pull, threshold)
    masses, values = checked_masses(masses), checked_strengths(strengths)
    templates = peaks(spectrum.edges, masses, width=width, relative=relative, shape=shape)
    todo = [experiments(Truth.of(spectrum, truth, fits, mask), templates, masses, values) for truth in truths]
    points = run([each for row in todo for each in row], toys=toys, rng=rng, workers=workers, pull=pull)
    per_truth = len(masses) * len(values)
    rows = [points[first : first + per_truth] for first in range(0, len(points), per_truth)]
    return BiasMatrix(
        truths=tuple(truth.name for truth in truths),
        fits=tuple(fit.name for fit in fits),
        masses=tuple(masses.tolist()),
        strengths=tuple(values.tolist()),
        pull=pull,
        threshold=float(threshold),
        pairs=tuple(
            BiasPair(truth.name, fit.name, tuple(point[column] for point in row), float(threshold))
            for truth, row in zip(truths, rows, strict=True)
            for column, fit in enumerate(fits)
        ),
    )
