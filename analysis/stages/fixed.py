"""Local significances at one known mass: what each detector's selection makes of a resonance there.

They compare detectors and are no search: the mass is given, references trained on labels are among them, and neither
trials factors nor combined significances count them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.numbers import format_uncertain, plain_z
from analysis.stages.background import candidates_of, sqrt_s_of
from analysis.stages.hunt import p_outside_peak
from analysis.stages.searched import Searched, searched, window_of
from analysis.stages.selections import Selection, masses_of, selected_rows, signal_content, spectrum_of
from analysis.stages.shapes import hunted_shapes
from analysis.stages.train import Trained, trained
from analysis.statistics_settings import BumpHuntSettings, FixedMassSettings
from analysis.store import code_key, content_key, library_versions
from ml import detector_class
from stats import BumpHunt, Spectrum, StatisticsError, bump_hunt

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FixedMass:
    """The fit of a resonance of one given mass to one selection.

    Attributes:
        summary: the selection's entry under `fixed_mass` in results.json.
        key: changes when it does.
    """

    selection: Selection
    summary: Mapping[str, Any]
    key: str

    def headline(self) -> str:
        """Return what was fitted, in one line."""
        where = f"at {self.summary['mass']:g} GeV"
        if "reason" in self.summary:
            return f"no fit {where} ({self.summary['reason']})"
        reference = ", trained on labels: a reference" if self.summary["uses_labels"] else ""
        found = format_uncertain(self.summary["yield"], self.summary["yield_error"])
        return f"{where} local {plain_z(self.summary['local_z'])}, {found} events fitted{reference}"


def fixed_mass(run: SearchRun) -> dict[str, FixedMass]:
    """Fit a resonance of the given mass in the selections of every detector; empty where the search names no mass."""
    return {
        selection.identifier: run.once(f"fixed mass {selection.identifier}", partial(_fitted, run, selection))
        for selection in fixed_selections(run)
    }


def fixed_selections(run: SearchRun) -> list[Selection]:
    """Return what is fitted: of each sample the inclusive spectrum, then every detector by efficiency.

    Also detectors that are not searched with. Of those that slide only the windows around the mass.
    """
    if run.search.spectrum is None or run.search.bump_hunt is None or run.search.bump_hunt.fixed is None:
        return []
    fixed = run.search.bump_hunt.fixed
    detectors = [name for name in run.search.detectors if masses_of(run, name, [fixed.mass])]
    return [
        selection
        for sample in run.search.data
        for selection in (
            Selection(sample, None, 1.0),
            *(Selection(sample, name, efficiency) for name in detectors for efficiency in fixed.efficiencies),
        )
    ]


def _asked(run: SearchRun) -> tuple[BumpHuntSettings, FixedMassSettings]:
    settings = run.search.bump_hunt
    assert settings is not None
    assert settings.fixed is not None
    return settings, settings.fixed


def _fitted(run: SearchRun, selection: Selection) -> FixedMass:
    sample, (settings, fixed) = searched(run, selection.sample), _asked(run)
    scores = trained(run, selection.sample, selection.detector) if selection.detector else None
    stages = [f"analysis.stages.{name}" for name in ("selections", "background", "shapes", "hunt")]
    key = content_key(
        sample.key, scores.key if scores else None, selection, window_of(run, selection.detector),
        run.search.counted(selection.sample, selection.detector),
        run.search.spectrum, settings.model_dump(include={"widths", "width_unit", "tails", "templates"}), fixed.mass,
        run.search.seed, [family.name for family in candidates_of(run, selection.sample)],
        sqrt_s_of(run, selection.sample), code_key("stats", "ml.selection", *stages, __name__), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/fixed/{selection.identifier}", key, lambda target: _fit(run, sample, scores, selection, target)
    )
    return FixedMass(selection, read_json(folder / "fixed.json"), key)


def _fit(run: SearchRun, sample: Searched, scores: Trained | None, selection: Selection, folder: Path) -> None:
    assert run.search.spectrum is not None
    mass = _asked(run)[1].mass
    rows = selected_rows(sample, scores, selection, run.search.spectrum)
    what = f"the selection {selection.identifier}"
    spectrum = spectrum_of(sample.events.take(rows), run.search.spectrum, what=what)
    logger.info("fitting a resonance at %g GeV in %s: %d events", mass, selection.identifier, rows.sum())
    labelled = selection.detector is not None and _uses_labels(run, selection.detector)
    summary = {
        "detector": selection.detector,
        "mixture": selection.sample,
        "efficiency": selection.efficiency,
        "seed": run.search.seed,
        "uses_labels": labelled,
        "n_selected": int(rows.sum()),
        **signal_content(sample, rows, run.search.counted(selection.sample, selection.detector)),
        "mass": mass,
    }
    try:
        summary |= _described(_hunted_at(run, selection, spectrum, mass))
    except StatisticsError as error:
        logger.warning("no fit at %g GeV in %s: %s", mass, selection.identifier, error)
        summary["reason"] = str(error)
    write_json(folder / "fixed.json", summary)


def _uses_labels(run: SearchRun, detector: str) -> bool:
    return bool(detector_class(run.search.detectors[detector].type)[0].uses_labels)


def _hunted_at(run: SearchRun, selection: Selection, spectrum: Spectrum, mass: float) -> BumpHunt:
    """Return the bump hunt of one mass: the fits, and the choice of the order, are those of the selection's scan."""
    assert run.search.spectrum is not None
    families = candidates_of(run, selection.sample)
    return bump_hunt(
        spectrum,
        families if len(families) > 1 else families[0],
        masses=[mass],
        shapes=hunted_shapes(run)[:1],
        threshold=run.search.spectrum.order.threshold,
    )


def _described(found: BumpHunt) -> dict[str, Any]:
    peak = found.to_dict()
    names = ("width", "width_unit", "shape", "yield", "yield_error", "local_z", "local_p0", "log_local_p0")
    background = {**peak["background"], "p_outside_peak": p_outside_peak(found)}
    return {**{name: peak[name] for name in names}, "background": background}
