"""How large the correction of simulation was, and whether corrected simulation can still be told from data."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.stages.searched import searched
from analysis.stages.weighted import (
    Weighted,
    comparing_pairs,
    events_as_sample,
    features_of,
    weighted,
    window_for,
)
from analysis.store import code_key, content_key, library_versions
from ml.closure import CLOSURE_TREES, Closure, closure
from ml.reweighting import PAPER_MLP, effective_sample_size

logger = logging.getLogger(__name__)

REGIONS = ("sidebands", "window")


@dataclass(frozen=True)
class Reweighting:
    """What one reweighting did.

    Attributes:
        summary: its entry under `reweighting` in results.json, by region.
        outputs: of the fresh classifiers in the window, before and after: `before_data`, `before_simulation`,
            `after_data`, `after_simulation`, and `rows_data`, `rows_simulation`, the events they are of.
        key: changes when any of it does.
    """

    sample: str
    detector: str
    summary: Mapping[str, Any]
    outputs: Mapping[str, np.ndarray]
    key: str

    def headline(self) -> str:
        """Return how well data and simulation can be told apart, in one line."""
        parts = []
        for region in REGIONS:
            found = self.summary[region]
            before, after = (_area(found["closure"][which]) for which in ("before", "after"))
            parts.append(f"{region} {before} before, {after} after (mean correction {found['mean_correction']:.1%})")
        return f"closure AUC in the {'; '.join(parts)}"


def reweighting(run: SearchRun) -> dict[tuple[str, str], Reweighting]:
    """Measure every reweighting of a search; returns them by (sample, detector), empty where there is none."""
    pairs = comparing_pairs(run, reweighting=True)
    if not pairs:
        return {}
    found = {}
    with run.bar("closure") as progress:
        for index, pair in enumerate(pairs):
            found[pair] = reweighted(run, *pair)
            if progress is not None:
                progress(index + 1, len(pairs))
    return found


def reweighted(run: SearchRun, sample: str, detector: str) -> Reweighting:
    """Return what one reweighting did, measured when that was not done before."""
    return run.once(f"reweighting {sample} {detector}", lambda: _reweighted(run, sample, detector))


def reweighting_results(run: SearchRun) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return `reweighting` of results.json: sample → detector → entry."""
    results: dict[str, dict[str, Mapping[str, Any]]] = {}
    for (sample, detector), one in reweighting(run).items():
        results.setdefault(sample, {})[detector] = one.summary
    return results


def figures_of_merit(run: SearchRun) -> dict[str, Any]:
    """Return closure and size of every correction as `figures_of_merit` of results.json names them."""
    found = {}
    for (sample, detector), one in reweighting(run).items():
        for region, which, measured in _closures(one):
            found[f"closure AUC {which}, {region}, {detector} on {sample}"] = {
                key: measured[key] for key in ("value", "uncertainty", "n")
            }
        for region in REGIONS:
            entry = one.summary[region]
            found[f"mean correction, {region}, {detector} on {sample}"] = {
                "value": entry["mean_correction"], "uncertainty": entry["mean_correction_error"],
                "n": entry["n_simulation"],
            }  # fmt: skip
    return found


def _closures(one: Reweighting) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for region in REGIONS:
        for which, measured in one.summary[region]["closure"].items():
            if measured is not None:
                yield region, which, measured


def _area(measured: Mapping[str, Any]) -> str:
    return f"{measured['value']:.3f} ± {measured['uncertainty']:.3f}"


def _reweighted(run: SearchRun, sample: str, detector: str) -> Reweighting:
    seen = weighted(run, sample, detector)
    key = content_key(
        seen.key, searched(run, sample).key, run.search.closure, run.search.seed, features_of(run, detector),
        code_key("ml.closure", __name__),
        library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/reweighting/{sample}-{detector}", key, lambda target: _measure(run, seen, target)
    )
    with np.load(folder / "outputs.npz", allow_pickle=False) as arrays:
        outputs = {name: arrays[name] for name in arrays.files}
    return Reweighting(sample, detector, read_json(folder / "reweighting.json"), outputs, key)


