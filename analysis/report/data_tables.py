"""Tables of what went in: data sets, cutflows, mixtures, detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import NONE, format_count, format_number, format_percent, format_uncertain, format_window
from analysis.report.quantities import Quantity, entries, number, part, scalar_text
from analysis.report.table import CONTENT_KEYS, CONTENT_NOTE, SIGNAL_CONTENT, Column, Table, build, has_content

LABELS_NOTE = "† uses truth labels: reference only, never a result of the search."
MEASURED_NOTE = (
    "Figures of merit come from the truth: value ± statistical uncertainty ± spread over the members of the ensemble, "
    "on n_S signal and n_B background events (those that pass, for working points). The largest SIC is taken where at "
    "least 20 background events pass."
)
BOUND_NOTE = "“>”: no background event passes, so ε_B is taken as one event and the value is a lower bound."
_MEASURED: tuple[tuple[str, str], ...] = (
    ("auc", "AUC"),
    ("max_sic", "Largest SIC"),
    ("max_sic_regulated", "Largest ε_S/√(ε_B + 10⁻⁴)"),
    ("sic_at_0.5", "SIC at ε_S = 0.5"),
    ("background_rejection_at_0.5", "1/ε_B at ε_S = 0.5"),
)


def datasets_table(results: Mapping[str, Any]) -> Table | None:
    """Events read and selected, and files that had to be skipped."""
    return build(
        "Data sets",
        entries(results, "datasets"),
        [
            ("Data set", lambda name, _: name),
            ("Events", lambda _, e: format_count(number(e.get("events")))),
            ("Selected", lambda _, e: format_count(number(e.get("selected")))),
            ("Efficiency", lambda _, e: format_percent(_ratio(e.get("selected"), e.get("events")))),
            ("Skipped files", lambda _, e: str(len(e.get("skipped_files") or ()))),
        ],
        known=("events", "selected", "skipped_files"),
    )


def skipped_files(results: Mapping[str, Any]) -> list[str]:
    """Every skipped file, as "data set: file"."""
    return [
        f"{name}: {file_name(item)}"
        for name, entry in entries(results, "datasets")
        for item in entry.get("skipped_files") or ()
    ]


def file_name(item: Any) -> str:
    """A skipped file as text, with its reason where results.json gives one."""
    if isinstance(item, Mapping):
        name, reason = item.get("file", item.get("path", "?")), item.get("reason", item.get("error"))
        return f"{name} ({reason})" if reason else str(name)
    return str(item)


def cutflow_tables(results: Mapping[str, Any]) -> list[Table]:
    """One cutflow per data set: events and sums of weights of the nominal sample, events of its variations."""
    tables = []
    for dataset, variations in entries(results, "cutflow"):
        flows = {str(name): flow for name, flow in variations.items() if isinstance(flow, Mapping)}
        if not flows:
            continue
        nominal = "nominal" if "nominal" in flows else next(iter(flows))
        tables.append(_cutflow(dataset, nominal, flows))
    return tables


def _cutflow(dataset: str, nominal: str, flows: Mapping[str, Mapping[str, Any]]) -> Table:
    others = [name for name in flows if name != nominal]
    header = ["Cut", "Events", "of previous", "of all", "Sum of weights", *(f"Events, {name}" for name in others)]
    rows = []
    first = previous = None
    for cut in flows[nominal]:
        entry = part(flows[nominal], cut)
        events = number(entry.get("events"))
        first = events if first is None else first
        rows.append(
            [
                str(cut),
                format_count(events),
                format_percent(_ratio(events, previous)),
                format_percent(_ratio(events, first)),
                format_number(number(entry.get("sum_of_weights")), digits=6),
                *(format_count(number(part(flows[name], cut).get("events"))) for name in others),
            ]
        )
        previous = events
    return Table(f"Cutflow of {dataset}", header, rows)


def mixtures_table(results: Mapping[str, Any]) -> Table | None:
    """Signal strength of each pseudo-data mixture, three ways."""

    def numbers(key: str) -> Any:
        return lambda _, e: str(Quantity.read(e.get(key)))

    def counts(key: str) -> Any:
        return lambda _, e: format_count(number(e.get(key)))

    return build(
        "Mixtures: pseudo-data with injected signal",
        entries(results, "mixtures"),
        [
            ("Mixture", lambda name, _: name),
            ("Background", lambda _, e: scalar_text(e.get("background"))),
            ("Signal", lambda _, e: scalar_text(e.get("signal"))),
            ("N background", counts("n_background")),
            ("N signal", counts("n_signal")),
            ("Total signal fraction", lambda _, e: format_percent(number(e.get("fraction")))),
            ("Window", lambda _, e: format_window(e.get("window"))),
            ("N background in window", counts("n_background_window")),
            ("N signal in window", counts("n_signal_window")),
            ("S/B in window", numbers("s_over_b_window")),
            ("S/√B in window", numbers("s_over_sqrt_b_window")),
        ],
        known=(
            "background", "signal", "n_background", "n_signal", "fraction", "window", "n_background_window",
            "n_signal_window", "s_over_b_window", "s_over_sqrt_b_window",
        ),
        notes=("The fraction is S/(S + B) of all selected events; S/B and S/√B are counted inside the signal window.",),
    )  # fmt: skip


def detectors_table(results: Mapping[str, Any]) -> Table | None:
    """Figures of merit of each detector, where the truth is known."""

    def metric(key: str, title: str) -> Column:
        return title, lambda _, e: measured_text(e.get(key))

    rows = list(entries(results, "detectors"))
    labelled = any(entry.get("uses_labels") for _, entry in rows)
    measured = any(key in entry for _, entry in rows for key, _ in _MEASURED)
    bound = any(_is_bound(entry.get(key)) for _, entry in rows for key, _ in _MEASURED)
    content = has_content(rows)
    return build(
        "Detectors",
        rows,
        [
            ("Detector", lambda name, e: f"{name} †" if e.get("uses_labels") else name),
            ("Type", lambda _, e: scalar_text(e.get("type"))),
            *(metric(*pair) for pair in _MEASURED),
            *SIGNAL_CONTENT,
            ("Members", lambda _, e: scalar_text(e.get("members"))),
            ("Folds", lambda _, e: scalar_text(e.get("folds"))),
            ("Training [s]", lambda _, e: _seconds(e.get("seconds"))),
        ],
        known=("type", "members", "folds", "seconds", "uses_labels", *CONTENT_KEYS, *(key for key, _ in _MEASURED)),
        notes=(
            *((MEASURED_NOTE,) if measured else ()),
            *((BOUND_NOTE,) if bound else ()),
            *((CONTENT_NOTE,) if content else ()),
            *((LABELS_NOTE,) if labelled else ()),
        ),
    )


def measured_text(entry: Any) -> str:
    """A figure of merit: value ± statistical ± spread, the events behind it below; "> value" for a lower bound."""
    found = Quantity.read(entry)
    if not isinstance(entry, Mapping) or found.value is None:
        return str(found)
    counts = [number(entry.get(key)) for key in ("n_signal", "n_background")]
    text = format_uncertain(found.value, found.uncertainty, spread=number(entry.get("spread")))
    if _is_bound(entry):
        text = f"> {format_number(found.value)}"
    if None in counts:
        return f"{text} (n = {format_count(found.n)})" if found.n is not None else text
    return f"{text}\n(n_S = {format_count(counts[0])}, n_B = {format_count(counts[1])})"


def _is_bound(entry: Any) -> bool:
    """Tell whether a figure of merit rests on no background event, see ml.metrics.sic_at."""
    return isinstance(entry, Mapping) and number(entry.get("n_background")) == 0


def _seconds(entry: Any) -> str:
    value = Quantity.read(entry).value
    return NONE if value is None else f"{value:.1f}"


def _ratio(part_of: Any, whole: Any) -> float | None:
    above, below = number(part_of), number(whole)
    return above / below if above is not None and below else None
