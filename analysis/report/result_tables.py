"""Tables of what came out: selections, bump hunts, background fits, limits, figures of merit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    trials_text,
)
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.limit_tables import signal_width
from analysis.report.quantities import (
    Quantity,
    entries,
    global_p_text,
    global_z_text,
    number,
    part,
    scalar_text,
    uses_labels,
)
from analysis.report.summary import most_significant
from analysis.report.table import CONTENT_KEYS, CONTENT_NOTE, SIGNAL_CONTENT, Table, build, has_content

Entry = Mapping[str, Any]

MERITS = {"jsd": "JSD to inclusive"}
JSD_NOTE = (
    "JSD: Jensen–Shannon divergence between the shapes of the selected and the inclusive mass spectrum; 0 where they "
    "agree. A signal in the selection and a sculpted background both raise it; that of background, from the truth or "
    "simulated, is raised by sculpting alone. Expected is what a random choice of as many events has on average."
)
P_NOTE = (
    "Intervals of p-values from toys are central 68% (Clopper–Pearson). Where no toy reached the data, "
    "(S + 1)/(N + 1) is given as a bound."
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
            ("Signal width", lambda _, h: signal_width(h)),
            ("Fitted signal events", lambda _, h: str(_quantity(h, "yield", error="yield_error"))),
            ("Local p₀", lambda _, h: format_p_value(number(h.get("local_p0")))),
            ("Local Z", lambda _, h: format_z(number(h.get("local_z")))),
            ("BumpHunter window", lambda _, h: format_window(part(h, "bumphunter").get("window"))),
            ("Observed / expected there", lambda _, h: _window_events(part(h, "bumphunter"))),
            ("Local p of the window", lambda _, h: format_p_value(number(part(h, "bumphunter").get("local_p")))),
            ("Global p [interval]", lambda _, h: global_p_text(h)),
            ("Global Z", lambda _, h: global_z_text(h)),
            ("Method", lambda _, h: scalar_text(part(h, "global_p").get("method"))),
            ("Toys", lambda _, h: format_count(number(part(h, "global_p").get("toys")))),
            ("Global p, Gross–Vitells [interval]", lambda _, h: global_p_text(h, "gross_vitells")),
            ("Failed fits", lambda _, h: scalar_text(h.get("failed_fits"))),
        ],
        known=(
            "mass", "width", "yield", "yield_error", "local_p0", "local_z", "global_p", "global_z", "gross_vitells",
            "background", "mass_uncertainty", "failed_fits", "width_unit", "shape", "statistic",
        ),
        notes=(
            "The global p-value covers the scan over mass and width within a selection; the table below covers the "
            "choice among selections, too.",
            P_NOTE,
            *_bumphunter_notes(rows),
            *_extrapolation_notes(rows),
            *_label_notes(results),
        ),
        strong=frozenset(i for i, (name, _) in enumerate(rows) if best is not None and name == best[0]),
    )  # fmt: skip


def combined_table(results: Entry) -> Table | None:
    """One trials factor for all selections of a sample."""
    rows = list(entries(results, "combined"))
    reasons = [f"{name}: not combined. {entry['reason']}" for name, entry in rows if entry.get("reason")]
    return build(
        "Best selection of each sample, with one trials factor for all of them",
        rows,
        [
            ("Sample", lambda name, _: name),
            ("Selections", lambda _, e: format_count(float(len(e.get("hunts") or ())))),
            ("Best", lambda _, e: scalar_text(e.get("best"))),
            ("Global p of the search [interval]", lambda _, e: global_p_text(e)),
            ("Global Z", lambda _, e: global_z_text(e)),
            ("Trials factor", lambda _, e: trials_text(e).removeprefix("trials factor ") or NONE),
            ("Toys", lambda _, e: format_count(number(part(e, "global_p").get("toys")))),
            ("Failed toys", lambda _, e: format_count(number(part(e, "global_p").get("failed")))),
        ],
        known=None,
        notes=(
            "Every toy repeats all selections, which share events as they do in the data. The trials factor is the "
            "global p of the search over that of its best selection alone, in the same toys.",
            *reasons,
        ),
    )


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
            ("Expected", lambda _, e: format_number(number(part(e, "entry").get("expected")), digits=2)),
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


def _content_notes(rows: Sequence[tuple[str, Entry]]) -> tuple[str, ...]:
    return (CONTENT_NOTE,) if has_content(rows) else ()


def _bumphunter_notes(rows: Sequence[tuple[str, Entry]]) -> tuple[str, ...]:
    if not any(part(hunt, "bumphunter") for _, hunt in rows):
        return ()
    return (
        "Where a BumpHunter window is named, the global p-value is that of the BumpHunter over all windows; mass, "
        "yield and local p₀ are those of the likelihood scan beside it.",
    )


def _window_events(window: Entry) -> str:
    observed, expected = number(window.get("observed")), number(window.get("expected"))
    return NONE if observed is None else f"{format_number(observed)} / {format_number(expected)}"


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


def _chi2(background: Entry) -> str:
    chi2, ndof = number(background.get("chi2")), number(background.get("ndof"))
    return NONE if chi2 is None or ndof is None else f"{chi2:.1f}/{ndof:.0f}"
