"""Background fits per second beside iminuit's on the same pseudo-experiments; and what toys and limits take.

Run ``python -m tests.benchmarks.fits``. The baseline is ``toys_iminuit.py`` in the folder that the environment variable
DARKHORSE_BASELINES names, else ../shared/baselines; without either the same fit as written here (``IminuitFit``). Both
take a bin for its centre; the batched fits are timed so, and with the five nodes that are the default.
"""

from __future__ import annotations

import importlib.util
import os
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from stats import (
    FAMILIES,
    BinnedFamily,
    Spectrum,
    bump_hunt,
    dijet,
    family,
    fit_background,
    fit_signal,
    gaussian_template,
    orders,
    resonance_workspace,
    upper_limit,
)
from stats.fits import BackgroundFits
from stats.functions import CENTRE

PROJECT = Path(__file__).resolve().parents[2]
BASELINES = Path(os.environ.get("DARKHORSE_BASELINES", PROJECT.parent / "shared" / "baselines"))
EDGES = np.linspace(2000.0, 7000.0, 51)
SPECTRA = 10_000
COMPARED = 200
AIM = 200.0


class IminuitFit:
    """The three-parameter dijet function fitted to one spectrum at a time by MIGRAD, in numpy as one would write it."""

    def __init__(self) -> None:
        x = 0.5 * (EDGES[1:] + EDGES[:-1]) / 13000.0
        self.log_rest, self.log_x = np.log1p(-x), np.log(x)

    def fit(self, counts: np.ndarray) -> Any:
        """The minimum; ``fval`` is Σ E − n log E."""
        from iminuit import Minuit

        def nll(theta: np.ndarray) -> float:
            log_events = theta[0] + theta[1] * self.log_rest - theta[2] * self.log_x
            return float(np.exp(log_events).sum() - counts @ log_events)

        start = Minuit(nll, np.array([0.0, 10.0, 5.0]))
        start.errordef = Minuit.LIKELIHOOD
        return start.migrad()


