"""Figures of simulation that is corrected to data, of its prediction, and of the scan over S/B: SALAD's 4 to 9."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.events import Events
from analysis.figures.captions import signal_content
from analysis.figures.curves import detector_label
from analysis.numbers import format_count, format_percent
from analysis.plots import Comparison, Label, axis_label, comparison_figure
from analysis.plots.comparison import Role
from analysis.plots.direct import DirectRatios, direct_figure
from analysis.plots.features import Values, histogram_values
from analysis.plots.signal_scan import ScanLine, scan_figure
from analysis.report.salad_tables import REPLICAS_NOTE
from analysis.stages.direct import direct
from analysis.stages.families import calmest
from analysis.stages.reweighting import Reweighting, reweighting
from analysis.stages.scan import METRICS, scans
from analysis.stages.searched import searched
from analysis.stages.weighted import Weighted, features_of, weighted, window_for

Described = tuple[str, str, str, object]


def salad_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure): closure and prediction where there is least signal, then the scans."""
    shown = calmest(run)
    for (sample, detector), found in reweighting(run).items():
        if sample in shown:
            yield from _closure_figures(run, weighted(run, sample, detector), found, label)
    for sample in shown:
        yield from _direct(run, sample, label)
    for index, scan in enumerate(scans(run)):
        yield _scan(scan, "" if not index else f"-{index + 1}", label)


def _closure_figures(run: SearchRun, seen: Weighted, found: Reweighting, label: Label) -> Iterator[Described]:
    sample, window = searched(run, seen.sample), window_for(run, seen.detector)
    name, content = f"{seen.sample}-{seen.detector}", signal_content(sample)
    beside = window.sideband_index(sample.events["mjj"]) >= 0, window.sideband_index(seen.events["mjj"]) >= 0
    within = window.in_signal(sample.events["mjj"]), window.in_signal(seen.events["mjj"])
    columns = features_of(run, seen.detector)
    if seen.data_output is not None:
        yield (
            "reweighting",
            f"reweighting-output-{name}",
            f"Output f of the reweighting {seen.detector} in the sidebands, out of fold: {_counts(*beside)}. "
            f"{_of_signal(seen)}"
            f"{_areas(found, 'sidebands')}{content}",
            comparison_figure(
                _output(seen, *beside, sample.events["weight"][beside[0]]), log=True, normalise=False, label=label
            ),
        )
    for region, rows in (("sidebands", beside), ("window", within)):
        if region == "window":
            yield _fresh(run, seen, found, label, content)
        grid = [_feature(seen, sample.events, column, *rows) for column in columns]
        yield (
            "reweighting",
            f"reweighting-{region}-{name}",
            f"Features in the {region} before and after the correction of {seen.detector}: {_counts(*rows)}. "
            f"{_areas(found, region)} {_size(found, region)} Errors are statistical.{content}",
            comparison_figure(grid, columns=2 if len(grid) in (2, 4) else 3, normalise=False, label=label),
        )


def _of_signal(seen: Weighted) -> str:
    """Return what is drawn of the signal, if any is."""
    if seen.signal_output is None:
        return ""
    count = format_count(len(seen.signal_output))
    return f"The signal, known from the truth, is that of {count} events of any mass that were not injected. "


def _output(seen: Weighted, of_data: np.ndarray, of_simulation: np.ndarray, weight: np.ndarray) -> Comparison:
    assert seen.data_output is not None
    values = seen.data_output[of_data], seen.output[of_simulation]
    signal = []
    if seen.signal_output is not None:
        scale = np.full(len(seen.signal_output), float(weight.sum()) / len(seen.signal_output))
        signal = [Values("Signal, not to scale", seen.signal_output, scale, "signal")]
    made = _three("Output f of the reweighting", seen, *values, of_simulation, weight, more=signal)
    return replace(made, whole_ratio=True)


def _feature(seen: Weighted, events: Events, column: str, of_data: np.ndarray, of_simulation: np.ndarray) -> Comparison:
    values = events[column][of_data], seen.events[column][of_simulation]
    return _three(axis_label(column), seen, *values, of_simulation, events["weight"][of_data])


def _three(
    x_label: str,
    seen: Weighted,
    data: np.ndarray,
    simulation: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray,
    *,
    stands: float = 1.0,
    more: Sequence[Values] = (),
) -> Comparison:
    """Return data, simulation and corrected simulation in common bins, with ratios to data.

    `weight` (n_data,) are the data's; a simulated event `stands` for so many.
    """
    samples = [
        Values("Data", data, None if np.all(weight == 1) else weight, "data"),
        Values("Simulation", simulation, stands * seen.unweighted[rows], "simulation"),
        Values("Simulation, reweighted", simulation, stands * seen.weight[rows], _REWEIGHTED),
        *more,
    ]
    made = histogram_values(x_label, samples)
    return Comparison(made.x_label, made.edges, made.histograms, 0)


_REWEIGHTED: Role = "reweighted"


def _fresh(run: SearchRun, seen: Weighted, found: Reweighting, label: Label, content: str) -> Described:
    """Return the fresh classifiers' outputs in the window: trained before the correction, and after it."""
    figure = comparison_figure(fresh_outputs(run, seen, found), columns=2, log=True, normalise=False, label=label)
    rows = found.outputs["rows_data"], found.outputs["rows_simulation"]
    caption = (
        "Output of fresh classifiers between data and simulation in the window, trained with simulation as it is and "
        f"with reweighted simulation, out of fold: {_counts(*rows)}, scaled to all in the window. "
        f"{_areas(found, 'window')}{content}"
    )
    return "reweighting", f"reweighting-fresh-{seen.sample}-{seen.detector}", caption, figure


