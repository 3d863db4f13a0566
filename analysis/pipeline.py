"""The stages of a search in order, each redone only when something that it depends on has changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from analysis.config import Search
from analysis.context import SearchRun, datasets_of
from analysis.errors import ConfigurationError
from analysis.events import DIJET_MASS
from analysis.stages.abcd import abcd
from analysis.stages.abcd_estimates import OBJECTS, object_of, score_columns
from analysis.stages.bands import band_limits
from analysis.stages.combined import combined, describe_combination
from analysis.stages.direct import direct
from analysis.stages.exposed import check_exposure
from analysis.stages.figures import draw_figures
from analysis.stages.fixed import fixed_mass
from analysis.stages.hunt import hunt
from analysis.stages.inputs import check_constituents, check_images, configured
from analysis.stages.jet_examined import describe_examined, examined
from analysis.stages.jet_networks import check_jet_networks, jet_networks
from analysis.stages.jet_tagging import describe_jet_tagging, jet_tagging
from analysis.stages.latent import check_latent, latent
from analysis.stages.latent_scores import latent_scores
from analysis.stages.limit import describe_limit, limit
from analysis.stages.networks import check_networks, networks
from analysis.stages.process import process, processor_for
from analysis.stages.replicas import describe_replicas, replicas
from analysis.stages.report import outdated, report
from analysis.stages.results import write_results
from analysis.stages.reweighting import reweighting
from analysis.stages.robustness import describe_robustness, robustness
from analysis.stages.searched import as_window, columns_made, window_of
from analysis.stages.simple import describe_simple, simple_limits
from analysis.stages.simulated import check_files, check_simulation
from analysis.stages.smeared_limits import describe_smeared_limit, smeared_limits
from analysis.stages.train import train
from analysis.stages.trajectories import trajectories
from analysis.stages.validate import background_orders, describe_tests, validate
from analysis.stages.windows import check_bands
from analysis.validation import nearest
from ml import detector_class
from processors.dijet_columns import HISTOGRAM_COLUMNS

logger = logging.getLogger(__name__)

JET_STAGES = ("process", "train")  # of a search of single jets
_OF_JETS = [name for name in HISTOGRAM_COLUMNS if name.startswith("j1_")]


def provide_samples(run: SearchRun) -> Iterator[str]:
    """Generate the built-in samples of a search and download its remote files, where they are not on disk.

    Yields a line before each that may take minutes.
    """
    for name in datasets_of(run.search):
        entry = run.catalogue.entry(name)
        if run.catalogue.status(name).complete and entry.recipe is None:
            continue
        if entry.recipe is not None and not run.catalogue.status(name).complete:
            yield f"{name}: generating {entry.recipe.events:,} events, once; files that are finished stay"
        with run.bar(f"provide {name}") as progress:
            if entry.recipe is not None:
                run.catalogue.generate(name, workers=run.options.executor.workers, progress=progress)
            elif any(file.startswith(("http://", "https://", "doi:")) for file in entry.files):
                run.catalogue.fetch(name, progress=progress)


def run_until(run: SearchRun, last: str) -> Iterator[str]:
    """Run the stages up to `last`, yielding a line about each; what is already done is not done again.

    Raises DarkhorseError, or the error of the library that could not go on.
    """
    check_detectors(run.search)
    check_files(run)
    if run.search.processing.processor == "jet" and run.search.data and last not in JET_STAGES:
        raise ConfigurationError(
            f"`processing.processor: jet`: single jets can be trained on, but not hunted among, and `{last}` goes on "
            "to that: run `darkhorse train`, or `darkhorse process`. Without"
            " `data`, `jet_tagging` measures networks on them."
        )
    with run.options.workers.kept():
        for name, stage in STAGES.items():
            yield from stage(run)
            if name == last:
                break
    if last != "report" and (said := outdated(run)):
        yield said


def check_detectors(search: Search) -> None:
    """Raise TrainingError, InputError or ConfigurationError where settings of detectors or processor cannot be."""
    processor_for(search.processing, None)
    for window in (search.window, *(settings.window for settings in search.detectors.values())):
        as_window(window)
    # what identifies an event, or its truth, is no feature; a jet's mass may be one that a network decorrelates from
    known = [name for name in columns_made(search) if name != DIJET_MASS]
    for name, detector in search.detectors.items():
        made = configured(f"detectors.{detector.family or name}", detector.type, detector.settings)
        if getattr(made.settings, "nuisance", None) == "category" and made.settings.adversary:
            raise ConfigurationError(
                f"The detector {name!r} has the nuisance `category`, and events of a search for bumps have no classes: "
                "set `nuisance` to mass or to a column; classes such as directions of smearing belong to a search with "
                "`adversarial`."
            )
        for feature in made.settings.columns:
            if feature not in known:
                raise ConfigurationError(
                    f"The detector {name!r} asks for the feature {feature!r}, which is not a feature of the processed "
                    f"events{nearest(feature, known)}"
                )
        check_simulation(search, name)
        check_images(search, name)
        check_constituents(search, name)
        check_exposure(search, name)
    for name in (*search.data, *([search.simulation] if search.simulation else [])):
        if name in search.mixtures and name == search.simulation:
            raise ConfigurationError(f"`simulation: {name}` names a mixture; name a data set of the catalogue.")
    _check_scores(search)
    check_latent(search)
    check_networks(search)
    check_jet_networks(search)


def _check_scores(search: Search) -> None:
    """Raise ConfigurationError where an ABCD estimate asks for a score that is neither a detector nor a column."""
    ordered = [f"{which}_{name[3:]}" for which in ("leading", "subleading") for name in _OF_JETS]
    pairs = [name for name, one in search.detectors.items() if detector_class(one.type)[0].scores_objects]
    objects = [f"{name}.{part}" for name in pairs for part in OBJECTS]
    known = [*search.detectors, *objects, *HISTOGRAM_COLUMNS, *ordered]
    for settings in search.abcd:
        for key, written in (("first", settings.first), ("second", settings.second)):
            name = written.removeprefix("-")
            named = object_of(written)
            if named is not None and named[0] in search.detectors and name not in objects:
                raise ConfigurationError(
                    f"`abcd.{settings.name}.{key}: {written}` asks for the score of one of two objects, and "
                    f"{named[0]!r} scores whole events: name a detector of type tnt, or {named[0]!r} itself."
                )
            needed = [column for column in score_columns(name) if column not in HISTOGRAM_COLUMNS]
            if needed and name not in (*search.detectors, *objects):
                raise ConfigurationError(
                    f"`abcd.{settings.name}.{key}: {written}` is neither a detector of the search nor a column of the "
                    f"processed events{nearest(name, known)}"
                )


def _process(run: SearchRun) -> Iterator[str]:
    yield from provide_samples(run)
    for name, result in process(run).items():
        skipped = f", {len(result.summary['skipped'])} files skipped" if result.summary["skipped"] else ""
        yield f"{name}: {result.n_events:,} events, {result.n_selected:,} selected{skipped} ({result.directory})"
        yield f"{name}: cutflow {result.describe_cutflow()}"


def _train(run: SearchRun) -> Iterator[str]:
    check_bands(run)
    for (sample, detector), found in train(run).items():
        area = found.summary["measured"].get("auc")
        where = " in the window" if window_of(run, detector) is not None else ""
        quality = f", AUC {area['value']:.3f} ± {area['uncertainty']:.3f}{where}" if area else ""
        when = "trained before, in" if found.before else "trained in"
        yield f"{detector} on {sample}: {when} {found.summary['seconds']:.0f} s{quality}"
    for network in networks(run).values():
        yield f"{network.title}: trained in {network.summary['seconds']:.0f} s"
    for name, tagger in jet_networks(run).items():
        yield f"{name}: trained in {tagger.summary['seconds']:.0f} s"


def _hunt(run: SearchRun) -> Iterator[str]:
    for identifier, result in hunt(run).items():
        yield f"{identifier}: {result.headline()}"
    for sample, best in combined(run).items():
        yield f"{sample}: {describe_combination(best)}"
    for identifier, fit in fixed_mass(run).items():
        yield f"{identifier}: {fit.headline()}"
    for group in replicas(run):
        yield f"{', '.join(group['samples'])}: {describe_replicas(group)}"
    for identifier, estimate in abcd(run).items():
        yield f"{identifier}: {estimate.headline()}"
    for (sample, detector), correction in reweighting(run).items():
        yield f"{detector} on {sample}: {correction.headline()}"
    for (sample, detector), prediction in direct(run).items():
        yield f"{detector} on {sample}: {prediction.headline()}"
    for sample, detectors in latent_scores(run).items():
        for detector, scores in detectors.items():
            areas = ", ".join(f"{name} {one['ensemble']['auc']:.3f}" for name, one in scores.items())
            yield f"{detector} on {sample}: AUC by score, all events: {areas}"
    for (sample, detector), read in latent(run).items():
        yield f"{detector} on {sample}: {read.headline()}"
    for (sample, detector), followed in trajectories(run).items():
        yield f"{detector} on {sample}: followed through training with {', '.join(one.optimizer for one in followed)}"
    for entry in robustness(run):
        yield describe_robustness(entry)
    for entry in jet_tagging(run):
        yield describe_jet_tagging(entry)
    for name, found_one in examined(run).items():
        yield f"{name}: {describe_examined(found_one)}"


def _validate(run: SearchRun) -> Iterator[str]:
    for sample, order in background_orders(run).items():
        said = f"no F-test ({order['reason']})" if "reason" in order else f"{order['family']} by F-test"
        yield f"{sample}: {said}, on {order['control']}"
    for identifier, tests in validate(run).items():
        yield f"{identifier}: {'; '.join(describe_tests(tests))}"


def _limit(run: SearchRun) -> Iterator[str]:
    for entry in [*limit(run), *band_limits(run)]:
        if entry["observed"] is None and entry.get("reason"):
            yield f"{entry['selection']} at {entry['mass']:g} GeV: no limit in {entry['unit']} ({entry['reason']})"
        else:
            yield f"{entry['selection']} at {entry['mass']:g} GeV: {describe_limit(entry)}"
    for found in smeared_limits(run):
        yield f"{found['network']}, {found['tested_with']} smearing, {found['signal']}: {describe_smeared_limit(found)}"
    for simple in simple_limits(run):
        yield f"{simple['detector']} on {simple['sample']} at {simple['mass']:g} GeV: {describe_simple(simple)}"


def _figures(run: SearchRun) -> Iterator[str]:
    figures = draw_figures(run)
    yield f"{len(figures)} figures in {run.out / 'figures'}"


def _report(run: SearchRun) -> Iterator[str]:
    results = write_results(run)
    page = report(run)
    yield f"results: {results}"
    yield f"report: {page}"


STAGES: dict[str, Callable[[SearchRun], Iterator[str]]] = {
    "process": _process,
    "train": _train,
    "hunt": _hunt,
    "validate": _validate,
    "limit": _limit,
    "figures": _figures,
    "report": _report,
}
