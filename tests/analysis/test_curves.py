"""Curves of detectors and of single objects: judged fold by fold, in the window, with signal that was not injected."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.events import Events
from analysis.figures.curves import detector_curve, object_curve
from analysis.stages.searched import Searched
from analysis.stages.train import Trained
from ml.metrics import auc

N_SIGNAL, N_BACKGROUND = 400, 4000


def judged(objects: np.ndarray | None, *, window: tuple[float, float] | None = None) -> tuple[Any, Searched, Trained]:
    """A run, a sample of signal and background in two folds, and a detector with these object scores of it."""
    truth = np.repeat([1, 0], [N_SIGNAL, N_BACKGROUND])
    n_events, fold = len(truth), np.arange(len(truth)) % 2
    columns = {"truth": truth, "mjj": np.full(n_events, 3500.0), "weight": np.ones(n_events), "fold": fold}
    sample = Searched("pseudo", Events(columns), None, None, "key")
    score = np.linspace(1, 0, n_events) if objects is None else objects.min(axis=1)
    found = Trained(
        name="tnt", sample="pseudo", score=score, spread=np.zeros(n_events), members=None, fold_index=fold,
        spare_score=None, spare_members=None, key="key", objects=objects,
        summary={"folds": 2, "uses_labels": False, "settings": {"object_order": "pt"}, "measured": {}},
    )  # fmt: skip
    own = None if window is None else SimpleNamespace(signal=window)
    run = SimpleNamespace(window=own, detectors={"tnt": SimpleNamespace(window=None)})
    return run, sample, found


def scores(seed: int) -> np.ndarray:
    """Scores of two objects: the first tells signal apart, the second does not."""
    rng, events = np.random.default_rng(seed), N_SIGNAL + N_BACKGROUND
    first = rng.normal(0, 1, events) + np.where(np.arange(events) < N_SIGNAL, 1.5, 0)
    return np.stack([first, rng.normal(0, 1, events)], axis=1)


def test_an_object_is_judged_by_its_own_score() -> None:
    objects = scores(1)
    run, sample, found = judged(objects)
    for k in range(2):
        curve = object_curve(run, sample, found, k)
        assert curve is not None
        assert curve.auc is not None
        exact = auc(objects[:, k], sample.events["truth"])
        assert curve.auc == pytest.approx((exact.value, exact.uncertainty), abs=0.01)  # folds have their own quantiles
        signal, background = curve.signal_efficiency, curve.background_efficiency
        area = (np.diff(background) * (signal[1:] + signal[:-1]) / 2).sum()
        assert area == pytest.approx(curve.auc[0], abs=1e-3)
        assert (curve.n_signal, curve.n_background) == (N_SIGNAL, N_BACKGROUND)


def test_no_selection_is_tighter_than_that_of_the_fold_with_the_largest_plateau() -> None:
    """One fold has a plateau of 30% of its signal, the other of 60%: below, one of them would select nothing."""
    objects = scores(2)
    signal = np.arange(len(objects)) < N_SIGNAL
    for fold, share in ((0, 0.3), (1, 0.6)):
        own = np.arange(len(objects)) % 2 == fold
        cut = np.quantile(objects[own & signal, 0], 1 - share)
        objects[own, 0] = np.minimum(objects[own, 0], cut)
    run, sample, found = judged(objects)
    curve = object_curve(run, sample, found, 0)
    assert curve is not None
    assert curve.signal_efficiency[0] == 0
    assert 0.45 <= curve.signal_efficiency[1] <= 0.6


def test_without_objects_truth_or_events_in_the_window_there_is_no_curve() -> None:
    assert object_curve(*judged(None), 0) is None
    assert detector_curve(*judged(None)) is not None
    assert object_curve(*judged(scores(3), window=(3600, 3700)), 0) is None
    assert detector_curve(*judged(scores(3), window=(3600, 3700))) is None
    run, sample, found = judged(scores(3))
    unknown = Events({**sample.events.columns, "truth": np.full(N_SIGNAL + N_BACKGROUND, -1)})
    assert object_curve(run, Searched("pseudo", unknown, None, None, "key"), found, 0) is None
