"""Figures of the detectors: how well they separate where truth is known, and whether they learn the mass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.config import MAIN, OWN_WINDOWS
from analysis.context import SearchRun
from analysis.figures.captions import signal_content
from analysis.figures.curves import detector_curve, detector_label, object_curve
from analysis.numbers import format_count
from analysis.plots import (
    Label,
    RocCurve,
    Values,
    comparison_figure,
    histogram_values,
    mean_profile,
    profile_figure,
    roc_figure,
    sic_figure,
)
from analysis.stages.families import ends, left_out, same_signal_window
from analysis.stages.searched import Searched, searched, window_of
from analysis.stages.train import MIN_BACKGROUND, Trained, trained

Described = tuple[str, str, str, object]

_ORDERS = {"pt": "pT", "mass": "mass"}
_MIXED = {"pt": " Ordered by pT, an object of a signal event may be either of its two particles.", "mass": ""}


def detector_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) for the searched samples.

    Every sample where the truth is known has its comparison of detectors; scores, and scores against mass, are drawn
    for the samples with the least and the most signal. Detectors stand in the figures that they name, and those with a
    window of their own in others.
    """
    shown = ends(run)
    for name in run.search.data:
        sample, drawn = searched(run, name), set[str]()
        for suffix, detectors in figure_groups(run):
            found = [trained(run, name, detector) for detector in detectors]
            yield from _efficiency_figures(run, sample, found, suffix, label)
            new = [one for one in found if one.name not in drawn]
            drawn.update(one.name for one in new)
            yield from _object_figures(run, sample, found, suffix, label, new={one.name for one in new})
            if name in shown and new:  # a score looks the same beside any other
                yield from _score_figures(run, sample, new, suffix, label, more=left_out(run, shown))


def figure_groups(run: SearchRun) -> Iterator[tuple[str, list[str]]]:
    """Yield what is drawn together, with a suffix for names: detectors that name the same figure, in the order in which
    figures are named first; of these apart those that share the search's signal window, and those with another."""
    detectors, common = run.search.detectors, run.search.window
    own = {name for name in detectors if not same_signal_window(window_of(run, name), common)}
    for figure in dict.fromkeys([MAIN, *(figure for one in detectors.values() for figure in one.figures)]):
        together = [name for name, one in detectors.items() if figure in one.figures]
        name = "" if figure == MAIN else f"-{figure}"
        for suffix, names in (("", set(together) - own), (OWN_WINDOWS, own)):
            if chosen := [one for one in together if one in names]:
                yield f"{name}{suffix}", chosen


def _efficiency_figures(
    run: SearchRun, sample: Searched, found: list[Trained], suffix: str, label: Label
) -> Iterator[Described]:
    curves = [curve for one in found if (curve := detector_curve(run, sample, one)) is not None]
    if not curves:
        return
    areas = " AUC is the area under a curve with its statistical uncertainty, of repeated trainings the mean."
    content = f"{_whose(run, curves, found)}{areas}{signal_content(sample)}"
    yield (
        "detectors",
        f"sic-{sample.name}{suffix}",
        f"Significance improvement against signal efficiency{content}",
        sic_figure(curves, minimum_background=MIN_BACKGROUND, label=label),
    )
    yield (
        "detectors",
        f"roc-{sample.name}{suffix}",
        f"Background rejection against signal efficiency{content}",
        roc_figure(curves, minimum_background=MIN_BACKGROUND, label=label),
    )


def _object_figures(
    run: SearchRun, sample: Searched, found: list[Trained], suffix: str, label: Label, *, new: set[str]
) -> Iterator[Described]:
    """Yield one figure for each object, of the detectors that put the objects of an event in the same order.

    Those of which none is `new` were drawn before.
    """
    orders = dict.fromkeys(_order(one) for one in found if one.objects is not None)
    for order, k in ((order, k) for order in orders for k in range(2)):
        own = [one for one in found if one.objects is not None and _order(one) == order]
        curves = [curve for one in own if (curve := object_curve(run, sample, one, k)) is not None]
        if not curves or not any(one.name in new for one in own):
            continue
        which = ("larger", "smaller")[k]
        yield (
            "detectors",
            f"objects-{sample.name}{suffix}-{which}-{order}",
            f"Background rejection by the score of one object of each event alone (the jet of {which} {_ORDERS[order]})"
            f"{_whose(run, curves, own)} A curve ends in a point where no selection is tighter: all that is left has "
            f"one score.{_MIXED[order]}{signal_content(sample)}",
            roc_figure(curves, minimum_background=MIN_BACKGROUND, label=label),
        )


def _order(found: Trained) -> str:
    """Return what puts a detector's objects in order: where none is set, that of the columns, by mass."""
    return str(found.summary["settings"].get("object_order", "mass"))


def _score_figures(
    run: SearchRun, sample: Searched, found: list[Trained], suffix: str, label: Label, *, more: str
) -> Iterator[Described]:
    content = f"{signal_content(sample)}{more}"
    yield (
        "detectors",
        f"scores-{sample.name}{suffix}",
        f"Scores of the detectors on {sample.name}{_out_of_fold(found)}.{content}",
        comparison_figure([_scores(sample, one) for one in found], log=True, label=label),
    )
    rows = sample.events["truth"] != 1
    mass = sample.events["mjj"]
    edges = np.quantile(mass, np.linspace(0, 0.999, 16))
    profiles = [
        mean_profile(detector_label(one.name, one.summary), mass[rows], _standardised(one.score[rows]), edges=edges)
        for one in found
    ]
    window = None if suffix or run.search.window is None else run.search.window.signal
    yield (
        "detectors",
        f"decorrelation-{sample.name}{suffix}",
        f"Mean score against dijet mass in {sample.name}"
        + (", background known from the truth" if sample.truth_known else "")
        + ": a detector that learnt the mass would rise in the window. Scores have mean 0 and standard deviation 1."
        + content,
        profile_figure(profiles, window=window, y_label="Mean standardised score", label=label),
    )


def _scores(sample: Searched, found: Trained) -> Any:
    shown = [Values("Pseudo-data" if sample.truth_known else "Data", found.score, role="data")]
    if sample.truth_known and found.spare_score is not None and len(found.spare_score):
        shown.append(Values("Signal", found.spare_score, role="signal"))
    return histogram_values(f"Score of {detector_label(found.name, found.summary)}", shown, coverage=1.0)


def _whose(run: SearchRun, curves: list[RocCurve], found: list[Trained]) -> str:
    """Return words on the events behind curves, up to the end of a sentence."""
    windows = {_window_text(run, one.name) for one in found}
    where = windows.pop() if len(windows) == 1 else ", each in its own window"
    return (
        f"{where}, from the truth{_out_of_fold(found)}, on {_range([c.n_signal for c in curves])} signal and "
        f"{_range([c.n_background for c in curves])} background events."
    )


def _out_of_fold(found: list[Trained]) -> str:
    """Return words on who scored whom, for captions; none where it differs between detectors."""
    folds = {one.summary["folds"] == 1 for one in found}
    return ", all events trained" if folds == {True} else ", out of fold" if folds == {False} else ""


def _standardised(score: np.ndarray) -> np.ndarray:
    exact = np.asarray(score, dtype=np.float64)
    return (exact - exact.mean()) / (exact.std() or 1.0) if len(exact) else exact


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return format_count(low) if low == high else f"{format_count(low)} to {format_count(high)}"


def _window_text(run: SearchRun, detector: str) -> str:
    window = window_of(run, detector)
    return " at all masses" if window is None else f" in the window {window.signal[0]:g} to {window.signal[1]:g} GeV"
