"""Do 95% limits cover? Experiments with a known signal, each searched like data, independent of everything else.

A limit covers where it lies above the true strength, that is where CLs at the true strength is above 0.05. CLs is made
to cover more often than 95% where the search cannot tell the signal; at large strengths it has to come to 95%.
Spectra for which a limit is refused do not count: coverage is conditional on there being a limit, and the rate of
refusals stands beside it. Limits from toys cover a counting experiment at every strength, where asymptotic ones do not.
Run by `python -m tests.benchmarks.coverage [EXPERIMENTS]`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
from scipy.stats import poisson

from stats import (
    BinnedFamily,
    CrystalBall,
    Gaussian,
    SignalShape,
    Spectrum,
    StatisticsError,
    counting_workspace,
    dijet,
    effective,
    fit_background,
    fit_signal,
    resonance_workspace,
    toy_limit,
)
from stats.asymptotics import AsymptoticTest, open_workspace
from stats.minimiser import pyhf_session
from stats.models import Workspace

EDGES = np.linspace(2000.0, 7000.0, 51)
MASS = 3500.0
TAILED = CrystalBall(0.03, alpha_low=1.5, n_low=4.0, alpha_high=2.0, n_high=6.0)


@dataclass(frozen=True)
class Coverage:
    """Experiments with a true signal.

    Attributes:
        strength: true signal events inside the spectrum.
        background: expected under the window of ±3 standard deviations.
        covered: experiments whose limit lies above the strength.
        experiments: all that have a limit: coverage is conditional on that.
        refused: experiments for which no workspace was made, each with an error that says why.
        failed: experiments whose fits failed; neither covered nor among ``experiments``.
    """

    strength: float
    background: float
    covered: int
    experiments: int
    refused: int
    failed: int

    @property
    def without(self) -> float:
        """Share of all spectra that have no limit."""
        return (self.refused + self.failed) / (self.experiments + self.refused + self.failed)

    @property
    def fraction(self) -> float:
        """Share of the experiments that cover."""
        return self.covered / self.experiments

    @property
    def tolerance(self) -> float:
        """Two binomial standard deviations of a share of 95%."""
        return 2.0 * float(np.sqrt(0.05 * 0.95 / self.experiments))


def expectation(events: float) -> np.ndarray:
    """A falling spectrum of that many events, shape (50,)."""
    shape = BinnedFamily(dijet(3, sqrt_s=13000.0), EDGES).expected(np.array([0.0, 10.0, 5.0]))
    return np.asarray(events * shape / shape.sum())


def yield_error(events: float, shape: SignalShape) -> float:
    """Uncertainty of a fitted yield in the expected spectrum: one "σ" of signal."""
    model = BinnedFamily(dijet(3, sqrt_s=13000.0), EDGES)
    template = shape.template(EDGES, MASS)
    counts, _ = effective(Spectrum.from_counts(EDGES, expectation(events)))
    return float(fit_signal(fit_background(model, counts), template / template.sum()).errors[0])


def coverage(
    events: float, strength: float, *, experiments: int, seed: int, shape: SignalShape | None = None
) -> Coverage:
    """Search ``experiments`` spectra of ``events`` background and ``strength`` signal events."""
    peak = Gaussian(0.03) if shape is None else shape
    background, template = expectation(events), peak.template(EDGES, MASS)
    mean = background + strength * template / template.sum()
    family, covered, refused, failed = dijet(3, sqrt_s=13000.0), 0, 0, 0
    for child in np.random.SeedSequence(seed).spawn(experiments):
        spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(child).poisson(mean))
        try:
            workspace = resonance_workspace(spectrum, family, mass=MASS, shape=peak)
        except StatisticsError:
            refused += 1
            continue
        values = _log_cls(workspace, strength)
        failed += values is None
        covered += values is not None and bool(values[0] > np.log(0.05))
    reach = 3.0 * peak.width(MASS)
    window = (EDGES[1:] > MASS - reach) & (EDGES[:-1] < MASS + reach)
    found = experiments - refused - failed
    return Coverage(strength, float(background[window].sum()), covered, found, refused, failed)


def _log_cls(workspace: Workspace, strength: float) -> np.ndarray | None:
    try:
        with pyhf_session():
            return AsymptoticTest(*open_workspace(workspace)).log_cls(strength)
    except StatisticsError:
        return None


def toy_coverage(background: float, *, toys: int, seed: int, largest: int = 12) -> float:
    """The lowest coverage of ``toy_limit`` in a counting experiment, over all strengths up to its largest limit.

    Summed exactly over the outcomes 0 to ``largest``, each with a limit from ``toys`` toys of its own seed. Coverage
    falls to its lowest just above the limit of an outcome, where that outcome stops to cover: P(more events).
    """
    lowest = 1.0
    for observed, child in enumerate(np.random.SeedSequence(seed).spawn(largest + 1)):
        workspace = counting_workspace(background, observed=float(observed))
        limit = toy_limit(workspace, toys=toys, rng=np.random.default_rng(child), expected=False)
        lowest = min(lowest, float(poisson.sf(observed, background + limit.observed)))
    return lowest


def main(experiments: int = 1000, toys: int = 20_000) -> int:
    """Print one line per case; return 1 where one covers too rarely."""
    return int(_spectra(experiments) + _counting(toys) > 0)


def _counting(toys: int) -> bool:
    """Print one line per background; whether one is covered less than 95% by three binomial errors of the toys.

    The lowest of thirteen outcomes is 1.7 errors below on average.
    """
    tolerance, failed = 3.0 * float(np.sqrt(0.05 * 0.95 / toys)), False
    print(f"counting experiments, limits from {toys} toys: 95% less {100 * tolerance:.2f}%, or more")
    for background in (0.1, 0.5, 2.0, 5.0):
        start = time.perf_counter()
        lowest = toy_coverage(background, toys=toys, seed=int(10 * background))
        low = lowest < 0.95 - tolerance
        failed |= low
        print(
            f"{background:5.1f} background: at least {100 * lowest:5.2f}% cover{'  TOO FEW' if low else ''}  "
            f"[{time.perf_counter() - start:.0f} s]",
            flush=True,
        )
    return failed


def _spectra(experiments: int) -> bool:
    """Print one line per kind of spectrum and strength; whether one is covered too rarely."""
    failed = False
    print(f"{experiments} experiments per case; 95% within two binomial standard deviations, or more")
    for name, shape in (("Gaussian 3%", Gaussian(0.03)), ("Crystal Ball 3%", TAILED)):
        for events in (20000.0, 2000.0, 200.0):
            error = yield_error(events, shape)
            for sigmas in (1.0, 2.0, 5.0):
                start = time.perf_counter()
                seed = int(events) + int(10 * sigmas) + (shape is TAILED)
                found = coverage(events, sigmas * error, experiments=experiments, seed=seed, shape=shape)
                low = found.fraction < 0.95 - found.tolerance
                failed |= low
                print(
                    f"{name:16s} {found.background:7.1f} background, {sigmas:g} sigma = {found.strength:6.1f} events: "
                    f"{100 * found.fraction:5.1f}% cover (tolerance {100 * found.tolerance:.1f}%); no limit for "
                    f"{100 * found.without:.1f}% ({found.refused} refused, {found.failed} failed)"
                    f"{'  TOO FEW' if low else ''}  [{time.perf_counter() - start:.0f} s]",
                    flush=True,
                )
    return failed


if __name__ == "__main__":
    raise SystemExit(main(*(int(number) for number in sys.argv[1:])))
