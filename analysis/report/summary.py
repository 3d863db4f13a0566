"""The report's first paragraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import (
    format_confidence,
    format_count,
    format_mass,
    format_number,
    format_p_value,
    format_percent,
    format_window,
    format_z,
    is_bound,
)
from analysis.report.jet_tagging_summary import jet_tagging_sentences
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
from analysis.report.robustness import robustness_sentence
from analysis.report.without_hunt import without_hunt

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
    if results.get("jet_tagging"):
        return jet_tagging_sentences(results)
    sentences = [_searched(results)]
    best = most_significant(results)
    if best is None:
        sentences += [] if results.get("robustness") else without_hunt(results)
    else:
        sentences += [*_significance(results, *best), *_limit(results, *best), *_signal_strength(results, best[1])]
    return [sentence for sentence in sentences if sentence]


def _searched(results: Entry) -> str:
    if results.get("robustness"):
        return robustness_sentence(results)
    name = f" “{results['search']}”" if results.get("search") else ""
    text = f"The search{name} looked for a resonance in the dijet mass"
    samples = dict.fromkeys(str(e["mixture"]) for _, e in entries(results, "selections") if e.get("mixture"))
    if samples:
        text += f" of {_listed([_sample(results, sample) for sample in samples])}"
    where = _where(results)
    return f"{text}: in {_listed(where)}." if where else f"{text}."


def _sample(results: Entry, name: str) -> str:
    """A searched sample with its events; simulation and pure signal are no sample that is searched."""
    mixture = part(results, "mixtures", name)
    events = [number(mixture.get(key)) for key in ("n_signal", "n_background")]
    if not mixture:
        events = [number(part(results, "datasets", name).get("selected"))]
    known = [value for value in events if value is not None]
    return f"{name} ({format_count(sum(known))} events after cuts)" if len(known) == len(events) else name


def _where(results: Entry) -> list[str]:
    """The spectra and counts that were searched; inclusive spectra and ABCD are no selection by a detector."""
    selections = [entry for _, entry in entries(results, "selections")]
    hunted = [entry for entry in selections if part(entry, "bump_hunt")]
    selected = [entry for entry in hunted if entry.get("detector")]
    inclusive = len(hunted) - len(selected)
    counted = sum(1 for entry in selections if part(entry, "abcd") and not part(entry, "bump_hunt"))
    families = _families(results)
    names = dict.fromkeys(
        f"{families.get(entry['detector'], entry['detector'])}"
        f"{' (truth labels, reference only)' if uses_labels(results, entry) else ''}"
        for entry in selected
    )
    return [
        *([f"the inclusive spectr{'um' if inclusive == 1 else 'a'}"] if inclusive else []),
        *([f"{_several(len(selected), 'selection')} by {_listed(list(names))}"] if selected else []),
        *([f"{_several(counted, 'count')} with the ABCD method"] if counted else []),
    ]


def _families(results: Entry) -> dict[str, str]:
    """What each window of a detector that slides is called in a sentence: the detector and how many windows it has."""
    return {
        str(window.get("detector")): f"{family} in {_several(len(windows), 'window')}"
        for families in part(results, "windows").values()
        for family, windows in families.items()
        for window in windows
    }


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _listed(texts: list[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


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
        what = _bumphunter(part(hunt, "bumphunter")) or "Over the whole mass scan that is"
        yield f"{what} a global p {sign}{global_p_text(hunt)} ({global_z_text(hunt)}, {source})."
    yield from _among_all(part(results, "combined", str(entry.get("mixture"))))
    extrapolated = number(part(hunt, "gross_vitells").get("value"))
    if is_bound(p) and extrapolated is not None:
        yield (
            f"None of the toys reached the data; the Gross–Vitells extrapolation from them gives a global p of about "
            f"{format_p_value(extrapolated)} ({format_z(z_of(extrapolated))}), which no toy has tested."
        )


def _bumphunter(window: Entry) -> str:
    """The window that the global p-value is of, empty where that is of the likelihood scan."""
    if not window:
        return ""
    observed, expected = (format_number(number(window.get(key))) for key in ("observed", "expected"))
    return (
        f"The BumpHunter's most significant window is {format_window(window.get('window'))}, with {observed} events "
        f"where {expected} were expected (local p = {format_p_value(number(window.get('local_p')))}); over all windows "
        "that is"
    )


def _among_all(combined: Entry) -> Iterator[str]:
    p = part(combined, "global_p")
    if number(p.get("value")) is None:
        return
    text = f"{'' if is_bound(p) else '= '}{global_p_text(combined)} ({global_z_text(combined)}"
    yield (
        f"As the best of {len(combined.get('hunts') or ())} selections, which share events as in the data, "
        f"{combined.get('best')} has a global p {text}, {format_count(number(p.get('toys')))} toys)."
    )


def _limit(results: Entry, name: str, entry: Entry) -> Iterator[str]:
    mass = number(part(entry, "bump_hunt").get("mass"))
    found = [e for e in limits(results) if str(e.get("selection")) == name and number(e.get("mass")) is not None]
    if not found or mass is None:
        return
    limit = min(found, key=lambda e: (abs(e["mass"] - mass), number(e.get("observed")) is None))
    expected = [number(value) for value in limit.get("expected") or ()]
    level = number(limit.get("level"))
    confidence = confidences(results)[0] if level is None else format_confidence(level)
    observed = number(limit.get("observed"))
    if observed is None:
        yield f"No observed {confidence} CL upper limit was found at {format_mass(limit['mass'])}."
        return
    text = f"There, the {confidence} CL upper limit at {format_mass(limit['mass'])} is {format_number(observed)}"
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
    window = (
        f", in the window S/B = {Quantity.read(mixture.get('s_over_b_window'))} and S/√B = "
        f"{Quantity.read(mixture.get('s_over_sqrt_b_window'))}"
        if number(mixture.get("s_over_b_window")) is not None
        else ""
    )
    yield (
        f"The mixture it was made on, “{name}”, holds {format_count(number(mixture['n_signal']))} injected signal "
        f"events: {format_percent(number(mixture.get('fraction')))} of all{window}."
    )
