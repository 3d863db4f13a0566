"""Toy jets of one or two prongs as four-momenta, and samples whose `batch` gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml import Sample

COUNT = 6


@dataclass(frozen=True)
class Stored:
    """Momenta in memory as a `batch`: at the top of a module, so that it can be pickled."""

    momenta: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.momenta[rows]


def jets(n: int, *, prongs: int, seed: int, count: int = COUNT) -> np.ndarray:
    """Massless constituents (n, count, 4), hardest first, as (E, px, py, pz) in GeV: one prong of a width that varies,
    or two on the vertical whose distance varies, so that either has masses of a wide spectrum."""
    rng = np.random.default_rng(seed)
    share = np.sort(rng.exponential(1, (n, count)), axis=1)[:, ::-1]
    pt = 500 * share / share.sum(axis=1, keepdims=True)
    spread = rng.uniform(0.05, 0.5, (n, 1)) if prongs == 1 else rng.uniform(0.01, 1.0, (n, 1))
    eta, phi = rng.normal(0, 1, (2, n, count)) * (spread if prongs == 1 else 0.02)
    if prongs == 2:
        phi = phi + spread * np.where(np.arange(count) % 2, 1, -1)
    return np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)


def masses(momenta: np.ndarray) -> np.ndarray:
    """Masses (…,) in GeV of jets (…, count, 4)."""
    total = momenta.sum(axis=-2)
    return np.sqrt(np.maximum(total[..., 0] ** 2 - (total[..., 1:] ** 2).sum(axis=-1), 0))


def jet_sample(*each: np.ndarray, seed: int = 0) -> Sample:
    """Events with one jet (n, count, 4) or two, their masses as columns."""
    rng, n = np.random.default_rng(seed), len(each[0])
    momenta = np.stack(each, axis=1).astype(np.float32)
    return Sample(
        columns={f"j{i + 1}_m": column for i, column in enumerate(masses(momenta.astype(np.float64)).T)},
        mass=2500 + rng.exponential(500, n),
        weight=np.ones(n),
        fold=rng.integers(0, 2**32, n, dtype=np.uint32),
        event_id=np.arange(n),
        batch=Stored(momenta),
    )
