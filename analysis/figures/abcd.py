"""Figures of the estimates from two scores: the plane, predictions over efficiencies, and closure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import selected_content, signal_content
from analysis.numbers import format_count, format_percent, format_uncertain
from analysis.plots.abcd import (
    ClosurePulls,
    Prediction,
    ScorePlane,
    closure_figure,
    plane_figure,
    prediction_figure,
)
from analysis.plots.abcd_ratios import ClosureCurve, ratio_figure
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
        content = signal_content(searched(run, sample)) if found else ""
        groups = [
            [one for one in found if one.sample == sample and one.settings.name == settings.name]
            for settings in run.search.abcd
        ]
        yield from (_plane(group, label, content=content) for group in groups if group)
        yield from _ratios([group for group in groups if group], label, content=content)
        for group in groups:
            for one in group:
                yield from _closure(one, label)
            if group:
                yield _predictions(group, label, content=content)


def _plane(group: list[AbcdEstimate], label: Label, *, content: str) -> Described:
    """Draw the plane of one pair of scores, its regions at the largest efficiency."""
    found, *tighter = sorted(group, key=lambda one: -one.efficiency)
    x, y = found.view["first"], found.view["second"]
    corners = [tuple(one.view[axis]["cuts"][1] for axis in ("first", "second")) for one in tighter]
    correlation = found.summary["abcd"].get("truth", {}).get("correlation", {})
    plane = ScorePlane(
        np.array(x["edges"]),
        np.array(y["edges"]),
        np.array(found.view["counts"]),
        _axis_title(x),
        _axis_title(y),
        tuple(x["cuts"]),
        tuple(y["cuts"]),
        np.array(found.view["signal"]),
        n_signal=found.view["n_signal"],
        is_background=found.view["is_background"],
        tighter=tuple((a, b) for a, b in corners if a is not None and b is not None),
        note="" if correlation.get("pearson") is None else f"Background: ρ = {_coefficient(correlation, 'pearson')}",
    )
    name = f"{found.sample}-{found.settings.name}"
    return "abcd", f"abcd-plane-{name}", _plane_caption(found, tighter, correlation, content), plane_figure(
        plane, label=label
    )


def _plane_caption(
    found: AbcdEstimate, tighter: list[AbcdEstimate], correlation: Mapping[str, Any], content: str
) -> str:
    tail = found.summary["abcd"]["tail"]
    text = (
        f"Events of {found.sample} in the plane of both scores ({found.settings.name}), with the regions at an "
        f"efficiency of {format_percent(found.efficiency)}: A holds the {format_percent(tail)} highest values of each "
        "score."
    )
    if tighter:
        places = ", ".join(format_percent(one.efficiency) for one in tighter)
        text += f" Dashed: region A at efficiencies of {places}."
    if found.view["first"]["is_rank"] or found.view["second"]["is_rank"]:
        text += " Scores that differ from fold to fold are shown as the normal quantile of their rank in the fold."
    if correlation.get("pearson") is not None:
        text += (
            f" ρ is Pearson's coefficient of the scores of {format_count(correlation['n'])} background events, within "
            f"each fold; that of their ranks is {_coefficient(correlation, 'rank')}."
        )
    return text + content


def _coefficient(correlation: Mapping[str, Any], key: str) -> str:
    return format_uncertain(correlation[key], correlation["error"])


def _ratios(groups: list[list[AbcdEstimate]], label: Label, *, content: str) -> Iterator[Described]:
    """Compare the estimates of one sample with its true background, where that is known."""
    curves = [curve for group in groups if len((curve := _curve(group)).efficiencies)]
    if not curves:
        return
    sample = groups[0][0].sample
    caption = (
        f"Predicted over true background of {sample} against efficiency: from all events, as the search predicts, and "
        "from the background alone, where only scores that depend on each other move it from 1. Bars: statistical "
        "uncertainty of the prediction; bands: Poisson uncertainty of the true number of events. Both share the "
        "selected events, which the tables count once. Dashed: ±5%. Ratios far from 1 are written at the edge."
        f"{content}"
    )
    yield "abcd", f"abcd-closure-{sample}", caption, ratio_figure(curves, label=label)


def _curve(group: list[AbcdEstimate]) -> ClosureCurve:
    """Collect the closure of one pair of scores, efficiencies without a ratio left out."""
    truths = {one.efficiency: one.summary["abcd"].get("truth", {}) for one in group}
    known = {
        efficiency: (truth["closure_in_data"], truth["closure"])
        for efficiency, truth in truths.items()
        if truth and all(truth[key].get("ratio") is not None for key in ("closure", "closure_in_data"))
    }
    values = np.array(
        [
            [[one["ratio"], one["statistical"] / one["true"], one["true"]] for one in both]
            for _, both in sorted(known.items())
        ]
    ).reshape(-1, 2, 3)
    return ClosureCurve(group[0].settings.name, np.array(sorted(known)), *np.moveaxis(values, 2, 0))


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
