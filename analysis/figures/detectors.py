"""Figures of the detectors: how well they separate where truth is known, and whether they learn the mass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import signal_content
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
from ml.metrics import roc
from ml.selection import fold_quantiles

Described = tuple[str, str, str, object]


def detector_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) for the searched samples.

    Every sample where the truth is known has its comparison of detectors; scores, and scores against mass, are drawn
    for the samples with the least and the most signal. Detectors with a window of their own have figures of their own.
    """
    shown = ends(run)
    for name in run.search.data:
        sample = searched(run, name)
        for suffix, detectors in _groups(run):
            found = [trained(run, name, detector) for detector in detectors]
            yield from _efficiency_figures(run, sample, found, suffix, label)
            if name in shown:
                yield from _score_figures(run, sample, found, suffix, label, more=left_out(run, shown))


def detector_label(name: str, summary: Mapping[str, Any]) -> str:
    """Return a detector's name in a legend, with what it is made of unless the name says so.

    >>> detector_label("cwola", {"settings": {"classifier": "bdt"}}), detector_label("cwola_networks", {})
    ('cwola, trees', 'cwola_networks')
    """
    made_of = {"bdt": "trees", "mlp": "networks"}.get((summary.get("settings") or {}).get("classifier", ""))
    return name if made_of is None or made_of in name else f"{name}, {made_of}"


def _groups(run: SearchRun) -> Iterator[tuple[str, list[str]]]:
    """Yield detectors that share the search's signal window, and those with another, with a suffix for names."""
    common = run.search.window
    own = [name for name in run.search.detectors if not same_signal_window(window_of(run, name), common)]
    others = [name for name in run.search.detectors if name not in own]
    yield from ((suffix, names) for suffix, names in (("", others), ("-windows", own)) if names)


def _efficiency_figures(
    run: SearchRun, sample: Searched, found: list[Trained], suffix: str, label: Label
) -> Iterator[Described]:
    curves = [curve for one in found if (curve := detector_curve(run, sample, one)) is not None]
    if not curves:
        return
    windows = {_window_text(run, one.name) for one in found}
    where = windows.pop() if len(windows) == 1 else ", each in its own window"
    content = (
        f"{where}, from the truth{_out_of_fold(found)}, on {_range([c.n_signal for c in curves])} signal and "
        f"{_range([c.n_background for c in curves])} background events.{signal_content(sample)}"
    )
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


def _out_of_fold(found: list[Trained]) -> str:
    """Return words on who scored whom, for captions; none where it differs between detectors."""
    folds = {one.summary["folds"] == 1 for one in found}
    return ", all events trained" if folds == {True} else ", out of fold" if folds == {False} else ""


def _standardised(score: np.ndarray) -> np.ndarray:
    exact = np.asarray(score, dtype=np.float64)
    return (exact - exact.mean()) / (exact.std() or 1.0) if len(exact) else exact


def detector_curve(run: SearchRun, sample: Searched, found: Trained) -> RocCurve | None:
    """Return the ROC in the detector's window, or None where truth or one of the classes is missing."""
    if not sample.truth_known:
        return None
    truth, mass, fold = sample.events["truth"], sample.events["mjj"], found.fold_index
    score, repeats, members = found.score, found.repeat_scores, found.members
    if sample.spare is not None and found.spare_score is not None:
        truth, mass = np.append(truth, sample.spare["truth"]), np.append(mass, sample.spare["mjj"])
        score = np.append(score, found.spare_score)
        fold = np.append(fold, sample.spare["fold"] % found.summary["folds"])
        members = _stacked(members, found.spare_members)
        repeats = _stacked(repeats, found.spare_repeat_scores)
    rows = np.ones(len(mass), dtype=bool)
    window = window_of(run, found.name)
    if window is not None:
        rows = (mass >= window.signal[0]) & (mass < window.signal[1])
    truth, fold, own = truth[rows], fold[rows], int(rows[: len(sample.events)].sum())

    def ranked(values: np.ndarray) -> np.ndarray:
        """Return scores by their quantiles in their fold: see `ml.selection.fold_quantiles`."""
        inside, weight = values[rows], sample.events["weight"][rows[: len(sample.events)]]
        return fold_quantiles(inside, fold, reference=inside[:own], reference_fold=fold[:own], weight=weight)

    n_signal, n_background = int((truth == 1).sum()), int((truth == 0).sum())
    if n_signal == 0 or n_background < MIN_BACKGROUND:
        return None
    curve = roc(ranked(score), truth)
    several = members if repeats is None else repeats
    each = [] if several is None else [roc(column, truth) for column in ranked(several).T]
    return RocCurve(
        detector_label(found.name, found.summary),
        curve.signal,
        curve.background,
        n_signal,
        n_background,
        members=[(one.signal, one.background) for one in each],
        uses_labels=bool(found.summary["uses_labels"]),
        repeated=repeats is not None,
    )


def _stacked(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Return rows of both, the first alone where there is no second."""
    return first if first is None or second is None else np.concatenate([first, second])


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return format_count(low) if low == high else f"{format_count(low)} to {format_count(high)}"


def _window_text(run: SearchRun, detector: str) -> str:
    window = window_of(run, detector)
    return " at all masses" if window is None else f" in the window {window.signal[0]:g} to {window.signal[1]:g} GeV"
