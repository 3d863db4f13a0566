"""Energy mover's distance between jets: the least work that turns the energy flow of one into that of another.

Source: P. T. Komiske, E. M. Metodiev, J. Thaler, arXiv:1902.02346; equation 6 of arXiv:2007.01850.
"""

from __future__ import annotations

import numpy as np

from ml.detector import Progress
from ml.errors import TrainingError

REPORTED = 1000  # jets between two calls of `progress`


def energy_movers_distance(first: np.ndarray, second: np.ndarray, *, radius: float = 1.0) -> float:
    """min Σ f_ij θ_ij/R + |ΣE_i − ΣE′_j| over all flows f_ij that move the smaller of the two energies; equation 6.

    θ_ij is the distance in η and φ, φ taken around the circle. The result has the unit of the energies. It is a metric
    where no θ_ij exceeds 2R.

    Args:
        first: (n, 3) energy (or transverse momentum), η and φ of each constituent; those of energy 0 are nothing.
        second: (m, 3) the same of the other jet.
        radius: R, what a distance costs as much as creating the energy does.

    Raises:
        TrainingError: energies that are negative, values that are not finite, or a radius that is not above 0.
    """
    import ot

    if not radius > 0:
        raise TrainingError(f"the radius of an energy mover's distance must be above 0: got {radius:g}")
    first, second = _present(first), _present(second)
    missing = float(first[:, 0].sum() - second[:, 0].sum())
    if not len(first) or not len(second):
        return abs(missing)
    eta, phi = (first[:, None, i] - second[None, :, i] for i in (1, 2))
    cost = np.hypot(eta, np.remainder(phi + np.pi, 2 * np.pi) - np.pi) / radius
    # what one jet has more comes from, or goes to, a place at distance R from everywhere
    if missing > 0:
        cost = np.hstack([cost, np.ones((len(first), 1))])
        second = np.vstack([second, [missing, 0, 0]])
    elif missing < 0:
        cost = np.vstack([cost, np.ones((1, len(second)))])
        first = np.vstack([first, [-missing, 0, 0]])
    total = first[:, 0].sum()
    # the solver wants both to have exactly the same sum
    return float(total * ot.emd2(first[:, 0] / total, second[:, 0] / second[:, 0].sum(), cost))


def energy_movers_distances(
    first: np.ndarray, second: np.ndarray, *, radius: float = 1.0, progress: Progress | None = None
) -> np.ndarray:
    """`energy_movers_distance` of each of n pairs of jets, (n,), from arrays (n, count, 3); a few thousand a second.

    `progress` is called after every thousand pairs.
    """
    if np.shape(first)[:1] != np.shape(second)[:1]:
        raise TrainingError(f"jets are compared pair by pair: got {len(first)} and {len(second)} of them")
    result = np.empty(len(first))
    for i, pair in enumerate(zip(first, second, strict=True)):
        result[i] = energy_movers_distance(*pair, radius=radius)
        if progress is not None and (i + 1) % REPORTED == 0:
            progress((i + 1) / len(result), f"{i + 1:,} of {len(result):,} energy mover's distances")
    return result


def energy_flow(momenta: np.ndarray) -> np.ndarray:
    """Share of the transverse momentum, η and φ, (…, count, 3), of four-momenta (…, count, 4): (E, px, py, pz) in GeV.

    The shares of a jet sum to 1, so that only how energy is distributed counts (section III.A). The transverse momentum
    stands for the energy of equation 6: a network's output need not be a physical momentum, but always has one.
    A constituent without transverse momentum has share, η and φ 0.
    """
    _, px, py, pz = np.moveaxis(np.asarray(momenta, np.float64), -1, 0)
    pt = np.hypot(px, py)
    there = pt > 0
    total = pt.sum(axis=-1, keepdims=True)
    share = np.divide(pt, total, out=np.zeros_like(pt), where=total > 0)
    eta = np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pt), where=there))
    return np.stack([share, eta, np.where(there, np.arctan2(py, px), 0.0)], axis=-1)


def _present(jet: np.ndarray) -> np.ndarray:
    jet = np.asarray(jet, np.float64)
    if jet.ndim != 2 or jet.shape[1] != 3:
        raise TrainingError(f"a jet is (constituents, 3), of energy, η and φ: got shape {jet.shape}")
    if not np.isfinite(jet).all() or (jet[:, 0] < 0).any():
        raise TrainingError("constituents of a jet have negative energies, or values that are NaN or infinite")
    return jet[jet[:, 0] > 0]
