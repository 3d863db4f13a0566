"""The quick estimate of an excluded cross section from a detector's ROC curve, and the CLs limit beside it."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.stages.channels import settings_of
from analysis.stages.cross_section import asked_of
from analysis.stages.process import processed
from analysis.stages.searched import searched, window_of
from analysis.stages.selections import masses_of
from analysis.stages.signals import produced_weight, scores_of, simulated_events
from analysis.stages.train import trained
from analysis.store import code_key, content_key, library_versions
from stats import StatisticsError, counting_limit, simple_limit

logger = logging.getLogger(__name__)

POINTS = 400  # of the ROC curve


def simple_limits(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per sample, detector and signal; empty where limits in fb are not asked for.

    A detector is taken as it is, trained on the data there are. Where it was trained on them, its ROC curve belongs to
    the signal in them: the estimate is one of what the detector could do, no limit.
    """
    settings = run.search.limits
    if settings is None or settings.cross_section is None:
        return []
    signals = settings.cross_section.signals
    asked = [
        (*pair, mass)
        for pair in itertools.product(run.search.data, run.search.detectors)
        for mass in masses_of(run, pair[1], signals)
    ]
    return [run.once(f"simple {one}", partial(_estimated, run, *one)) for one in asked]


def _estimated(run: SearchRun, sample: str, detector: str, mass: float) -> dict[str, Any]:
    """Return the estimate, made again only where something that it rests on has changed: networks load slowly."""
    key = content_key(
        trained(run, sample, detector).key, processed(run, asked_of(run).signals[mass]).key, settings_of(run),
        window_of(run, detector), code_key("stats", "analysis.stages.signals", __name__), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/simple/{sample}-{detector}-{mass:g}",
        key,
        lambda target: write_json(target / "simple.json", _simple(run, sample, detector, mass)),
    )
    return dict(read_json(folder / "simple.json"))


def _simple(run: SearchRun, sample: str, detector: str, mass: float) -> dict[str, Any]:
    limits = settings_of(run)
    luminosity, signal = asked_of(run).luminosity, asked_of(run).signals[mass]
    facts = {"sample": sample, "detector": detector, "mass": mass, "signal": signal}
    try:
        curve = roc_in_window(run, sample, detector, signal)
        found = simple_limit(
            curve.signal,
            curve.background,
            n_signal=curve.n_signal,
            n_background=curve.n_background,
            background_cross_section=curve.background_events / luminosity,
            luminosity=luminosity,
        )
        cls = counting_limit(found, luminosity_uncertainty=limits.systematics.luminosity or 0.0, level=limits.level)
    except StatisticsError as error:
        logger.warning("no simple estimate for %s: %s", detector, error)
        return {**facts, "reason": str(error)}
    return {**facts, **found.to_dict(), "cls_expected": list(cls.expected), "level": limits.level}


@dataclass(frozen=True)
class RocInWindow:
    """A detector's ROC curve in the signal window.

    Attributes:
        signal: efficiencies of all signal events that are produced, shape (n_points,).
        background: efficiencies of the window's background, rising, shape (n_points,).
        n_signal, n_background: effective events that the curve was counted with.
        background_events: expected in the window: the sum of weights.
    """

    signal: np.ndarray
    background: np.ndarray
    n_signal: float
    n_background: float
    background_events: float


def roc_in_window(run: SearchRun, sample: str, detector: str, signal: str) -> RocInWindow:
    """Return the ROC curve of a detector as it was trained on a sample, of all masses where there is no window.

    Where truth is unknown all events of the window count as background. Scores of different folds are not comparable:
    each is turned into the fraction of its fold's background above it. Raises StatisticsError for an empty window.
    """
    window = window_of(run, detector)
    data, found = searched(run, sample), trained(run, sample, detector)
    rows, events = data.events["truth"] != 1, simulated_events(run, signal)
    if window is not None:
        rows &= data.events.inside(window.signal)
        events = events.take(events.inside(window.signal))
    if not (len(events) and rows.any()):
        raise StatisticsError(
            f"The window holds {len(events)} events of {signal!r} and {int(rows.sum())} of {sample}'s background: a "
            "ROC curve needs both."
        )
    score, fold = scores_of(run, sample, detector, events)
    above_signal, above_background = np.ones(len(score)), np.ones(int(rows.sum()))
    for one in np.unique(found.fold_index[rows]):
        own = found.fold_index[rows] == one
        reference = np.sort(found.score[rows][own])
        above_background[own] = _fraction_above(reference, found.score[rows][own])
        above_signal[fold == one] = _fraction_above(reference, score[fold == one])
    cuts = np.geomspace(max(1.0 / len(above_background), 1e-6), 1.0, POINTS)
    weight, produced = data.events["weight"][rows], produced_weight(run, signal)
    return RocInWindow(
        signal=(above_signal <= cuts[:, None]) @ events["weight"] / produced,
        background=(above_background <= cuts[:, None]) @ weight / weight.sum(),
        n_signal=produced * float(events["weight"].sum() / np.square(events["weight"]).sum()),
        n_background=float(weight.sum() ** 2 / np.square(weight).sum()),
        background_events=float(weight.sum()),
    )


def _fraction_above(reference: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Fraction of the sorted reference at or above each score."""
    return (len(reference) - np.searchsorted(reference, scores, side="left")) / len(reference)


def describe_simple(entry: dict[str, Any]) -> str:
    """Return the estimate in one line."""
    if "reason" in entry:
        return f"no estimate from S/√B ({entry['reason']})"
    return (
        f"S/√B = {entry['required']:g} at {entry['cross_section']:.3g} ± {entry['error']:.2g} fb, expected CLs limit "
        f"of the same count {entry['cls_expected'][2]:.3g} fb"
    )
