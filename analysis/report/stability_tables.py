"""Tag N' Train iteration by iteration: what to watch where no truth is known, and what to doubt by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from analysis.numbers import NONE, format_number, format_uncertain
from analysis.report.quantities import entries, number, part
from analysis.report.table import Table

Entry = Mapping[str, Any]

OBJECT_CORRELATION = 0.1  # of the two objects' scores: from there on they are not independent
TURNED = -0.2  # correlation of scores with those that tagged, below which they mean the opposite; about 0 only says
# that a trained classifier ranks background in another way than a weak one
_OBJECTS = ("first", "second")
NOTE = (
    "No truth enters. Correlations are those of ranks, mean ± standard deviation over the folds: of an object's scores "
    "with its scores one iteration before, which should be positive and grow as the scores settle, and of the two "
    "objects' scores in an event, which should stay near 0 (a fraction f of well-tagged signal adds about 3 f)."
)


def stability_table(results: Entry) -> Table | None:
    """Correlations in every iteration of every detector that tags and trains, None where there is none."""
    rows = [
        [
            name,
            _iteration(one),
            *(_text(part(one, "rank_correlation").get(which)) for which in _OBJECTS),
            _text(one.get("object_correlation")),
        ]
        for name, one in _iterations(results)
    ]
    header = ["Detector", "Iteration", *(f"With those before, {which} object" for which in _OBJECTS), "Of both objects"]
    return Table("Tag N' Train, iteration by iteration", header, rows, notes=(NOTE,)) if rows else None


def stability_warnings(results: Entry) -> Iterator[str]:
    """Detectors whose scores turn around from one iteration to the next, or whose objects depend on each other."""
    largest: dict[str, tuple[float, str]] = {}
    for name, one in _iterations(results):
        for which in _OBJECTS:
            value = number(part(one, "rank_correlation", which).get("value"))
            if value is not None and value < TURNED:
                yield (
                    f"Detector {name}: the scores of the {which} object are anticorrelated with those of the iteration "
                    f"before ({format_number(value, digits=2)} in {_iteration(one)}). It has learned the opposite of "
                    "what tagged it; look at the order of the objects (`object_order`)."
                )
        value = number(part(one, "object_correlation").get("value"))
        if value is not None and abs(value) > max(OBJECT_CORRELATION, abs(largest.get(name, (0.0, ""))[0])):
            largest[name] = (value, _iteration(one))
    for name, (value, where) in largest.items():
        yield (
            f"Detector {name}: the scores of the two objects have a rank correlation of "
            f"{format_number(value, digits=2)} in {where}, beyond ±{OBJECT_CORRELATION:g}. Unless it is signal that "
            "correlates them, they are not independent in background, and an ABCD estimate from them is doubtful."
        )


def _iterations(results: Entry) -> Iterator[tuple[str, Entry]]:
    for name, entry in entries(results, "detectors"):
        for one in entry.get("iterations") or ():
            if isinstance(one, Mapping):
                yield name, one


def _iteration(one: Entry) -> str:
    """What an iteration is called: the first are the classifiers that tag first."""
    count = number(one.get("iteration"))
    return NONE if count is None else f"iteration {count:.0f}" if count else "weak classifiers"


def _text(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return NONE
    return format_uncertain(number(entry.get("value")), number(entry.get("spread")))
