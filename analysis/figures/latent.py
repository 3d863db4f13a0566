"""Figures of a latent space: scores in training, ROC with its score, decoded features, heat maps, marginal ratios.

They are figures 2, 3 and 6 to 9 of arXiv:2103.06595; figure 4 stands among those of the detectors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.context import SearchRun
from analysis.figures.captions import signal_content
from analysis.figures.detectors import detector_curve
from analysis.numbers import format_count
from analysis.plots import Label
from analysis.plots.latent_maps import LatentMap, Outlined, Truth, latent_map_figure
from analysis.plots.marginals import MarginalRatio, marginal_figure
from analysis.plots.reconstruction import Reconstructed, reconstruction_figure
from analysis.plots.roc_inset import ScoreDistribution, roc_inset_figure
from analysis.plots.trajectories import TrajectoryLines, trajectory_figure
from analysis.stages.latent import Latent, latent
from analysis.stages.searched import searched
from analysis.stages.train import trained
from analysis.stages.trajectories import trajectories

Described = tuple[str, str, str, object]
SECTION = "latent"


def latent_figures(run: SearchRun, label: Label) -> Iterator[Described]:
    """Yield (section, name, caption, figure) of every latent space that is read."""
    for (sample, detector), found in trajectories(run).items():
        columns = [TrajectoryLines(one.optimizer, one.steps, one.losses, one.auc, one.rejection) for one in found]
        yield (
            SECTION,
            f"latent-training-{sample}-{detector}",
            f"{detector} on {sample} along its training, {len(found[0].losses['loss'][0])} members by each optimiser: "
            "loss and KL divergence, and, from the truth, area under the ROC curve and background rejection at "
            f"ε_S = 0.5 of each score.{_content(run, sample)}",
            trajectory_figure(columns, label=label),
        )
    for found_one in latent(run).values():
        yield from _roc(run, found_one, label)
        yield from _reconstruction(run, found_one, label)
        yield from _maps(run, found_one, label)
        yield from _marginals(run, found_one, label)


def _content(run: SearchRun, sample: str) -> str:
    return signal_content(searched(run, sample))


def _name(found: Latent, what: str) -> str:
    return f"latent-{what}-{found.sample}-{found.detector}"


def _roc(run: SearchRun, found: Latent, label: Label) -> Iterator[Described]:
    sample, scored = searched(run, found.sample), trained(run, found.sample, found.detector)
    curve = detector_curve(run, sample, scored)
    if curve is None:
        return
    signal = scored.score[sample.events["truth"] == 1]
    if scored.spare_score is not None:
        signal = np.append(signal, scored.spare_score)
    yield (
        SECTION,
        _name(found, "roc"),
        f"ROC curve of {found.detector} on {found.sample}: mean score of {len(curve.members)} members, and the "
        f"spread over the members as a band; inset: that score.{_content(run, found.sample)}",
        roc_inset_figure(
            curve,
            ScoreDistribution("Score", signal, scored.score[sample.events["truth"] == 0]),
            label=label,
        ),
    )


def _reconstruction(run: SearchRun, found: Latent, label: Label) -> Iterator[Described]:
    features = tuple(found.summary["features"])
    events, names = searched(run, found.sample).events, _classes(found)
    samples = [
        Reconstructed(
            name.capitalize(),
            events[features[0]][found.arrays[f"rows_{name}"]],
            found.arrays[f"reconstructed_{name}"],
            found.arrays[f"pulls_{name}"],
            signal=name == "signal",
        )
        for name in names
    ]
    counts = ", ".join(f"{format_count(len(one.values))} {one.label.lower()} events" for one in samples)
    yield (
        SECTION,
        _name(found, "reconstruction"),
        f"Input and what the mass decoder of {found.detector} makes of it ({counts}), and the distance of the medians "
        f"of all features with its spread over the members.{_content(run, found.sample)}",
        reconstruction_figure(samples, feature=features[0], features=features, label=label),
    )


def _maps(run: SearchRun, found: Latent, label: Label) -> Iterator[Described]:
    features, events = found.summary["features"], searched(run, found.sample).events
    signal = events["truth"] == 1
    maps = [
        LatentMap(
            name,
            found.arrays["masses"],
            found.arrays["coordinates"],
            found.arrays["grid"][..., index],
            truth=Truth.of(events[name][signal]) if signal.sum() > 1 else None,
        )
        for index, name in enumerate(features)
    ]
    outlined = [
        Outlined(
            name.capitalize(),
            events["mjj"][rows],
            found.arrays[f"coordinate_{name}"],
            signal=name == "signal",
        )
        for name in _classes(found)
        for rows in (found.arrays[f"rows_{name}"],)
    ]
    yield (
        SECTION,
        _name(found, "maps"),
        f"Features decoded over latent coordinate and dijet mass, mean over the members of {found.detector} on "
        f"{found.sample}. Where the truth is known: contours at the signal's mean and one standard deviation "
        f"beside it, and at its median; outlines hold 68% and 95% of the events.{_content(run, found.sample)}",
        latent_map_figure(maps, outlined=outlined, label=label),
    )


def _marginals(run: SearchRun, found: Latent, label: Label) -> Iterator[Described]:
    band = found.arrays.get("band")
    ratios = [
        MarginalRatio(
            name,
            found.arrays["masses"],
            found.arrays["marginals"][..., index],
            None if band is None else band[..., index],
        )
        for index, name in enumerate(found.summary["features"])
    ]
    beside = (
        ""
        if band is None
        else (
            f" The bands are the range of {len(band)} trainings on random 90% of the background alone; their events "
            "overlap, so that the statistical fluctuation is larger."
        )
    )
    yield (
        SECTION,
        _name(found, "marginals"),
        "Decoded features averaged over the latent coordinate, in units of their average over all masses, against the "
        f"dijet mass, with the spread over members.{beside}{_content(run, found.sample)}",
        marginal_figure(ratios, label=label),
    )


def _classes(found: Latent) -> list[str]:
    return [name for name in ("background", "signal") if f"rows_{name}" in found.arrays]
