"""Figures of signal windows that slide: significance against mass, each window's and the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scipy import stats

from analysis.context import SearchRun
from analysis.figures.captions import signal_content
from analysis.numbers import format_percent
from analysis.plots import Label, SlidingScan, WindowScan, window_figure
from analysis.stages.combined import combined, describe_combination
from analysis.stages.hunt import Hunted, hunt
from analysis.stages.limit import Limited
from analysis.stages.searched import searched, window_of

Described = tuple[str, str, str, object]


def window_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) for every sample and every detector that slides."""
    for sample in run.search.data:
        found = [one for one in hunt(run).values() if one.sample == sample]
        for family, names in run.search.families.items() if found else ():
            inclusive = next(one for one in found if one.selection.detector is None)
            own = [one for one in found if one.selection.detector in names]
            yield (
                "selections",
                f"windows-{sample}-{family}",
                _caption(run, sample, family),
                window_figure(
                    _scans(run, own),
                    inclusive=(inclusive.scan["masses"], stats.norm.isf(inclusive.scan["p0"])),
                    label=label,
                ),
            )


def best_of_windows(run: SearchRun, found: Sequence[Hunted]) -> list[Hunted]:
    """Return the selections without those in windows that are not the best of their detector and efficiency.

    Many windows are shown together; a figure for each would hide what matters.
    """
    best: dict[tuple[str, str, float], Hunted] = {}
    for one in found:
        key = kind_of(run, one)
        if key is not None and (key not in best or _z(one) > _z(best[key])):
            best[key] = one
    return [one for one in found if (key := kind_of(run, one)) is None or best[key] is one]


def limits_of_windows(
    run: SearchRun, limits: Mapping[str, Limited]
) -> dict[tuple[str, str, float], list[dict[str, Any]]]:
    """Return by sample, detector that slides and efficiency the limits (GeV, rising) of the nearest windows.

    `limits` are those of all selections; at each mass and unit that of the window is taken whose middle is nearest.
    """
    nearest: dict[tuple[str, str, float], dict[tuple[str, float], tuple[float, dict[str, Any]]]] = {}
    for identifier, found in limits.items():
        hunted = hunt(run)[identifier]
        kind = kind_of(run, hunted)
        window = None if kind is None else window_of(run, hunted.selection.detector)
        if kind is None or window is None:
            continue
        for entry in found.entries:
            away = abs(entry["mass"] - sum(window.signal) / 2)
            own, point = nearest.setdefault(kind, {}), (entry["unit"], entry["mass"])
            if point not in own or away < own[point][0]:
                own[point] = (away, entry)
    return {kind: [own[point][1] for point in sorted(own)] for kind, own in nearest.items()}


def kind_of(run: SearchRun, found: Hunted) -> tuple[str, str, float] | None:
    """Return sample, detector and efficiency that a window's selection shares with other windows, None for others."""
    name = found.selection.detector
    family = run.search.detectors[name].family if name is not None else None
    return None if family is None else (found.sample, family, found.selection.efficiency)


def _z(found: Hunted) -> float:
    return float(found.summary["bump_hunt"]["local_z"])


def _scans(run: SearchRun, own: Sequence[Hunted]) -> list[SlidingScan]:
    scans = []
    for efficiency in dict.fromkeys(one.selection.efficiency for one in own):
        windows = []
        for one in own:
            settings = window_of(run, one.selection.detector)
            if one.selection.efficiency == efficiency and settings is not None:
                z = stats.norm.isf(one.scan["p0"])
                windows.append(WindowScan(settings.signal, one.scan["masses"], z))
        scans.append(SlidingScan(f"{format_percent(efficiency)} selected", windows))
    return scans


def _caption(run: SearchRun, sample: str, family: str) -> str:
    together = combined(run).get(sample)
    return (
        f"Local significance of a resonance against its mass in {sample}, where the signal window of {family} slides "
        "over the spectrum and the detector is trained again in each window (below). Thin lines: the selections of "
        "each window, hunted inside it; thick lines: the largest of the windows at each mass; negative values are "
        "deficits. A window beside a signal has it in a sideband and learns to leave it out. "
        "Toys repeat the hunts, with events that windows share, and not the training."
        + (f" Of all windows and efficiencies together: {describe_combination(together)}." if together else "")
        + signal_content(searched(run, sample))
    )