def _measure(run: SearchRun, seen: Weighted, folder: Path) -> None:
    logger.info("measuring the closure of %s on %s", seen.detector, seen.sample)
    window = window_for(run, seen.detector)
    simulated = seen.events["mjj"]
    events = searched(run, seen.sample).events
    rows = {
        "sidebands": (window.sideband_index(events["mjj"]) >= 0, window.sideband_index(simulated) >= 0),
        "window": (window.in_signal(events["mjj"]), window.in_signal(simulated)),
    }
    summary: dict[str, Any] = {"simulation": seen.simulation, "features": list(features_of(run, seen.detector))}
    outputs: dict[str, np.ndarray] = {}
    for region, (of_data, of_simulation) in rows.items():
        summary[region] = correction(seen, of_simulation) | {
            "n_data": int(of_data.sum()),
            "sum_of_weights_data": float(events["weight"][of_data].sum()),
        }
        summary[region]["closure"], outputs = _closure(run, seen, region, of_data, of_simulation)
    write_json(folder / "reweighting.json", summary)
    np.savez(folder / "outputs.npz", **outputs)  # type: ignore[arg-type]


def correction(seen: Weighted, rows: np.ndarray) -> dict[str, Any]:
    """Return how far the factors of some simulated events (n_simulated,) bool are from a constant.

    The mean correction is the average of |w/constant − 1|, its error that of a mean.
    """
    relative = seen.value[rows] / seen.constant[rows]
    plain = seen.events["weight"][rows]
    size = np.abs(relative - 1)
    mean = float(np.average(size, weights=plain))
    around = float(np.average(relative, weights=plain))
    return {
        "n_simulation": int(rows.sum()),
        "sum_of_weights": float(seen.weight[rows].sum()),
        "sum_of_weights_unweighted": float(seen.unweighted[rows].sum()),
        "mean_correction": mean,
        "mean_correction_error": float(np.sqrt(np.average((size - mean) ** 2, weights=plain) / max(rows.sum(), 1))),
        "spread_of_weights": float(np.sqrt(np.average((relative - around) ** 2, weights=plain))),
        "largest_weight": float(relative.max()),
        "effective_events": effective_sample_size(seen.weight[rows]),
        "clipped_fraction": float(np.mean(seen.clipped[rows])),
    }


def _closure(
    run: SearchRun, seen: Weighted, region: str, of_data: np.ndarray, of_simulation: np.ndarray
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train fresh classifiers in one region on all that was corrected; return areas and outputs."""
    sample = searched(run, seen.sample)
    data, simulation = (_some(rows, run.search.closure.events) for rows in (of_data, of_simulation))
    weights = {"before": seen.constant, "after": seen.value}
    areas: dict[str, Any] = {}
    outputs = {"rows_data": data, "rows_simulation": simulation}
    for which, factor in weights.items():
        found = _fresh(run, seen, region, data, simulation, factor[simulation])
        areas[which] = found.auc.to_dict()
        outputs |= {f"{which}_data": found.data_output, f"{which}_simulation": found.simulation_output}
    if sample.truth_known and (sample.events["truth"][data] == 1).any():
        background = data[sample.events["truth"][data] != 1]
        found = _fresh(run, seen, region, background, simulation, seen.value[simulation])
        areas["after, background of the data alone"] = found.auc.to_dict()
    return areas, outputs


def _fresh(
    run: SearchRun, seen: Weighted, region: str, data: np.ndarray, simulation: np.ndarray, factor: np.ndarray
) -> Closure:
    settings = run.search.closure
    seeds = np.random.SeedSequence([run.search.seed, zlib.crc32(f"closure {seen.detector} {region}".encode())])
    return closure(
        events_as_sample(run, seen.detector, searched(run, seen.sample).events.take(data)),
        events_as_sample(run, seen.detector, seen.events.take(simulation)),
        features=features_of(run, seen.detector),
        weights=factor,
        folds=settings.folds,
        settings=CLOSURE_TREES if settings.classifier == "bdt" else PAPER_MLP,
        seeds=seeds,
    )


def _some(rows: np.ndarray, most: int | None) -> np.ndarray:
    """Return the indices of rows (n,) bool, evenly thinned to `most`."""
    found = np.flatnonzero(rows)
    if most is None or len(found) <= most:
        return found
    return found[np.linspace(0, len(found) - 1, most).astype(np.int64)]
