"""Table of the fits of the background function to the background that selections keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import NONE, format_count, format_p_value
from analysis.report.quantities import entries, number, part
from analysis.report.table import Table, build
from analysis.report.validation_tables import deviance_text, toy_p_text

Entry = Mapping[str, Any]
NOTE = (
    "The function that the search fits to the selected data, fitted to the background among them alone, over the whole "
    "spectrum: known from the truth, or of the simulation that is named. Goodness of fit against the saturated model; "
    "a small p says that the selection sculpts the spectrum into what the function does not describe."
)


def background_fit_table(results: Entry) -> Table | None:
    """Goodness of fit of each selection's background, with the reason where there is none."""
    rows = [(name, entry) for name, entry in entries(results, "background_fits")]
    reasons = [f"{name}: not fitted. {entry['reason']}" for name, entry in rows if entry.get("reason")]
    return build(
        "Fits to the selected background alone",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Background", lambda _, e: str(e.get("background", NONE))),
            ("Function", lambda _, e: str(e.get("family", NONE))),
            ("Events", lambda _, e: format_count(number(e.get("events")))),
            ("Deviance / ndof", lambda _, e: deviance_text(e)),
            ("p from toys", lambda _, e: toy_p_text(part(e, "p"))),
            ("p, asymptotic", lambda _, e: format_p_value(number(e.get("asymptotic_p")))),
            ("Toys", lambda _, e: format_count(number(part(e, "p").get("toys")))),
        ],
        known=None,
        notes=(NOTE, *reasons),
    )
