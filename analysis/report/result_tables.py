"""Tables of what came out: selections, bump hunts, background fits, limits, figures of merit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.numbers import (
    NONE,
    format_confidence,
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
    confidences,
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
from analysis.report.table import CONTENT_KEYS, CONTENT_NOTE, SIGNAL_CONTENT, Column, Table, build, has_content

Entry = Mapping[str, Any]

MERITS = {"jsd": "JSD to inclusive"}
JSD_NOTE = (
    "JSD: Jensen–Shannon divergence between the shapes of the selected and the inclusive mass spectrum; 0 where they "
    "agree. A signal in the selection and a sculpted background both raise it."
)


def selections_table(results: Entry) -> Table | None:
    """What was selected, how, and how many events that left."""
    rows = list(entries(results, "selections"))
    return build(
        "Selections",
        rows,
        [
            ("Selection", _name_of(results)),
            ("Detector", lambda _, e: scalar_text(e.get("detector"))),
            ("Mixture", lambda _, e: scalar_text(e.get("mixture"))),
            ("Window", lambda _, e: format_window(e.get("window"))),
            ("Efficiency", lambda _, e: format_percent(number(e.get("efficiency")))),
            ("Selected events", lambda _, e: format_count(number(e.get("n_selected")))),
            ("Signal events", lambda _, e: format_count(number(e.get("n_signal")))),
            *SIGNAL_CONTENT,
            ("Seed", lambda _, e: NONE if e.get("seed") is None else str(e["seed"])),
        ],
        known=(
            "detector", "mixture", "window", "efficiency", "n_selected", "n_signal", "seed", "bump_hunt", "abcd",
            *CONTENT_KEYS,
        ),
        notes=(*_content_notes(rows), *_label_notes(results)),
    )  # fmt: skip


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
            ("Fitted signal events", lambda _, h: str(_quantity(h, "yield", error="yield_error"))),
            ("Local p₀", lambda _, h: format_p_value(number(h.get("local_p0")))),
            ("Local Z", lambda _, h: format_z(number(h.get("local_z")))),
            ("Global p [interval]", lambda _, h: global_p_text(h)),
            ("Global Z", lambda _, h: global_z_text(h)),
            ("Method", lambda _, h: scalar_text(part(h, "global_p").get("method"))),
            ("Toys", lambda _, h: format_count(number(part(h, "global_p").get("toys")))),
            ("Global p, Gross–Vitells [interval]", lambda _, h: global_p_text(h, "gross_vitells")),
            ("Failed fits", lambda _, h: scalar_text(h.get("failed_fits"))),
        ],
        known=(
            "mass", "width", "yield", "yield_error", "local_p0", "local_z", "global_p", "global_z", "gross_vitells",
            "background", "mass_uncertainty", "failed_fits",
        ),
        notes=(
            "The global p-value covers the scan over mass within a selection, not the choice among selections.",
            *_extrapolation_notes(rows),
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
            ("p beside the peak", lambda _, b: format_p_value(number(b.get("p_outside_peak")))),
        ],
        known=("family", "parameters", "chi2", "ndof", "p", "p_outside_peak"),
    )


def limits_table(results: Entry) -> Table | None:
    """Upper limits at the level they were set at, one mass in each row."""
    rows = [(str(entry.get("selection", NONE)), entry) for entry in limits(results)]
    levels = confidences(results)
    common, differing = _shared(rows, _SETTINGS_OF_A_LIMIT)
    return build(
        f"{levels[0]} CL upper limits (CLs)" if len(levels) == 1 else "Upper limits (CLs)",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Mass", lambda _, e: format_mass(number(e.get("mass")))),
            *differing,
            ("CL", lambda _, e: NONE if len(levels) == 1 else _confidence(e)),
            ("Observed", lambda _, e: format_number(number(e.get("observed")))),
            *(_expected(*pair) for pair in enumerate(("Expected −2σ", "−1σ", "Median", "+1σ", "+2σ"))),
            ("Expected background around the mass", lambda _, e: format_number(_background(e))),
            *SIGNAL_CONTENT,
            ("Best fit", lambda _, e: format_number(number(e.get("best_fit")))),
            ("Local p₀", lambda _, e: format_p_value(number(e.get("local_p0")))),
            ("Scanned points", lambda _, e: str(len(e.get("scan") or ()))),
            ("Failed fits", lambda _, e: scalar_text(e.get("failed_fits"))),
        ],
        known=(
            "selection", "signal", "mass", "width", "unit", "observed", "expected", "scan", "failed_fits", "level",
            "best_fit", "local_p0", "expected_background", *CONTENT_KEYS,
        ),
        notes=(*((f"{common}.",) if common else ()), *_content_notes(rows)),
    )  # fmt: skip


def merit_table(results: Entry) -> Table | None:
    """What the search measured about itself."""
    rows = [(str(name), {"entry": entry}) for name, entry in part(results, "figures_of_merit").items()]
    return build(
        "Figures of merit",
        rows,
        [
            ("Figure of merit", lambda name, _: _merit(name)),
            ("Value", lambda _, e: format_number(Quantity.read(e["entry"]).value, digits=4)),
            ("Uncertainty", lambda _, e: format_number(Quantity.read(e["entry"]).uncertainty, digits=2)),
            ("Events", lambda _, e: format_count(Quantity.read(e["entry"]).n)),
        ],
        known=("entry",),
        notes=(JSD_NOTE,) if any(name.lower().startswith("jsd") for name, _ in rows) else (),
    )


def _merit(name: str) -> str:
    """What a figure of merit measures and of which selection, from its name "<measure> <selection>"."""
    measure, _, selection = name.partition(" ")
    if selection and measure in MERITS:
        return f"{MERITS[measure]}: {selection}"
    return name if selection else name.replace("_", " ")


_SETTINGS_OF_A_LIMIT: tuple[Column, ...] = (
    ("Signal", lambda _, e: scalar_text(e.get("signal"))),
    ("Signal width", lambda _, e: _width(e)),
    ("Unit", lambda _, e: scalar_text(e.get("unit"))),
)


def _shared(rows: Sequence[tuple[str, Entry]], columns: Sequence[Column]) -> tuple[str, list[Column]]:
    """Columns that say the same in every row as one sentence, and those that do not."""
    texts = {title: {cell(name, entry) for name, entry in rows} for title, cell in columns}
    same = [f"{title}: {next(iter(found))}" for title, found in texts.items() if len(found) == 1 and found != {NONE}]
    return "; ".join(same), [column for column in columns if len(texts[column[0]]) > 1]


def _expected(index: int, title: str) -> Column:
    return title, lambda _, e: format_number(number(dict(enumerate(e.get("expected") or ())).get(index)))


def _confidence(entry: Entry) -> str:
    level = number(entry.get("level"))
    return NONE if level is None else format_confidence(level)


def _background(entry: Entry) -> float | None:
    return Quantity.read(entry.get("expected_background")).value


def _content_notes(rows: Sequence[tuple[str, Entry]]) -> tuple[str, ...]:
    return (CONTENT_NOTE,) if has_content(rows) else ()


def _extrapolation_notes(rows: Sequence[tuple[str, Entry]]) -> tuple[str, ...]:
    if not any(part(hunt, "gross_vitells") for _, hunt in rows):
        return ()
    return (
        "Gross–Vitells extrapolates the toys' regions above low thresholds to the observed significance; where no toy "
        "is as extreme as the data it is the only estimate, and it rests on the asymptotic form of the tail.",
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
