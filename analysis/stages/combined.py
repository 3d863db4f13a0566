"""One trials factor for all selections of a sample: how likely is the best of them without a signal?"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import plain_z, trials_text
from analysis.stages.hunt import Hunted, hunt, hunt_of
from analysis.stages.searched import searched
from analysis.stages.selections import selected_rows
from analysis.stages.train import trained
from analysis.store import code_key, content_key, library_versions
from stats import Overlap, StatisticsError, combine_hunts

logger = logging.getLogger(__name__)


def combined(run: SearchRun) -> dict[str, dict[str, Any]]:
    """Return by sample the global p-value of its best selection; empty where the search does not ask for it.

    Toys of the selections share events as the data do. Where that cannot be done, `reason` says why.
    """
    settings = run.search.bump_hunt
    if settings is None or not settings.combine or settings.toys == 0:
        return {}
    members = {name: [one for one in hunt(run).values() if one.sample == name] for name in run.search.data}
    return {
        name: run.once(f"combined {name}", lambda name=name, found=found: _combined(run, name, found))  # type: ignore[misc]
        for name, found in members.items()
        if len(found) > 1
    }


def _combined(run: SearchRun, sample: str, found: list[Hunted]) -> dict[str, Any]:
    assert run.search.bump_hunt is not None
    key = content_key(
        [one.key for one in found], run.search.bump_hunt.scan, run.search.seed, code_key("stats", __name__),
        library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/combined/{sample}", key, lambda target: _combine(run, sample, found, target)
    )
    return dict(read_json(folder / "combined.json"))


def _combine(run: SearchRun, sample: str, found: list[Hunted], folder: Path) -> None:
    assert run.search.bump_hunt is not None
    logger.info("combining %d selections of %s", len(found), sample)
    try:
        content = combine_hunts(
            {one.identifier: hunt_of(run, one) for one in found},
            toys=run.search.bump_hunt.toys,
            rng=run.rng(f"combined {sample}"),
            workers=run.options.executor.workers,
            correlation=_overlap(run, sample, found),
        ).to_dict()
    except StatisticsError as error:
        logger.warning("the selections of %s cannot be combined: %s", sample, error)
        content = {"hunts": [one.identifier for one in found], "reason": str(error)}
    write_json(folder / "combined.json", content)


def _overlap(run: SearchRun, sample: str, found: list[Hunted]) -> Overlap:
    """Return how the selections share events."""
    assert run.search.spectrum is not None
    events = searched(run, sample)
    rows = []
    for one in found:
        scores = trained(run, sample, one.selection.detector) if one.selection.detector else None
        rows.append(selected_rows(events, scores, one.selection, run.search.spectrum))
    return Overlap.from_events(events.events["mjj"], np.stack(rows), found[0].spectrum.edges)


def describe_combination(entry: dict[str, Any]) -> str:
    """Return the significance of the best selection among all of a sample, in one line."""
    if "reason" in entry:
        return f"its selections cannot be combined ({entry['reason']})"
    p = entry["global_p"]
    z = plain_z(entry["global_z"], bound=p["is_bound"])
    trials = f", {trials_text(entry)}" if trials_text(entry) else ""
    return (
        f"best of {len(entry['hunts'])} selections {entry['best']}, global {z} for all of them{trials} "
        f"({p['toys']:,} toys)"
    )
