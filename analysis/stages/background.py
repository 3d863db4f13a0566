"""The background family of a search, and on what its number of parameters was chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.config import Dataset
from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.stages.process import processed
from analysis.stages.searched import searched
from analysis.stages.selections import edges_of, spectrum_of
from analysis.statistics_settings import FamilySettings, SpectrumSettings
from stats import Family, OrderChoice, Spectrum, StatisticsError, choose_order, family


@dataclass(frozen=True)
class Control:
    """A spectrum on which the order of the background function is chosen.

    Attributes:
        name: what it is, in words.
        mask: bins that are used, or None for all.
    """

    name: str
    spectrum: Spectrum
    mask: np.ndarray | None


def candidates_of(run: SearchRun, sample: str) -> list[Family]:
    """Return the background family of a sample's spectra, x = m/√s with the √s of its data sets.

    Several where the order is chosen on each searched spectrum itself: toys must then repeat the choice.
    """
    settings = _settings(run)
    if settings.parameters != "f-test":
        return [_family(run, sample, settings.parameters)]
    if settings.order.control == "searched":
        return [_family(run, sample, order) for order in settings.candidates]
    return [order_of(run, sample).family]


def other_family(run: SearchRun, sample: str, choice: FamilySettings) -> Family:
    """Return another family on the same spectrum."""
    edges = edges_of(_settings(run))
    mass_range = (float(edges[0]), float(edges[-1]))
    return family(choice.family, choice.parameters, sqrt_s=1000.0 * sqrt_s_of(run, sample), mass_range=mass_range)


def order_of(run: SearchRun, sample: str) -> OrderChoice:
    """Return the F-test over the candidates; raises StageError where the control spectrum cannot decide."""
    return run.once(f"order {sample}", lambda: _order_of(run, sample))


def _order_of(run: SearchRun, sample: str) -> OrderChoice:
    settings, control = _settings(run), control_of(run, sample)
    candidates = [_family(run, sample, order) for order in settings.candidates]
    try:
        return choose_order(control.spectrum, candidates, mask=control.mask, threshold=settings.order.threshold)
    except StatisticsError as error:
        raise StageError(f"The F-test on {control.name} cannot choose among {settings.family}: {error}") from error


def control_of(run: SearchRun, sample: str) -> Control:
    """Return the control spectrum that the search names; raises StageError where it is empty."""
    settings, name = _settings(run), _settings(run).order.control
    if name == "sidebands":
        window = run.search.window
        spectrum = spectrum_of(searched(run, sample).events, settings, what=f"the spectrum of {sample}")
        if window is None:
            return Control(f"the inclusive spectrum of {sample}", spectrum, None)
        low, high = window.signal
        what = f"the inclusive spectrum of {sample} outside {low:g} to {high:g} GeV"
        return Control(what, spectrum, spectrum.outside(low, high))
    if name == "simulation":
        assert run.search.simulation is not None  # the search model demands it
        name = run.search.simulation
    what = f"the spectrum of {name}"
    return Control(what, spectrum_of(processed(run, name).events([]), settings, what=what), None)


def source_of(run: SearchRun, sample: str) -> Dataset:
    """Return the catalogue entry behind a searched sample: of a mixture, its background's."""
    mixture = run.search.mixtures.get(sample)
    return run.catalogue.entry(sample if mixture is None else mixture.background)


def sqrt_s_of(run: SearchRun, sample: str) -> float:
    """Return the collision energy of a sample in TeV."""
    return source_of(run, sample).sqrt_s


def _settings(run: SearchRun) -> SpectrumSettings:
    assert run.search.spectrum is not None
    return run.search.spectrum


def _family(run: SearchRun, sample: str, order: int) -> Family:
    return other_family(run, sample, FamilySettings(family=_settings(run).family, parameters=order))
