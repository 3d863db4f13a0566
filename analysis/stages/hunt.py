"""The search for a bump in the spectrum of every selection."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import plain_z
from analysis.stages.background import candidates_of, other_family, sqrt_s_of
from analysis.stages.searched import Searched, searched, window_of
from analysis.stages.selections import (
    Selection,
    masses_of,
    selected_rows,
    selections_of,
    signal_content,
    spectrum_of,
)
from analysis.stages.shapes import hunted_shapes, is_gaussian
from analysis.stages.train import Trained, trained
from analysis.statistics_settings import BumpHuntSettings, FamilySettings
from analysis.store import code_key, content_key, library_versions
from stats import BumpHunt, BumpHunter, Family, Spectrum, StatisticsError, bump_hunt, fit_signal, goodness_outside
from stats.signals import normalised

logger = logging.getLogger(__name__)


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
        if "bumphunter" in found:
            low, high = found["bumphunter"]["window"]
            line += f", BumpHunter window {low:g} to {high:g} GeV, local p = {found['bumphunter']['local_p']:.2g}"
        global_p = found["global_p"]
        if global_p is None:
            return line
        z = plain_z(found["global_z"], bound=global_p["is_bound"])
        return f"{line}, global {z} ({global_p['toys']:,} toys)"


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
    assert search.bump_hunt is not None
    scores = trained(run, selection.sample, selection.detector) if selection.detector else None
    window = window_of(run, selection.detector)
    stages = ("analysis.stages.selections", "analysis.stages.background", "analysis.stages.shapes")
    code = code_key("stats", "ml.selection", *stages, __name__)
    key = content_key(
        sample.key, scores.key if scores else None, selection, window.signal if window else None,
        search.counted(selection.sample, selection.detector),
        search.spectrum, search.bump_hunt.scan, _masses(run, selection), search.seed,
        [family.name for family in candidates_of(run, selection.sample)], sqrt_s_of(run, selection.sample), code,
        library_versions(),
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
    spectrum = spectrum_of(sample.events.take(rows), search.spectrum, what=f"the selection {selection.identifier}")
    settings = search.bump_hunt
    logger.info("hunting in %s: %d events, %d toys", selection.identifier, rows.sum(), settings.toys)
    found = _bump_hunt(run, selection, spectrum, toys=settings.toys, rng=run.rng(selection.identifier))
    window = window_of(run, selection.detector)
    summary: dict[str, Any] = {
        "detector": selection.detector,
        "mixture": selection.sample,
        "window": list(window.signal) if window and selection.detector else None,
        "efficiency": selection.efficiency,
        "seed": search.seed,
        "n_selected": int(rows.sum()),
        **signal_content(sample, rows, search.counted(selection.sample, selection.detector)),
        "bump_hunt": {"global_p": None, "global_z": None, **found.to_dict()},
    }
    summary["bump_hunt"]["background"]["p_outside_peak"] = p_outside_peak(found)
    content = {
        "edges": spectrum.edges.tolist(),
        "counts": spectrum.counts.tolist(),
        "variances": spectrum.variances.tolist(),
        "fit": _fit(run, found),
        "summary": summary,
    }
    write_json(folder / "hunt.json", content)


def hunt_of(run: SearchRun, found: Hunted) -> BumpHunt:
    """Return the bump hunt of a selection itself, without toys: quick, and not kept."""
    return _bump_hunt(run, found.selection, found.spectrum, toys=0, rng=None)


def _bump_hunt(
    run: SearchRun, selection: Selection, spectrum: Spectrum, *, toys: int, rng: np.random.Generator | None
) -> BumpHunt:
    settings = run.search.bump_hunt
    assert settings is not None
    families = candidates_of(run, selection.sample)
    return bump_hunt(
        spectrum,
        families if len(families) > 1 else families[0],
        masses=_masses(run, selection),
        widths=settings.widths,
        relative=settings.width_unit == "relative",
        shapes=None if is_gaussian(settings) else hunted_shapes(run),
        statistic=settings.statistic,
        windows=_windows(settings) if settings.statistic == "bumphunter" else None,
        threshold=run.search.spectrum.order.threshold if run.search.spectrum else 0.05,
        toys=toys,
        rng=rng,
        workers=run.options.executor.workers,
    )


def _masses(run: SearchRun, selection: Selection) -> list[float]:
    assert run.search.bump_hunt is not None
    return masses_of(run, selection.detector, run.search.bump_hunt.masses.values())


def _windows(settings: BumpHuntSettings) -> BumpHunter:
    asked = settings.windows
    return BumpHunter(asked.widths or None, step=asked.step, exclude=asked.exclude, sidebands=asked.sidebands)


def hunted_family(run: SearchRun, found: Hunted) -> Family:
    """Return the background family that a selection was hunted with."""
    background = found.summary["bump_hunt"]["background"]
    assert run.search.spectrum is not None
    choice = FamilySettings(family=run.search.spectrum.family, parameters=background["parameters"])
    return other_family(run, found.sample, choice)


def p_outside_peak(found: BumpHunt) -> float | None:
    """Return the p-value of the background function beside the best-fit peak, None where too few bins are left."""
    width, mass = found.best
    try:
        peak = float(found.masses[mass])
        reach = found.shapes[width].width(peak)
        goodness = goodness_outside(found.spectrum, found.family, mass=peak, width=reach, relative=False)
    except StatisticsError as error:
        logger.info("no fit beside the peak: %s", error)
        return None
    return goodness.p if np.isfinite(goodness.p) else None


def _fit(run: SearchRun, found: BumpHunt) -> dict[str, list[float]]:
    """Return the background fitted alone, its uncertainty, and what the fit with a signal has more, in events per bin.

    The last is not the signal alone: with a peak of its own to describe, the background takes another shape.
    """
    width, mass = found.best
    shape = hunted_shapes(run)[width]
    template = normalised(shape.template(found.spectrum.edges, float(found.masses[mass])))
    with_signal = fit_signal(found.background, template)
    background = found.background.model.expected(with_signal.parameters[0])
    return {
        "expected": found.prediction.tolist(),
        "error": found.background.expected_errors[0].tolist(),
        "signal": (background + with_signal.yields[0] * template - found.prediction).tolist(),
    }