def fresh_outputs(run: SearchRun, seen: Weighted, found: Reweighting) -> list[Comparison]:
    """Return the outputs before and after the correction; the events of the closure stand for all in the window."""
    data, window = searched(run, seen.sample).events, window_for(run, seen.detector)
    kept = found.outputs["rows_data"], found.outputs["rows_simulation"]
    stands = tuple(
        float(events["weight"][window.in_signal(events["mjj"])].sum() / events["weight"][rows].sum())
        for events, rows in zip((data, seen.events), kept, strict=True)
    )
    weight = data["weight"][kept[0]]
    return [
        _three(
            f"Output of a fresh classifier, {which}",
            seen,
            found.outputs[f"{which}_data"],
            found.outputs[f"{which}_simulation"],
            kept[1],
            stands[0] * weight,
            stands=stands[1],
        )
        for which in ("before", "after")
    ]


def _counts(of_data: np.ndarray, of_simulation: np.ndarray) -> str:
    counts = [int(rows.sum()) if rows.dtype == bool else len(rows) for rows in (of_data, of_simulation)]
    return f"{format_count(counts[0])} events of data and {format_count(counts[1])} of simulation"


def _areas(found: Reweighting, region: str) -> str:
    closure = found.summary[region]["closure"]
    texts = [f"{closure[which]['value']:.3f} ± {closure[which]['uncertainty']:.3f}" for which in ("before", "after")]
    features = ", ".join(found.summary["features"])
    return f"A fresh classifier on {features} reaches an AUC of {texts[0]} before and {texts[1]} after."


def _size(found: Reweighting, region: str) -> str:
    entry = found.summary[region]
    return (
        f"The mean correction is {format_percent(entry['mean_correction'])}, the sum of weights stands for "
        f"{format_count(round(entry['effective_events']))} effective events."
    )


def _direct(run: SearchRun, sample: str, label: Label) -> Iterator[Described]:
    """Yield one figure with the predictions of all detectors; one that reweights is shown without its weights, too."""
    found = {detector: one.entries for (name, detector), one in direct(run).items() if name == sample}
    if not found:
        return
    lines = []
    for detector, entries in found.items():
        efficiency = _column(entries, "efficiency")
        plain = _column(entries, "unweighted_ratio"), _column(entries, "unweighted_ratio_statistical")
        if (sample, detector) in reweighting(run):
            ratio, *errors = (_column(entries, key) for key in ("ratio", "ratio_statistical", "ratio_total"))
            name = f"{detector}, reweighted"
            lines.append(DirectRatios(name, efficiency, ratio, errors[0], total=errors[1], reweighted=True))
            lines.append(DirectRatios(f"{detector}, the same selection with equal weights", efficiency, *plain))
        else:
            lines.append(DirectRatios(f"{detector}, normalised in the sidebands", efficiency, *plain))
    first = next(iter(found.values()))
    known = "true_background" in first[0]
    counts = f"{format_count(first[0]['observed'])} to {format_count(first[-1]['observed'])} events observed"
    caption = (
        f"Background of {sample} in the window that simulation predicts above thresholds on each detector's score, "
        f"over {'the true background' if known else 'the observed events'} ({counts}); yields come from the sidebands. "
        "Weights are those of the other folds' reweighting, which took no part in the training of the score. "
        f"{_repeated(found)}Thick bars hold the statistical errors of both, thin bars also the spread over members and "
        "over trainings, and the closure in the validation bands together, which signal that reaches into them "
        f"raises.{signal_content(searched(run, sample))}"
    )
    yield "direct", f"direct-{sample}", caption, direct_figure(lines, truth=known, label=label)


def _repeated(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a sentence on how many trainings each prediction is the mean of, empty where each is one."""
    several = [f"{name} ({count})" for name, one in found.items() if (count := len(one[0].get("repeats") or ())) > 1]
    return f"Ratios are means over repeated trainings: {', '.join(several)}. " if several else ""


def _column(entries: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    return _array([one.get(key) for one in entries])


def _scan(scan: Mapping[str, Any], suffix: str, label: Label) -> Described:
    amounts = np.array([np.nan if value is None else value for value in scan["s_over_b_window"]], dtype=float)
    lines = [
        ScanLine(
            detector_label(name, {"settings": line}),
            amounts,
            {metric: _array(line[metric]["values"]) for metric in METRICS},
            {metric: _array(line[metric]["errors"]) for metric in METRICS},
            uses_labels=bool(line["uses_labels"]),
        )
        for name, line in scan["lines"].items()
    ]
    several = [f"{name} ({line['repeats']})" for name, line in scan["lines"].items() if line["repeats"] > 1]
    errors = f"the standard deviation over repeated trainings for {', '.join(several)}" if several else ""
    rest = "statistical" if len(several) < len(lines) else ""
    averaged = f"{REPLICAS_NOTE} " if any(count > 1 for count in scan["replicas"]) else ""
    strengths = "; ".join(
        f"{name}: total fraction {format_percent(fraction)}, S/B = {format_percent(amount)}, S/√B = {strength:.2f}"
        for name, fraction, amount, strength in zip(
            scan["samples"], scan["signal_fraction"], scan["s_over_b_window"], scan["s_over_sqrt_b_window"], strict=True
        )
    )
    caption = (
        f"Figures of merit in the window against the amount of {scan['signal']} in {scan['background']}, from truth, "
        f"out of fold. Error bars are {' and else '.join(text for text in (errors, rest) if text)}. The samples "
        "share their background, and mixing and training their seeds: the points of a line are correlated. Behind the "
        "largest significance improvement are at least 20 background events; the regulated one may rest on a few. "
        f"{averaged}{strengths}."
    )
    return "scan", f"scan-{scan['background']}{suffix}", caption, scan_figure(lines, label=label)


def _array(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
