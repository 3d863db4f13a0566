"""Do ABCD estimates close, and are their significances and limits calibrated?

Toys with dependent scores and with signal, Poisson experiments in the regions, and real LHC Olympics background with
trees on each jet, ordered by transverse momentum and by mass. Run by `python -m tests.benchmarks.abcd [EXPERIMENTS]`;
it ends with 1 where independent scores do not close or limits cover too rarely.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from stats import count_plane, extended_estimate, plain_estimate, tag_n_train
from stats.abcd import Regions, abcd_workspace, even_strips, excess_significance, toy_closure
from stats.asymptotics import AsymptoticTest, open_workspace
from stats.minimiser import pyhf_session

BACKGROUND = {"A": 40.0, "B": 200.0, "C": 400.0, "D": 2000.0}
SHARES = {"A": 0.5, "B": 0.2, "C": 0.25, "D": 0.05}
TOYS = {"independent": {}, "correlation 0.05": {"correlation": 0.05}, "correlation 0.1": {"correlation": 0.1},
        "correlation 0.3": {"correlation": 0.3}, "100 signal events": {"n_signal": 100}}  # fmt: skip


def closure_on_toys(toys: int) -> bool:
    """Print predicted over true background of 20,000 events with 10% of each score selected.

    Independent scores have to close, in every method, within three errors or 1%.
    """
    closes = True
    print(f"{toys} toys of 20,000 events, 10% of each score selected: predicted / background, width of the pulls")
    for name, options in TOYS.items():
        found = toy_closure(20000, 0.1, toys=toys, rng=np.random.default_rng(3), **options)  # type: ignore[arg-type]
        cells = [
            f"{one.method} {one.ratio:.3f} ± {one.ratio_error:.3f} ({one.pull_width:.2f})" for one in found.values()
        ]
        print(f"  {name:18s} " + "   ".join(cells))
        if not options:
            closes = all(abs(one.ratio - 1.0) < max(3.0 * one.ratio_error, 0.01) for one in found.values())
    return closes


def calibration(experiments: int) -> bool:
    """Print how often p-values lie below 0.05 without signal, and how often 95% limits cover.

    Limits have to cover in 95% within two binomial standard deviations, or more; no fit may fail.
    """
    rng, good = np.random.default_rng(4), True
    for signal in (0.0, 15.0, 40.0):
        means = {name: BACKGROUND[name] + signal * SHARES[name] / SHARES["A"] for name in BACKGROUND}
        likelihood, counting, covered, failed = 0, 0, 0, 0
        for _ in range(experiments):
            counts = {name: float(rng.poisson(mean)) for name, mean in means.items()}
            regions = Regions(counts, counts, is_counts=True)
            with pyhf_session():
                test = AsymptoticTest(*open_workspace(abcd_workspace(regions, signal=SHARES, closure=0.0)))
                log_cls = test.log_cls(signal) if signal else None
            failed += test.failed_fits
            likelihood += np.sqrt(test.discovery_q0) > 1.6449
            predicted = counts["B"] * counts["C"] / counts["D"]
            relative = np.sqrt(sum(1.0 / counts[name] for name in "BCD"))
            counting += excess_significance(counts["A"], predicted, predicted * relative).p < 0.05
            covered += bool(signal and log_cls is not None and log_cls[0] > np.log(0.05))
        error = np.sqrt(0.05 * 0.95 / experiments)
        good &= failed == 0 and (not signal or covered / experiments >= 0.95 - 2.0 * error)
        print(
            f"{experiments} experiments with {signal:g} signal events in A over 40: p < 0.05 in "
            f"{likelihood / experiments:.3f} (likelihood), {counting / experiments:.3f} (Z_Bi); limits cover "
            f"{covered / experiments if signal else 1.0:.3f} ± {error:.3f}; {failed} failed fits"
        )
    return bool(good)


def real_events() -> None:
    """Print predicted over observed background of trees on (m, τ21, τ32) of each jet."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_predict

    jets, label = _jets()
    for order, quantity in (("transverse momentum", "pt"), ("mass", "m")):
        first_leads = jets[0][quantity] >= jets[1][quantity]
        scores = []
        for leading in (True, False):
            chosen = first_leads == leading
            features = [np.where(chosen, jets[0][name], jets[1][name]) for name in ("m", "tau21", "tau32")]
            trees = HistGradientBoostingClassifier(max_iter=30, max_depth=3, random_state=0)
            found = cross_val_predict(trees, np.stack(features, axis=1), label, cv=2, method="predict_proba")
            scores.append(found[label == 0, 1])
        print(f"LHC Olympics background, jets ordered by {order}, Pearson {np.corrcoef(scores)[0, 1]:.3f}")
        for efficiency in (0.1, 0.03, 0.01):
            tail = float(np.sqrt(efficiency))
            estimates: dict[str, Any] = {
                "counting": tag_n_train(*scores, tail=tail),
                "plain": plain_estimate(count_plane(*scores, first_tails=(tail,))),
                "extended": extended_estimate(
                    count_plane(*scores, first_tails=even_strips(tail), second_tails=(tail,))
                ),
            }
            cells = [
                f"{name} {one.predicted / one.observed:.2f} ± {one.uncertainty / one.observed:.2f}"
                for name, one in estimates.items()
            ]
            print(f"  {efficiency:.0%} ({estimates['plain'].observed:.0f} events)  " + "   ".join(cells))


def _jets() -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    import h5py
    import hdf5plugin  # noqa: F401  (registers the compression of the file)

    folder = os.environ.get("DARKHORSE_TESTDATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
    with h5py.File(Path(folder) / "lhco_rnd_features.h5") as file:
        names = [name.decode() for name in file["df/block0_items"][()]]
        table = dict(zip(names, file["df/block0_values"][()].T, strict=True))
    jets = [
        {
            "pt": np.hypot(table[f"pxj{jet}"], table[f"pyj{jet}"]),
            "m": table[f"mj{jet}"],
            "tau21": table[f"tau2j{jet}"] / np.maximum(table[f"tau1j{jet}"], 1e-9),
            "tau32": table[f"tau3j{jet}"] / np.maximum(table[f"tau2j{jet}"], 1e-9),
        }
        for jet in (1, 2)
    ]
    return jets, table["label"]


def main(experiments: int = 1000) -> int:
    """Print all numbers; return 1 where one is worse than promised."""
    good = [closure_on_toys(max(experiments // 5, 2)), calibration(experiments)]
    try:
        real_events()
    except FileNotFoundError as error:
        print(f"no real events: {error}")
    if not all(good):
        print("MISSED: independent scores do not close, or limits cover too rarely")
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main(*(int(number) for number in sys.argv[1:])))
