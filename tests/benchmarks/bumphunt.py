"""Global p-values from 10,000 toys, the whole procedure in each, beside pyBumpHunter's without refitting.

Run ``python -m tests.benchmarks.bumphunt [threads]``; needs the ``benchmark`` extra. Spectrum: 50 bins, 20,000 events,
three parameters. This project fits the background again in every toy, then a signal at 40 masses, or tests every window
of 2 to 6 bins. pyBumpHunter compares every toy with one fixed background in the same windows of 2 to 6 bins, 200 to
600 GeV, which is what a peak of 3% between 2300 and 6200 GeV fills (±1.4 standard deviations). It takes its histograms
ready-made; it runs with one thread and with as many as this project, and the faster counts.

``python -m tests.benchmarks.bumphunt calibration [spectra]`` asks instead how often the global p-values happen: 1000
background-only spectra of 25 bins and 2000 events (of 300 for the BumpHunter), each searched with 199 toys from its own
fit, data and toys of independent seeds: the likelihood, the BumpHunter, four nested selections combined, and an order
chosen on the spectrum. For the last two the same spectra are given toys that are wrong, too: of independent selections,
and with the order fixed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.stats import kstest

from stats import BinnedFamily, BumpHunter, Family, GlobalP, Spectrum, bump_hunt, combine_hunts, dijet, toy_p
from stats.lookelsewhere import run_toys
from stats.ordered import OrderedProcedure

EDGES = np.linspace(2000.0, 7000.0, 51)
MASSES = np.linspace(2300.0, 6200.0, 40)
TOYS = 10_000
ROUNDS = 3
WIDTHS = (2, 6)
AIM = 3.0

COARSE = np.linspace(2000.0, 7000.0, 26)
FEW = np.linspace(2500.0, 4500.0, 5)
CALIBRATION_TOYS = 199
Found = tuple[GlobalP, ...]  # of one spectrum: by the right toys, and by the wrong ones


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


def truth(events: float) -> np.ndarray:
    """Background of the calibration, shape (25,)."""
    expected = BinnedFamily(dijet(2, sqrt_s=13000.0), COARSE).expected(np.array([0.0, 6.0]))
    return events * expected / expected.sum()


def searched(statistic: str, rng: np.random.Generator, toys_rng: np.random.Generator) -> Found:
    """One spectrum, one background function."""
    likelihood = statistic == "likelihood"
    spectrum = Spectrum.from_counts(COARSE, rng.poisson(truth(2000 if likelihood else 300)))
    windows = None if likelihood else BumpHunter(widths=range(2, 6))
    options = {"statistic": statistic, "windows": windows, "toys": CALIBRATION_TOYS, "rng": toys_rng}
    hunt = bump_hunt(spectrum, dijet(2, sqrt_s=13000.0), masses=FEW, widths=[0.05, 0.1], **options)
    assert hunt.global_p is not None
    return (hunt.global_p,)


def combined(rng: np.random.Generator, toys_rng: np.random.Generator) -> Found:
    """Four nested selections that nearly coincide; then as if they were independent."""
    counts = rng.poisson(np.multiply.outer([1, 0.02, 0.02, 0.02], truth(2000))).cumsum(axis=0)
    family = dijet(2, sqrt_s=13000.0)
    hunts = [bump_hunt(Spectrum.from_counts(COARSE, one), family, masses=FEW, widths=[0.05]) for one in counts]
    kinds = ("nested", "independent")
    parts = [combine_hunts(hunts, toys=CALIBRATION_TOYS, rng=toys_rng, correlation=kind) for kind in kinds]
    return parts[0].global_p, parts[1].global_p


def ordered(rng: np.random.Generator, toys_rng: np.random.Generator) -> Found:
    """2 to 4 parameters, chosen on the spectrum by an F-test at 0.5; then with the order fixed."""
    spectrum = Spectrum.from_counts(COARSE, rng.poisson(truth(2000)))
    families = [dijet(number, sqrt_s=13000.0) for number in (2, 3, 4)]
    options = {"threshold": 0.5, "toys": CALIBRATION_TOYS, "rng": toys_rng}
    hunt = bump_hunt(spectrum, families, masses=FEW, widths=[0.3], **options)
    assert hunt.global_p is not None
    assert isinstance(hunt.procedure, OrderedProcedure)
    fixed = run_toys(hunt.procedure.choices[hunt.procedure.chosen], toys=CALIBRATION_TOYS, rng=toys_rng)
    return hunt.global_p, toy_p(hunt.best_statistic, fixed)


def calibrate(spectra: int) -> None:
    """Print how the global p-values of background-only spectra are distributed."""
    kinds: dict[str, tuple[Callable[[np.random.Generator, np.random.Generator], Found], tuple[str, ...]]] = {
        "likelihood": (partial(searched, "likelihood"), ("",)),
        "bumphunter": (partial(searched, "bumphunter"), ("",)),
        "combined": (combined, ("events shared", "WRONG: independent toys")),
        "order chosen": (ordered, ("toys choose", "WRONG: order fixed")),
    }
    for number, (name, (search, labels)) in enumerate(kinds.items()):
        rng, seeds = np.random.default_rng([7, number]), np.random.default_rng([8, number]).spawn(spectra)
        found = [search(rng, seed) for seed in seeds]
        for label, column in zip(labels, zip(*found, strict=True), strict=True):
            p = np.array([part.value for part in column])
            test, failed = kstest(p, "uniform"), sum(part.failed for part in column)
            below = ", ".join(f"{np.mean(p <= level):.4f} at most {level}" for level in (0.05, 0.5))
            print(
                f"{name}{', ' if label else ''}{label}: {spectra} spectra x {CALIBRATION_TOYS} toys, KS D = "
                f"{test.statistic:.4f} (p = {test.pvalue:.2g}); {below}; {failed} toys failed",
                flush=True,
            )


def main() -> None:
    """Print times and ratios, or the calibration."""
    if sys.argv[1:2] == ["calibration"]:
        calibrate(int(sys.argv[2]) if len(sys.argv) > 2 else 1000)
        return
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
