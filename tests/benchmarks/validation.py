"""Calibration of the tests of a background model: run with ``python -m tests.benchmarks.validation``.

Prints the mean pull of injected signals in three definitions against the number of events, the uniformity of the
saturated test's p-value, how often a wrong function is caught, and the share of failed fits.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from scipy.stats import kstest

from stats import BinnedFamily, Spectrum, dijet
from stats.validation import PullPoint, bias_matrix, saturated_test, spurious_signal
from stats.validation.pulls import PULLS

SQRT_S = 13_000.0
EDGES = np.linspace(2000.0, 7000.0, 51)
TWO, THREE = dijet(2, sqrt_s=SQRT_S), dijet(3, sqrt_s=SQRT_S)
MASSES = (2500.0, 3500.0, 5000.0)
WIDTHS = (0.03, 0.05, 0.1)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toys", type=int, default=2000, help="toys per mass, width and strength")
    parser.add_argument("--spectra", type=int, default=400, help="spectra whose p-values are tested")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    expected = BinnedFamily(THREE, EDGES).expected(np.array([0.0, 10.0, 5.0]))
    shape = expected / expected.sum()
    _pulls(shape, options.toys, options.workers)
    _uniformity(shape, options.spectra, options.workers)
    _wrong(shape, options.workers)


def _pulls(shape: np.ndarray, toys: int, workers: int) -> None:
    print(f"mean pull of 0, 2, 5 sigma, dijet3 on dijet3, {toys} toys each (error {toys**-0.5:.3f})")
    print("events    mass width  error  |  " + "  |  ".join(f"{kind:^20}" for kind in PULLS) + "  |  failed  at bound")
    for events in (100.0, 300.0, 1e3, 3e3, 1e4, 1e5, 1e6):
        spectrum = Spectrum.from_counts(EDGES, np.round(events * shape * 1e6) / 1e6)
        for width in WIDTHS:
            for rows in _rows(spectrum, width, toys, workers):
                first = rows[0][0]
                numbers = "  |  ".join(" ".join(f"{point.mean:+.3f}" for point in row) for row in rows)
                failed, bounded = (sum(getattr(p, name) for p in rows[0]) for name in ("failed", "bounded"))
                place = f"{events:7.0f}  {first.mass:6.0f} {width:5.2f} {first.expected_error:6.1f}"
                print(f"{place}  |  {numbers}  |  {failed:6d}  {bounded / toys / 3:8.3f}", flush=True)


def _rows(spectrum: Spectrum, width: float, toys: int, workers: int) -> Iterator[list[tuple[PullPoint, ...]]]:
    """For each mass the points of each definition, all from the same toys."""
    matrices = [
        bias_matrix(
            spectrum, [THREE], fits=[THREE], masses=MASSES, width=width, toys=toys, pull=pull, workers=workers,
            rng=np.random.default_rng(1),
        )
        for pull in PULLS
    ]  # fmt: skip
    for index in range(len(MASSES)):
        yield [matrix.pairs[0].points[3 * index : 3 * index + 3] for matrix in matrices]


def _uniformity(shape: np.ndarray, spectra: int, workers: int) -> None:
    print(f"\np of the saturated test under the truth, {spectra} spectra with 400 toys each")
    for events in (100.0, 1e3, 1e4, 1e6):
        rng, start = np.random.default_rng(2), time.perf_counter()
        results = [
            saturated_test(Spectrum.from_counts(EDGES, counts), THREE, toys=400, rng=rng, workers=workers)
            for counts in rng.poisson(events * shape, size=(spectra, shape.size))
        ]
        seconds = time.perf_counter() - start
        failed = sum(result.failed for result in results) / (400 * spectra)
        uniform = [kstest(values, "uniform").pvalue for values in (
            [result.p.value for result in results], [result.chi2_p.value for result in results],
            [result.asymptotic_p for result in results],
        )]  # fmt: skip
        print(
            f"{events:8.0f} events: KS p {uniform[0]:.3f} (deviance), {uniform[1]:.3f} (chi2), {uniform[2]:.1e} "
            f"(asymptotic deviance); failed {failed:.1e}; {400 * spectra / seconds:.0f} toys/s",
            flush=True,
        )


def _wrong(shape: np.ndarray, workers: int) -> None:
    print("\ntwo parameters fitted to a three-parameter truth")
    for events in (1e3, 3e3, 1e4, 1e5):
        rng = np.random.default_rng(3)
        counts = rng.poisson(events * shape, size=(100, shape.size))
        tests = [
            saturated_test(Spectrum.from_counts(EDGES, row), TWO, toys=200, rng=rng, workers=workers) for row in counts
        ]
        data = Spectrum.from_counts(EDGES, counts[0])
        pair = bias_matrix(data, [THREE], fits=[TWO], masses=MASSES, toys=1000, rng=rng, workers=workers).pairs[0]
        spurious = spurious_signal(data, TWO, truth=THREE, masses=np.linspace(2300, 5000, 28))
        worst = "no pull" if pair.worst is None else f"{pair.worst.mean:+.1f}"
        caught = [np.mean([value < 0.05 for value in values]) for values in (
            [test.p.value for test in tests], [test.chi2_p.value for test in tests],
        )]  # fmt: skip
        print(
            f"{events:8.0f} events: p < 0.05 in {caught[0]:.0%} (deviance), {caught[1]:.0%} (chi2) of 100 spectra; "
            f"bias {pair.verdict} ({worst}); spurious signal {spurious.verdict} "
            f"({np.nanmax(np.abs(spurious.ratio)):.1f} sigma)",
            flush=True,
        )


if __name__ == "__main__":
    main()
