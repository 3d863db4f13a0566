"""Limits beside pyhf's defaults, full bands over a mass grid, and −log L beside SLSQP and minuit.

Run ``python -m tests.benchmarks.limits [baseline|bands|models|toys] …``; without a name, all of them. It ends with 1
where an aim is missed. The baseline is ``limit_pyhf_default.py`` in the folder that the environment variable
DARKHORSE_BASELINES names, else ../shared/baselines; where it is missing, a model of the same kind made here. It takes
more than a minute, and the models take about half an hour, nearly all of it pyhf's.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyhf

from stats import BinnedFamily, Spectrum, dijet, resonance_limits, upper_limit
from stats.histfactory import CompiledModel
from stats.minimiser import NewtonOptimizer, pyhf_session
from tests.stats.histfactory.randommodels import random_model

PROJECT = Path(__file__).resolve().parents[2]
BASELINES = Path(os.environ.get("DARKHORSE_BASELINES", PROJECT.parent / "shared" / "baselines"))
AIM = 40.0
BANDS_AIM = 20.0  # seconds
# base seed (none that a test or the choice of a setting has seen), number, most channels, most bins of random models
MODELS = ((20261, 120, 3, 20), (20262, 300, 2, 6))
EXCESS = 1e-6
TOYS_AIM = 1e-3  # share of toys without a fit


def baseline() -> tuple[Any, list[float]]:
    """pyhf model and observed counts of the shared baseline, or of one like it where that is missing."""
    peer = _shared_baseline()
    if peer is not None:
        return peer.model(3500.0), [float(count) for count in peer.data]
    print(f"{BASELINES / 'limit_pyhf_default.py'} is missing: 50 bins and 50 nuisances of this module instead")
    edges = np.linspace(2000.0, 7000.0, 51)
    masses = 0.5 * (edges[1:] + edges[:-1])
    falling = np.exp(-masses / 600.0)
    background = 2e4 * falling / falling.sum()
    peak = np.exp(-0.5 * ((masses - 3500.0) / 105.0) ** 2)
    signal = 50.0 * peak / peak.sum()
    samples = (values.tolist() for values in (signal, background, 0.03 * background))
    pdf = pyhf.simplemodels.uncorrelated_background(*samples, validate=False)
    return pdf, np.random.default_rng(5).poisson(background + signal).astype(float).tolist()


def _shared_baseline() -> ModuleType | None:
    path = BASELINES / "limit_pyhf_default.py"
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("limit_pyhf_default", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pyhf_limit(pdf: Any, data: list[float]) -> list[float]:
    """Observed and five expected limits by pyhf's ``upper_limit``, with whatever optimiser is installed."""
    observed, band = pyhf.infer.intervals.upper_limits.upper_limit(data, pdf, level=0.05, rtol=1e-3)
    return [float(observed), *(float(b) for b in band)]


def limit_beside_pyhf() -> bool:
    """Print the times of one limit on the 50-bin, 50-nuisance model, their ratios, and how far the limits differ.

    Both this package's limit and pyhf's own search with this package's minimiser have to reach the aim.
    """
    pdf, observations = baseline()
    data = observations + pdf.config.auxdata
    workspace = {
        "version": "1.0.0",
        "channels": pdf.spec["channels"],
        "observations": [{"name": pdf.config.channels[0], "data": observations}],
        "measurements": [{"name": "limit", "config": {"poi": "mu", "parameters": []}}],
    }
    ours, ours_seconds = _best_of(3, lambda: upper_limit(workspace))
    with pyhf_session() as newton:
        replaced, replaced_seconds = _best_of(3, lambda: pyhf_limit(pdf, data))
        print(f"fits by Newton's method: {newton.fits}, {newton.fallbacks} of them handed on")
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer())
    theirs, seconds = _best_of(1, lambda: pyhf_limit(pdf, data))
    print(f"pyhf's default: {seconds:.1f} s, {np.round(theirs, 4)}")
    reached = True
    for name, values, taken in (
        ("stats.upper_limit", [ours.observed, *ours.expected], ours_seconds),
        ("pyhf's upper_limit with NewtonOptimizer", replaced, replaced_seconds),
    ):
        apart = np.max(np.abs(np.array(values) / np.array(theirs) - 1.0))
        print(f"{name}: {taken:.2f} s, {np.round(values, 4)}, at most {apart:.1%} from pyhf's")
        reached &= _judged(seconds / taken >= AIM, f"  ratio: {seconds / taken:.0f} (aim: {AIM:.0f})")
    _cls_at(pdf, data, theirs[0], replaced[0])
    return reached


def _judged(reached: bool, line: str) -> bool:
    """Print a result, and whether it misses its aim."""
    print(line if reached else f"{line}  MISSED", flush=True)
    return reached


def _cls_at(pdf: Any, data: list[float], *limits: float) -> None:
    """Print CLs at limits, by the minimiser that finds lower −log L: which of them is right."""
    with pyhf_session():
        values = [float(pyhf.infer.hypotest(limit, data, pdf, test_stat="qtilde")) for limit in limits]
    print(f"CLs with Newton's fits at pyhf's observed limit: {values[0]:.4f}, at its own: {values[1]:.4f}")


