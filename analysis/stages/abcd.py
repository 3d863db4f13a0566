"""Background estimates from two scores: which events both select, and what the rejected ones predict there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from analysis.context import SearchRun
from analysis.errors import ConfigurationError, StageError
from analysis.events import Events
from analysis.files import read_json, write_json
from analysis.stages.abcd_checks import checks
from analysis.stages.abcd_estimates import OBJECTS, ScoredEvents, estimates, object_of, score_columns, tail_of
from analysis.stages.process import processed
from analysis.stages.searched import Searched, searched
from analysis.stages.selections import signal_content
from analysis.stages.signals import all_scores_of, scores_of, simulated_events
from analysis.stages.train import trained
from analysis.statistics_settings import AbcdSettings
from analysis.store import code_key, content_key, library_versions
from analysis.validation import nearest

logger = logging.getLogger(__name__)

VIEW_BINS = 60
SHOWN_SIGNAL = 300  # events of it in the figure


@dataclass(frozen=True)
class AbcdEstimate:
    """One selection by two scores.

    Attributes:
        sample, settings, efficiency: what was asked for.
        summary: the selection's entry in results.json; its estimates stand under `abcd`.
        view: what a figure of the plane shows: `first`, `second` (edges, cuts, label), `counts`, `is_background`,
            `signal`, `n_signal`.
        key: changes when any of it does.
    """

    sample: str
    settings: AbcdSettings
    efficiency: float
    summary: Mapping[str, Any]
    view: Mapping[str, Any]
    key: str

    @property
    def identifier(self) -> str:
        """Return the selection's name in results.json and in file names."""
        return f"{self.sample}-{self.settings.name}-{self.efficiency:g}"

    def headline(self) -> str:
        """Return what was found, in one line."""
        found = self.summary["abcd"]
        if found["predicted"] is None:
            return f"no estimate ({found['reason']})"
        z = "" if found["z"] is None else f", {found['z']:.2f}σ"
        tested = found["independence"]
        doubt = (
            f"; no closure: predicted / {tested['against']} is {tested['ratio']:.2f} ± {tested['ratio_error']:.2f}"
            if tested.get("doubtful")
            else ""
        )
        return (
            f"{found['observed']:,.0f} events observed, {found['predicted']:.1f} ± {found['uncertainty']:.1f} "
            f"predicted{z}{doubt}"
        )


def abcd(run: SearchRun) -> dict[str, AbcdEstimate]:
    """Estimate the background of every selection by two scores; returns them by identifier, empty where none is."""
    asked = [
        (sample, settings, efficiency)
        for sample in run.search.data
        for settings in run.search.abcd
        for efficiency in settings.efficiencies
    ]
    if not asked:
        return {}
    found = {}
    with run.bar("abcd") as progress:
        for index, (sample, settings, efficiency) in enumerate(asked):
            name = f"abcd {sample} {settings.name} {efficiency:g}"
            one = run.once(name, partial(_estimated, run, sample, settings, efficiency))
            found[one.identifier] = one
            if progress is not None:
                progress(index + 1, len(asked))
    return found


def abcd_workspaces(run: SearchRun, found: AbcdEstimate) -> Path:
    """Return the folder with the pyhf workspaces of one selection: <identifier>-plain.json and -extended.json."""
    return run.results_store.directory / "stages" / "abcd" / found.identifier / "workspaces"


@dataclass(frozen=True)
class _Score:
    """One score of every event, larger being more anomalous, with its folds, its key and whether it saw truth."""

    values: np.ndarray
    fold: np.ndarray | None
    key: str | None
    uses_labels: bool = False


def _score(run: SearchRun, sample: Searched, name: str, events: Events | None = None) -> _Score:
    """Return a score of the sample's events, or of simulated `events`, which the sample's detectors score."""
    sign, plain_name = (-1.0, name[1:]) if name.startswith("-") else (1.0, name)
    if (named := object_of(name)) is not None:
        return _object_score(run, sample, *named, events, sign=sign)
    if plain_name not in run.search.detectors:
        column = _column(run, sample.events if events is None else events, plain_name)
        return _Score(sign * column.astype(float), None, None)
    found = trained(run, sample.name, plain_name)
    score, fold = (found.score, found.fold_index) if events is None else scores_of(run, sample.name, plain_name, events)
    return _Score(sign * score.astype(float), fold, found.key, bool(found.summary.get("uses_labels")))


def _object_score(
    run: SearchRun, sample: Searched, detector: str, part: str, events: Events | None, *, sign: float
) -> _Score:
    """Return the score that a detector gives the first or the second object of each event."""
    found = trained(run, sample.name, detector)
    objects, fold = found.objects, found.fold_index
    if objects is not None and events is not None:
        scores, fold = all_scores_of(run, sample.name, detector, events)
        objects = scores.objects
    assert objects is not None  # asked for before anything trained
    values = sign * objects[:, OBJECTS.index(part)].astype(float)
    return _Score(values, fold, found.key, bool(found.summary.get("uses_labels")))


def _simulated(run: SearchRun, sample: Searched, settings: AbcdSettings) -> ScoredEvents | None:
    """Return the simulated signal that the estimate names, scored as the sample is."""
    if settings.signal is None:
        return None
    events = simulated_events(run, settings.signal)
    if settings.window and run.search.window is not None:
        events = events.take(events.inside(run.search.window.signal))
    first, second = (_score(run, sample, name, events) for name in (settings.first, settings.second))
    return ScoredEvents(first.values, second.values, (first.fold, second.fold), events["weight"], None)