def baseline() -> ModuleType | IminuitFit | None:
    """The shared baseline, or the one written here; None where iminuit is missing."""
    path = BASELINES / "toys_iminuit.py"
    if importlib.util.find_spec("iminuit") is None:
        return None
    if not path.is_file():
        return IminuitFit()
    spec = importlib.util.spec_from_file_location("toys_iminuit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fits_beside_iminuit(expected: np.ndarray) -> None:
    """Print all rates, the difference in −log L and the ratios, best of three of ours."""
    toys = np.random.default_rng(1).poisson(expected, size=(SPECTRA, expected.size))
    by_node, _ = batched(toys, nodes=5)
    ours, fits = batched(toys, nodes=CENTRE)
    peer = baseline()
    if peer is None:
        print("no baseline: iminuit is missing")
        return
    start = time.perf_counter()
    peers = [peer.fit(toy) for toy in toys[:COMPARED]]
    theirs = COMPARED / (time.perf_counter() - start)
    above = fits.minimum.value[:COMPARED] - np.array([fit.fval for fit in peers])
    print(f"iminuit: {theirs:,.0f} fits per second, {sum(fit.valid for fit in peers)} of {COMPARED} valid")
    print(f"−log L of ours less iminuit's: at most {above.max():.1e}, at least {above.min():.1e}")
    print(
        f"ratio: {ours / theirs:.0f} with bins as their centres, {by_node / theirs:.0f} with five nodes "
        f"(aim: {AIM:.0f})"
    )


def batched(toys: np.ndarray, *, nodes: int) -> tuple[float, BackgroundFits]:
    """Fits per second, the best of three, and the fits."""
    model = BinnedFamily(dijet(3, sqrt_s=13000.0), EDGES, nodes=nodes)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        fits = fit_background(model, toys)
        seconds.append(time.perf_counter() - start)
    rate = len(toys) / min(seconds)
    print(f"batched, {nodes} node(s): {rate:,.0f} fits per second, {fits.converged.sum()} of {len(toys)} converged")
    return rate, fits


def rates_of_families() -> None:
    """Print fits per second of every family on toys of its own, with and without signal."""
    centres = (0.5 * (EDGES[1:] + EDGES[:-1]) - EDGES[0]) / (EDGES[-1] - EDGES[0])
    gentle = 2e4 * np.exp(-3.0 * centres) / np.exp(-3.0 * centres).sum()
    template = gaussian_template(EDGES, 3500.0, width=0.03)
    for name in FAMILIES:
        n = 4 if 4 in orders(name) else orders(name)[-1]
        model = BinnedFamily(family(name, n, sqrt_s=13000.0, mass_range=(EDGES[0], EDGES[-1])), EDGES)
        reference = fit_background(model, gentle)
        toys = np.random.default_rng(4).poisson(reference.expected[0], size=(SPECTRA // 5, EDGES.size - 1))
        start = time.perf_counter()
        background = fit_background(model, toys, reference=reference)
        between = time.perf_counter()
        signal = fit_signal(background, template)
        end = time.perf_counter()
        failed = int((~background.converged).sum()), int((~signal.converged).sum())
        print(
            f"{name}, {n} parameters: {len(toys) / (between - start):,.0f} background and "
            f"{len(toys) / (end - between):,.0f} signal fits per second, "
            f"{failed[0]} and {failed[1]} of {len(toys)} failed"
        )


def failures_of_sparse_toys() -> None:
    """Print how many toys of sparse spectra have a failed fit anywhere in a scan, and how p0 behaves there."""
    edges, masses = np.linspace(3000.0, 6400.0, 35), np.arange(3200.0, 5001.0, 100.0)
    x = 0.5 * (edges[1:] + edges[:-1]) / 13000.0
    shape = (1 - x) ** 10 / x**5
    for events in (40, 150, 300, 500):
        for n in (3, 4):
            reference = fit_background(BinnedFamily(dijet(n, sqrt_s=13000.0), edges), events * shape / shape.sum())
            toys = np.random.default_rng(1).poisson(reference.expected[0], size=(SPECTRA, x.size))
            background = fit_background(reference.model, toys, reference=reference)
            fits = [fit_signal(background, gaussian_template(edges, mass, width=0.03)) for mass in masses]
            failed = np.any([~fit.converged for fit in fits], axis=0)
            significance = np.concatenate([fit.significance[fit.converged] for fit in fits])
            bounded = np.mean([fit.bounded for fit in fits])
            print(
                f"{events} events in {x.size} bins, dijet{n}: {failed.sum()} of {SPECTRA} toys with a failed fit among "
                f"{len(masses)} masses; beyond 2σ {np.mean(significance > 2):.4f} (normal: 0.0228), "
                f"beyond 3σ {np.mean(significance > 3):.5f} (normal: 0.00135), "
                f"below −2σ {np.mean(significance < -2):.4f}, at the bound {bounded:.3f}"
            )


def toys_and_limit(expected: np.ndarray) -> None:
    """Print the time of a global p-value from 10,000 toys over 40 masses, and of one limit."""
    signal = 60 * gaussian_template(EDGES, 3500.0, width=0.03)
    spectrum = Spectrum.from_counts(EDGES, np.random.default_rng(2).poisson(expected + signal))
    dijet3 = dijet(3, sqrt_s=13000.0)
    masses = np.linspace(2300.0, 6200.0, 40)
    for workers in (1, 2):
        start = time.perf_counter()
        hunt = bump_hunt(spectrum, dijet3, masses=masses, toys=SPECTRA, rng=np.random.default_rng(3), workers=workers)
        seconds = time.perf_counter() - start
        assert hunt.global_p is not None
        print(
            f"global p, {SPECTRA} toys × 40 masses, {workers} thread(s): {seconds:.1f} s, p = {hunt.global_p.value:.4f}"
        )
    start = time.perf_counter()
    limit = upper_limit(resonance_workspace(spectrum, dijet3, mass=3500.0, width=0.03))
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
    rates_of_families()
    failures_of_sparse_toys()
    toys_and_limit(expected)


if __name__ == "__main__":
    main()