def bands() -> bool:
    """Print the time of observed and expected limits at 40 masses with shape nuisances."""
    reached = True
    edges = np.linspace(2000.0, 7000.0, 51)
    masses = np.linspace(2300.0, 5400.0, 40)
    for order in (3, 4):
        family = dijet(order, sqrt_s=13000.0)
        shape = BinnedFamily(family, edges).expected(np.array([0.0, 10.0, 5.0, 0.0])[:order])
        counts = np.random.default_rng(1).poisson(2e4 * shape / shape.sum())
        spectrum = Spectrum.from_counts(edges, counts)
        start = time.perf_counter()
        limits = resonance_limits(spectrum, family, masses=masses, width=0.03)
        seconds = time.perf_counter() - start
        failed, points = sum(limit.failed_fits for limit in limits), sum(len(limit.scan) for limit in limits)
        reached &= _judged(
            seconds <= BANDS_AIM and not failed,
            f"bands, dijet with {order} parameters, {len(limits)} masses: {seconds:.1f} s (aim: {BANDS_AIM:.0f} s), "
            f"{points} points, {failed} failed fits",
        )
    return reached


def models() -> bool:
    """Compare −log L with pyhf's best on all random models; says nothing of pyhf's own failures but their number."""
    previous = pyhf.get_backend()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reached = [_models(*choice) for choice in MODELS]
    finally:
        logging.disable(logging.NOTSET)
        pyhf.set_backend(*previous)
    return all(reached)


def _models(base: int, number: int, channels: int, bins: int) -> bool:
    """Print the largest excess of −log L over pyhf's best on random models, free and with the signal fixed."""
    peers = {"SLSQP": pyhf.optimize.scipy_optimizer()}
    if importlib.util.find_spec("iminuit") is not None:
        peers["minuit"] = pyhf.optimize.minuit_optimizer()
    newton = NewtonOptimizer()
    seconds = dict.fromkeys(["Newton", *peers], 0.0)
    above, failed = dict.fromkeys(peers, 0), dict.fromkeys(["Newton", *peers], 0)
    excesses = []
    for seed in range(number):
        pdf, data = random_model(np.random.default_rng([base, seed]), channels=channels, bins=bins)
        for poi in (None, 0.7):
            values = {}
            for name, optimizer in {"Newton": newton, **peers}.items():
                start = time.perf_counter()
                values[name] = _half_minimum(optimizer, pdf, data, poi)
                seconds[name] += time.perf_counter() - start
                failed[name] += not np.isfinite(values[name])
            best = min(values[name] for name in peers)
            # where pyhf's own fail, there is nothing to compare with
            excesses.append(values["Newton"] - best if np.isfinite(best) else -np.inf)
            for name in peers:
                above[name] += np.isfinite(values[name]) and values[name] > values["Newton"] + EXCESS
    print(f"{number} random models of up to {channels} channels and {bins} bins (seeds [{base}, 0 to {number - 1}]),")
    print(f"{len(excesses)} fits: Newton's −log L less the best of {list(peers)}:")
    higher = sum(excess > EXCESS for excess in excesses)
    reached = _judged(
        not higher,
        f"  at most {max(excesses):.1e} (aim: {EXCESS:.0e}), {higher} above the aim; {newton.fallbacks} handed "
        "to pyhf's own optimiser",
    )
    for name, taken in seconds.items():
        worse = f", {above[name]} more than {EXCESS:.0e} above Newton's" if name in above else ""
        print(f"  {name}: {taken / len(excesses) * 1e3:.0f} ms per fit, {failed[name]} failed{worse}")
    return reached


def toys() -> bool:
    """Print the time of a fit to a pseudo-experiment with ten nuisances, data and start handed over as arrays."""
    rng = np.random.default_rng(1)
    background = 1e3 * np.exp(-np.arange(20) / 5.0)
    shapes = [
        {
            "name": f"shape_{k}",
            "type": "histosys",
            "data": {
                "hi_data": (background * (1 + 0.05 * np.cos(k * np.arange(20) / 3))).tolist(),
                "lo_data": (background * (1 - 0.05 * np.cos(k * np.arange(20) / 3))).tolist(),
            },
        }
        for k in range(10)
    ]
    signal = 30 * np.exp(-0.5 * ((np.arange(20) - 10) / 2.0) ** 2)
    mu = {"name": "mu", "type": "normfactor", "data": None}
    samples = [
        {"name": "signal", "data": signal.tolist(), "modifiers": [mu]},
        {"name": "background", "data": background.tolist(), "modifiers": shapes},
    ]
    pdf = pyhf.Model({"channels": [{"name": "c", "samples": samples}]}, validate=False)
    model = CompiledModel(pdf)
    data = [np.concatenate([rng.poisson(background), rng.normal(size=10)]) for _ in range(500)]
    fits, taken = _best_of(3, lambda: [model.fit(toy) for toy in data])
    converged = sum(fit.converged for fit in fits)
    return _judged(
        converged >= (1.0 - TOYS_AIM) * len(data),
        f"toys: {taken / len(data) * 1e3:.2f} ms per fit with 10 nuisances, {converged} of {len(data)} converged",
    )


def _half_minimum(optimizer: Any, pdf: Any, data: np.ndarray, poi: float | None) -> float:
    pyhf.set_backend("numpy", optimizer)
    try:
        if poi is None:
            _, value = pyhf.infer.mle.fit(data, pdf, return_fitted_val=True)
        else:
            _, value = pyhf.infer.mle.fixed_poi_fit(poi, data, pdf, return_fitted_val=True)
    except (pyhf.exceptions.FailedMinimization, AttributeError):  # the latter when minuit has no covariance
        return np.inf
    return 0.5 * float(value)


def _best_of(repetitions: int, task: Any) -> tuple[Any, float]:
    taken = []
    for _ in range(repetitions):
        start = time.perf_counter()
        answer = task()
        taken.append(time.perf_counter() - start)
    return answer, min(taken)


def main(names: Sequence[str] = ()) -> int:
    """Run the parts that are named, or all; return 1 where an aim is missed."""
    parts = {"bands": bands, "toys": toys, "baseline": limit_beside_pyhf, "models": models}
    reached = [parts[name]() for name in names or parts]  # all of them, whatever the first says
    return 0 if all(reached) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
