"""Searches whose events are there already, and a detector that keeps what it was given."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np

from analysis.config import Search
from analysis.context import RunOptions, SearchRun
from analysis.events import Events
from analysis.stages.searched import Searched
from ml import Detector, History, Progress, Sample, Scores, Window

WINDOW = {"signal": [3300, 3700], "sidebands": [[2900, 3300], [3700, 4100]]}


@dataclasses.dataclass(frozen=True)
class SeenSettings:
    features: tuple[str, ...] = ("j1_m",)

    @property
    def columns(self) -> tuple[str, ...]:
        return self.features


class Seen(Detector):
    """Trains on data and simulation: keeps what it got, and scores by a feature and a draw of its seed."""

    needs = frozenset({"data", "simulation"})
    fitted: ClassVar[list[tuple[Mapping[str, Sample], Window | None]]] = []
    loaded = 0

    def __init__(self, settings: SeenSettings | None = None) -> None:
        self.settings = settings or SeenSettings()
        self.draw = 0.0

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        Seen.fitted.append((samples, window))
        self.draw = float(np.random.default_rng(seeds).random())
        return History(seconds=2.0)

    def score(self, sample: Sample) -> Scores:
        noise = np.random.default_rng(int(1e9 * self.draw)).normal(0, 200 * self.draw, len(sample))
        return Scores.from_members((sample.columns["j1_m"] + noise)[None])

    def save(self, directory: Path) -> None:
        (directory / "draw.json").write_text(json.dumps(self.draw))

    @classmethod
    def load(cls, directory: Path) -> Seen:
        Seen.loaded += 1
        loaded = cls()
        loaded.draw = json.loads((directory / "draw.json").read_text())
        return loaded


def toys(n_background: int, n_signal: int, *, seed: int, weight: float = 1.0) -> Events:
    """Processed events: signal has heavier jets and lies at 3.5 TeV."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], [n_background, n_signal])
    n_events = len(truth)
    return Events(
        {
            "j1_m": np.where(truth == 1, rng.normal(500, 30, n_events), rng.exponential(200, n_events)),
            "mjj": np.where(truth == 1, rng.normal(3500, 80, n_events), 2800 + rng.exponential(600, n_events)),
            "weight": np.full(n_events, weight),
            "truth": truth,
            "file_id": np.full(n_events, seed, np.uint32),
            "entry": np.arange(n_events, dtype=np.uint32),
            "fold": rng.integers(0, 2**32, n_events, dtype=np.uint32),
        }
    )


def search_with(**changes: Any) -> Search:
    """Return a search with one detector that trains on data and simulation, its keys changed."""
    content = {"name": "toys", "data": "data", "simulation": "simulated", "window": WINDOW}
    detector = {"type": "seen", "folds": 3, **changes.pop("detector", {})}
    return Search.model_validate({**content, "detectors": {"seen": detector}, **changes})


def run_with(out: Path, *, simulated: Events | None = None, key: str = "1", **changes: Any) -> SearchRun:
    """Return a run whose events are there already: nothing is processed."""
    run = SearchRun(search_with(**changes), cast(Any, None), RunOptions(out))
    for name in run.search.data:
        run.memory[f"searched {name}"] = Searched(name, toys(3000, 60, seed=1), toys(0, 300, seed=2), None, "data")
    run.memory["processed simulated"] = SimpleNamespace(key=key)
    run.memory["events of simulated"] = simulated or toys(2000, 40, seed=3, weight=0.5)
    return run
