"""What goes wrong when a detector is set up, trained or asked for scores."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TrainingError(ValueError):
    """One paragraph: what is wrong, where (sample, column, setting, member), and what to do."""


def nearest_names(name: str, known: Iterable[str]) -> str:
    """The known names closest to `name`, ready for a message: `did you mean 'a' or 'b'?`, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known names: " + (", ".join(names) if names else "none")
