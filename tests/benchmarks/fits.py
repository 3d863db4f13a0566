"""Background fits per second beside iminuit's on the same pseudo-experiments; and what toys and limits take.

Run ``python -m tests.benchmarks.fits``. The baseline is ``toys_iminuit.py`` in the folder that the environment variable
DARKHORSE_BASELINES names, else ../shared/baselines; without it only this project's numbers are printed.
"""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from stats import (
    BinnedFamily,
    Spectrum,
    bump_hunt,
    dijet,
    fit_background,
    gaussian_template,
    resonance_workspace,
    upper_limit,
)
from stats.functions import CENTRE

PROJECT = Path(__file__).resolve().parents[2]
BASELINES = Path(os.environ.get("DARKHORSE_BASELINES", PROJECT.parent / "shared" / "baselines"))
EDGES = np.linspace(2000.0, 7000.0, 51)
SPECTRA = 10_000
COMPARED = 200
AIM = 200.0


def baseline() -> ModuleType | None:
    """The shared baseline as a module, or None where it or iminuit is missing."""
    path = BASELINES / "toys_iminuit.py"
    if not path.is_file() or importlib.util.find_spec("iminuit") is None:
        return None
    spec = importlib.util.spec_from_file_location("toys_iminuit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fits_beside_iminuit(expected: np.ndarray) -> None:
    """Print both rates, the difference in −log L and the ratio, best of three of ours."""
    toys = np.random.default_rng(1).poisson(expected, size=(SPECTRA, expected.size))
    model = BinnedFamily(dijet(3, sqrt_s=13000.0), EDGES, nodes=CENTRE)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        fits = fit_background(model, toys)
        seconds.append(time.perf_counter() - start)
    ours = SPECTRA / min(seconds)
    print(f"batched: {ours:,.0f} fits per second, {fits.converged.sum()} of {SPECTRA} converged")
    peer = baseline()
    if peer is None:
        print(f"no baseline: {BASELINES / 'toys_iminuit.py'} or iminuit is missing")
        return
    start = time.perf_counter()
    peers = [peer.fit(toy) for toy in toys[:COMPARED]]
    theirs = COMPARED / (time.perf_counter() - start)
    above = fits.minimum.value[:COMPARED] - np.array([fit.fval for fit in peers])
    print(f"iminuit: {theirs:,.0f} fits per second, {sum(fit.valid for fit in peers)} of {COMPARED} valid")
    print(f"−log L of ours less iminuit's: at most {above.max():.1e}, at least {above.min():.1e}")
    print(f"ratio: {ours / theirs:.0f} (aim: {AIM:.0f})")


def toys_and_limit(expected: np.ndarray) -> None:
    """Print the time of a global p-value from 10,000 toys over 40 masses, and of one limit."""
    signal = 60 * gaussian_template(EDGES, 3500.0, width=0.03)
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(2).poisson(expected + signal))
    family = dijet(3, sqrt_s=13000.0)
    masses = np.linspace(2300.0, 6200.0, 40)
    for workers in (1, 2):
        start = time.perf_counter()
        hunt = bump_hunt(spectrum, family, masses=masses, toys=SPECTRA, rng=np.random.default_rng(3), workers=workers)
        seconds = time.perf_counter() - start
        assert hunt.global_p is not None
        print(
            f"global p, {SPECTRA} toys × 40 masses, {workers} thread(s): {seconds:.1f} s, p = {hunt.global_p.value:.4f}"
        )
    start = time.perf_counter()
    limit = upper_limit(resonance_workspace(spectrum, family, mass=3500.0, width=0.03))
    print(
        f"one limit, observed and expected: {time.perf_counter() - start:.2f} s, {len(limit.scan)} points, "
        f"{limit.failed_fits} failed fits"
    )


def main() -> None:
    """Print all of it."""
    centres = 0.5 * (EDGES[1:] + EDGES[:-1]) / 13000.0
    expected = (1 - centres) ** 10 / centres**5
    expected *= 2e4 / expected.sum()
    fits_beside_iminuit(expected)
    toys_and_limit(expected)


if __name__ == "__main__":
    main()
