"""Figures of the estimates from two scores: the plane, predictions over efficiencies, and closure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import selected_content, signal_content
from analysis.numbers import format_percent
from analysis.plots.abcd import (
    ClosurePulls,
    Prediction,
    ScorePlane,
    closure_figure,
    plane_figure,
    prediction_figure,
)
from analysis.plots.features import axis_label
from analysis.plots.style import Label
from analysis.stages.abcd import AbcdEstimate, abcd
from analysis.stages.searched import searched

Described = tuple[str, str, str, object]

METHODS = {
    "counting": "Tag N' Train counting",
    "plain": "Plain, BC/D",
    "extended": "Extended along the first score",
    "extended_second": "Extended along the second score",
}
_KINDS = {
    "inside": "Both scores below the selection",
    "first": "First score below, second selected",
    "second": "Second score below, first selected",
}


def abcd_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) for every sample and pair of scores."""
    found = abcd(run).values()
    for sample in run.search.data:
        for settings in run.search.abcd:
            group = [one for one in found if one.sample == sample and one.settings.name == settings.name]
            for one in group:
                yield _plane(one, label)
                yield from _closure(one, label)
            if group:
                yield _predictions(group, label, content=signal_content(searched(run, sample)))


def _plane(found: AbcdEstimate, label: Label) -> Described:
    x, y = found.view["first"], found.view["second"]
    ranked = " Scores that differ from fold to fold are shown as the normal quantile of their rank in the fold."
    plane = ScorePlane(
        np.array(x["edges"]),
        np.array(y["edges"]),
        np.array(found.view["counts"]),
        _axis_title(x),
        _axis_title(y),
        tuple(x["cuts"]),
        tuple(y["cuts"]),
        np.array(found.view["signal"]),
    )
    tail = found.summary["abcd"]["tail"]
    caption = (
        f"Events of {found.sample} in the plane of both scores ({found.settings.name}), with the regions at an "
        f"efficiency of {format_percent(found.efficiency)}: A holds the {format_percent(tail)} highest values of each "
        f"score.{ranked if x['is_rank'] or y['is_rank'] else ''}{selected_content(found.summary)}"
    )
    return "abcd", f"abcd-plane-{found.identifier}", caption, plane_figure(plane, label=label)


def _axis_title(axis: Mapping[str, Any]) -> str:
    name = str(axis["name"])
    title = axis_label(name.removeprefix("-"))
    for order, jet in (("leading_", "lead"), ("subleading_", "sublead")):
        if name.removeprefix("-").startswith(order):
            title = axis_label(f"j1_{name.removeprefix('-').removeprefix(order)}").replace(
                "J_1", rf"J_\mathrm{{{jet}}}"
            )
    if axis["is_rank"]:
        title = f"{title} [normal quantile of rank]"
    return f"$-$ {title}" if name.startswith("-") else title


def _closure(found: AbcdEstimate, label: Label) -> Iterator[Described]:
    checks = found.summary["abcd"]["closure_checks"]
    closures = [
        ClosurePulls(title, *(_numbers(checks, kind, key) for key in ("tail", "ratio", "ratio_error", "pull")))
        for kind, title in _KINDS.items()
    ]
    if not any(len(one.tails) for one in closures):
        return
    caption = (
        f"Closure of the plain estimate for {found.identifier} in validation regions outside the signal region, "
        "against the fraction of events above their boundary. Regions of one kind share events. "
        "Those beside the signal region "
        f"hold more signal than those inside.{selected_content(found.summary)}"
    )
    yield "abcd", f"abcd-closure-{found.identifier}", caption, closure_figure(closures, label=label)


def _numbers(checks: list[Mapping[str, Any]], kind: str, key: str) -> np.ndarray:
    return np.array([one[key] for one in checks if one["region"] == kind], dtype=float)


def _predictions(group: list[AbcdEstimate], label: Label, *, content: str) -> Described:
    entries = [one.summary["abcd"] for one in group]
    true = [entry.get("true_background") for entry in entries]
    predictions = [
        Prediction(title, *(_estimated(entries, method, key) for key in ("predicted", "uncertainty")))
        for method, title in METHODS.items()
    ]
    first = group[0]
    figure = prediction_figure(
        np.array([one.efficiency for one in group]),
        np.array([entry["observed"] for entry in entries], dtype=float),
        predictions,
        true_background=None if None in true else np.array(true, dtype=float),
        label=label,
    )
    caption = (
        f"Events of {first.sample} selected by both scores ({first.settings.name}) and the background predicted from "
        "the regions that one or both reject, with statistical uncertainties; those of the counting form include "
        f"{format_percent(first.settings.systematic)} systematic. The band is the Poisson uncertainty of the "
        f"denominator.{content}"
    )
    return "abcd", f"abcd-{first.sample}-{first.settings.name}", caption, figure


def _estimated(entries: list[Mapping[str, Any]], method: str, key: str) -> np.ndarray:
    return np.array([entry[method].get(key) for entry in entries], dtype=float)
