"""What a limit is set on: the bins around a resonance in a selected spectrum, as one channel of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.limit_settings import LimitSettings
from analysis.settings import Interval
from analysis.stages.hunt import Hunted, hunted_family
from analysis.stages.searched import searched
from analysis.stages.selections import SIGNAL_CONTENT, selected_rows, spectrum_of
from analysis.stages.shapes import hunted_shapes, limited_shape, systematics_of
from analysis.stages.train import trained
from stats import Channel, Spectrum, Systematic, resonance_channel
from stats.signals import SignalShape

NEAR = 4.0  # standard deviations about a mass that belong to its peak, where the search does not set a reach
EXCESS = 3.0  # local significance above which the largest excess of a spectrum is no background to rely on
EXCESS_REACH = 3.0  # widths of the bump to either side that belong to it
NO_LIMIT: dict[str, Any] = {"observed": None, "expected": [None] * 5, "scan": [], "failed_fits": 0}
SELECTED = "selected events"


def settings_of(run: SearchRun) -> LimitSettings:
    """Return what the search asks of its limits."""
    assert run.search.limits is not None
    return run.search.limits


def channel_of(
    run: SearchRun,
    hunted: Hunted,
    mass: float,
    *,
    shape: SignalShape | None = None,
    spectrum: Spectrum | None = None,
    events: float = 1.0,
    systematics: list[Systematic] | None = None,
    name: str | None = None,
) -> Channel:
    """Return the bins around a resonance with their background, of a selection's spectrum or a part of it.

    Args:
        shape: of the signal, that of the limits by default.
        events: signal events inside the spectrum for mu = 1.
        systematics: those of the search file by default.
        name: the selection's by default.
    """
    settings = settings_of(run)
    counts = hunted.spectrum if spectrum is None else spectrum
    peak = limited_shape(run) if shape is None else shape
    width = peak.width(mass)
    reach = None if settings.reach is None else settings.reach * width
    return resonance_channel(
        counts,
        hunted_family(run, hunted),
        mass=mass,
        shape=peak,
        window=None if reach is None else (mass - reach, mass + reach),
        name=name or hunted.identifier,
        events=events,
        mask=_sidebands(counts, excluded(run, hunted, mass), mass, reach=NEAR * width if reach is None else reach),
        systematics=systematics_of(settings) if systematics is None else systematics,
    )


def channels_of(run: SearchRun, hunted: Hunted, mass: float) -> list[Channel]:
    """Return what one fit of a selection consists of: one channel, or one per fold of its detector.

    The folds share the signal strength and the systematics; each holds as much of a signal as of the events in the
    spectrum, since every fold keeps the same fraction of them.
    """
    name = hunted.selection.detector
    if not settings_of(run).folds or name is None or run.search.detectors[name].folds < 2:
        return [channel_of(run, hunted, mass)]
    folds = run.once(f"folds of {hunted.identifier}", lambda: _fold_spectra(run, hunted))
    return [
        channel_of(run, hunted, mass, spectrum=spectrum, events=share, name=f"{hunted.identifier}-fold-{fold}")
        for fold, (spectrum, share) in enumerate(folds)
    ]


def _fold_spectra(run: SearchRun, hunted: Hunted) -> list[tuple[Spectrum, float]]:
    """Return of each fold the selected spectrum, and its share of all events in the spectrum."""
    name, settings = hunted.selection.detector, run.search.spectrum
    assert name is not None
    assert settings is not None
    sample, found = searched(run, hunted.sample), trained(run, hunted.sample, name)
    rows = selected_rows(sample, found, hunted.selection, settings)
    weight = np.where(sample.events.inside((settings.start, settings.stop)), sample.events["weight"], 0.0)
    folds = []
    for fold in range(run.search.detectors[name].folds):
        own = found.fold_index == fold
        what = f"the selection {hunted.identifier}-fold-{fold}"
        share = float(weight[own].sum() / weight.sum())
        folds.append((spectrum_of(sample.events.take(rows & own), settings, what=what), share))
    return folds


def excluded(run: SearchRun, hunted: Hunted, mass: float) -> list[Interval]:
    """Return the masses (GeV) whose bins are no sidebands of a peak at a mass, as the search says or the hunt found.

    An excess that reaches as far as the mass may be what the limit is set on, and is not left out.
    """
    asked = settings_of(run).exclude
    if asked != "excess":
        return list(asked)
    found = excess_of(run, hunted)
    return [] if found is None or found[0] <= mass <= found[1] else [found]


def excess_of(run: SearchRun, hunted: Hunted) -> Interval | None:
    """Return the masses (GeV) of the largest excess of a spectrum, None where it is not significant enough for one."""
    found = hunted.summary["bump_hunt"]
    if found["local_z"] <= EXCESS:
        return None
    shape = hunted_shapes(run)[found["scan"]["width"].index(found["width"])]
    reach = EXCESS_REACH * shape.width(found["mass"])
    return found["mass"] - reach, found["mass"] + reach


def _sidebands(spectrum: Spectrum, without: list[Interval], mass: float, *, reach: float) -> np.ndarray | None:
    """Return the bins that may serve as sidebands: those `without` intervals; the peak's own are never left out."""
    mask = np.ones(spectrum.n_bins, dtype=bool)
    for low, high in without:
        mask &= spectrum.outside(low, high)
    mask |= ~spectrum.outside(mass - reach, mass + reach)
    return None if mask.all() else mask


def limit_facts(
    run: SearchRun, hunted: Hunted, mass: float, *, shape: SignalShape | None = None, unit: str = SELECTED
) -> dict[str, Any]:
    """Return what a limit is of, as in results.json."""
    settings = settings_of(run)
    simulated = shape is not None or bool(settings.templates)
    peak = limited_shape(run) if shape is None else shape
    return {
        "selection": hunted.identifier,
        "signal": peak.describe(),
        "mass": mass,
        "width": peak.width(mass) if simulated else settings.width,
        "width_unit": "GeV" if simulated else settings.width_unit,
        "unit": unit,
        "level": settings.level,
        "excluded": [list(interval) for interval in excluded(run, hunted, mass)],
        **{name: hunted.summary.get(name) for name in SIGNAL_CONTENT},
    }
