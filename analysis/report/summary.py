"""The report's first paragraph, and what in it a reader must not trust blindly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis.numbers import (
    NONE,
    format_confidence,
    format_count,
    format_mass,
    format_number,
    format_p_value,
    format_percent,
    format_z,
    is_bound,
)
from analysis.report.data_tables import skipped_files
from analysis.report.quantities import (
    Quantity,
    confidences,
    entries,
    global_p_text,
    global_z_text,
    limits,
    number,
    part,
    uses_labels,
    z_of,
)
from analysis.report.validation_tables import validation_warnings

# below this a background fit does not describe the spectrum
POOR_FIT = 0.01
# below this many expected background events the asymptotic formulae of a limit are not reliable
FEW_EVENTS = 5.0

Entry = Mapping[str, Any]


def most_significant(results: Entry) -> tuple[str, Entry] | None:
    """Name and entry of the selection with the smallest local p0, None without any bump hunt.

    Selections by detectors that were trained with truth labels count only where there is no other.
    """
    found = [
        (uses_labels(results, entry), p0, -(number(part(entry, "bump_hunt").get("local_z")) or 0.0), name)
        for name, entry in entries(results, "selections")
        if (p0 := number(part(entry, "bump_hunt").get("local_p0"))) is not None
    ]
    if not found:
        return None
    name = min(found)[3]
    return name, part(results, "selections", name)


def summary(results: Entry) -> list[str]:
    """Sentences in plain words: what was searched, the most significant selection, its significance and limit."""
    sentences = [_searched(results)]
    best = most_significant(results)
    if best is None:
        sentences.append("No bump hunt has been made yet.")
    else:
        sentences += [*_significance(results, *best), *_limit(results, *best), *_signal_strength(results, best[1])]
    return [sentence for sentence in sentences if sentence]


def warnings(results: Entry, *, missing_figures: Sequence[str] = ()) -> list[str]:
    """What is doubtful: poor or failed fits, skipped files, p-values that are only bounds, lost figures."""
    found = [f"Skipped file, its events are missing: {entry}." for entry in skipped_files(results)]
    for name, entry in entries(results, "selections"):
        if "bump_hunt" in entry and number(part(entry, "bump_hunt").get("local_p0")) is None:
            found.append(f"Selection {name}: the bump hunt found no result.")
        found += _doubts(name, part(entry, "bump_hunt"))
    found += validation_warnings(results)
    best = most_significant(results)
    if best is not None and uses_labels(results, best[1]):
        found.append("Every selection here was made with truth labels: these are references, not a search.")
    for limit in limits(results):
        place = f"{limit.get('selection', NONE)} at {format_mass(number(limit.get('mass')))}"
        if number(limit.get("failed_fits")):
            found.append(f"Limit of {place}: {format_count(number(limit['failed_fits']))} fits failed.")
        if number(limit.get("observed")) is None:
            found.append(f"Limit of {place}: no observed limit was found.")
    found += [*_few_events(results), *_strong_limits(results)]
    found += [f"Figure {name} was not found, it is left out." for name in missing_figures]
    return found


def _few_events(results: Entry) -> Iterator[str]:
    """One sentence for each selection with limits where asymptotic formulae are not to be trusted."""
    few: dict[str, list[str]] = {}
    for entry in limits(results):
        background = Quantity.read(entry.get("expected_background")).value
        if background is not None and background < FEW_EVENTS:
            where = f"{format_mass(number(entry.get('mass')))} ({format_number(background, digits=2)})"
            few.setdefault(str(entry.get("selection", NONE)), []).append(where)
    for name, masses in few.items():
        yield (
            f"Limits of {name}: fewer than {FEW_EVENTS:g} background events are expected around a resonance "
            f"at {', '.join(masses)}; the asymptotic formulae are not reliable there, toys are needed."
        )


def _strong_limits(results: Entry) -> Iterator[str]:
    """Limits below the −2σ band: more often than by chance, an excess elsewhere lifts the background they rest on."""
    strong: dict[str, list[str]] = {}
    for entry in limits(results):
        expected = list(entry.get("expected") or ())
        observed, lowest = number(entry.get("observed")), number(expected[0]) if expected else None
        if observed is not None and lowest is not None and observed <= lowest:
            strong.setdefault(str(entry.get("selection", NONE)), []).append(format_mass(number(entry.get("mass"))))
    for name, masses in strong.items():
        yield (
            f"Limits of {name} at {', '.join(masses)} lie at or below the −2σ band: an excess elsewhere in the "
            "spectrum may lift the background that is expected there, and make them too strong."
        )


def _doubts(name: str, hunt: Entry) -> Iterator[str]:
    background = part(hunt, "background")
    p = number(background.get("p_outside_peak", background.get("p")))
    if p is not None and p < POOR_FIT:
        where = " beside the peak" if "p_outside_peak" in background else ""
        yield (
            f"Selection {name}: the background function does not describe the spectrum{where} "
            f"(p = {format_p_value(p)}), its significances are doubtful."
        )
    global_p = part(hunt, "global_p")
    if is_bound(global_p):
        toys = format_count(number(global_p.get("toys")))
        yield (
            f"Selection {name}: none of {toys} toys was as extreme as the data, so the global p-value is only an upper "
            "bound."
        )
    for where, entry in (("the scan", hunt), ("the toys", global_p), ("the background fit", part(hunt, "background"))):
        failed = number(entry.get("failed_fits", entry.get("failed")))
        if failed:
            yield f"Selection {name}: {format_count(failed)} fits of {where} failed."


def _searched(results: Entry) -> str:
    datasets = list(entries(results, "datasets"))
    selections = list(entries(results, "selections"))
    events = [number(entry.get("selected")) for _, entry in datasets]
    name = f" “{results['search']}”" if results.get("search") else ""
    text = f"The search{name} looked for a resonance in the dijet mass"
    if datasets:
        count = format_count(sum(value for value in events if value is not None))
        text += f" in {len(datasets)} data set{'s' * (len(datasets) != 1)} ({count} events after cuts)"
    if selections:
        names = dict.fromkeys(
            f"{entry['detector']}{' (truth labels, reference only)' if uses_labels(results, entry) else ''}"
            for _, entry in selections
            if entry.get("detector")
        )
        with_what = f" by {' and '.join(names)}" if names else ""
        text += f", with {len(selections)} selection{'s' * (len(selections) != 1)}{with_what}"
    return text + "."


def _significance(results: Entry, name: str, entry: Entry) -> Iterator[str]:
    hunt = part(entry, "bump_hunt")
    efficiency, count = number(entry.get("efficiency")), number(entry.get("n_selected"))
    details = [
        f"efficiency {format_percent(efficiency)}" if efficiency is not None else "",
        f"{format_count(count)} events" if count is not None else "",
        "made with truth labels, a reference only" if uses_labels(results, entry) else "",
    ]
    inside = ", ".join(detail for detail in details if detail)
    mass, p0, z = (number(hunt.get(key)) for key in ("mass", "local_p0", "local_z"))
    yield (
        f"The most significant selection is {name}{f' ({inside})' if inside else ''}: best mass {format_mass(mass)}, "
        f"local p₀ = {format_p_value(p0)} ({format_z(z)})."
    )
    p = part(hunt, "global_p")
    if number(p.get("value")) is not None:
        sign = "" if is_bound(p) else "= "
        source = (
            "Gross–Vitells" if p.get("method") == "gross-vitells" else f"{format_count(number(p.get('toys')))} toys"
        )
        yield (
            f"Over the whole mass scan that is a global p {sign}{global_p_text(hunt)} "
            f"({global_z_text(hunt)}, {source})."
        )
    extrapolated = number(part(hunt, "gross_vitells").get("value"))
    if is_bound(p) and extrapolated is not None:
        yield (
            f"None of the toys reached the data; the Gross–Vitells extrapolation from them gives a global p of about "
            f"{format_p_value(extrapolated)} ({format_z(z_of(extrapolated))}), which no toy has tested."
        )


def _limit(results: Entry, name: str, entry: Entry) -> Iterator[str]:
    mass = number(part(entry, "bump_hunt").get("mass"))
    found = [e for e in limits(results) if str(e.get("selection")) == name and number(e.get("mass")) is not None]
    if not found or mass is None:
        return
    limit = min(found, key=lambda e: abs(e["mass"] - mass))
    expected = [number(value) for value in limit.get("expected") or ()]
    observed = format_number(number(limit.get("observed")))
    level = number(limit.get("level"))
    confidence = confidences(results)[0] if level is None else format_confidence(level)
    text = f"There, the {confidence} CL upper limit at {format_mass(limit['mass'])} is {observed}"
    unit = str(limit.get("unit", ""))
    if len(expected) == 5 and expected[2] is not None:
        text += f" {unit}, where {format_number(expected[2])}"
        if expected[1] is not None and expected[3] is not None:
            text += f" (±1σ: {format_number(expected[1])} to {format_number(expected[3])})"
        yield f"{text} was expected without a signal."
    else:
        yield f"{text} {unit}."


def _signal_strength(results: Entry, entry: Entry) -> Iterator[str]:
    name = entry.get("mixture")
    mixture = part(results, "mixtures", str(name))
    if not mixture:
        return
    if not number(mixture.get("n_signal")):
        yield f"The mixture it was made on, “{name}”, holds no injected signal."
        return
    yield (
        f"The mixture it was made on, “{name}”, holds {format_count(number(mixture['n_signal']))} injected signal "
        f"events: {format_percent(number(mixture.get('fraction')))} of all, in the window S/B = "
        f"{Quantity.read(mixture.get('s_over_b_window'))} and S/√B = "
        f"{Quantity.read(mixture.get('s_over_sqrt_b_window'))}."
    )
