"""Figures of the detectors: how well they separate where truth is known, and whether they learn the mass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import signal_content
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
from analysis.stages.searched import Searched, searched
from analysis.stages.train import MIN_BACKGROUND, Trained, trained
from ml.metrics import roc


def detector_figures(run: SearchRun, label: Label) -> Iterator[tuple[str, str, str, object]]:
    """Yield (section, name, caption, figure) for every searched sample."""
    for name in run.search.data:
        sample = searched(run, name)
        detectors = [trained(run, name, detector) for detector in run.search.detectors]
        curves = [curve for found in detectors if (curve := _curve(run, sample, found)) is not None]
        if curves:
            yield from _efficiency_figures(run, sample, curves, label)
        for found in detectors:
            yield from _score_figures(run, sample, found, label)


def _efficiency_figures(
    run: SearchRun, sample: Searched, curves: list[RocCurve], label: Label
) -> Iterator[tuple[str, str, str, object]]:
    name, content = sample.name, signal_content(sample)
    where = f" in the window {_window_text(run)}" if run.search.window else ""
    yield (
        "detectors",
        f"sic-{name}",
        f"Significance improvement against signal efficiency{where}, from the truth, out of fold.{content}",
        sic_figure(curves, minimum_background=MIN_BACKGROUND, label=label),
    )
    yield (
        "detectors",
        f"roc-{name}",
        f"Background rejection against signal efficiency{where}, from the truth, out of fold.{content}",
        roc_figure(curves, minimum_background=MIN_BACKGROUND, label=label),
    )


def _score_figures(
    run: SearchRun, sample: Searched, found: Trained, label: Label
) -> Iterator[tuple[str, str, str, object]]:
    shown = [Values("Pseudo-data" if sample.truth_known else "Data", found.score, role="data")]
    if sample.truth_known and found.spare_score is not None and len(found.spare_score):
        shown.append(Values("Signal", found.spare_score, role="signal"))
    content = signal_content(sample)
    yield (
        "detectors",
        f"score-{sample.name}-{found.name}",
        f"Score of {found.name} on {sample.name}, every event scored by models that did not see it.{content}",
        comparison_figure(histogram_values("Anomaly score", shown, coverage=1.0), log=True, label=label),
    )
    rows = sample.events["truth"] != 1
    edges = np.quantile(sample.events["mjj"], np.linspace(0, 0.999, 16))
    profile = mean_profile(found.name, sample.events["mjj"][rows], found.score[rows], edges=edges)
    window = run.search.window.signal if run.search.window else None
    yield (
        "detectors",
        f"decorrelation-{sample.name}-{found.name}",
        f"Mean score of {found.name} against dijet mass"
        + (" for background known from the truth" if sample.truth_known else "")
        + f": a detector that learnt the mass would rise in the window.{content}",
        profile_figure(profile, window=window, label=label),
    )


def _curve(run: SearchRun, sample: Searched, found: Trained) -> RocCurve | None:
    """Return the ROC in the signal window, or None where truth or one of the classes is missing."""
    if not sample.truth_known:
        return None
    truth, mass = sample.events["truth"], sample.events["mjj"]
    score, members = found.score, found.members
    if sample.spare is not None and found.spare_score is not None:
        truth, mass = np.append(truth, sample.spare["truth"]), np.append(mass, sample.spare["mjj"])
        score = np.append(score, found.spare_score)
        if members is not None and found.spare_members is not None:
            members = np.concatenate([members, found.spare_members])
    rows = np.ones(len(mass), dtype=bool)
    if run.search.window is not None:
        low, high = run.search.window.signal
        rows = (mass >= low) & (mass < high)
    truth, score = truth[rows], score[rows]
    n_signal, n_background = int((truth == 1).sum()), int((truth == 0).sum())
    if n_signal == 0 or n_background < MIN_BACKGROUND:
        return None
    curve = roc(score, truth)
    each = [] if members is None else [roc(column, truth) for column in members[rows].T]
    return RocCurve(
        found.name,
        curve.signal,
        curve.background,
        n_signal,
        n_background,
        members=[(one.signal, one.background) for one in each],
        uses_labels=bool(found.summary["uses_labels"]),
    )


def _window_text(run: SearchRun) -> str:
    assert run.search.window is not None
    low, high = run.search.window.signal
    return f"{low:g} to {high:g} GeV"
