"""Global p-values from 10,000 toys, the whole procedure in each, beside pyBumpHunter's without refitting.

Run ``python -m tests.benchmarks.bumphunt [threads]``; needs the ``benchmark`` extra. Spectrum: 50 bins, 20,000 events,
three parameters. This project fits the background again in every toy, then a signal at 40 masses, or tests every window
of 2 to 6 bins. pyBumpHunter compares every toy with one fixed background in the same windows of 2 to 6 bins, 200 to
600 GeV, which is what a peak of 3% between 2300 and 6200 GeV fills (±1.4 standard deviations). It takes its histograms
ready-made; it runs with one thread and with as many as this project, and the faster counts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import time
from collections.abc import Callable

import numpy as np

from stats import BinnedFamily, BumpHunter, Family, Spectrum, bump_hunt, dijet

EDGES = np.linspace(2000.0, 7000.0, 51)
MASSES = np.linspace(2300.0, 6200.0, 40)
TOYS = 10_000
ROUNDS = 3
WIDTHS = (2, 6)
AIM = 3.0


def seconds(call: Callable[[], object]) -> float:
    """Best of three, after one call that compiles."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def ours(spectrum: Spectrum, family: Family, *, statistic: str, threads: int, toys: int = TOYS) -> str:
    """Run one hunt; returns its result in words."""
    windows = BumpHunter(widths=range(WIDTHS[0], WIDTHS[1] + 1)) if statistic == "bumphunter" else None
    hunt = bump_hunt(
        spectrum,
        family,
        masses=MASSES,
        statistic=statistic,
        windows=windows,
        toys=toys,
        rng=np.random.default_rng(3),
        workers=threads,
    )
    assert hunt.global_p is not None
    return f"p = {hunt.global_p.value:.4f}, {hunt.global_p.failed} of {toys} toys failed"


def theirs(spectrum: Spectrum, expected: np.ndarray, *, threads: int) -> float:
    """Run pyBumpHunter; returns its global p-value."""
    import pyBumpHunter

    hunter = pyBumpHunter.BumpHunter1D(
        rang=(EDGES[0], EDGES[-1]),
        bins=EDGES,
        width_min=WIDTHS[0],
        width_max=WIDTHS[1],
        width_step=1,
        scan_step=1,
        npe=TOYS,
        nworker=threads,
        seed=1,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        hunter.bump_scan(spectrum.counts, expected, is_hist=True)
    return float(hunter.global_Pval)


def main() -> None:
    """Print times and ratios."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    family = dijet(3, sqrt_s=13000.0)
    expected = BinnedFamily(family, EDGES).expected(np.array([0.0, 10.0, 5.0]))
    expected *= 20_000 / expected.sum()
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(2).poisson(expected))
    times = {}
    for statistic in ("likelihood", "bumphunter"):
        ours(spectrum, family, statistic=statistic, threads=threads, toys=10)
        times[statistic] = seconds(lambda: ours(spectrum, family, statistic=statistic, threads=threads))  # noqa: B023
        words = ours(spectrum, family, statistic=statistic, threads=threads)
        print(f"{statistic}, {TOYS} toys with refit, {threads} thread(s): {times[statistic]:.2f} s, {words}")
    if importlib.util.find_spec("pyBumpHunter") is None:
        print("no comparison: pyBumpHunter is not installed")
        return
    peers = {number: seconds(lambda: theirs(spectrum, expected, threads=number)) for number in {1, threads}}  # noqa: B023
    for number, peer in peers.items():
        print(f"pyBumpHunter, {TOYS} toys without refit, {number} thread(s): {peer:.2f} s")
    for statistic, own in times.items():
        print(f"ratio, {statistic}: {own / min(peers.values()):.2f} (aim: at most {AIM:g})")


if __name__ == "__main__":
    main()
