"""Figures of a latent space: scores in training, ROC with its score, decoded features, heat maps, marginal ratios.

They are figures 2, 3 and 6 to 9 of arXiv:2103.06595; figure 4 stands among those of the detectors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.context import SearchRun
from analysis.events import Events, joined
from analysis.figures.captions import signal_content
from analysis.figures.curves import detector_curve
from analysis.numbers import format_count, format_percent
from analysis.plots import Label
from analysis.plots.latent_maps import LatentMap, Outlined, Truth, latent_map_figure
from analysis.plots.marginals import MarginalRatio, marginal_figure
from analysis.plots.reconstruction import Reconstructed, reconstruction_figure
from analysis.plots.roc import FEWEST_MEMBERS, RocCurve
from analysis.plots.roc_inset import ScoreDistribution, roc_inset_figure
from analysis.plots.trajectories import TrajectoryLines, trajectory_figure
from analysis.stages.latent import Latent, latent, subset_share
from analysis.stages.searched import Searched, searched, window_of
from analysis.stages.train import MIN_BACKGROUND, trained
from analysis.stages.trajectories import trajectories
from ml.latent_settings import LatentVAESettings
from ml.settings import settings_from_mapping

Described = tuple[str, str, str, object]
SECTION = "latent"
_SCORES = {
    "coordinate": "Latent coordinate [standard deviations]",
    "kl": "KL divergence [nats]",
    "oriented_kl": "KL divergence, oriented [nats]",
    "reconstruction": "Mean squared error of scaled features",
    "elbo": "α · mean squared error + KL divergence",
}
"""Score of `ml.latent_scores` → what it is, with its unit."""


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
    score = _SCORES[_score_name(run, found)]
    yield (
        SECTION,
        _name(found, "roc"),
        f"ROC curve of {found.detector} on {found.sample}: {averaged(curve)}; inset: that score, "
        f"{score}.{_content(run, found.sample)}",
        roc_inset_figure(
            curve,
            ScoreDistribution(score, signal, scored.score[sample.events["truth"] == 0]),
            minimum_background=MIN_BACKGROUND,
            label=label,
        ),
    )


def averaged(curve: RocCurve) -> str:
    """What the curve is of and what its band is, by the same rule as the figure's legend."""
    members = len(curve.members)
    if not members:
        return "score, and as a band its statistical error"
    which = "16% to 84% quantiles" if members >= FEWEST_MEMBERS else "range"
    band = f"the {which} of the members, which the ensemble can be better than"
    return f"mean score of {members} members, and as a band {band}"


def _score_name(run: SearchRun, found: Latent) -> str:
    settings = run.search.detectors[found.detector].settings
    return str(settings_from_mapping(LatentVAESettings, settings).resolved.score)


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
    features, sample = found.summary["features"], searched(run, found.sample)
    limits, known = _limits(run), _known_signal(sample)
    maps = [
        LatentMap(
            name,
            found.arrays["masses"],
            found.arrays["coordinates"],
            found.arrays["grid"][..., index],
            truth=Truth.of(known[name]) if known is not None and len(known) > 1 else None,
            limits=limits.get(name),
        )
        for index, name in enumerate(features)
    ]
    outlined = [
        Outlined(name.capitalize(), *_places(run, found, name), signal=name == "signal") for name in _classes(found)
    ]
    scales = " Colour scales are those of all samples together." if limits else ""
    yield (
        SECTION,
        _name(found, "maps"),
        f"Features decoded over latent coordinate and dijet mass, mean over the members of {found.detector} on "
        f"{found.sample}. Where the truth is known: contours at the signal's mean and one standard deviation "
        "beside it, and at its median, as far as the decoded values reach them; outlines hold 68% and 95% of the "
        f"events.{scales}{_content(run, found.sample)}",
        latent_map_figure(maps, outlined=outlined, label=label),
    )


def _limits(run: SearchRun) -> dict[str, tuple[float, float]]:
    """Ends of the colour scale of each feature that is drawn for several samples or detectors."""
    values: dict[str, list[np.ndarray]] = {}
    for one in latent(run).values():
        for index, name in enumerate(one.summary["features"]):
            values.setdefault(name, []).append(one.arrays["grid"][..., index])
    return {
        name: (float(min(map(np.min, maps))), float(max(map(np.max, maps))))
        for name, maps in values.items()
        if len(maps) > 1
    }


def _known_signal(sample: Searched) -> Events | None:
    """Signal events of a sample that holds some, with those that were not injected; None where it holds none."""
    injected = sample.events["truth"] == 1
    if not injected.any():
        return None
    own = sample.events.take(injected)
    return own if sample.spare is None else joined(own, sample.spare)


def _places(run: SearchRun, found: Latent, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Masses and latent coordinates of a class; of signal also those that were not injected, where they are known."""
    sample, scored = searched(run, found.sample), trained(run, found.sample, found.detector)
    mass, coordinate = sample.events["mjj"][found.arrays[f"rows_{name}"]], found.arrays[f"coordinate_{name}"]
    if name != "signal" or sample.spare is None or scored.spare_score is None:
        return mass, coordinate
    if _score_name(run, found) != "coordinate":
        return mass, coordinate
    return np.append(mass, sample.spare["mjj"]), np.append(coordinate, scored.spare_score)


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
    window, known = window_of(run, found.detector), _known_signal(searched(run, found.sample))
    beside = (
        ""
        if band is None
        else (
            f" The bands are the range of {len(band)} trainings on random {format_percent(subset_share(run))} of the "
            "background alone; their events overlap, so that the statistical fluctuation is larger."
        )
    )
    yield (
        SECTION,
        _name(found, "marginals"),
        "Decoded features averaged evenly over the grid of the latent coordinate, however many events lie where, in "
        "units of their average over all masses, against the dijet mass, with the spread over members."
        f"{beside}{_content(run, found.sample)}",
        marginal_figure(
            ratios,
            window=None if window is None else window.signal,
            signal=None if known is None else tuple(np.quantile(known["mjj"], (0.16, 0.84))),
            label=label,
        ),
    )


def _classes(found: Latent) -> list[str]:
    return [name for name in ("background", "signal") if f"rows_{name}" in found.arrays]