def _column(run: SearchRun, events: Events, name: str) -> np.ndarray:
    columns = score_columns(name)
    for column in columns:
        if column not in events.columns:
            known = [*run.search.detectors, *events.columns]
            raise ConfigurationError(
                f"An `abcd` estimate asks for {name!r}, which is neither a detector of the search nor a column of the "
                f"processed events{nearest(column, known)}"
            )
    if len(columns) == 1:
        return events[name]
    first, second, first_pt, second_pt = (events[column] for column in columns)
    j1_leads = first_pt >= second_pt
    return np.where(j1_leads == name.startswith("leading"), first, second)


def _estimated(run: SearchRun, sample_name: str, settings: AbcdSettings, efficiency: float) -> AbcdEstimate:
    sample = searched(run, sample_name)
    scores = [_score(run, sample, name) for name in (settings.first, settings.second)]
    window = run.search.window.signal if run.search.window else None
    identifier = f"{sample_name}-{settings.name}-{efficiency:g}"
    signal = processed(run, settings.signal).key if settings.signal is not None else None
    key = content_key(
        sample.key, [score.key for score in scores], signal, settings, efficiency, window,
        run.search.counted(sample_name), run.search.seed,
        code_key(
            "stats", "analysis.stages.abcd_estimates", "analysis.stages.abcd_checks", "analysis.stages.selections",
            __name__,
        ), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/abcd/{identifier}", key, lambda target: _estimate(run, sample, scores, settings, efficiency, target)
    )
    content = read_json(folder / "abcd.json")
    return AbcdEstimate(sample_name, settings, efficiency, content["summary"], content["view"], key)


def _estimate(
    run: SearchRun, sample: Searched, scores: list[_Score], settings: AbcdSettings, efficiency: float, folder: Path
) -> None:
    identifier = f"{sample.name}-{settings.name}-{efficiency:g}"
    window = run.search.window.signal if run.search.window else None
    rows = np.ones(len(sample.events), dtype=bool)
    if settings.window:
        assert window is not None  # the search model demands it
        rows = sample.events.inside(window)
    if not rows.any():
        raise StageError(
            f"The ABCD estimate {identifier} has no events{' in the signal window' if settings.window else ''}."
        )
    events = ScoredEvents(
        scores[0].values[rows],
        scores[1].values[rows],
        (_rows(scores[0].fold, rows), _rows(scores[1].fold, rows)),
        sample.events["weight"][rows],
        sample.events["truth"][rows] if sample.truth_known else None,
        _simulated(run, sample, settings),
    )
    found, workspaces = estimates(
        events,
        efficiency=efficiency,
        background_like=settings.background_like,
        systematic=settings.systematic,
        closure=settings.closure,
    )
    tail = tail_of(efficiency)
    found |= checks(events, tail=tail, background_like=settings.background_like)
    first, second = events.strips((tail,), (tail,))
    selected = np.zeros(len(rows), dtype=bool)
    selected[np.flatnonzero(rows)[(first == 1) & (second == 1)]] = True
    labelled = [
        name for name, score in zip((settings.first, settings.second), scores, strict=True) if score.uses_labels
    ]
    summary = {
        "detector": labelled[0].removeprefix("-") if labelled else None,
        "mixture": sample.name,
        "window": list(window) if window and settings.window else None,
        "efficiency": efficiency,
        "seed": run.search.seed,
        "n_selected": int(selected.sum()),
        **(signal_content(sample, selected, run.search.counted(sample.name)) if selected.any() else {}),
        "abcd": {"name": settings.name, "first": settings.first, "second": settings.second, **found},
    }
    for name, workspace in workspaces.items():
        write_json(folder / "workspaces" / f"{identifier}-{name}.json", workspace)
    write_json(folder / "abcd.json", {"summary": summary, "view": _view(events, settings, tail)})


def _rows(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def _view(events: ScoredEvents, settings: AbcdSettings, tail: float) -> dict[str, Any]:
    """Return the plane of both scores binned for a figure, with the boundaries and some signal events.

    Where truth is known, signal is not among the binned events.
    """
    tails = (1.0 - settings.background_like, tail)
    axes: dict[str, dict[str, Any]] = {}
    positions = []
    for name, score, fold, strip, title in zip(
        ("first", "second"),
        (events.first, events.second),
        events.folds,
        events.strips(tails, tails),
        (settings.first, settings.second),
        strict=True,
    ):
        position = score if fold is None else _normal_scores(score, fold)
        positions.append(position)
        cuts = [float(position[strip >= k].min()) if (strip >= k).any() else None for k in (1, 2)]
        edges = np.linspace(position.min(), position.max() + 1e-9 * (1 + abs(position.max())), VIEW_BINS + 1)
        axes[name] = {"edges": edges.tolist(), "cuts": cuts, "name": title, "is_rank": fold is not None}
    signal = np.zeros(len(events.weight), dtype=bool) if events.is_signal is None else events.is_signal
    x, y = (one[~signal] for one in positions)
    bins = [np.array(axis["edges"]) for axis in axes.values()]
    shown = np.stack(positions, axis=1)[signal]
    return {
        **axes,
        "counts": np.histogram2d(x, y, bins=bins, weights=events.weight[~signal])[0].tolist(),
        "is_background": events.is_signal is not None,
        "signal": shown[:: max(len(shown) // SHOWN_SIGNAL, 1)][:SHOWN_SIGNAL].tolist(),
        "n_signal": len(shown),
    }


def _normal_scores(score: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return the normal quantile of each event's rank in its fold: scores of different folds are not comparable."""
    result = np.zeros(len(score))
    for one in np.unique(fold):
        rows = fold == one
        result[rows] = ndtri((rankdata(score[rows]) - 0.5) / rows.sum())
    return result
