"""Tables of what went in: data sets, cutflows, mixtures, detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import NONE, format_count, format_number, format_percent, format_window
from analysis.report.quantities import Quantity, entries, number, part, scalar_text
from analysis.report.table import Table, build

LABELS_NOTE = "† uses truth labels: reference only, never a result of the search."


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

    def metric(key: str) -> Any:
        return lambda _, e: Quantity.read(e.get(key)).with_count

    labelled = any(entry.get("uses_labels") for _, entry in entries(results, "detectors"))
    return build(
        "Detectors",
        entries(results, "detectors"),
        [
            ("Detector", lambda name, e: f"{name} †" if e.get("uses_labels") else name),
            ("Type", lambda _, e: scalar_text(e.get("type"))),
            ("AUC", metric("auc")),
            ("Largest SIC", metric("max_sic")),
            ("SIC at ε_S = 0.5", metric("sic_at_0.5")),
            ("Members", lambda _, e: scalar_text(e.get("members"))),
            ("Training [s]", lambda _, e: _seconds(e.get("seconds"))),
            ("Truth labels", lambda _, e: "reference only" if e.get("uses_labels") else NONE),
        ],
        known=("type", "auc", "max_sic", "sic_at_0.5", "members", "seconds", "uses_labels"),
        notes=(LABELS_NOTE,) if labelled else (),
    )


def _seconds(entry: Any) -> str:
    value = Quantity.read(entry).value
    return NONE if value is None else f"{value:.1f}"


def _ratio(part_of: Any, whole: Any) -> float | None:
    above, below = number(part_of), number(whole)
    return above / below if above is not None and below else None
