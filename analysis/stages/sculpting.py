"""What selections do to the mass spectrum of background alone: known from the truth, or simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.events import Events
from analysis.files import read_json, write_json
from analysis.stages.background_fits import BackgroundFit, background_fit
from analysis.stages.process import processed
from analysis.stages.searched import searched
from analysis.stages.selections import Selection, edges_of, searching_detectors, selected_rows
from analysis.stages.signals import passing_rows
from analysis.stages.simulated import simulated_events
from analysis.stages.train import trained
from analysis.store import code_key, content_key
from ml.divergence import spectrum_divergence
from stats import Spectrum


@dataclass(frozen=True)
class BackgroundShape:
    """The spectrum of background that a selection keeps.

    Attributes:
        selection: the working point, whose thresholds are those of the searched sample.
        spectrum, inclusive: of selected and of all background.
        simulation: the data set that it is of; None for the searched sample's own, known from the truth.
        fit: of the search's background function to `spectrum`; None where nothing was fitted.
    """

    selection: Selection
    spectrum: Spectrum
    inclusive: Spectrum
    simulation: str | None
    fit: BackgroundFit | None = None

    def divergence(self, rng: np.random.Generator) -> dict[str, Any]:
        """Return the Jensen–Shannon divergence between both in nats: {value, uncertainty, n, expected}.

        `n` are effective events, `expected` what a random share ε of the inclusive events has on average:
        (bins − 1)(1 − ε)/(8 n), since the selected events are among them.
        """
        effective = self.spectrum.total**2 / float(self.spectrum.variances.sum())
        counts = self.spectrum.counts * effective / self.spectrum.total
        value, uncertainty = spectrum_divergence(counts, self.inclusive.counts, rng=rng)
        kept = self.spectrum.total / self.inclusive.total
        bins = int(np.count_nonzero(self.inclusive.counts))
        return {
            "value": value, "uncertainty": uncertainty, "n": round(effective),
            "expected": (bins - 1) * (1 - kept) / (8 * effective),
        }  # fmt: skip


def background_shapes(run: SearchRun) -> dict[str, BackgroundShape]:
    """Return the spectra of background that selections keep, by identifier.

    Those of the truth where it is known, else those of the search's simulation, selected like the data. None where
    neither is there, and none of a selection that keeps no background.
    """
    found: dict[str, BackgroundShape] = run.once("background shapes", lambda: _background_shapes(run))
    return found


def background_sculpting(run: SearchRun) -> dict[str, Any]:
    """Return the divergence of each selection's background from the inclusive one, for results.json."""
    return {
        f"JSD of background to inclusive, {name}": one.divergence(run.rng(f"background {name}"))
        for name, one in background_shapes(run).items()
    }


def background_fits(run: SearchRun) -> dict[str, Any]:
    """Return how well the background function fits each selection's background, by identifier, for results.json."""
    return {
        name: {"background": "truth" if one.simulation is None else one.simulation, **one.fit.facts}
        for name, one in background_shapes(run).items()
        if one.fit is not None
    }


def _background_shapes(run: SearchRun) -> dict[str, BackgroundShape]:
    if run.search.spectrum is None:
        return {}
    found = {}
    for sample in run.search.data:
        simulation = None if searched(run, sample).truth_known else run.search.simulation
        if simulation is None and not searched(run, sample).truth_known:
            continue
        inclusive = _spectrum(run, Selection(sample, None, 1.0), simulation)
        for detector in searching_detectors(run):
            for efficiency in run.search.efficiencies:
                selection = Selection(sample, detector, efficiency)
                spectrum = _spectrum(run, selection, simulation)
                if spectrum.total > 0:
                    fit = background_fit(run, selection, spectrum)
                    found[selection.identifier] = BackgroundShape(selection, spectrum, inclusive, simulation, fit)
    return found


def _spectrum(run: SearchRun, selection: Selection, simulation: str | None) -> Spectrum:
    """Return the spectrum of the background that a selection keeps, scored once: simulation takes its time."""
    scores = None if selection.detector is None else trained(run, selection.sample, selection.detector).key
    key = content_key(
        searched(run, selection.sample).key, scores, selection, run.search.spectrum,
        None if simulation is None else processed(run, simulation).key,
        code_key("ml.selection", "analysis.stages.selections", "analysis.stages.signals", __name__),
    )  # fmt: skip

    def fill(folder: Path) -> None:
        chosen = _background(run, selection, simulation)
        assert run.search.spectrum is not None
        spectrum = Spectrum.from_masses(chosen["mjj"], edges_of(run.search.spectrum), weights=chosen["weight"])
        content = {name: getattr(spectrum, name).tolist() for name in ("edges", "counts", "variances")}
        write_json(folder / "background.json", content)

    folder = run.results_store.make(f"stages/sculpting/{selection.identifier}", key, fill)
    content = read_json(folder / "background.json")
    return Spectrum(content["edges"], content["counts"], content["variances"])


def _background(run: SearchRun, selection: Selection, simulation: str | None) -> Events:
    """Return the background events that a selection keeps in the spectrum."""
    assert run.search.spectrum is not None
    if simulation is not None:
        events = simulated_events(run, simulation)
        return events.take(passing_rows(run, selection, events) & (events["truth"] != 1))
    sample = searched(run, selection.sample)
    scores = None if selection.detector is None else trained(run, selection.sample, selection.detector)
    rows = selected_rows(sample, scores, selection, run.search.spectrum)
    return sample.events.take(rows & (sample.events["truth"] == 0))
