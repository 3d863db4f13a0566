"""Selections by anomaly score, their spectra, and the search for a bump in each."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import SpectrumSettings
from analysis.context import SearchRun, read_json
from analysis.errors import StageError
from analysis.stages.searched import Searched, searched
from analysis.stages.train import Trained, trained
from analysis.store import code_key, content_key, library_versions, write_json
from ml.selection import select
from stats import (
    BumpHunt,
    Family,
    Spectrum,
    StatisticsError,
    bump_hunt,
    dijet,
    fit_signal,
    gaussian_template,
    goodness_outside,
    uniform_edges,
)

logger = logging.getLogger(__name__)

SIGNAL_CONTENT = ("signal_fraction", "s_over_b_window", "s_over_sqrt_b_window")


@dataclass(frozen=True)
class Selection:
    """A working point: which detector, which efficiency; no detector for the inclusive spectrum."""

    sample: str
    detector: str | None
    efficiency: float

    @property
    def identifier(self) -> str:
        """Return the selection's name in results.json and in file names."""
        if self.detector is None:
            return f"{self.sample}-inclusive"
        return f"{self.sample}-{self.detector}-{self.efficiency:g}"

    @property
    def label(self) -> str:
        """Return the selection's name in a legend."""
        return "Inclusive" if self.detector is None else f"{self.detector}, {100 * self.efficiency:g}%"


@dataclass(frozen=True)
class Hunted:
    """One selection, its spectrum and what was found in it.

    Attributes:
        summary: the selection's entry in results.json.
        fit: `expected`, `error` of the background alone and `signal`, what a fit with one has more; per bin.
        scan: `masses` (GeV) and, for the best width, `p0`.
        key: changes when any of it does.
    """

    selection: Selection
    spectrum: Spectrum
    summary: Mapping[str, Any]
    fit: Mapping[str, np.ndarray]
    scan: Mapping[str, np.ndarray]
    key: str

    @property
    def identifier(self) -> str:
        """Return the selection's name in results.json."""
        return self.selection.identifier

    @property
    def sample(self) -> str:
        """Return the name of the searched sample."""
        return self.selection.sample

    @property
    def label(self) -> str:
        """Return the selection's name in a legend."""
        return self.selection.label

    def headline(self) -> str:
        """Return what was found, in one line."""
        found = self.summary["bump_hunt"]
        line = (
            f"{self.summary['n_selected']:,} events, largest excess at {found['mass']:g} GeV, "
            f"local {found['local_z']:.2f}σ"
        )
        global_p = found["global_p"]
        if global_p is None:
            return line
        sign = ">" if global_p["is_bound"] else ""
        return f"{line}, global {sign}{found['global_z']:.2f}σ ({global_p['toys']:,} toys)"


def selections_of(run: SearchRun) -> list[Selection]:
    """Return every selection of a search: of each sample the inclusive one, then detectors by efficiency."""
    return [
        selection
        for sample in run.search.data
        for selection in (
            Selection(sample, None, 1.0),
            *(Selection(sample, d, e) for d in _searching(run) for e in run.search.efficiencies),
        )
    ]


def _searching(run: SearchRun) -> list[str]:
    """Return the detectors whose selections are searched: references trained on truth are not."""
    from ml import detector_class

    return [name for name, one in run.search.detectors.items() if not detector_class(one.type)[0].uses_labels]


def hunt(run: SearchRun) -> dict[str, Hunted]:
    """Search the spectrum of every selection; returns them by identifier. Empty where no bump hunt is asked for."""
    if run.search.spectrum is None or run.search.bump_hunt is None:
        return {}
    found, selections = {}, selections_of(run)
    with run.bar("hunt") as progress:
        for index, selection in enumerate(selections):
            found[selection.identifier] = hunted(run, selection)
            if progress is not None:
                progress(index + 1, len(selections))
    return found


def hunted(run: SearchRun, selection: Selection) -> Hunted:
    """Return what was found in one selection."""
    return run.once(f"hunted {selection.identifier}", lambda: _hunted(run, selection))


def _hunted(run: SearchRun, selection: Selection) -> Hunted:
    search, sample = run.search, searched(run, selection.sample)
    scores = trained(run, selection.sample, selection.detector) if selection.detector else None
    window = search.window.signal if search.window else None
    key = content_key(
        sample.key, scores.key if scores else None, selection, window, search.spectrum, search.bump_hunt, search.seed,
        family_of(run, selection.sample).name, sqrt_s_of(run, selection.sample),
        code_key("stats", "ml.selection", __name__), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/hunt/{selection.identifier}", key, lambda target: _search(run, sample, scores, selection, target)
    )
    content = read_json(folder / "hunt.json")
    spectrum = Spectrum(content["edges"], content["counts"], content["variances"])
    scan = content["summary"]["bump_hunt"]["scan"]
    best = scan["width"].index(content["summary"]["bump_hunt"]["width"])
    p0 = np.array(scan["local_p0"][best], dtype=float)
    return Hunted(
        selection,
        spectrum,
        content["summary"],
        {name: np.array(values, dtype=float) for name, values in content["fit"].items()},
        {"masses": np.array(scan["mass"]), "p0": p0},
        key,
    )


