"""Figures of merit of every detector against the amount of signal in the window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.context import SearchRun
from analysis.stages.families import families_of, same_signal_window, signal_of
from analysis.stages.searched import searched, window_of
from analysis.stages.train import Trained, trained

METRICS = ("auc", "max_sic", "max_sic_regulated", "background_efficiency_at_0.5", "sic_at_0.5")


def scans(run: SearchRun) -> list[dict[str, Any]]:
    """Return `scans` of results.json: one for every family of mixtures that differ in nothing but their signal.

    There is none without a window, in which S/B would be counted, or without detectors that look into that window.
    The points of a scan share background events, and mixing and training seeds, so that their errors are correlated.

    Nothing is computed here that training did not measure. Errors are the standard deviation over repeated trainings,
    else statistical.
    """
    found = []
    for names in families_of(run):
        known = [name for name in names if searched(run, name).truth_known]
        if run.search.window is None or len({signal_of(run, name) for name in known}) < 2:
            continue
        scan = _scan(run, known)
        if scan["lines"] and None not in scan["s_over_b_window"]:
            found.append(scan)
    return found


def _scan(run: SearchRun, names: list[str]) -> dict[str, Any]:
    mixture = run.search.mixtures[names[0]]
    counts = [searched(run, name).counts for name in names]
    return {
        "background": mixture.background,
        "signal": next(m.signal for n in reversed(names) if (m := run.search.mixtures[n]).signal),
        "samples": names,
        "signal_fraction": [None if one is None else one.fraction for one in counts],
        "s_over_b_window": [None if one is None else one.s_over_b_window for one in counts],
        "s_over_sqrt_b_window": [None if one is None else one.s_over_sqrt_b_window for one in counts],
        "lines": {
            detector: _line([trained(run, name, detector) for name in names])
            for detector in run.search.detectors
            if same_signal_window(window_of(run, detector), run.search.window)
        },
    }


def _line(found: list[Trained]) -> dict[str, Any]:
    """Return one detector's figures of merit over the samples of a scan."""
    summary = found[0].summary
    measured = [one.summary["measured"] for one in found]
    repeats = max((len(one.get("repeats") or ()) for each in measured for one in each.values()), default=0)
    return {
        "uses_labels": summary["uses_labels"],
        "classifier": (summary.get("settings") or {}).get("classifier"),
        "repeats": max(repeats, 1),
        "errors": "spread of repeats" if repeats > 1 else "statistical",
        **{
            metric: {
                "values": [_number(each, metric, "value") for each in measured],
                "errors": [_number(each, metric, "spread" if repeats > 1 else "uncertainty") for each in measured],
                "n_background": [_number(each, metric, "n_background") for each in measured],
            }
            for metric in METRICS
        },
    }


def _number(measured: Mapping[str, Any], metric: str, key: str) -> float | None:
    value = measured.get(metric, {}).get(key)
    return None if value is None else float(value)
