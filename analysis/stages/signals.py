"""How much of a simulated signal a selection keeps, also as a function of how much signal was in the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.config import Mixture
from analysis.context import SearchRun
from analysis.errors import ConfigurationError
from analysis.events import Events
from analysis.samples import read_summary
from analysis.stages.inputs import detector_sample
from analysis.stages.process import processed
from analysis.stages.searched import searched
from analysis.stages.selections import Selection
from analysis.stages.simulated import simulated_events
from analysis.stages.train import crossfit_of, trained
from ml import Scores
from ml.selection import passing, thresholds

__all__ = [
    "KeptSignal",
    "all_scores_of",
    "binomial_error",
    "kept_signal",
    "passing_rows",
    "produced_events",
    "produced_weight",
    "scores_of",
    "simulated_events",
    "with_injected",
]


@dataclass(frozen=True)
class KeptSignal:
    """A simulated signal and the part of it that a selection keeps inside the spectrum.

    Attributes:
        efficiency: of all events that the process makes, cuts of the generator included.
        uncertainty: from the number of simulated events.
        events: simulated events that are kept.
    """

    efficiency: float
    uncertainty: float
    events: int


def kept_signal(run: SearchRun, selection: Selection, name: str) -> KeptSignal:
    """Return how much of the data set `name` a selection keeps, its events scored by the trained detector."""
    return run.once(f"kept {selection.identifier} {name}", lambda: _kept(run, selection, name))


def _kept(run: SearchRun, selection: Selection, name: str) -> KeptSignal:
    events = simulated_events(run, name)
    weight = events["weight"][passing_rows(run, selection, events)]
    produced = produced_weight(run, name)
    efficiency = float(weight.sum()) / produced
    return KeptSignal(efficiency, binomial_error(weight, efficiency) / produced, len(weight))


def binomial_error(kept: np.ndarray, efficiency: float) -> float:
    """Return the standard deviation of the sum of the weights `kept` of all events, of which `efficiency` are kept.

    Where all are kept, one of them might as well have been lost.
    """
    lost = max(1.0 - efficiency, 1.0 / max(len(kept), 1))
    return float(np.sqrt(lost * np.square(kept).sum()))


def passing_rows(run: SearchRun, selection: Selection, events: Events) -> np.ndarray:
    """Return the mask of events that a selection would keep: those above the thresholds set on the searched sample."""
    settings = run.search.spectrum
    assert settings is not None
    rows = events.inside((settings.start, settings.stop))
    if selection.detector is None:
        return rows
    sample, found = searched(run, selection.sample), trained(run, selection.sample, selection.detector)
    inside = sample.events.inside((settings.start, settings.stop))
    cuts = thresholds(
        found.score[inside], found.fold_index[inside], selection.efficiency, weight=sample.events["weight"][inside]
    )
    score, fold = scores_of(run, selection.sample, selection.detector, events)
    return rows & passing(score, fold, cuts)


def scores_of(run: SearchRun, sample: str, detector: str, events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Return score and fold of each event, scored by the fold's detector as it was trained on a searched sample."""
    scores, fold = all_scores_of(run, sample, detector, events)
    return scores.event, fold


def all_scores_of(run: SearchRun, sample: str, detector: str, events: Events) -> tuple[Scores, np.ndarray]:
    """Return everything that the fold's detector says of each event, and the fold."""
    crossfit = crossfit_of(run, sample, detector)
    content = detector_sample(events, run.search.detectors[detector])
    return crossfit.score(content), crossfit.index(content)


def produced_weight(run: SearchRun, name: str) -> float:
    """Return the weight of all events of a signal that were produced, before the cuts of generator and processor."""
    return float(run.once(f"produced {name}", lambda: _produced_weight(run, name)))


def _produced_weight(run: SearchRun, name: str) -> float:
    found = processed(run, name)
    if (found.events([])["truth"] == 0).any():
        raise ConfigurationError(
            f"The data set {name!r} under `limits.cross_section.signals` holds background, too, so the number of "
            "signal events before the cuts is not known: name a data set of signal alone."
        )
    total = float(next(iter(found.cutflow()["nominal"].values()))["sum_of_weights"]) * found.weight_scale()
    recipe = run.catalogue.entry(name).recipe
    if recipe is None:
        return total
    return total / float(read_summary(recipe, run.catalogue.folder(name), name)["filter_efficiency"])


def with_injected(run: SearchRun, sample: str, signal: str, fraction: float) -> tuple[SearchRun, str]:
    """Return a search of the same background with another total fraction of signal, and the sample's name in it."""
    name = f"{sample}-with-{fraction:g}-{signal}"
    mixture = run.search.mixtures.get(sample, Mixture(background=sample))
    changed = Mixture.model_validate(
        mixture.model_dump() | {"signal": signal, "fraction": fraction, "of": "total"},
    )
    # independent trainings measure a detector; what it selects is asked of the first alone
    detectors = {detector: one.model_copy(update={"repeats": 1}) for detector, one in run.search.detectors.items()}
    search = run.search.model_copy(
        update={"mixtures": {**run.search.mixtures, name: changed}, "data": (name,), "detectors": detectors}
    )
    return run.once(f"search {name}", lambda: SearchRun(search, run.catalogue, run.options)), name


def produced_events(run: SearchRun, name: str, selected: int) -> float:
    """Return how many events of a signal were produced where `selected` pass the processor's cuts."""
    return selected * produced_weight(run, name) / float(simulated_events(run, name)["weight"].sum())
