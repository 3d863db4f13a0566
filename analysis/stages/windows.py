"""Signal windows that slide: what each holds, and whether the data reach as far as its sidebands."""

from __future__ import annotations

from typing import Any

from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.stages.hunt import hunt
from analysis.stages.searched import searched, window_of
from analysis.stages.selections import masses_of


def check_bands(run: SearchRun) -> None:
    """Raise StageError, naming detector and band, where a window or a sideband holds no event of a sample."""
    for name in run.search.data:
        sample = searched(run, name)
        mass = sample.events.masses
        for detector in run.search.detectors:
            window = window_of(run, detector)
            if window is None or not len(mass):
                continue
            for band in window.bands:
                if not sample.events.inside(band).any():
                    raise StageError(
                        f"The {'window' if band == window.signal else 'sideband'} {band[0]:g} to {band[1]:g} GeV of "
                        f"{detector} holds no event of {name}, whose masses run from {mass.min():.0f} to "
                        f"{mass.max():.0f} GeV: keep window and sidebands inside (`{_key(run, detector)}`)."
                    )


def _key(run: SearchRun, detector: str) -> str:
    settings = run.search.detectors[detector]
    if settings.family is not None:
        return "windows"
    return "window" if settings.window is None else f"detectors.{detector}.window"


def windows_of(run: SearchRun) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return by sample and detector that slides one entry for each window, as in results.json."""
    return {
        name: {
            family: [_entry(run, name, detector) for detector in detectors]
            for family, detectors in run.search.families.items()
        }
        for name in (run.search.data if run.search.families else ())
    }


def _entry(run: SearchRun, name: str, detector: str) -> dict[str, Any]:
    """Return a window with the events in it, and what was looked for in which selections."""
    window, sample, hunted = window_of(run, detector), searched(run, name), run.search.bump_hunt
    assert window is not None  # of every detector
    rows = sample.events.inside(window.signal)
    limits = run.search.limits
    return {
        "detector": detector,
        "window": list(window.signal),
        "sidebands": [list(band) for band in window.sidebands],
        "validation": [list(band) for band in window.validation],
        "n_events": int(rows.sum()),
        "n_signal": int((sample.events["truth"][rows] == 1).sum()) if sample.truth_known else None,
        "masses": masses_of(run, detector, hunted.masses.values() if hunted else ()),
        "limit_masses": masses_of(run, detector, limits.masses if limits else ()),
        "selections": [
            one.identifier for one in hunt(run).values() if (one.sample, one.selection.detector) == (name, detector)
        ],
    }
