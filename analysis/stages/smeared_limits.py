"""Limits on cross sections after the selection by a network: the rule of S/√B, and pyhf with the smearing as nuisance.

arXiv:1905.10384, section 4.2 and table 1.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.adversarial_settings import SmearedLimitSettings
from analysis.context import SearchRun
from analysis.files import read_json, write_json
from analysis.stages.networks import SIGNAL, Network, networks
from analysis.stages.robustness import quantiles
from analysis.stages.smeared import MASS, background, events_of, selected_cross_section, settings_of
from analysis.store import code_key, content_key, library_versions
from ml.metrics import roc
from stats import StatisticsError, simple_limit, template_workspace, upper_limit

logger = logging.getLogger(__name__)

SMEARING = "smearing"  # the nuisance parameter
Template = tuple[np.ndarray, np.ndarray]  # events per bin, and their variances


def smeared_limits(run: SearchRun) -> list[dict[str, Any]]:
    """Return one entry per network of `limits`, smearing and signal; empty where no limits are asked for.

    Cross sections are in fb, those of signal events that pass the selection of the processor.
    """
    settings = run.search.adversarial
    if settings is None or settings.limits is None:
        return []
    found = networks(run)
    return [
        entry
        for name in settings.limits.networks
        for entry in read_json(_folder(run, found[name, 0.0]) / "limits.json")
    ]


def smeared_workspaces(run: SearchRun) -> list[Path]:
    """Return the folders of the pyhf workspaces."""
    settings = run.search.adversarial
    if settings is None or settings.limits is None:
        return []
    return [_folder(run, networks(run)[name, 0.0]) for name in settings.limits.networks]


def _folder(run: SearchRun, found: Network) -> Path:
    limits = settings_of(run).limits
    key = content_key(
        found.key, limits, library_versions(), code_key("stats", "ml.metrics", "analysis.stages.robustness", __name__)
    )
    folder: Path = run.once(
        f"limits of {found.name}",
        lambda: run.results_store.make(f"stages/smeared-limits/{found.name}", key, lambda to: _fill(run, found, to)),
    )
    return folder


def _fill(run: SearchRun, found: Network, folder: Path) -> None:
    settings = settings_of(run)
    entries = []
    for smearing in settings.backgrounds:
        # the mean over members is what a search would cut on
        ranked = {name: values.mean(axis=1) for name, values in quantiles(run, found, smearing).items()}
        for signal in settings.tested:
            facts = {"network": found.name, "tested_with": smearing, "signal": signal}
            try:
                entry, workspace = _limit(run, ranked, smearing, signal)
            except StatisticsError as error:
                logger.warning("no limit for %s on %s: %s", found.name, signal, error)
                entries.append({**facts, "reason": str(error)})
                continue
            entries.append({**facts, **entry})
            write_json(folder / f"smeared-{found.name}-{smearing}-{signal}.json", workspace)
    write_json(folder / "limits.json", entries)


def _limit(
    run: SearchRun, ranked: Mapping[str, np.ndarray], smearing: str, signal: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = settings_of(run)
    limits = settings.limits
    assert limits is not None
    central = settings.classes[0]
    cut = _cut(run, ranked, smearing, signal, limits)
    of_classes = {
        name: _template(run, ranked, smearing, name, cut.threshold, limits) for name in (central, "up", "down")
    }
    kept = _binned(events_of(run, signal)[MASS], ranked[f"{SIGNAL}/{signal}"] >= cut.threshold, limits.edges)
    per_fb = limits.luminosity / len(ranked[f"{SIGNAL}/{signal}"])  # events of 1 fb per simulated one
    signal_template = kept * per_fb, kept * per_fb**2
    without, with_smearing = (
        template_workspace(
            signal_template[0],
            of_classes[central][0],
            shapes=shapes,
            background_error=np.sqrt(of_classes[central][1]),
            signal_error=np.sqrt(signal_template[1]),
        )
        for shapes in ({}, {SMEARING: (of_classes["up"][0], of_classes["down"][0])})
    )
    expected = upper_limit(with_smearing, level=limits.level, unit="fb")
    entry = {
        "simple": cut.simple,
        "cls_expected": list(expected.expected),
        "cls_expected_without_smearing": list(upper_limit(without, level=limits.level, unit="fb").expected),
        "level": limits.level,
        "background_cross_section": cut.background_cross_section,
        "selected_background": {name: float(values.sum()) for name, (values, _) in of_classes.items()},
        "failed_fits": expected.failed_fits,
    }
    return entry, dict(with_smearing)


@dataclass(frozen=True)
class _Cut:
    """The working point: threshold on the quantile, and what the rule of S/√B says there."""

    threshold: float
    simple: dict[str, Any]
    background_cross_section: float


def _cut(
    run: SearchRun, ranked: Mapping[str, np.ndarray], smearing: str, signal: str, limits: SmearedLimitSettings
) -> _Cut:
    """Return the point of the ROC curve against the central background that maximises S/√B."""
    central = settings_of(run).classes[0]
    scores = ranked[f"{SIGNAL}/{signal}"], ranked[f"{smearing}/{central}"]
    together = np.concatenate(scores)
    weight = np.concatenate([events_of(run, signal)["weight"], background(run, smearing)[central]["weight"]])
    curve = roc(together, np.repeat([1, 0], [len(one) for one in scores]), weight=weight)
    one = settings_of(run).backgrounds[smearing][central]
    cross_section = selected_cross_section(run, one.dataset, one.variation)
    found = simple_limit(
        curve.signal[1:],
        curve.background[1:],
        n_signal=len(scores[0]),
        n_background=len(scores[1]),
        background_cross_section=cross_section,
        luminosity=limits.luminosity,
        required=limits.required,
    )
    distinct = np.unique(together)[::-1]  # the thresholds of the curve, tightest first
    return _Cut(float(distinct[found.point]), found.to_dict(), cross_section)


def _template(
    run: SearchRun,
    ranked: Mapping[str, np.ndarray],
    smearing: str,
    name: str,
    threshold: float,
    limits: SmearedLimitSettings,
) -> Template:
    """Return the m_tt̄ spectrum of one class above the threshold, scaled to its cross section after the selection."""
    one = settings_of(run).backgrounds[smearing][name]
    events = background(run, smearing)[name]
    kept = _binned(events[MASS], ranked[f"{smearing}/{name}"] >= threshold, limits.edges)
    scale = selected_cross_section(run, one.dataset, one.variation) * limits.luminosity / len(events)
    return kept * scale, kept * scale**2


def _binned(mass: np.ndarray, rows: np.ndarray, edges: tuple[float, ...]) -> np.ndarray:
    """Return events per bin; those beyond the edges count in the first and last."""
    inside = np.clip(mass[rows], edges[0], np.nextafter(edges[-1], edges[0]))
    return np.histogram(inside, edges)[0].astype(float)


def describe_smeared_limit(entry: Mapping[str, Any]) -> str:
    """Return a limit in one line."""
    if "reason" in entry:
        return f"no limit ({entry['reason']})"
    return (
        f"S/√B = {entry['simple']['required']:g} at {entry['simple']['cross_section']:.3g} ± "
        f"{entry['simple']['error']:.2g} fb; expected CLs limit {entry['cls_expected'][2]:.3g} fb, "
        f"{entry['cls_expected_without_smearing'][2]:.3g} fb without the smearing's uncertainty"
    )