def _search(run: SearchRun, sample: Searched, scores: Trained | None, selection: Selection, folder: Path) -> None:
    search = run.search
    assert search.spectrum is not None
    assert search.bump_hunt is not None
    rows = selected_rows(sample, scores, selection, search.spectrum)
    chosen = sample.events["mjj"][rows]
    if not len(chosen):
        raise StageError(
            f"The selection {selection.identifier} is empty: no event in {search.spectrum.start:g} to "
            f"{search.spectrum.stop:g} GeV. Raise the efficiency or widen the spectrum."
        )
    weights = sample.events["weight"][rows]
    spectrum = Spectrum.from_masses(
        chosen, edges_of(search.spectrum), weights=None if np.all(weights == 1) else weights
    )
    seeds = np.random.SeedSequence([search.seed, zlib.crc32(selection.identifier.encode())])
    logger.info("hunting in %s: %d events, %d toys", selection.identifier, len(chosen), search.bump_hunt.toys)
    found = bump_hunt(
        spectrum,
        family_of(run, selection.sample),
        masses=search.bump_hunt.masses.values(),
        widths=search.bump_hunt.widths,
        toys=search.bump_hunt.toys,
        rng=np.random.default_rng(seeds),
        workers=run.options.executor.workers,
    )
    summary: dict[str, Any] = {
        "detector": selection.detector,
        "mixture": selection.sample,
        "window": list(search.window.signal) if search.window and selection.detector else None,
        "efficiency": selection.efficiency,
        "seed": search.seed,
        "n_selected": len(chosen),
        **_signal_content(sample, rows, search.window.signal if search.window else None),
        "bump_hunt": {"global_p": None, "global_z": None, **found.to_dict()},
    }
    summary["bump_hunt"]["background"]["p_outside_peak"] = _p_outside_peak(found)
    content = {
        "edges": spectrum.edges.tolist(),
        "counts": spectrum.counts.tolist(),
        "variances": spectrum.variances.tolist(),
        "fit": _fit(found),
        "summary": summary,
    }
    write_json(folder / "hunt.json", content)


def _p_outside_peak(found: BumpHunt) -> float | None:
    """Return the p-value of the background function beside the best-fit peak, None where too few bins are left."""
    width, mass = found.best
    try:
        goodness = goodness_outside(
            found.spectrum, found.family, mass=float(found.masses[mass]), width=float(found.widths[width])
        )
    except StatisticsError as error:
        logger.info("no fit beside the peak: %s", error)
        return None
    return goodness.p if np.isfinite(goodness.p) else None


def selected_rows(
    sample: Searched, scores: Trained | None, selection: Selection, spectrum: SpectrumSettings
) -> np.ndarray:
    """Return the mask (n_events,) of the events a selection keeps in the spectrum.

    The efficiency is the fraction of the events inside the spectrum that are kept, in every fold.
    """
    rows = sample.events.inside((spectrum.start, spectrum.stop))
    if scores is None or not rows.any():
        return rows
    inside = np.flatnonzero(rows)
    weight = sample.events["weight"][inside]
    kept = select(scores.score[inside], scores.fold_index[inside], selection.efficiency, weight=weight)
    result = np.zeros(len(rows), dtype=bool)
    result[inside[kept]] = True
    return result


def _signal_content(sample: Searched, rows: np.ndarray, window: tuple[float, float] | None) -> dict[str, Any]:
    """Return how much signal the selection holds, where truth is known: in all of it and in the window."""
    if not sample.truth_known:
        return {}
    signal = (sample.events["truth"] == 1) & rows
    content: dict[str, Any] = {"n_signal": int(signal.sum()), "signal_fraction": float(signal.sum() / rows.sum())}
    if window is not None:
        inside = sample.events.inside(window) & rows
        s, b = int((signal & inside).sum()), int((inside & ~signal).sum())
        content["s_over_b_window"] = s / b if b else None
        content["s_over_sqrt_b_window"] = float(s / np.sqrt(b)) if b else None
    return content


def _fit(found: BumpHunt) -> dict[str, list[float]]:
    """Return the background fitted alone, its uncertainty, and what the fit with a signal has more, in events per bin.

    The last is not the signal alone: with a peak of its own to describe, the background takes another shape.
    """
    width, mass = found.best
    template = gaussian_template(found.spectrum.edges, float(found.masses[mass]), width=float(found.widths[width]))
    with_signal = fit_signal(found.background, template)
    background = found.background.model.expected(with_signal.parameters[0])
    return {
        "expected": found.prediction.tolist(),
        "error": found.background.expected_errors[0].tolist(),
        "signal": (background + with_signal.yields[0] * template - found.prediction).tolist(),
    }


def edges_of(settings: SpectrumSettings) -> np.ndarray:
    """Return the bin edges of the spectrum in GeV."""
    if settings.bins is not None:
        return np.linspace(settings.start, settings.stop, settings.bins + 1)
    assert settings.width is not None
    return uniform_edges(settings.start, settings.stop, settings.width)


def family_of(run: SearchRun, sample: str) -> Family:
    """Return the background family of a sample's spectra; x = m/√s with the √s of its data sets."""
    search = run.search
    assert search.spectrum is not None
    return dijet(search.spectrum.parameters, sqrt_s=1000.0 * sqrt_s_of(run, sample))


def sqrt_s_of(run: SearchRun, sample: str) -> float:
    """Return the collision energy of a sample in TeV."""
    mixture = run.search.mixtures.get(sample)
    return run.catalogue.entry(sample if mixture is None else mixture.background).sqrt_s
