"""Constituents of jets prepared for networks, beside the same with NumPy on padded arrays, in jets per second.

``python -m tests.benchmarks.constituents`` makes the same four-momenta both ways, in turns, and fails where they differ
or the compiled loop makes fewer than 200,000 jets per second.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import numpy as np

from processors.constituents import JetConstituents
from tests.benchmarks.images import synthetic_jets

WANTED = 200_000  # jets per second
_BATCH = 1024


def prepared_in_numpy(momenta: np.ndarray) -> np.ndarray:
    """E, px, py, pz (n, count, 4), boosted, centred and turned, from those of jets; both are padded with zeros."""
    jet = momenta.sum(axis=1)
    beta = (jet[:, 3] / jet[:, 0])[:, None]
    gamma = 1 / np.sqrt(1 - beta**2)
    energy, px, py, pz = np.moveaxis(momenta, 2, 0)
    energy, pz = gamma * (energy - beta * pz), gamma * (pz - beta * energy)
    phi = np.arctan2(jet[:, 2], jet[:, 1])[:, None]
    px, py = px * np.cos(phi) + py * np.sin(phi), py * np.cos(phi) - px * np.sin(phi)
    across = np.where(np.hypot(py, pz) > 0, np.hypot(py, pz), 1)
    angle = np.arctan2((energy * pz / across).sum(1), (energy * py / across).sum(1))[:, None]
    py, pz = py * np.cos(angle) + pz * np.sin(angle), pz * np.cos(angle) - py * np.sin(angle)
    return np.stack([energy, px, py, pz], axis=2)


def padded(offsets: np.ndarray, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, *, count: int) -> np.ndarray:
    """Four-momenta (n, count, 4) of massless constituents that come hardest first."""
    momenta = np.zeros((len(offsets) - 1, count, 4))
    for jet, (first, last) in enumerate(itertools.pairwise(offsets)):
        p, e, f = (values[first : min(last, first + count)].astype(np.float64) for values in (pt, eta, phi))
        momenta[jet, : len(p)] = np.stack([p * np.cosh(e), p * np.cos(f), p * np.sin(f), p * np.sinh(e)], axis=1)
    return momenta


def compare(n_jets: int, repeats: int) -> float:
    """Print and return the median of jets per second of the compiled loop; AssertionError if four-momenta differ."""
    jets = synthetic_jets(n_jets)
    constituents = JetConstituents(*jets, mass=np.zeros(len(jets[1])))
    constituents(np.arange(2))  # compile
    rows = np.random.default_rng(1).permutation(n_jets)
    given = padded(*jets, count=constituents.count)
    rates: dict[str, list[float]] = {"compiled": [], "NumPy": []}
    for _ in range(repeats):
        start = time.process_time()
        fast = np.concatenate([constituents(rows[i : i + _BATCH]) for i in range(0, n_jets, _BATCH)])
        middle = time.process_time()
        slow = prepared_in_numpy(given[rows])
        end = time.process_time()
        rates["compiled"].append(n_jets / (middle - start))
        rates["NumPy"].append(n_jets / (end - middle))
        scale = slow[..., 0].sum(axis=1)[:, None, None]
        assert (np.abs(fast - slow) / scale).max() < 1e-5
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):,.0f} jets/s ({min(values):,.0f} to {max(values):,.0f})")
    return statistics.median(rates["compiled"])


def main() -> int:
    """Run the comparison; return 1 where the loop is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    return int(compare(options.jets, options.repeats) < WANTED)


if __name__ == "__main__":
    raise SystemExit(main())
