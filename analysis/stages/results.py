"""results.json and the histograms: the machine-readable truth of a search."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from analysis.context import SearchRun, datasets_of
from analysis.exports import write_histograms, write_workspaces
from analysis.files import write_json
from analysis.samples import read_summary
from analysis.stages.abcd import abcd
from analysis.stages.bands import band_limits
from analysis.stages.combined import combined
from analysis.stages.direct import direct_results
from analysis.stages.fixed import fixed_mass
from analysis.stages.hunt import hunt
from analysis.stages.jet_examined import examined_results
from analysis.stages.jet_networks import jet_networks
from analysis.stages.jet_tagging import decorrelated, jet_tagging
from analysis.stages.latent import latent_results
from analysis.stages.latent_scores import latent_scores
from analysis.stages.limit import limit, limited
from analysis.stages.networks import networks
from analysis.stages.peaks import peaks_of
from analysis.stages.process import processed
from analysis.stages.replicas import replicas
from analysis.stages.reweighting import figures_of_merit, reweighting_results
from analysis.stages.robustness import compared, robustness
from analysis.stages.scan import scans
from analysis.stages.sculpting import background_fits, background_sculpting
from analysis.stages.searched import counts_of, searched
from analysis.stages.selections import Selection
from analysis.stages.simple import simple_limits
from analysis.stages.smeared_limits import smeared_limits
from analysis.stages.stability import stability_of
from analysis.stages.train import Trained, train
from analysis.stages.validate import background_orders, validate
from analysis.stages.windows import windows_of
from analysis.store import installed_versions
from ml.divergence import spectrum_divergence


def results_of(run: SearchRun) -> dict[str, Any]:
    """Return results.json as plain data."""
    return {
        "search": run.search.name,
        "version": metadata.version("darkhorse"),
        "config_key": run.config_key,
        "seed": run.search.seed,
        "datasets": {name: _dataset(run, name) for name in datasets_of(run.search)},
        "cutflow": {name: processed(run, name).cutflow() for name in datasets_of(run.search)},
        "mixtures": {
            name: counts.to_dict() for name in run.search.data if (counts := searched(run, name).counts) is not None
        },
        "detectors": {_detector_name(run, *pair): _detector(run, found) for pair, found in train(run).items()},
        "selections": {
            **{name: found.summary for name, found in hunt(run).items()},
            **{name: found.summary for name, found in abcd(run).items()},
        },
        "fixed_mass": {name: found.summary for name, found in fixed_mass(run).items()},
        "windows": windows_of(run),
        "combined": combined(run),
        "background_order": background_orders(run),
        "background_fits": background_fits(run),
        "validation": validate(run),
        "limits": [*limit(run), *band_limits(run)],
        "simple_limits": simple_limits(run),
        "profiles": {name: found.profile for name, found in limited(run).items() if found.profile is not None},
        "reweighting": reweighting_results(run),
        "direct_background": direct_results(run),
        "latent": latent_results(run),
        "latent_scores": latent_scores(run),
        "scans": scans(run),
        **_adversarial(run),
        **_jet_tagging(run),
        "replicas": replicas(run),
        "figures_of_merit": {**figures_of_merit(run), **_sculpting(run), **background_sculpting(run)},
        "catalogue": {name: _entry(run, name) for name in datasets_of(run.search)},
        "versions": installed_versions(),
    }


def write_results(run: SearchRun) -> Path:
    """Write results.json, the histograms and the pyhf workspaces; return the path of the first."""
    write_histograms(run)
    write_workspaces(run)
    return write_json(run.out / "results.json", results_of(run))


def _adversarial(run: SearchRun) -> dict[str, Any]:
    """Return what networks that must not tell classes apart are worth; nothing where a search has none."""
    settings = run.search.adversarial
    if settings is None:
        return {}
    measured = robustness(run)
    plain = {name: one.plain for name, one in settings.networks.items() if one.plain is not None}
    return {
        "networks": {found.title: _network(found.summary) for found in networks(run).values()},
        "robustness": measured,
        "robustness_compared": compared(measured, plain),
        "smeared_limits": smeared_limits(run),
    }


def _jet_tagging(run: SearchRun) -> dict[str, Any]:
    """Return how well networks find jets, and how much they depend on the mass; nothing where a search has none."""
    settings = run.search.jet_tagging
    if settings is None:
        return {}
    measured = jet_tagging(run)
    plain = {name: one.plain for name, one in settings.networks.items() if one.plain is not None}
    return {
        "networks": {found.name: _network(found.summary) for found in jet_networks(run).values()},
        "jet_types": {name: one.title for name, one in settings.jets.items()},
        "jet_tagging": measured,
        "jet_decorrelated": decorrelated(measured, plain, settings.shown),
        "jet_examined": examined_results(run),
    }


def _network(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary of a training without its losses, which are beside the networks."""
    return {name: value for name, value in summary.items() if name != "history"}


def _dataset(run: SearchRun, name: str) -> dict[str, Any]:
    result = processed(run, name)
    return {"events": result.n_events, "selected": result.n_selected, "skipped_files": result.summary["skipped"]}


def _detector_name(run: SearchRun, sample: str, detector: str) -> str:
    """Return the detector's name, with the sample's where a search looks into several."""
    return detector if len(run.search.data) == 1 else f"{detector} on {sample}"


def _detector(run: SearchRun, found: Trained) -> dict[str, Any]:
    summary, counts = found.summary, counts_of(run, found.sample, found.name)
    content = (
        {}
        if counts is None
        else {
            "signal_fraction": counts.fraction,
            "s_over_b_window": counts.s_over_b_window,
            "s_over_sqrt_b_window": counts.s_over_sqrt_b_window,
        }
    )
    facts = {name: summary[name] for name in ("type", "uses_labels", "members", "folds", "seconds")}
    stability = stability_of(summary["history"])
    iterations = {"iterations": stability} if stability else {}
    peaks = peaks_of(summary["history"])
    return {
        **facts, "sample": found.sample, "settings": summary["settings"], **content, **summary["measured"],
        **iterations,
        **({"kl_peaks": peaks} if peaks else {}),
    }  # fmt: skip


def _sculpting(run: SearchRun) -> dict[str, Any]:
    """Return how far each selected spectrum is from the inclusive one: Jensen–Shannon divergence in nats."""
    figures = {}
    for identifier, hunted in hunt(run).items():
        inclusive = hunt(run)[Selection(hunted.sample, None, 1.0).identifier]
        if hunted is not inclusive:
            rng = run.rng(identifier)
            value, uncertainty = spectrum_divergence(hunted.spectrum.counts, inclusive.spectrum.counts, rng=rng)
            figures[f"JSD to inclusive, {identifier}"] = {
                "value": value,
                "uncertainty": uncertainty,
                "n": round(float(hunted.spectrum.counts.sum())),
            }
    return figures


def _entry(run: SearchRun, name: str) -> dict[str, Any]:
    """Return a data set's catalogue entry as it was resolved, with the summary of its generation."""
    entry = run.catalogue.entry(name)
    content: dict[str, Any] = entry.model_dump(mode="json", exclude_none=True)
    if entry.recipe is not None:
        summary = read_summary(entry.recipe, run.catalogue.folder(name), name)
        names = ("cross_section", "cross_section_error", "tried", "filter_efficiency", "settings", "versions")
        content["generation"] = {field: summary[field] for field in names}
    return content
