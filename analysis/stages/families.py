"""Samples of the same events with more or less signal: what is drawn of them, and scanned over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.config import Mixture, WindowSettings
from analysis.context import SearchRun
from analysis.stages.searched import searched
from analysis.store import content_key


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
    same = _background(mixture)
    others = (other for each in run.search.data if (other := mixtures.get(each)) is not None)
    named = (other.signal for other in others if other.signal is not None and _background(other) == same)
    return (*same, mixture.signal or next(named, None))


def _background(mixture: Mixture) -> tuple[object, ...]:
    return mixture.background, mixture.skip_background, mixture.max_background


def by_fraction(run: SearchRun, names: Sequence[str]) -> list[list[str]]:
    """Return samples of one family in groups of the same nominal amount of signal, by rising signal.

    Within a group the amounts differ by chance alone.
    """
    groups: dict[object, list[str]] = {}
    for name in names:
        groups.setdefault(_nominal(run, name), []).append(name)
    distinct = [_distinct(run, group) for group in groups.values()]
    return sorted(distinct, key=lambda group: float(np.mean([signal_of(run, name) for name in group])))


def _nominal(run: SearchRun, name: str) -> object:
    mixture = run.search.mixtures.get(name)
    if mixture is None:
        return name
    return (mixture.of, mixture.fraction) if mixture.fraction > 0 else 0.0


def replicas_of(run: SearchRun) -> list[list[str]]:
    """Return groups of searched mixtures that differ in nothing but `seed` and the background events they take.

    Samples that hold the same events as another are left out, and what then stands alone.
    """
    groups: dict[str, list[str]] = {}
    for name in run.search.data:
        if (mixture := run.search.mixtures.get(name)) is not None:
            same = mixture.model_dump(exclude={"seed", "background", "skip_background"})
            groups.setdefault(content_key(same), []).append(name)
    distinct = [_distinct(run, group) for group in groups.values()]
    return [group for group in distinct if len(group) > 1]


def _distinct(run: SearchRun, names: Sequence[str]) -> list[str]:
    """Return the samples without those that hold the same events as one before: without signal seeds do nothing."""
    if len(names) == 1:
        return list(names)
    found: dict[bytes, str] = {}
    for name in names:
        found.setdefault(searched(run, name).events.event_id.tobytes(), name)
    return list(found.values())


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
