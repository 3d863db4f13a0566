"""Tables of what came out: selections, bump hunts, background fits, ABCD, limits, figures of merit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import (
    NONE,
    format_count,
    format_mass,
    format_number,
    format_p_value,
    format_percent,
    format_window,
    format_z,
)
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.quantities import (
    Quantity,
    entries,
    global_p_text,
    global_z_text,
    limits,
    number,
    part,
    scalar_text,
    uses_labels,
)
from analysis.report.summary import most_significant
from analysis.report.table import Table, build

Entry = Mapping[str, Any]


def selections_table(results: Entry) -> Table | None:
    """What was selected, how, and how many events that left."""
    return build(
        "Selections",
        entries(results, "selections"),
        [
            ("Selection", _name_of(results)),
            ("Detector", lambda _, e: scalar_text(e.get("detector"))),
            ("Mixture", lambda _, e: scalar_text(e.get("mixture"))),
            ("Window", lambda _, e: format_window(e.get("window"))),
            ("Efficiency", lambda _, e: format_percent(number(e.get("efficiency")))),
            ("Selected events", lambda _, e: format_count(number(e.get("n_selected")))),
            ("Seed", lambda _, e: NONE if e.get("seed") is None else str(e["seed"])),
        ],
        known=("detector", "mixture", "window", "efficiency", "n_selected", "seed", "bump_hunt", "abcd"),
        notes=_label_notes(results),
    )


def hunt_table(results: Entry) -> Table | None:
    """Best mass, yield and significances of each bump hunt; the most significant one stands out."""
    rows = _with(results, "bump_hunt")
    best = most_significant(results)
    return build(
        "Bump hunts",
        rows,
        [
            ("Selection", _name_of(results)),
            ("Best mass", lambda _, h: format_mass(*_value(h, "mass"))),
            ("Signal width", lambda _, h: _width(h)),
            ("Fitted signal events", lambda _, h: str(_quantity(h, "yield"))),
            ("Local p₀", lambda _, h: format_p_value(number(h.get("local_p0")))),
            ("Local Z", lambda _, h: format_z(number(h.get("local_z")))),
            ("Global p [interval]", lambda _, h: global_p_text(h)),
            ("Global Z", lambda _, h: global_z_text(h)),
            ("Method", lambda _, h: scalar_text(part(h, "global_p").get("method"))),
            ("Toys", lambda _, h: format_count(number(part(h, "global_p").get("toys")))),
        ],
        known=(
            "mass", "width", "yield", "local_p0", "local_z", "global_p", "global_z", "background",
            "mass_uncertainty", "yield_uncertainty",
        ),
        notes=(
            "The global p-value covers the scan over mass within a selection, not the choice among selections.",
            *_label_notes(results),
        ),
        strong=frozenset(i for i, (name, _) in enumerate(rows) if best is not None and name == best[0]),
    )  # fmt: skip


def background_table(results: Entry) -> Table | None:
    """Goodness of the background fits."""
    return build(
        "Background fits",
        [(name, part(hunt, "background")) for name, hunt in _with(results, "bump_hunt") if part(hunt, "background")],
        [
            ("Selection", _name_of(results)),
            ("Family", lambda _, b: scalar_text(b.get("family"))),
            ("Parameters", lambda _, b: scalar_text(b.get("parameters"))),
            ("χ²/ndof", lambda _, b: _chi2(b)),
            ("p", lambda _, b: format_p_value(number(b.get("p")))),
        ],
        known=("family", "parameters", "chi2", "ndof", "p"),
    )


def abcd_table(results: Entry) -> Table | None:
    """Counts predicted from control regions against those observed."""
    return build(
        "ABCD estimates",
        _with(results, "abcd"),
        [
            ("Selection", _name_of(results)),
            ("Predicted", lambda _, a: str(_quantity(a, "predicted", error="uncertainty"))),
            ("Observed", lambda _, a: format_count(number(a.get("observed")))),
            ("Z", lambda _, a: format_z(number(a.get("z")))),
        ],
        known=("predicted", "uncertainty", "observed", "z"),
    )


def limits_table(results: Entry) -> Table | None:
    """95% CL upper limits, one mass in each row."""

    def expected(index: int) -> Any:
        return lambda _, e: format_number(number(dict(enumerate(e.get("expected") or ())).get(index)))

    return build(
        "95% CL upper limits (CLs)",
        [(str(entry.get("selection", NONE)), entry) for entry in limits(results)],
        [
            ("Selection", lambda name, _: name),
            ("Signal", lambda _, e: scalar_text(e.get("signal"))),
            ("Mass", lambda _, e: format_mass(number(e.get("mass")))),
            ("Unit", lambda _, e: scalar_text(e.get("unit"))),
            ("Observed", lambda _, e: format_number(number(e.get("observed")))),
            ("Expected −2σ", expected(0)),
            ("−1σ", expected(1)),
            ("Median", expected(2)),
            ("+1σ", expected(3)),
            ("+2σ", expected(4)),
            ("Scanned points", lambda _, e: str(len(e.get("scan") or ()))),
            ("Failed fits", lambda _, e: scalar_text(e.get("failed_fits"))),
        ],
        known=("selection", "signal", "mass", "unit", "observed", "expected", "scan", "failed_fits"),
    )


def merit_table(results: Entry) -> Table | None:
    """What the search measured about itself."""
    rows = [(str(name), {"entry": entry}) for name, entry in part(results, "figures_of_merit").items()]
    return build(
        "Figures of merit",
        rows,
        [
            ("Figure of merit", lambda name, _: name.replace("_", " ")),
            ("Value", lambda _, e: str(Quantity.read(e["entry"]))),
            ("Count", lambda _, e: format_count(Quantity.read(e["entry"]).n)),
        ],
        known=("entry",),
    )


def _with(results: Entry, key: str) -> list[tuple[str, Entry]]:
    """The named selections' entries under `key`, those that have one."""
    return [(name, part(entry, key)) for name, entry in entries(results, "selections") if part(entry, key)]


def _name_of(results: Entry) -> Any:
    return lambda name, _: f"{name} †" if uses_labels(results, part(results, "selections", name)) else name


def _label_notes(results: Entry) -> tuple[str, ...]:
    labelled = any(uses_labels(results, entry) for _, entry in entries(results, "selections"))
    return (LABELS_NOTE,) if labelled else ()


def _quantity(entry: Entry, key: str, *, error: str | None = None) -> Quantity:
    """A number whose uncertainty stands inside it or beside it as `<key>_uncertainty`."""
    found = Quantity.read(entry.get(key))
    if found.uncertainty is not None:
        return found
    return Quantity(found.value, number(entry.get(error or f"{key}_uncertainty")), found.n)


def _value(entry: Entry, key: str) -> tuple[float | None, float | None]:
    found = _quantity(entry, key)
    return found.value, found.uncertainty


def _width(hunt: Entry) -> str:
    """Width of the fitted peak: relative below 1, else in GeV."""
    width = number(hunt.get("width"))
    return format_percent(width) if width is not None and width < 1 else format_mass(width)


def _chi2(background: Entry) -> str:
    chi2, ndof = number(background.get("chi2")), number(background.get("ndof"))
    return NONE if chi2 is None or ndof is None else f"{chi2:.1f}/{ndof:.0f}"
