"""Figures of merit of every detector against the amount of signal in the window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.stages.families import by_fraction, families_of, same_signal_window, signal_of
from analysis.stages.searched import searched, window_of
from analysis.stages.train import Trained, trained

METRICS = ("auc", "max_sic", "max_sic_regulated", "background_efficiency_at_0.5", "sic_at_0.5")


def scans(run: SearchRun) -> list[dict[str, Any]]:
    """Return `scans` of results.json: one for every family of mixtures that differ in nothing but their signal.

    There is none without a window, in which S/B would be counted, or without detectors that look into that window.
    The points of a scan share background events, and mixing and training seeds, so that their errors are correlated.
    Samples of the same nominal fraction, whose S/B differ by chance, are one point: their mean, with the standard
    deviation over them as its error.

    Nothing is computed here that training did not measure. Errors of a single sample are the standard deviation over
    repeated trainings, else statistical.
    """
    found = []
    for names in families_of(run):
        points = by_fraction(run, [name for name in names if searched(run, name).truth_known])
        if run.search.window is None or len({_amount(run, point) for point in points}) < 2:
            continue
        scan = _scan(run, points)
        if scan["lines"] and None not in scan["s_over_b_window"]:
            found.append(scan)
    return found


def _amount(run: SearchRun, point: Sequence[str]) -> float:
    return float(np.mean([signal_of(run, name) for name in point]))


def _scan(run: SearchRun, points: list[list[str]]) -> dict[str, Any]:
    mixtures = run.search.mixtures
    counts = [[searched(run, name).counts for name in point] for point in points]

    def amounts(key: str) -> list[float | None]:
        return [_mean([getattr(one, key, None) for one in point]) for point in counts]

    return {
        "background": mixtures[points[0][0]].background,
        "signal": next(m.signal for point in reversed(points) for n in point if (m := mixtures[n]).signal),
        "samples": [", ".join(point) for point in points],
        "replicas": [len(point) for point in points],
        "signal_fraction": amounts("fraction"),
        "s_over_b_window": amounts("s_over_b_window"),
        "s_over_sqrt_b_window": amounts("s_over_sqrt_b_window"),
        "lines": {
            detector: _line([[trained(run, name, detector) for name in point] for point in points])
            for detector in run.search.detectors
            if same_signal_window(window_of(run, detector), run.search.window)
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _line(found: list[list[Trained]]) -> dict[str, Any]:
    """Return one detector's figures of merit over the points of a scan, of which each has one sample or several."""
    summary = found[0][0].summary
    measured = [[one.summary["measured"] for one in point] for point in found]
    each = [one for point in measured for sample in point for one in sample.values()]
    repeats = max((len(one.get("repeats") or ()) for one in each), default=0)
    error = "spread" if repeats > 1 else "uncertainty"
    return {
        "uses_labels": summary["uses_labels"],
        "classifier": (summary.get("settings") or {}).get("classifier"),
        "repeats": max(repeats, 1),
        "errors": "spread of repeats" if repeats > 1 else "statistical",
        **{
            metric: {
                "values": [_mean(_numbers(point, metric, "value")) for point in measured],
                "errors": [_error(point, metric, error) for point in measured],
                "n_background": [_mean(_numbers(point, metric, "n_background")) for point in measured],
            }
            for metric in METRICS
        },
    }


def _error(point: Sequence[Mapping[str, Any]], metric: str, key: str) -> float | None:
    """Return the error of one sample, or the standard deviation over several."""
    if len(point) == 1:
        return _numbers(point, metric, key)[0]
    values = [value for value in _numbers(point, metric, "value") if value is not None]
    return float(np.std(values, ddof=1)) if len(values) == len(point) else None


def _numbers(point: Sequence[Mapping[str, Any]], metric: str, key: str) -> list[float | None]:
    values = [measured.get(metric, {}).get(key) for measured in point]
    return [None if value is None else float(value) for value in values]
