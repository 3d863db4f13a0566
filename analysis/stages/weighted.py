"""Simulation as the detectors that compare it with data see it: scores and weights, out of fold."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.config import WindowSettings
from analysis.context import SearchRun
from analysis.events import Events
from analysis.stages.families import calmest
from analysis.stages.inputs import detector_sample
from analysis.stages.process import processed
from analysis.stages.searched import as_window, columns_of, searched, window_of
from analysis.stages.simulated import simulated_events, simulation_name
from analysis.stages.train import crossfit_of, trained
from analysis.store import code_key, content_key, library_versions
from ml import Window, detector_class, detector_from_settings
from ml.salad import other_weight_columns, weight_columns
from ml.sample import Sample

logger = logging.getLogger(__name__)

Pair = tuple[str, str]
_ARRAYS = ("score", "fold", "value", "members", "output", "clipped", "constant")
_SHOWN = ("data_output", "signal_output")


@dataclass(frozen=True)
class Weighted:
    """A simulated data set beside one searched sample, as one detector sees it.

    Attributes:
        sample, detector, simulation: names.
        events: the simulated events, background alone.
        score: (n_simulated,) the window classifier's.
        fold: (n_simulated,) the fold whose detector they come from.
        value: (n_simulated,) factor w that multiplies the event weights.
        members: (n_simulated, n_members) the same for each member of the reweighting.
        output: (n_simulated,) the reweighting's f(x, m).
        clipped: (n_simulated,) bool.
        constant: (n_simulated,) the factor without reweighting, one per fold.
        data_output: (n_events,) f of the searched events in the sidebands, NaN elsewhere; None where nothing shows it.
        signal_output: (n_spare,) f of the signal events that were not injected, of any mass; None as `data_output`.
        key: changes when any of it does.
    """

    sample: str
    detector: str
    simulation: str
    events: Events
    score: np.ndarray
    fold: np.ndarray
    value: np.ndarray
    members: np.ndarray
    output: np.ndarray
    clipped: np.ndarray
    constant: np.ndarray
    data_output: np.ndarray | None
    signal_output: np.ndarray | None
    key: str

    @property
    def weight(self) -> np.ndarray:
        """(n_simulated,) event weights after the correction."""
        return np.asarray(self.events["weight"] * self.value)

    @property
    def unweighted(self) -> np.ndarray:
        """(n_simulated,) event weights that are only normalised in the sidebands."""
        return np.asarray(self.events["weight"] * self.constant)


@dataclass(frozen=True)
class Predicting:
    """One independent training of a detector, and a simulated data set that predicts background for it.

    Attributes:
        events: (n_simulated,) the simulated events, background alone.
        data_score: (n_events,) of the searched sample.
        score, fold: (n_simulated,) of the simulation; see `Weighted`.
        value: (n_simulated,) factor w by the detectors of the other folds, see `ml.salad.other_weight_columns`.
        members: (n_simulated, n_members) the same for each member.
    """

    events: Events
    data_score: np.ndarray
    score: np.ndarray
    fold: np.ndarray
    value: np.ndarray
    members: np.ndarray


def comparing_pairs(run: SearchRun, *, reweighting: bool = False) -> list[Pair]:
    """Return (sample, detector) for every sample and every one of `comparing_detectors`."""
    return [(sample, name) for name in comparing_detectors(run, reweighting=reweighting) for sample in run.search.data]


def comparing_detectors(run: SearchRun, *, reweighting: bool = False) -> list[str]:
    """Return the detectors that give simulated events a weight; with `reweighting`, those whose is not a constant."""
    found = []
    for name, one in run.search.detectors.items():
        if not hasattr(detector_class(one.type)[0], "weights"):
            continue
        if not reweighting or detector_from_settings(one.type, one.settings).settings.reweight:
            found.append(name)
    return found


def window_settings(run: SearchRun, detector: str) -> WindowSettings:
    """Return the window of a detector that was trained with one."""
    window = window_of(run, detector)
    assert window is not None  # it would not have been trained
    return window


def window_for(run: SearchRun, detector: str) -> Window:
    """Return the same as `ml` takes it."""
    window = as_window(window_settings(run, detector))
    assert window is not None
    return window


def weighted(run: SearchRun, sample: str, detector: str) -> Weighted:
    """Return the simulation of one detector with its scores and weights, computed when that was not done before."""
    return run.once(f"weighted {sample} {detector}", lambda: _weighted(run, sample, detector))


def simulation_of(run: SearchRun, detector: str) -> Events:
    """Return the simulated events that a detector compares data with: background alone."""
    name = simulation_name(run, detector)
    assert name is not None  # it would not have been trained
    events = simulated_events(run, name)
    return events.take(events["truth"] != 1)


def events_as_sample(run: SearchRun, detector: str, events: Events) -> Sample:
    """Return events with what a detector reads of them."""
    return detector_sample(events, run.search.detectors[detector])


def features_of(run: SearchRun, detector: str) -> tuple[str, ...]:
    """Return the columns that a detector's correction claims to put right: all that f sees beside the mass."""
    return columns_of(run.search.detectors[detector])


