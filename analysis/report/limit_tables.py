"""Tables of upper limits: in selected events, in fb, from toys, and the quick estimate from a ROC curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.numbers import (
    NONE,
    format_confidence,
    format_count,
    format_mass,
    format_number,
    format_p_value,
    format_percent,
    format_uncertain,
    format_window,
)
from analysis.report.quantities import Quantity, confidences, entries, limits, number, part, scalar_text
from analysis.report.table import CONTENT_NOTE, SIGNAL_CONTENT, Column, Table, build, has_content

Entry = Mapping[str, Any]

BACKGROUND_NOTE = (
    "Expected background and observed events are counted in the bins that tell most about a signal at that mass; how "
    "many bins these are changes with the mass, so the numbers need not fall smoothly."
)
EFFICIENCY_NOTE = "Signal efficiencies are of all produced events, cuts of the generator included."


def limits_table(results: Entry) -> Table | None:
    """Upper limits in selected events, one mass in each row."""
    return _limits(results, lambda unit: unit != "fb", "on the number of selected signal events", ())


def cross_section_table(results: Entry) -> Table | None:
    """Upper limits in fb, one mass in each row."""
    notes = (
        "The inclusive spectrum has one signal efficiency. A detector trained on the data has been trained again with "
        "each listed injected cross section; its limit is the largest cross section that selects as many events.",
    )
    return _limits(results, lambda unit: unit == "fb", "on the cross section in fb", notes)


def toy_limits_table(results: Entry) -> Table | None:
    """Upper limits from toys beside the asymptotic ones."""
    rows = [(str(entry.get("selection", NONE)), entry) for entry in limits(results) if part(entry, "toys")]
    reasons = [
        f"{name} at {format_mass(number(entry.get('mass')))}: {entry['toys']['reason']}"
        for name, entry in rows
        if part(entry, "toys").get("reason")
    ]
    reasons += [
        f"{name} at {format_mass(number(entry.get('mass')))}: {note}"
        for name, entry in rows
        for note in part(entry, "toys").get("notes") or ()
    ]
    return build(
        "Upper limits from toys",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Mass", lambda _, e: format_mass(number(e.get("mass")))),
            ("Unit", lambda _, e: scalar_text(e.get("unit"))),
            ("Observed", lambda _, e: _toy_observed(part(e, "toys"))),
            ("Observed, asymptotic", lambda _, e: format_number(number(e.get("observed")))),
            ("Median expected", lambda _, e: format_number(_expected(part(e, "toys"), 2))),
            ("Median, asymptotic", lambda _, e: format_number(_expected(e, 2))),
            ("Local p₀", lambda _, e: format_p_value(number(part(e, "toys", "discovery").get("p0")))),
            ("Local p₀, asymptotic", lambda _, e: format_p_value(number(e.get("local_p0")))),
            ("Toys", lambda _, e: format_count(number(part(e, "toys").get("n_toys")))),
            ("Failed", lambda _, e: format_count(number(part(e, "toys").get("failed")))),
        ],
        known=None,
        notes=tuple(reasons),
    )


def simple_table(results: Entry) -> Table | None:
    """The quick estimate S/√B on the ROC curve beside the CLs limit of the same counting experiment."""
    rows = [
        (str(entry.get("detector", NONE)), entry)
        for entry in results.get("simple_limits") or ()
        if isinstance(entry, Mapping)
    ]
    reasons = [f"{name}: {entry['reason']}" for name, entry in rows if entry.get("reason")]
    return build(
        "Quick estimate from the ROC curve",
        rows,
        [
            ("Detector", lambda name, _: name),
            ("Sample", lambda _, e: scalar_text(e.get("sample"))),
            ("Signal", lambda _, e: f"{scalar_text(e.get('signal'))}, {format_mass(number(e.get('mass')))}"),
            ("Signal efficiency", lambda _, e: format_percent(number(e.get("signal_efficiency")))),
            ("Background efficiency", lambda _, e: format_percent(number(e.get("background_efficiency")))),
            ("Background events", lambda _, e: format_number(number(e.get("background_events")))),
            ("S/√B = 2 at [fb]", lambda _, e: format_uncertain(number(e.get("cross_section")), number(e.get("error")))),
            ("Expected CLs limit [fb]", lambda _, e: format_number(_at(e.get("cls_expected"), 2))),
            ("Few events", lambda _, e: "yes: only CLs counts" if e.get("few") else NONE),
        ],
        known=None,
        notes=(
            "S/√B = 2 at the best working point of the ROC curve (arXiv:1905.10384, section 4.2) knows no systematic "
            "uncertainty and takes √B for the spread of a count; the CLs limit of the same counting experiment stands "
            "beside it. Background is that in the window. The ROC curve belongs to the detector as it was trained on "
            "this sample, and to the truth: this is what the detector could do, not what the search excludes.",
            *reasons,
        ),
    )  # fmt: skip


def profile_table(results: Entry) -> Table | None:
    """Best-fit signal of each selection with its error, split into what nuisances do."""
    rows = list(entries(results, "profiles"))
    return build(
        "Fitted signal near the largest excess",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Mass", lambda _, e: format_mass(number(e.get("mass")))),
            ("Signal events", lambda _, e: _strength(part(e, "impacts"))),
            ("Statistical error", lambda _, e: format_number(number(part(e, "impacts").get("statistical_error")))),
            ("68% interval of the likelihood", lambda _, e: _interval(part(e, "nll_scan"))),
            ("Largest impact", lambda _, e: _largest(part(e, "impacts"))),
        ],
        known=None,
        notes=tuple(
            f"{name}: no {test.replace('_', ' ')}. {found['reason']}"
            for name, entry in rows
            for test, found in entry.items()
            if isinstance(found, Mapping) and found.get("reason")
        ),
    )


def _limits(results: Entry, wanted: Callable[[str], bool], what: str, notes: Sequence[str]) -> Table | None:
    rows = [(str(e.get("selection", NONE)), e) for e in limits(results) if wanted(str(e.get("unit", "")))]
    levels = confidences(results)
    common, differing = _shared(rows, _SETTINGS)
    return build(
        f"{f'{levels[0]} CL upper limits' if len(levels) == 1 else 'Upper limits'} {what} (CLs)",
        rows,
        [
            ("Selection", lambda name, _: name),
            ("Mass", lambda _, e: format_mass(number(e.get("mass")))),
            *differing,
            ("CL", lambda _, e: NONE if len(levels) == 1 else _confidence(e)),
            ("Observed", lambda _, e: format_number(number(e.get("observed")))),
            *(_expected_column(*pair) for pair in enumerate(("Expected −2σ", "−1σ", "Median", "+1σ", "+2σ"))),
            ("Expected background under the peak", lambda _, e: format_number(_background(e))),
            ("Observed events there", lambda _, e: format_number(number(e.get("observed_events")))),
            ("Signal efficiency", lambda _, e: _efficiency(e)),
            *SIGNAL_CONTENT,
            ("Best fit", lambda _, e: format_number(number(e.get("best_fit")))),
            ("Local p₀", lambda _, e: format_p_value(number(e.get("local_p0")))),
            ("Scanned points", lambda _, e: str(len(e.get("scan") or ()))),
            ("Failed fits", lambda _, e: scalar_text(e.get("failed_fits"))),
        ],
        known=None,
        notes=(
            *((f"{common}.",) if common else ()),
            *((BACKGROUND_NOTE,) if any(_background(e) is not None for _, e in rows) else ()),
            *(notes if rows else ()),
            *((EFFICIENCY_NOTE,) if any(_efficiency(e) != NONE for _, e in rows) else ()),
            *_best_fit_note(rows),
            *((CONTENT_NOTE,) if has_content(rows) else ()),
        ),
    )


_SETTINGS: tuple[Column, ...] = (
    ("Signal", lambda _, e: scalar_text(e.get("signal"))),
    ("Signal width", lambda _, e: signal_width(e)),
    ("Channels", lambda _, e: scalar_text(e.get("channels"))),
    ("Left out of the sidebands", lambda _, e: _excluded(e)),
)


def signal_width(entry: Entry) -> str:
    """Width of a peak: relative, or in GeV where the entry says so or it cannot be relative."""
    width = number(entry.get("width"))
    if width is None:
        return NONE
    relative = width < 1 if entry.get("width_unit") is None else entry["width_unit"] == "relative"
    return format_percent(width) if relative else format_mass(width)


def _shared(rows: Sequence[tuple[str, Entry]], columns: Sequence[Column]) -> tuple[str, list[Column]]:
    """Columns that say the same in every row as one sentence, and those that do not."""
    texts = {title: {cell(name, entry) for name, entry in rows} for title, cell in columns}
    same = [f"{title}: {next(iter(found))}" for title, found in texts.items() if len(found) == 1 and found != {NONE}]
    return "; ".join(same), [column for column in columns if len(texts[column[0]]) > 1]


def _best_fit_note(rows: Sequence[tuple[str, Entry]]) -> tuple[str, ...]:
    if any(e.get("unit") == "fb" and e.get("scan_unit") == "selected events" for _, e in rows):
        return ("Where the efficiency depends on the signal, best fit and scan stay in selected events.",)
    return ()


def _expected_column(index: int, title: str) -> Column:
    return title, lambda _, e: format_number(_expected(e, index))


def _expected(entry: Entry, index: int) -> float | None:
    return _at(entry.get("expected"), index)


def _at(values: Any, index: int) -> float | None:
    return number(dict(enumerate(values or ())).get(index))


def _confidence(entry: Entry) -> str:
    level = number(entry.get("level"))
    return NONE if level is None else format_confidence(level)


def _background(entry: Entry) -> float | None:
    return Quantity.read(entry.get("expected_background")).value


def _excluded(entry: Entry) -> str:
    return ", ".join(format_window(interval) for interval in entry.get("excluded") or ()) or NONE


def _efficiency(entry: Entry) -> str:
    points = [point for point in entry.get("efficiency_points") or () if isinstance(point, Mapping)]
    if not points:
        found = Quantity.read(entry.get("efficiency"))
        return format_uncertain(found.value, found.uncertainty)
    return "\n".join(
        f"{format_number(number(point.get('cross_section')))} fb: "
        f"{format_uncertain(number(point.get('efficiency')), number(point.get('uncertainty')))}"
        for point in points
    )


def _toy_observed(toys: Entry) -> str:
    return format_uncertain(number(toys.get("observed")), number(toys.get("observed_error")))


def _strength(impacts: Entry) -> str:
    return format_uncertain(number(impacts.get("strength")), number(impacts.get("error")))


def _interval(scan: Entry) -> str:
    ends = part(scan, "intervals").get("1")
    low, high = (number(end) for end in ends) if ends else (None, None)
    return NONE if low is None and high is None else f"{format_number(low)} to {format_number(high)}"


def _largest(impacts: Entry) -> str:
    ranking = impacts.get("ranking") or ()
    return scalar_text(ranking[0].get("name")) if ranking else NONE
