"""The table of local significances at one known mass, references included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import format_count, format_mass, format_p_value, format_percent, format_uncertain, format_z
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.limit_tables import signal_width
from analysis.report.quantities import entries, number, part, scalar_text
from analysis.report.table import CONTENT_KEYS, CONTENT_NOTE, SIGNAL_CONTENT, Table, build, has_content

Entry = Mapping[str, Any]

INCLUSIVE = "No selection"
FIXED_NOTE = (
    "The mass is given, so that there is no trials factor; significances and p₀ are local, the former with the sign of "
    "the fitted yield. The background function is that of the bump hunt, its p-value that of the bins beside the peak. "
    "None of these fits is a part of the search: they compare detectors at the same efficiency, those that are not "
    "searched with, too."
)


def fixed_table(results: Entry) -> Table | None:
    """A resonance of one known mass, fitted in what every detector selects."""
    rows = list(entries(results, "fixed_mass"))
    masses = dict.fromkeys(format_mass(number(entry.get("mass"))) for _, entry in rows)
    reasons = [f"{name}: not fitted. {entry['reason']}" for name, entry in rows if entry.get("reason")]
    labelled = any(entry.get("uses_labels") for _, entry in rows)
    return build(
        f"Local significance of a resonance at {', '.join(masses)}",
        rows,
        [
            ("Sample", lambda _, e: scalar_text(e.get("mixture"))),
            ("Detector", lambda _, e: detector_text(e)),
            ("Efficiency", lambda _, e: format_percent(number(e.get("efficiency")))),
            ("Local Z", lambda _, e: format_z(number(e.get("local_z")))),
            ("Local p₀", lambda _, e: format_p_value(number(e.get("local_p0")))),
            ("Fitted signal events", lambda _, e: _yield(e)),
            ("Signal events", lambda _, e: format_count(number(e.get("n_signal")))),
            ("Selected events", lambda _, e: format_count(number(e.get("n_selected")))),
            ("Signal width", lambda _, e: signal_width(e)),
            *SIGNAL_CONTENT,
            ("p beside the peak", lambda _, e: format_p_value(number(part(e, "background").get("p_outside_peak")))),
        ],
        known=(
            "mixture", "detector", "efficiency", "local_z", "local_p0", "log_local_p0", "yield", "yield_error",
            "n_signal", "n_selected", "width", "width_unit", "shape", "mass", "seed", "uses_labels", "reason",
            *CONTENT_KEYS,
        ),
        notes=(
            FIXED_NOTE,
            *((CONTENT_NOTE,) if has_content(rows) else ()),
            *reasons,
            *((LABELS_NOTE,) if labelled else ()),
        ),
    )  # fmt: skip


def detector_text(entry: Entry) -> str:
    """Return a detector's name, marked where labels trained it; words for the inclusive spectrum."""
    name = INCLUSIVE if entry.get("detector") is None else str(entry["detector"])
    return f"{name} †" if entry.get("uses_labels") else name


def _yield(entry: Entry) -> str:
    return format_uncertain(number(entry.get("yield")), number(entry.get("yield_error")))
