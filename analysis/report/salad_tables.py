"""Tables of simulation that is compared with data: its correction, its closure, its prediction, and the scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import (
    NONE,
    format_count,
    format_number,
    format_percent,
    format_uncertain,
    format_z,
)
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.quantities import Quantity, entries, number, part
from analysis.report.table import Table, build

Entry = Mapping[str, Any]

REGIONS = ("sidebands", "window")
CORRECTION_NOTE = (
    "The correction of an event is its weight w over the constant that brings simulation to the data's yield in the "
    "sidebands: mean |w/constant − 1| with the error of the mean, and the standard deviation of w/constant. All "
    "weights are out of fold. Effective events are (Σw)²/Σw²."
)
CLOSURE_NOTE = (
    "Area under the ROC curve of a fresh classifier between data and simulation on all corrected features (not the "
    "mass), cross-fitted; 0.5 is closure. Before: "
    "simulation normalised in the sidebands; after: reweighted. Where the data hold signal, the last columns leave it "
    "out by the truth, which serves this table alone."
)
DIRECT_NOTE = (
    "Equation 2.4 of arXiv:2001.05001: the sum of the weights of the simulation above thresholds that keep the given "
    "fraction of the data in the window; mean over independent trainings. The weights are those of the other folds' "
    "reweighting, which took no part in the training of the score. The uncertainty adds in quadrature those of "
    "simulation and sidebands, the spread over the members of the reweighting (ensemble) and over the trainings, and "
    "the disagreement in the validation bands, taken together, beyond their statistics (closure): signal that reaches "
    "into the bands raises it. Z compares observed and predicted events (Z_Bi); the ratio has both its uncertainty and "
    "the Poisson error of what it is divided by. Not reweighted: the same selection with equal weights."
)
TRUTH_NOTE = "The ratio is to the true background, known from the truth."
OBSERVED_NOTE = "The ratio is to the observed events: the truth is not known."
LARGEST_NOTE = (
    "Behind the largest ε_S/√ε_B are at least 20 background events; the regulated one may rest on a few. In brackets: "
    "background events that pass (of repeats: their mean)."
)
SHARED_NOTE = (
    "The samples share their background, and mixing and training their seeds: the values of a detector are correlated."
)
REPLICAS_NOTE = (
    "Where several samples have the same nominal fraction of signal, values are their mean, and errors the standard "
    "deviation over them."
)
_METRICS = (
    ("auc", "AUC"),
    ("max_sic", "Largest ε_S/√ε_B"),
    ("max_sic_regulated", "Largest ε_S/√(ε_B + 10⁻⁴)"),
    ("background_efficiency_at_0.5", "ε_B at ε_S = 0.5"),
    ("sic_at_0.5", "ε_S/√ε_B at ε_S = 0.5"),
)


def correction_table(results: Entry) -> Table | None:
    """How large the correction of simulation was, in sidebands and window."""
    rows = [
        (f"{detector} on {sample}", {"region": region, **part(entry, region)})
        for sample, detector, entry in _pairs(results, "reweighting")
        for region in REGIONS
    ]
    return build(
        "How large the correction was",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Region", lambda _, e: str(e["region"])),
            ("N data", lambda _, e: format_count(number(e.get("n_data")))),
            ("N simulation", lambda _, e: format_count(number(e.get("n_simulation")))),
            ("Mean correction", lambda _, e: _percent(e, "mean_correction", "mean_correction_error")),
            ("Standard deviation", lambda _, e: format_percent(number(e.get("spread_of_weights")))),
            ("Largest w/constant", lambda _, e: format_number(number(e.get("largest_weight")))),
            ("Clipped", lambda _, e: format_percent(number(e.get("clipped_fraction")))),
            ("Effective events", lambda _, e: _effective(e)),
            ("Σw/data", lambda _, e: _over_data(e, "sum_of_weights")),
            ("Σconstant/data", lambda _, e: _over_data(e, "sum_of_weights_unweighted")),
        ],
        known=None,
        notes=(CORRECTION_NOTE,),
    )


def closure_table(results: Entry) -> Table | None:
    """Whether a fresh classifier tells data from simulation, before and after the correction."""
    rows = [(f"{detector} on {sample}", entry) for sample, detector, entry in _pairs(results, "reweighting")]

    def column(region: str, which: str, title: str) -> Any:
        return title, lambda _, e: str(Quantity.read(part(e, region, "closure").get(which)))

    alone = "after, background of the data alone"
    return build(
        "Closure: can data and simulation be told apart?",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Features", lambda _, e: ", ".join(e.get("features") or ()) or NONE),
            *(column(region, which, f"{region}, {which}") for region in REGIONS for which in ("before", "after")),
            *(column(region, alone, f"{region}, after, background alone") for region in REGIONS),
        ],
        known=None,
        notes=(CLOSURE_NOTE,),
    )


def direct_tables(results: Entry) -> list[Table]:
    """One table of direct predictions for every sample."""
    found: dict[str, list[tuple[str, Entry]]] = {}
    for sample, by_detector in entries(results, "direct_background"):
        for detector, predictions in by_detector.items():
            found.setdefault(sample, []).extend((str(detector), one) for one in predictions or ())
    return [table for sample, rows in found.items() if (table := _direct_table(sample, rows)) is not None]


def _direct_table(sample: str, rows: list[tuple[str, Entry]]) -> Table | None:
    known = any("true_background" in one for _, one in rows)
    return build(
        f"Background of {sample} in the window, predicted by simulation",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Efficiency", lambda _, e: format_percent(number(e.get("efficiency")))),
            ("Observed", lambda _, e: format_count(number(e.get("observed")))),
            ("of it signal", lambda _, e: format_count(number(e.get("n_signal")))),
            ("Predicted", lambda _, e: format_uncertain(number(e.get("predicted")), number(e.get("uncertainty")))),
            ("statistical", lambda _, e: format_number(number(e.get("statistical")))),
            ("ensemble", lambda _, e: format_number(number(e.get("ensemble")))),
            ("training", lambda _, e: format_number(number(e.get("training")))),
            ("closure", lambda _, e: format_number(number(e.get("closure")))),
            ("Effective events", lambda _, e: format_count(number(e.get("effective_events")))),
            ("Not reweighted", lambda _, e: _ratio(e, "unweighted", "unweighted_statistical")),
            ("Predicted/true" if known else "Predicted/observed", lambda _, e: _ratio(e, "ratio", "ratio_total")),
            ("of each training", lambda _, e: _each_ratio(e)),
            ("Not reweighted, ratio", lambda _, e: _ratio(e, "unweighted_ratio", "unweighted_ratio_statistical")),
            ("Z", lambda _, e: format_z(number(e.get("z")))),
        ],
        known=None,
        notes=(DIRECT_NOTE, TRUTH_NOTE if known else OBSERVED_NOTE),
    )


def scan_tables(results: Entry) -> list[Table]:
    """Figures of merit against S/B, one table for every family of samples."""
    return [_scan_table(scan) for scan in results.get("scans") or () if isinstance(scan, Mapping)]


def _scan_table(scan: Entry) -> Table:
    amounts = [number(value) for value in scan.get("s_over_b_window") or ()]
    rows = []
    for detector, line in part(scan, "lines").items():
        for index, (sample, amount) in enumerate(zip(scan.get("samples") or (), amounts, strict=False)):
            cells = [_at(line, metric, index) for metric, _ in _METRICS]
            strength = format_number(number((scan.get("s_over_sqrt_b_window") or [None])[index]))
            fraction = format_percent(number((scan.get("signal_fraction") or [None])[index]))
            name = f"{detector} †" if line.get("uses_labels") else str(detector)
            rows.append([name, str(sample), format_percent(amount), strength, fraction, *cells])
    labelled = any(line.get("uses_labels") for line in part(scan, "lines").values())
    repeats = {str(name): line.get("repeats", 1) for name, line in part(scan, "lines").items()}
    several = ", ".join(f"{name} ({count})" for name, count in repeats.items() if count > 1)
    errors = f"standard deviation over repeated trainings for {several}; else statistical" if several else "statistical"
    return Table(
        f"Sensitivity against S/B: {scan.get('signal')} in {scan.get('background')}",
        ("Detector", "Sample", "S/B in window", "S/√B in window", "Total signal fraction", *(t for _, t in _METRICS)),
        rows,
        notes=(
            f"Errors: {errors}. From the truth, in the window, out of fold. {SHARED_NOTE}",
            LARGEST_NOTE,
            *((REPLICAS_NOTE,) if any(count > 1 for count in scan.get("replicas") or ()) else ()),
            *((LABELS_NOTE,) if labelled else ()),
        ),
    )


def _at(line: Entry, metric: str, index: int) -> str:
    values, errors = part(line, metric).get("values") or [], part(line, metric).get("errors") or []
    if index >= len(values) or number(values[index]) is None:
        return NONE
    text = format_uncertain(number(values[index]), number(errors[index]))
    behind = part(line, metric).get("n_background") or []
    if not metric.startswith("max_sic") or index >= len(behind) or number(behind[index]) is None:
        return text
    return f"{text} [{format_count(number(behind[index]))}]"


def _pairs(results: Entry, key: str) -> Iterator[tuple[str, str, Entry]]:
    for sample, by_detector in entries(results, key):
        for detector, entry in by_detector.items():
            yield sample, str(detector), entry


def _percent(entry: Entry, key: str, error: str) -> str:
    value, uncertainty = number(entry.get(key)), number(entry.get(error))
    if value is None:
        return NONE
    return f"{format_uncertain(100 * value, None if uncertainty is None else 100 * uncertainty)}%"


def _ratio(entry: Entry, key: str, error: str) -> str:
    return format_uncertain(number(entry.get(key)), number(entry.get(error)))


def _each_ratio(entry: Entry) -> str:
    """Return the ratio of every independent training, nothing for one."""
    each = [number(one.get("ratio")) for one in entry.get("repeats") or ()]
    return "; ".join(format_number(ratio) for ratio in each) if len(each) > 1 else NONE


def _effective(entry: Entry) -> str:
    effective, raw = number(entry.get("effective_events")), number(entry.get("n_simulation"))
    if effective is None or not raw:
        return NONE
    return f"{format_count(round(effective))} ({format_percent(effective / raw)})"


def _over_data(entry: Entry, key: str) -> str:
    predicted, there = number(entry.get(key)), number(entry.get("sum_of_weights_data"))
    return NONE if predicted is None or not there else format_number(predicted / there, digits=4)
