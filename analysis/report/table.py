"""A table of the report: text in cells, nothing of HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.numbers import NONE, format_percent
from analysis.report.quantities import Quantity, number, scalar_text


@dataclass(frozen=True)
class Table:
    """Caption, header and rows of text; the first column holds names, the others are aligned as numbers.

    `notes` stand below the table, `strong` are the indices of rows that matter most.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    strong: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"table {self.caption!r}: {len(row)} cells under {len(self.header)} headings")


Column = tuple[str, Callable[[str, Mapping[str, Any]], str]]

# how much signal something holds, three ways; left out where the truth is not known
SIGNAL_CONTENT: tuple[Column, ...] = (
    ("Total signal fraction", lambda _, e: format_percent(number(e.get("signal_fraction")))),
    ("S/B in window", lambda _, e: str(Quantity.read(e.get("s_over_b_window")))),
    ("S/√B in window", lambda _, e: str(Quantity.read(e.get("s_over_sqrt_b_window")))),
)
CONTENT_KEYS = ("signal_fraction", "s_over_b_window", "s_over_sqrt_b_window")
CONTENT_NOTE = (
    "Signal is counted from the truth: its fraction is S/(S + B) of all events of the row, S/B and S/√B are counted "
    "inside the signal window."
)


def has_content(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> bool:
    """Tell whether any row says how much signal it holds."""
    return any(number(entry.get(key)) is not None for _, entry in rows for key in CONTENT_KEYS)


def build(
    caption: str,
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    columns: Sequence[Column],
    *,
    known: Iterable[str] | None = (),
    notes: Sequence[str] = (),
    strong: frozenset[int] = frozenset(),
) -> Table | None:
    """Make a table of named entries, None without any.

    Columns that are empty in every row are left out (but the first). Plain numbers and texts under keys that are not
    `known` are appended as columns of their own, so that nothing measured is lost; None leaves them out.
    """
    named = list(rows)
    if not named:
        return None
    extra: list[Column] = [(key.replace("_", " "), _cell_of(key)) for key in _extra_keys(named, known)]
    cells = [[cell(name, entry) for _, cell in (*columns, *extra)] for name, entry in named]
    header = [title for title, _ in (*columns, *extra)]
    kept = [i for i in range(len(header)) if i == 0 or any(row[i] not in (NONE, "") for row in cells)]
    return Table(
        caption, [header[i] for i in kept], [[row[i] for i in kept] for row in cells], notes=notes, strong=strong
    )


def _extra_keys(rows: Sequence[tuple[str, Mapping[str, Any]]], known: Iterable[str] | None) -> list[str]:
    if known is None:
        return []
    named = frozenset(known)
    keys = dict.fromkeys(str(key) for _, entry in rows for key, value in entry.items() if _is_plain(value))
    return [key for key in keys if key not in named]


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "value" in value
    return isinstance(value, (int, float, str))


def _cell_of(key: str) -> Callable[[str, Mapping[str, Any]], str]:
    return lambda _, entry: scalar_text(entry.get(key))
