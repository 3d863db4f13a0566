"""Toys of a background with an injected peak, each fitted with every background family and a signed signal."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background, fit_signal
from stats.functions import BinnedFamily, Family
from stats.lookelsewhere import in_blocks
from stats.spectrum import Spectrum
from stats.validation.pulls import PullKind, PullPoint, pull_point, pulls


@dataclass(frozen=True)
class Truth:
    """What toys are drawn from, and the families they are fitted with.

    Attributes:
        own: fit of the true family to its own expectation in all bins.
        exposure: factor on expectations, shape (n_bins,); None means 1.
        references: a fit of every family to that expectation, the point about which fits of toys expand.
    """

    own: BackgroundFits
    exposure: np.ndarray | None
    references: tuple[BackgroundFits, ...]

    @classmethod
    def of(cls, spectrum: Spectrum, truth: Family, fits: Sequence[Family], mask: np.ndarray | None) -> Truth:
        """Fit ``truth`` to the bins of ``mask``; toys fill all bins."""
        counts, exposure = effective(spectrum, mask)
        fit = fit_background(BinnedFamily(truth, spectrum.edges), counts, exposure=exposure)
        if not (fit.converged[0] and fit.determined[0]):
            raise StatisticsError(f"The fit of {truth.name} to the spectrum did not converge: it makes no toys.")
        everywhere = None if spectrum.is_counts else spectrum.scale
        asimov = fit.expected[0] if everywhere is None else fit.expected[0] * everywhere
        if not np.all(np.isfinite(asimov)):
            raise StatisticsError(f"{truth.name}, fitted to the unmasked bins, is not finite in the others.")

        def refit(family: Family) -> BackgroundFits:
            return fit_background(BinnedFamily(family, spectrum.edges), asimov, exposure=everywhere)

        return cls(refit(truth), everywhere, tuple(refit(family) for family in fits))

    @property
    def seen(self) -> np.ndarray:
        """Expected (effective) events, shape (n_bins,)."""
        return self.own.counts[0]

    def with_signal(self, template: np.ndarray, events: float) -> np.ndarray:
        """Expected (effective) events with a signal, shape (n_bins,)."""
        signal = events * template
        return self.seen + (signal if self.exposure is None else signal * self.exposure)

    def expected_error(self, reference: BackgroundFits, template: np.ndarray, events: float) -> float:
        """Error of the yield that a family gets from the expectation; NaN at the bound of the yield."""
        asimov = self.with_signal(template, events)
        fit = fit_background(reference.model, asimov, exposure=self.exposure, reference=reference)
        return float(fit_signal(fit, template).errors[0])


@dataclass(frozen=True)
class Experiment:
    """One truth, peak and injected strength."""

    truth: Truth
    template: np.ndarray
    mass: float
    strength: float
    injected: float


def experiments(truth: Truth, templates: np.ndarray, masses: np.ndarray, strengths: np.ndarray) -> list[Experiment]:
    """Every strength, in units of the true family's expected error without signal, at every mass."""
    result = []
    for template, mass in zip(templates, masses, strict=True):
        unit = truth.expected_error(truth.own, template, 0.0)
        if not np.isfinite(unit):
            raise StatisticsError(
                f"The expected error of a signal at {mass:g} GeV is not defined: too few events are expected there."
            )
        result += [Experiment(truth, template, float(mass), float(s), float(s * unit)) for s in strengths]
    return result


def run(
    todo: Sequence[Experiment], *, toys: int, rng: np.random.Generator, workers: int, pull: PullKind
) -> list[list[PullPoint]]:
    """One point per experiment and family. All families fit the same toys.

    One generator is spawned per experiment and from it one per block of toys: the result does not depend on
    ``workers``, the experiments that run side by side.
    """
    jobs = list(zip(todo, rng.spawn(len(todo)), strict=True))
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(lambda job: _points(*job, toys=toys, pull=pull), jobs))


def _points(experiment: Experiment, rng: np.random.Generator, *, toys: int, pull: PullKind) -> list[PullPoint]:
    truth, template = experiment.truth, experiment.template
    errors = [truth.expected_error(reference, template, experiment.injected) for reference in truth.references]

    def block(number: int, generator: np.random.Generator) -> np.ndarray:
        return _fit_toys(experiment, errors, number, generator, pull)

    parts = in_blocks(block, toys=toys, n_bins=template.size, rng=rng, workers=1)
    return [_point(experiment, *pair) for pair in zip(np.concatenate(parts, axis=-1), errors, strict=True)]


def _fit_toys(
    experiment: Experiment, errors: Sequence[float], number: int, generator: np.random.Generator, pull: PullKind
) -> np.ndarray:
    """Pull, yield and whether it is bounded of each toy, shape (n_families, 3, number)."""
    truth, template = experiment.truth, experiment.template
    expected = truth.with_signal(template, experiment.injected)
    counts = generator.poisson(expected, size=(number, expected.size)).astype(float)
    result = np.empty((len(errors), 3, number))
    for row, (reference, error) in enumerate(zip(truth.references, errors, strict=True)):
        background = fit_background(reference.model, counts, exposure=truth.exposure, reference=reference)
        signal = fit_signal(background, template)
        values = pulls(pull, background, signal, template, injected=experiment.injected, expected_error=error)
        result[row] = values, signal.yields, signal.bounded
    return result


def _point(experiment: Experiment, toys: np.ndarray, expected_error: float) -> PullPoint:
    values, yields, bounded = toys
    return pull_point(
        values,
        yields,
        bounded > 0,
        mass=experiment.mass,
        strength=experiment.strength,
        injected=experiment.injected,
        expected_error=expected_error,
    )
