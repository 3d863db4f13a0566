"""What cannot be trained on: every detector says in one sentence what is wrong, where, and in which sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, Window, detector_from_settings
from ml.window import MIN_EVENTS
from tests.ml.conftest import FEATURES, toy_search

WINDOW = Window((3300.0, 3700.0), ((2900.0, 3300.0), (3700.0, 4300.0)))
SETTINGS = {"features": list(FEATURES), "members": 1, "classifier": "bdt", "bdt": {"iterations": 2}}
TYPES = ("cwola", "supervised", "salad")
Change = Callable[[Sample], Sample]


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    """Labelled data, and simulation of the same background."""
    data, truth = toy_search(1500, 60, seed=1)
    return {"data": dataclasses.replace(data, category=truth), "simulation": toy_search(1500, 0, seed=2)[0]}


def train(type_: str, samples: dict[str, Sample], window: Window | None = WINDOW, **settings: Any) -> None:
    detector = detector_from_settings(type_, SETTINGS | settings)
    detector.fit(samples, window=window, seeds=np.random.SeedSequence(1))


def refused(type_: str, samples: dict[str, Sample], role: str, change: Change, **arguments: Any) -> str:
    """The error of a training in which the sample of one role is changed; a single paragraph."""
    with pytest.raises(TrainingError) as error:
        train(type_, samples | {role: change(samples[role])}, **arguments)
    text = str(error.value)
    assert "\n" not in text
    return text


def without(band: tuple[float, float]) -> Change:
    return lambda sample: sample.select((sample.mass < band[0]) | (sample.mass >= band[1]))


def weightless(band: tuple[float, float]) -> Change:
    def change(sample: Sample) -> Sample:
        inside = (sample.mass >= band[0]) & (sample.mass < band[1])
        return dataclasses.replace(sample, weight=np.where(inside, 0.0, sample.weight))

    return change


def with_column(value: Callable[[np.ndarray], np.ndarray] | None) -> Change:
    """Another column "j2_m", or none."""

    def change(sample: Sample) -> Sample:
        columns = dict(sample.columns)
        old = columns.pop("j2_m")
        if value is not None:
            columns["j2_m"] = value(old)
        return dataclasses.replace(sample, columns=columns)

    return change


def one_nan(column: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(column)) == 7, np.nan, column)


CASES = [("cwola", "data"), ("supervised", "data"), ("salad", "data"), ("salad", "simulation")]


@pytest.mark.parametrize(("type_", "role"), CASES)
def test_columns_that_are_missing_constant_or_nan(samples: dict[str, Sample], type_: str, role: str) -> None:
    texts = {
        "no feature 'j2_m': did you mean": with_column(None),
        "feature 'j2_m' is constant (4)": with_column(lambda old: np.full_like(old, 4.0)),
        "column 'j2_m' is NaN or infinite in 1 of": with_column(one_nan),
    }
    for expected, change in texts.items():
        text = refused(type_, samples, role, change)
        assert expected in text
        assert type_ != "salad" or f"role '{role}'" in text


@pytest.mark.parametrize(("type_", "role"), CASES)
def test_samples_without_events_or_weight(samples: dict[str, Sample], type_: str, role: str) -> None:
    text = refused(type_, samples, role, lambda sample: sample.select(np.zeros(len(sample), dtype=bool)))
    assert f"sample of role '{role}' has no events" in text
    assert f"weights of the sample of role '{role}' sum to 0" in refused(type_, samples, role, weightless((0, 1e9)))
    with pytest.raises(TrainingError, match=f"needs a sample of role '{role}'"):
        train(type_, {name: sample for name, sample in samples.items() if name != role})


@pytest.mark.parametrize(("type_", "role"), [case for case in CASES if case[0] != "supervised"])
def test_bands_without_events_or_weight(samples: dict[str, Sample], type_: str, role: str) -> None:
    for name, band in (("signal window", WINDOW.signal), *(("sideband", band) for band in WINDOW.sidebands)):
        where = f"the {name} ({band[0]:g}, {band[1]:g}) GeV"
        for expected, change in (("no events in", without(band)), ("the event weights in", weightless(band))):
            text = refused(type_, samples, role, change)
            assert f"{expected} {where}" in text
            assert type_ != "salad" or f"role '{role}'" in text


@pytest.mark.parametrize("type_", ["cwola", "salad"])
def test_windows_that_are_absent_or_outside_the_data(samples: dict[str, Sample], type_: str) -> None:
    with pytest.raises(TrainingError, match="needs a signal window"):
        train(type_, samples, window=None)
    outside = Window((80e3, 90e3), ((2900.0, 3300.0),))
    with pytest.raises(TrainingError, match=r"no events in the signal window \(80000, 90000\) GeV: masses run from"):
        train(type_, samples, window=outside)


def test_labels_that_are_absent_or_of_one_class(samples: dict[str, Sample]) -> None:
    text = refused("supervised", samples, "data", lambda s: dataclasses.replace(s, category=None))
    assert "needs the category of each event" in text
    for label, missing in ((0, "signal"), (1, "background")):
        everything = np.full(len(samples["data"]), label)
        text = refused("supervised", samples, "data", lambda s, c=everything: dataclasses.replace(s, category=c))
        assert f"no {missing} events" in text
        assert f"add {missing} to the sample, or leave the reference out" in text
    text = refused(
        "supervised", samples, "data", lambda s: dataclasses.replace(s, weight=np.where(s.category == 1, 0.0, 1.0))
    )
    assert "weights of class signal sum to 0" in text


def test_slices_need_sidebands_with_events(samples: dict[str, Sample]) -> None:
    outside = Window((80e3, 90e3), ((70e3, 80e3),))
    for window, text in ((outside, "sidebands hold no events"), (None, "give a window")):
        with pytest.raises(TrainingError, match=text):
            train("supervised", samples, window=window, decorrelation="slices")


def test_too_few_events_for_trees(samples: dict[str, Sample]) -> None:
    """One signal event cannot be split into training and validation."""
    signal = np.flatnonzero(samples["data"].category == 1)
    text = refused(
        "supervised", samples, "data", lambda sample: sample.select(np.delete(np.arange(len(sample)), signal[1:]))
    )
    assert "boosted trees cannot be trained on 1 against" in text


@pytest.mark.parametrize(("type_", "role"), [case for case in CASES if case[0] != "supervised"])
@pytest.mark.parametrize("band", [WINDOW.signal, *WINDOW.sidebands])
def test_a_handful_of_events_is_no_band(
    samples: dict[str, Sample], type_: str, role: str, band: tuple[float, float]
) -> None:
    def few(sample: Sample, least: int = MIN_EVENTS - 1) -> Sample:
        inside = np.flatnonzero((sample.mass >= band[0]) & (sample.mass < band[1]))
        return sample.select(np.delete(np.arange(len(sample)), inside[least:]))

    text = refused(type_, samples, role, few)
    assert f"role '{role}': only 19 events in the" in text
    assert "learns nothing from fewer than 20; move" in text
    enough = samples | {role: few(samples[role], MIN_EVENTS)}
    detector_from_settings(type_, SETTINGS).check(enough, window=WINDOW)


@pytest.mark.parametrize(("type_", "role"), CASES)
def test_negative_weights_are_counted(samples: dict[str, Sample], type_: str, role: str) -> None:
    def change(sample: Sample) -> Sample:
        return dataclasses.replace(sample, weight=np.where(np.arange(len(sample)) % 3 == 0, -1.0, 1.0))

    events = len(samples[role])
    text = refused(type_, samples, role, change)
    assert f"{-(-events // 3)} of {events} event weights of the sample of role '{role}' are negative" in text
    assert "drop them" in text


@pytest.mark.parametrize("type_", TYPES)
def test_a_feature_missing_or_nan_where_events_are_scored(samples: dict[str, Sample], type_: str) -> None:
    detector = detector_from_settings(type_, SETTINGS | ({"reweight": False} if type_ == "salad" else {}))
    with pytest.raises(TrainingError, match="not trained"):
        detector.score(samples["data"])
    detector.fit(samples, window=WINDOW, seeds=np.random.SeedSequence(1))
    for change, expected in ((with_column(None), "no feature 'j2_m'"), (with_column(one_nan), "'j2_m' is NaN")):
        with pytest.raises(TrainingError, match=expected):
            detector.score(change(samples["data"]))