def predicting(run: SearchRun, sample: str, detector: str) -> list[Predicting]:
    """Return the simulation of one detector as it predicts background, for each of its independent trainings.

    Only the events of window, sidebands and validation bands are weighed. Not kept on disk: see `direct`.
    """
    found, window = trained(run, sample, detector), window_for(run, detector)
    events = simulation_of(run, detector)
    bands = (window.signal, *window.sidebands, *window.validation)
    events = events.take(np.any([events.inside(band) for band in bands], axis=0))
    simulation = events_as_sample(run, detector, events)
    weighed = []
    for repeat in range(run.search.detectors[detector].repeats):
        crossfit = crossfit_of(run, sample, detector, repeat=repeat)
        arrays = crossfit.map(simulation, other_weight_columns(crossfit.detectors))
        score = found.score if found.repeat_scores is None else found.repeat_scores[:, repeat]
        # trees give many events one score: those of data and simulation need the same precision
        own = crossfit.score(simulation).event.astype(score.dtype)
        weighed.append(Predicting(events, score, own, crossfit.index(simulation), arrays["value"], arrays["members"]))
    return weighed


def _weighted(run: SearchRun, sample: str, detector: str) -> Weighted:
    name = simulation_name(run, detector)
    assert name is not None
    shown = sample in calmest(run) and detector in comparing_detectors(run, reweighting=True)
    key = content_key(
        trained(run, sample, detector).key, processed(run, name).key, window_of(run, detector), shown,
        code_key(__name__), library_versions(),
    )  # fmt: skip
    folder = run.results_store.make(
        f"stages/weights/{sample}-{detector}", key, lambda target: _weigh(run, sample, detector, target, shown=shown)
    )
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        values = {field: arrays[field] for field in _ARRAYS} | {field: arrays.get(field) for field in _SHOWN}
    return Weighted(sample, detector, name, simulation_of(run, detector), key=key, **values)


def _weigh(run: SearchRun, sample: str, detector: str, folder: Path, *, shown: bool) -> None:
    logger.info("weighing simulation for %s on %s", detector, sample)
    crossfit = crossfit_of(run, sample, detector)
    simulation = events_as_sample(run, detector, simulation_of(run, detector))
    arrays: dict[str, Any] = dict(crossfit.map(simulation, weight_columns))
    arrays |= {"score": crossfit.score(simulation).event, "fold": crossfit.index(simulation)}
    arrays["members"] = arrays["members"].astype(np.float32)
    if shown:
        one = searched(run, sample)
        data = events_as_sample(run, detector, one.events)
        beside = window_for(run, detector).sideband_index(data.mass) >= 0
        arrays["data_output"] = np.full(len(data), np.nan)
        arrays["data_output"][beside] = crossfit.map(data.select(beside), weight_columns)["output"]
        if one.spare is not None and len(one.spare):
            spare = events_as_sample(run, detector, one.spare)
            arrays["signal_output"] = crossfit.map(spare, weight_columns)["output"]
    np.savez(folder / "weights.npz", **arrays)
