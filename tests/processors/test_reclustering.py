"""Jets inside fat jets: momenta add up, radii hold, and edge cases."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from processors.momenta import four_momenta
from processors.reclustering import Subjets, recluster
from tests.processors.ttbar_events import random_event

SETTINGS: dict[str, Any] = {"fat_radius": 1.0, "radius": 0.2, "min_fat_jet_pt": 20, "min_jet_pt": 0}


def ragged(events: list[list[tuple[float, float, float, float]]]) -> ak.Array:
    """Particles (pt, eta, phi, mass) of events."""
    flat = np.array([row for event in events for row in event], dtype=float).reshape(-1, 4)
    counts = np.array([len(event) for event in events], dtype=np.int64)
    return ak.zip({name: ak.unflatten(flat[:, i], counts) for i, name in enumerate(("pt", "eta", "phi", "mass"))})


def top_like(n_events: int, *, seed: int) -> ak.Array:
    rng = np.random.default_rng(seed)
    return ragged([[p[:4] for p in random_event(rng).particles] for _ in range(n_events)])


def total(jets: Subjets, *, fat: bool) -> np.ndarray:
    """(4, n, 2): momentum of each fat jet, its own or the sum of the jets inside."""
    prefix = "fat_" if fat else ""
    values = [np.nan_to_num(getattr(jets, f"{prefix}{name}")) for name in ("pt", "eta", "phi", "mass")]
    momenta = four_momenta(*(v.ravel() for v in values), offsets=np.array([0, values[0].size]))
    momenta = momenta.reshape(4, *values[0].shape)
    return momenta if fat else momenta.sum(axis=3)


def test_jets_add_up_to_their_fat_jet() -> None:
    jets = recluster(top_like(40, seed=1), **SETTINGS)
    assert np.isfinite(jets.fat_pt).all()
    assert (np.isfinite(jets.pt).sum(axis=2) > 2).any()
    np.testing.assert_allclose(total(jets, fat=False), total(jets, fat=True), rtol=1e-9, atol=1e-6)
    assert (np.diff(jets.fat_pt, axis=1) <= 0).all()
    assert (np.diff(np.nan_to_num(jets.pt), axis=2) <= 0).all()


def test_cut_drops_soft_jets_and_nothing_else() -> None:
    particles = top_like(20, seed=2)
    everything, hard = recluster(particles, **SETTINGS), recluster(particles, **SETTINGS | {"min_jet_pt": 30})
    kept = everything.pt >= 30
    assert 0 < kept.sum() < np.isfinite(everything.pt).sum()
    for name in ("pt", "eta", "phi", "mass"):
        np.testing.assert_array_equal(getattr(everything, name)[kept], getattr(hard, name)[hard.pt >= 30])
    assert not (hard.pt < 30).any()


@pytest.mark.parametrize(("distance", "fat", "inside"), [(0.19, 1, 1), (0.21, 1, 2), (0.99, 1, 2), (1.01, 2, 1)])
def test_radii(distance: float, fat: int, inside: int) -> None:
    jets = recluster(ragged([[(100, 0, 1, 0), (90, distance, 1, 0)]]), **SETTINGS)
    assert np.isfinite(jets.fat_pt).sum() == fat
    assert np.isfinite(jets.pt[0, 0]).sum() == inside


def test_few_particles() -> None:
    """No particle, one particle, two fat jets of one particle each, one of them too soft."""
    one, other = (100, 0, 0, 0.14), (50, 1, 3, 0.14)
    jets = recluster(ragged([[], [one], [one, other], [one, (19, 1, 3, 0)], []]), **SETTINGS)
    assert np.isfinite(jets.fat_pt).sum(axis=1).tolist() == [0, 1, 2, 1, 0]
    assert np.isfinite(jets.pt).sum(axis=(1, 2)).tolist() == [0, 1, 2, 1, 0]
    assert jets.pt[2, :, 0].tolist() == pytest.approx([100, 50])
    assert jets.mass[2, :, 0].tolist() == pytest.approx([0.14, 0.14], abs=1e-4)
    assert recluster(ragged([]), **SETTINGS).fat_pt.shape == (0, 2)


def test_fat_jets_with_more_jets_than_usual() -> None:
    """A grid of 25 particles 0.25 apart in one fat jet: all are kept, and an event beside it does not change."""
    grid = [(10.0 + i, 0.25 * (i % 5), 0.25 * (i // 5), 0.0) for i in range(25)]
    few = [(100.0, 0.0, 0.0, 0.0), (90.0, 0.5, 0.0, 0.0)]
    jets = recluster(ragged([grid, few]), **SETTINGS)
    assert np.isfinite(jets.pt[0]).sum() == 25
    alone = recluster(ragged([few]), **SETTINGS)
    for name in ("pt", "eta", "phi", "mass"):
        np.testing.assert_array_equal(getattr(alone, name)[0, :, :2], getattr(jets, name)[1, :, :2])
