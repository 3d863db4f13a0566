"""Samples of the same events with more or less signal: what is drawn of them, and scanned over."""

from __future__ import annotations

from analysis.config import WindowSettings
from analysis.context import SearchRun
from analysis.stages.searched import searched


def families_of(run: SearchRun) -> list[list[str]]:
    """Return the searched samples in groups of the same background and signal, each by rising signal.

    A mixture that names no signal belongs to the first family of the same background. Samples whose signal is not
    known stand alone.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in run.search.data:
        groups.setdefault(_family(run, name), []).append(name)
    return [sorted(group, key=lambda name: signal_of(run, name)) for group in groups.values()]


def _family(run: SearchRun, name: str) -> tuple[object, ...]:
    mixtures = run.search.mixtures
    mixture = mixtures.get(name)
    if mixture is None:
        return (name,)
    same = (mixture.background, mixture.max_background)
    others = (other for each in run.search.data if (other := mixtures.get(each)) is not None)
    named = (o.signal for o in others if o.signal is not None and (o.background, o.max_background) == same)
    return (*same, mixture.signal or next(named, None))


def signal_of(run: SearchRun, name: str) -> float:
    """Return S/B in the window, the fraction of signal where there is no window, 0 where it is not known."""
    counts = searched(run, name).counts
    if counts is None:
        return 0.0
    return counts.fraction if counts.s_over_b_window is None else counts.s_over_b_window


def ends(run: SearchRun) -> list[str]:
    """Return of every family the sample with the least and the one with the most signal."""
    return [name for group in families_of(run) for name in dict.fromkeys((group[0], group[-1]))]


def calmest(run: SearchRun) -> list[str]:
    """Return of every family the sample with the least signal: where data should be background."""
    return [group[0] for group in families_of(run)]


def left_out(run: SearchRun, shown: list[str]) -> str:
    """Return a sentence on samples of the same families that are not drawn, empty where all are."""
    others = [name for name in run.search.data if name not in shown]
    return f" Not drawn, with amounts of signal in between or above: {', '.join(others)}." if others else ""


def same_signal_window(first: WindowSettings | None, second: WindowSettings | None) -> bool:
    """Return whether two detectors look into the same masses, whatever they train on beside them."""
    if first is None or second is None:
        return first is second
    return first.signal == second.signal
