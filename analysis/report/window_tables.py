"""Tables of signal windows that slide over the spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import format_count, format_mass, format_percent, format_window, format_z, trials_text
from analysis.report.quantities import Quantity, global_p_text, global_z_text, number, part
from analysis.report.table import Table, build

Entry = Mapping[str, Any]


def window_tables(results: Entry) -> list[Table]:
    """One table per sample and detector that slides: what every window holds, and what was found in it."""
    found = [
        _table(results, str(sample), str(family), windows)
        for sample, families in part(results, "windows").items()
        for family, windows in families.items()
    ]
    return [table for table in found if table is not None]


def _table(results: Entry, sample: str, family: str, windows: list[Entry]) -> Table | None:
    together = part(results, "combined", sample)
    rows = []
    for window in windows:
        for name in window.get("selections") or ():
            entry = part(results, "selections", str(name))
            hunt = part(entry, "bump_hunt")
            alone = part(together, "separate", str(name)) or part(hunt, "global_p")
            rows.append((str(name), {"window": window, "entry": entry, "hunt": hunt, "alone": {"global_p": alone}}))
    return build(
        f"Signal windows of {family} on {sample}",
        [(format_window(row["window"].get("window")), row) for _, row in rows],
        [
            ("Window", lambda name, _: name),
            ("Events in it", lambda _, r: format_count(number(r["window"].get("n_events")))),
            ("Signal events in it", lambda _, r: format_count(number(r["window"].get("n_signal")))),
            ("Efficiency", lambda _, r: format_percent(number(r["entry"].get("efficiency")))),
            ("Selected events", lambda _, r: format_count(number(r["entry"].get("n_selected")))),
            ("Signal selected", lambda _, r: format_count(number(r["entry"].get("n_signal")))),
            ("Best mass", lambda _, r: format_mass(number(r["hunt"].get("mass")))),
            ("Fitted signal events", lambda _, r: _yield(r["hunt"])),
            ("Local Z", lambda _, r: format_z(number(r["hunt"].get("local_z")))),
            ("Global p of the selection alone [interval]", lambda _, r: global_p_text(r["alone"])),
        ],
        known=None,
        notes=_notes(together),
        strong=frozenset(i for i, (name, _) in enumerate(rows) if name == together.get("best")),
    )


def _yield(hunt: Entry) -> str:
    return str(Quantity(number(hunt.get("yield")), number(hunt.get("yield_error"))))


def _notes(together: Entry) -> tuple[str, ...]:
    notes = [
        "The detector is trained anew in every window, and hunted with only at masses inside it. Efficiencies are of "
        "all events inside the spectrum. Selected events are those of the whole spectrum."
    ]
    if number(part(together, "global_p").get("value")) is not None:
        factor = trials_text(together) or "no toy is extreme enough for a trials factor"
        notes.append(
            f"Of all {len(together.get('hunts') or ())} selections (windows, efficiencies and the inclusive spectrum) "
            f"{together.get('best')} is the most significant: global p {global_p_text(together)} "
            f"({global_z_text(together)}); {factor}. Toys repeat the hunts, with events that windows share, not the "
            "training."
        )
    elif together.get("reason"):
        notes.append(f"The windows have no common trials factor. {together['reason']}")
    return tuple(notes)
