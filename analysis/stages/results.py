"""results.json and the histograms: the machine-readable truth of a search."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from analysis.context import SearchRun, datasets_of
from analysis.exports import write_histograms
from analysis.stages.hunt import hunt
from analysis.stages.limit import limit
from analysis.stages.process import processed
from analysis.stages.searched import searched
from analysis.stages.train import Trained, train
from analysis.store import library_versions, write_json

MEASURES = ("auc", "max_sic", "sic_at_0.5", "background_rejection_at_0.5")


def results_of(run: SearchRun) -> dict[str, Any]:
    """Return results.json as plain data."""
    return {
        "search": run.search.name,
        "version": metadata.version("darkhorse"),
        "config_key": run.config_key,
        "seed": run.search.seed,
        "datasets": {name: _dataset(run, name) for name in datasets_of(run.search)},
        "cutflow": {name: processed(run, name).cutflow() for name in datasets_of(run.search)},
        "mixtures": {
            name: counts.to_dict() for name in run.search.data if (counts := searched(run, name).counts) is not None
        },
        "detectors": {_detector_name(run, *pair): _detector(found) for pair, found in train(run).items()},
        "selections": {identifier: hunted.summary for identifier, hunted in hunt(run).items()},
        "limits": limit(run),
        "figures_of_merit": {},
        "libraries": library_versions(),
    }


def write_results(run: SearchRun) -> Path:
    """Write results.json, histograms.root and histograms.json; return the path of the first."""
    write_histograms(run)
    return write_json(run.out / "results.json", results_of(run))


def _dataset(run: SearchRun, name: str) -> dict[str, Any]:
    result = processed(run, name)
    return {"events": result.n_events, "selected": result.n_selected, "skipped_files": result.summary["skipped"]}


def _detector_name(run: SearchRun, sample: str, detector: str) -> str:
    """Return the detector's name, with the sample's where a search looks into several."""
    return detector if len(run.search.data) == 1 else f"{detector} on {sample}"


def _detector(found: Trained) -> dict[str, Any]:
    summary = found.summary
    facts = {name: summary[name] for name in ("type", "uses_labels", "members", "folds", "seconds")}
    measured = {name: summary["measured"][name] for name in MEASURES if name in summary["measured"]}
    return {**facts, "sample": found.sample, "settings": summary["settings"], **measured}
