"""Training of the jet autoencoder beside `keras.Model.fit`, and energy mover's distances beside a linear program.

Run as `python -m tests.benchmarks.jet_vae`. Both trainings have the same network, loss, optimiser, data and batches of
100, and take turns on the same cores as in `tests.benchmarks.training`, which this uses; once with one member and once
with several, which train side by side. A step of this network is 71 million floating-point operations, 0.7 ms of a core
that does 100 of them a nanosecond: what the engine saves is what Keras spends beside them, and no more. So it wants
twice the speed here, and not five times as for small networks. It ends with 1, and says why, where that is missed or
losses are more than 3 standard deviations apart.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron

from ml.energy_mover import energy_movers_distances
from tests.benchmarks.training import KerasProcess, compare_losses, compare_times
from tests.benchmarks.training_cases import jet_variational

MEMBERS, PAIRS, PROGRAMS, CONSTITUENTS = 4, 2000, 100, 20


def linear_program(first: np.ndarray, second: np.ndarray) -> float:
    """The distance of two jets (n, 3) of equal energy by SciPy's solver."""
    n = len(first)
    cost = np.linalg.norm(first[:, None, 1:] - second[None, :, 1:], axis=-1)
    rows, columns = kron(eye_array(n), np.ones((1, n))), kron(np.ones((1, n)), eye_array(n))
    limits = [*zip((rows, columns), (first[:, 0], second[:, 0]), strict=True)]
    # the last of the conditions follows from the others
    matrix = np.vstack([part.toarray() for part, _ in limits])[:-1]
    found = linprog(cost.ravel(), A_eq=matrix, b_eq=np.concatenate([e for _, e in limits])[:-1])
    return float(found.fun)


def compare_distances() -> str | None:
    """Print jets per second of both; returns what is wrong, if anything is."""
    rng = np.random.default_rng(0)
    energy = rng.dirichlet(np.ones(CONSTITUENTS), (2, PAIRS))
    jets = np.concatenate([energy[..., None], rng.normal(0, 0.3, (2, PAIRS, CONSTITUENTS, 2))], axis=-1)
    energy_movers_distances(jets[0, :1], jets[1, :1])  # imports
    started = time.perf_counter()
    ours = energy_movers_distances(*jets)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    theirs = [linear_program(*pair) for pair in zip(*jets[:, :PROGRAMS], strict=True)]
    apart = float(np.abs(ours[:PROGRAMS] - theirs).max())
    rate, other = PAIRS / seconds, PROGRAMS / (time.perf_counter() - started)
    print(
        f"load {os.getloadavg()[0]:.1f}, energy mover's distance of jets with {CONSTITUENTS} constituents: "
        f"{rate:,.0f} a second, linear program {other:,.0f} a second, ratio {rate / other:.0f}; apart by at most "
        f"{apart:.1g}"
    )
    return None if apart < 1e-6 else f"energy mover's distances are wrong by {apart:g}"


def main() -> int:
    """Print what is measured; returns 1 if something is not as wanted, and says what on stderr."""
    case, theirs = jet_variational(), KerasProcess("jet_vae")
    single = compare_times(case, theirs, members=1)
    if single:
        print(f"  one member alone: {single}")  # to be seen, and not wanted: it has one core
    wrong = [compare_times(case, theirs, members=MEMBERS), compare_losses(case, theirs)]
    theirs.close()
    failures = [message for message in (*wrong, compare_distances()) if message]
    for message in failures:
        print(f"jet_vae: {message}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
