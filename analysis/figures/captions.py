"""What captions of several figures say alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.numbers import format_number, format_percent
from analysis.stages.searched import Searched


def signal_content(sample: Searched) -> str:
    """Return a sentence on how much signal a sample holds, three ways; empty where the truth is not known."""
    counts = sample.counts
    if counts is None:
        return ""
    if not counts.n_signal:
        return f" {sample.name} holds no signal."
    content = content_text(counts.fraction, counts.s_over_b_window, counts.s_over_sqrt_b_window)
    return f" {sample.name} holds {content}."


def selected_content(summary: Mapping[str, Any]) -> str:
    """Return a sentence on how much signal a selection of results.json holds; empty where the truth is not known."""
    if not summary.get("signal_fraction"):
        return ""
    content = content_text(*(summary.get(key) for key in _KEYS))
    return f" The selection holds {content}."


_KEYS = ("signal_fraction", "s_over_b_window", "s_over_sqrt_b_window")


def content_text(fraction: float | None, s_over_b: float | None, s_over_sqrt_b: float | None) -> str:
    """Return total signal fraction, S/B and S/√B in the window as words; what is not known is left out.

    >>> content_text(0.0045, 0.027, 2.2)
    'a total signal fraction of 0.45%, S/B = 0.027 and S/√B = 2.2 in the window'
    """
    text = f"a total signal fraction of {format_percent(fraction)}"
    if s_over_b is None or s_over_sqrt_b is None:
        return text
    return f"{text}, S/B = {format_number(s_over_b)} and S/√B = {format_number(s_over_sqrt_b)} in the window"
