"""Scores of latent-space autoencoders followed through training, by optimiser: figure 2 of arXiv:2103.06595."""

from __future__ import annotations

import logging
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from analysis.context import SearchRun
from analysis.events import joined
from analysis.files import read_json, write_json
from analysis.stages.latent import asked_of, followed_detectors
from analysis.stages.searched import as_sample, columns_of, searched
from analysis.store import code_key, content_key, library_versions
from ml.latent_settings import LatentVAESettings
from ml.settings import settings_from_mapping
from ml.trajectories import Trajectory, trajectory

logger = logging.getLogger(__name__)


def trajectories(run: SearchRun) -> dict[tuple[str, str], list[Trajectory]]:
    """Return by (sample, detector) one trajectory per optimiser that the search asks for; empty where it asks none."""
    if run.search.latent is None:
        return {}
    pairs = [(sample, detector) for sample in run.search.data for detector in followed_detectors(run.search)]
    return {
        pair: [run.once(f"trajectory {pair} {name}", partial(_trajectory, run, *pair, name)) for name in asked]
        for pair in pairs
        if (asked := asked_of(run).optimizers)
    }


def _trajectory(run: SearchRun, sample: str, detector: str, optimizer: str) -> Trajectory:
    key = content_key(
        searched(run, sample).key, run.search.detectors[detector].settings, asked_of(run).trajectory, optimizer,
        run.search.seed, code_key("ml", __name__), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/trajectories/{sample}-{detector}-{optimizer}",
        key,
        lambda target: _follow(run, sample, detector, optimizer, target),
    )
    return Trajectory.from_dict(read_json(folder / "trajectory.json"))


def _follow(run: SearchRun, sample: str, detector: str, optimizer: str, folder: Path) -> None:
    asked, data, one = asked_of(run).trajectory, searched(run, sample), run.search.detectors[detector]
    settings = settings_from_mapping(LatentVAESettings, one.settings, where=f"settings of {detector}")
    events = data.events if data.spare is None else joined(data.events, data.spare)
    rows = _probe(events["truth"], asked.events, run.rng(f"probe {sample} {detector}"))
    truth = events["truth"][rows]
    known = bool((truth == 1).any() and (truth == 0).any())
    logger.info("following %s on %s with %s", detector, sample, optimizer)
    with run.bar(f"{detector} on {sample} with {optimizer}") as bar:
        found = trajectory(
            replace(settings, members=asked.members, optimizer=optimizer),
            as_sample(data.events, columns_of(one)),
            seeds=np.random.SeedSequence([run.search.seed, zlib.crc32(f"trajectory {detector}".encode())]),
            steps=asked.steps,
            point=asked.point,
            probe=as_sample(events.take(rows), columns_of(one)),
            truth=truth if known else None,
            progress=None if bar is None else lambda fraction, text: bar(round(1000 * fraction), 1000, text),
        )
    write_json(folder / "trajectory.json", found.to_dict())


def _probe(truth: np.ndarray, events: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of the events that are looked at: of each class at most so many."""
    classes = (np.flatnonzero(truth != 1), np.flatnonzero(truth == 1))
    chosen = [rng.choice(rows, min(len(rows), events), replace=False) for rows in classes if len(rows)]
    return np.sort(np.concatenate(chosen))
