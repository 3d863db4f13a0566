"""Tables of what replicas found: pseudo-data that differ in nothing but chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import NONE, format_count, format_mass, format_number, format_percent, format_uncertain, plain_z
from analysis.report.data_tables import LABELS_NOTE
from analysis.report.fixed_tables import INCLUSIVE, detector_text
from analysis.report.quantities import number, part
from analysis.report.table import Column, Table, build

Entry = Mapping[str, Any]

SPREAD_NOTE = (
    "Mean ± standard deviation over replicas: mixtures that differ in nothing but their seed and the background events "
    "they take. Those on the same background events share all but the signal, so that their values are correlated and "
    "the standard deviation is too small."
)
PAIRED_NOTE = (
    "“minus”: paired differences within each replica, and in how many of them the row's significance was larger."
)
PAIRS_NOTE = "Paired differences within each replica, and in how many of them the first detector's was larger."
BEYOND_NOTE = (
    "Global p-values of each selection over its scan, and of the best of all. Undecided: no toy reached the data, and "
    "the bound lies below 3σ, so that more toys are needed."
)


def replica_tables(results: Entry) -> list[Table]:
    """Up to four tables for every group of replicas: at the known mass, global significances, detectors, pairs."""
    groups = [group for group in results.get("replicas") or () if isinstance(group, Mapping)]
    found = [build_one(group) for group in groups for build_one in (_fixed, _beyond, _detectors, _pairs)]
    return [table for table in found if table is not None]


def _caption(group: Entry) -> str:
    names, parts = list(group.get("samples") or ()), number(group.get("backgrounds"))
    where = "S/B in the window" if group.get("of") == "window" else "of all events"
    holding = f"{format_percent(number(group.get('fraction')))} {where}" if group.get("fraction") else "no signal"
    if group.get("fraction"):
        holding += "".join(_range(text, group.get(key)) for text, key in _IN_WINDOW)
    return f"{len(names)} replicas on {format_count(parts)} backgrounds, {holding}: {', '.join(map(str, names))}"


_IN_WINDOW = (("S/B", "s_over_b_window"), ("S/√B", "s_over_sqrt_b_window"))


def _range(text: str, values: Any) -> str:
    """What all replicas hold in the window, from the least to the most; empty where there is none."""
    known = [one for value in values or () if (one := number(value)) is not None]
    if not known:
        return ""
    low, high = format_number(min(known)), format_number(max(known))
    return f", {text} = {low}{'' if low == high else f' to {high}'} in the window"


def _fixed(group: Entry) -> Table | None:
    rows = [(str(kind), entry) for kind, entry in part(group, "fixed_mass").items()]
    masses = dict.fromkeys(format_mass(number(entry.get("mass"))) for _, entry in rows)
    return build(
        f"Local significance of a resonance at {', '.join(masses)}. {_caption(group)}",
        rows,
        [
            ("Detector", lambda _, e: detector_text(e)),
            ("Efficiency", lambda _, e: format_percent(number(e.get("efficiency")))),
            ("Local Z [σ]", lambda _, e: _over(part(e, "local_z"))),
            ("Replicas", lambda _, e: format_count(number(part(e, "local_z").get("n")))),
            *(_minus(entry) for entry in _once(rows)),
        ],
        known=None,
        notes=(SPREAD_NOTE, PAIRED_NOTE, *_labels(rows)),
    )


def _once(rows: list[tuple[str, Entry]]) -> list[Entry]:
    """Every detector once, whatever its efficiencies."""
    return list({entry.get("detector"): entry for _, entry in rows}.values())


def _minus(other: Entry) -> Column:
    """The differences to one detector, at the row's efficiency."""

    def cell(_: str, entry: Entry) -> str:
        name, efficiency = other.get("detector"), number(entry.get("efficiency")) or 0.0
        kind = "inclusive" if name is None else f"{name}-{efficiency:g}"
        found = part(entry, "minus", kind)
        return _difference(found)

    return f"minus {detector_text(other).replace(INCLUSIVE, INCLUSIVE.lower())}", cell


def _beyond(group: Entry) -> Table | None:
    rows = [(str(kind), entry) for kind, entry in part(group, "global").items()]
    return build(
        f"Global significance beyond 3σ. {_caption(group)}",
        rows,
        [
            ("Selection", lambda kind, _: "best of all" if kind == "combined" else kind),
            ("Beyond 3σ", lambda _, e: f"{e.get('above')} of {e.get('n')}"),
            ("Undecided", lambda _, e: format_count(number(e.get("undecided")))),
            ("Global Z of each", lambda _, e: _each(e)),
        ],
        known=None,
        notes=(BEYOND_NOTE,),
    )


def _each(entry: Entry) -> str:
    values, bounds = entry.get("values") or (), entry.get("bounds") or ()
    return ", ".join(plain_z(z, bound=bound) for z, bound in zip(values, bounds, strict=True))


def _detectors(group: Entry) -> Table | None:
    rows = [(str(name), entry) for name, entry in part(group, "detectors").items() if part(entry, "auc").get("n")]
    return build(
        f"Detectors. {_caption(group)}",
        rows,
        [
            ("Detector", lambda name, e: f"{name} †" if e.get("uses_labels") else name),
            ("AUC", lambda _, e: _over(part(e, "auc"))),
            ("Largest SIC", lambda _, e: _over(part(e, "max_sic"))),
            ("SIC at ε_S = 0.5", lambda _, e: _over(part(e, "sic_at_0.5"))),
            ("Replicas", lambda _, e: format_count(number(part(e, "auc").get("n")))),
        ],
        known=None,
        notes=(SPREAD_NOTE, *_labels(rows)),
    )


def _pairs(group: Entry) -> Table | None:
    """The differences between any two detectors that a search may use, the one named first in front."""
    known = [(str(name), entry) for name, entry in part(group, "detectors").items() if part(entry, "auc").get("n")]
    free = [(name, entry) for name, entry in known if not entry.get("uses_labels")]
    rows = [
        (f"{name} − {other}", part(entry, "minus", other))
        for i, (name, entry) in enumerate(free)
        for other, _ in free[i + 1 :]
    ]
    return build(
        f"Differences between detectors. {_caption(group)}",
        rows,
        [
            ("Detectors", lambda pair, _: pair),
            ("AUC", lambda _, e: _difference(part(e, "auc"))),
            ("Largest SIC", lambda _, e: _difference(part(e, "max_sic"))),
            ("SIC at ε_S = 0.5", lambda _, e: _difference(part(e, "sic_at_0.5"))),
        ],
        known=None,
        notes=(SPREAD_NOTE, PAIRS_NOTE),
    )


def _difference(found: Entry) -> str:
    if number(found.get("value")) is None:
        return NONE
    return f"{_over(found)} [{found.get('larger')} of {found.get('n')}]"


def _over(found: Entry) -> str:
    return format_uncertain(number(found.get("value")), number(found.get("spread")))


def _labels(rows: list[tuple[str, Entry]]) -> tuple[str, ...]:
    return (LABELS_NOTE,) if any(entry.get("uses_labels") for _, entry in rows) else ()
