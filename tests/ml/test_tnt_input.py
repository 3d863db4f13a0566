"""What Tag N' Train refuses, before anything trains, and what its settings mean for the columns it reads."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, detector_from_settings
from ml.tnt_settings import TNTSettings, WeakSettings
from tests.ml.tnt_toys import DISTANCE, FEATURES, TINY, WINDOW, distance_registered, toy, train

__all__ = ["distance_registered"]

Change = Callable[[Sample], Sample]
AUTOENCODER = {"type": "autoencoder"}
JET_M = r"of one object.*got \['j1_m', 'j2_m', 'b'\], expected \['jet_m', 'jet_b'\]"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return toy(3000, 90, seed=1)[0]


def without(band: tuple[float, float]) -> Change:
    return lambda s: s.select((s.mass < band[0]) | (s.mass >= band[1]))


def with_column(value: Callable[[Sample], np.ndarray] | None) -> Change:
    def change(s: Sample) -> Sample:
        columns = {name: column for name, column in s.columns.items() if name != "j2_b"}
        return dataclasses.replace(s, columns=columns if value is None else columns | {"j2_b": value(s)})

    return change


def as_mass(s: Sample) -> Sample:
    return dataclasses.replace(s, columns=s.columns | {f"{jet}_b": np.log(s.mass) for jet in ("j1", "j2")})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_column(None), "no feature 'j2_b'"),
        (with_column(lambda s: np.full(len(s), 4.0)), r"'j2_b' is constant \(4\)"),
        (with_column(lambda s: np.where(s.event_id == 7, np.nan, 1.0 * s.event_id)), "'j2_b' is NaN or infinite in 1"),
        (as_mass, "feature 'jet_b' is the resonance mass"),
        (without(WINDOW.signal), r"no events in the signal window \(3300, 3700\) GeV"),
        (lambda s: s.select(np.arange(300)), r"\d events are rich in signal by tag and the signal window.*than 20"),
        (lambda s: s.select(np.arange(0)), "has no events"),
        (lambda s: dataclasses.replace(s, weight=-s.weight), "negative"),
        (lambda s: dataclasses.replace(s, event_id=s.event_id + 0.5), "integer identifier"),
    ],
)
def test_bad_input_is_refused_before_anything_trains(sample: Sample, change: Change, message: str) -> None:
    detector = detector_from_settings("tnt", TINY)
    with pytest.raises(TrainingError, match=message):
        detector.check({"data": change(sample)}, window=WINDOW)


def test_what_is_missing_is_told(sample: Sample) -> None:
    with pytest.raises(TrainingError, match="give a window, or set mass_window to false"):
        train(sample, window=None)
    with pytest.raises(TrainingError, match="not trained"):
        detector_from_settings("tnt", TINY).score(sample)
    with pytest.raises(TrainingError, match="nothing to save"):
        detector_from_settings("tnt", TINY).save(Path("unused"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ["m", "mjj"]}, "'mjj' cannot be a feature"),
        ({"features": ["j1_m", "m"]}, r"without their jet.*got \['j1_m'\], expected \['m'\]"),
        ({"iterations": -1}, "iterations must be at least 0"),
        ({"signal_fractions": []}, "at least one"),
        ({"signal_fractions": [0.2, 0.0]}, "above 0"),
        ({"signal_fractions": [math.nan]}, r"above 0: got \[nan\]"),
        ({"signal_fractions": [0.2, math.nan]}, "above 0"),
        ({"background_fraction": math.nan}, "above 0: got .* and nan"),
        ({"signal_fractions": [0.7]}, "must not sum to more than 1"),
        ({"soft_labels": True}, "soft_labels need classifier 'mlp'"),
        ({"scheme": "disjoint", "inner_folds": 3}, "inner_folds has no effect with scheme 'disjoint'"),
        ({"inner_folds": 1}, "inner_folds at least 2"),
        ({"weak": {"type": "cwola"}}, "weak.type 'cwola' cannot tag first"),
        ({"weak": {"type": "supervised"}}, "cannot tag first"),
        ({"weak": {"type": "tnt"}}, "cannot tag first|without their jet"),
        ({"weak": {"type": "autoencodr"}}, "did you mean 'autoencoder'"),
        ({"weak": {"settings": {"membres": 2}}}, "no key 'membres'"),
        ({"weak": AUTOENCODER | {"settings": {"features": ["jet_a", "j1_m", "j2_m", "b"]}}}, JET_M),
        ({"object_order": "mas"}, "did you mean 'mass'"),
        ({"members": 0}, "members"),
        ({"iterations": 0, "combination": "odds"}, "iterations 0 has none: take 'both'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings("tnt", TINY | settings)


def test_columns_are_those_that_are_read() -> None:
    def columns(**settings: Any) -> tuple[str, ...]:
        return TNTSettings(**settings).columns

    assert columns() == tuple(f"{jet}_{name}" for jet in ("j1", "j2") for name in ("m", "tau21", "tau32", "pt"))
    assert "j1_pt" not in columns(object_order="mass", pt_reweighting=False)
    assert "j1_pt" in columns(object_order="mass")
    assert columns(object_order="mass", features=("tau21", "tau32"))[2] == "j1_m"
    weak = WeakSettings(settings={"features": ["jet_m", "jet_nconst"]})
    assert columns(features=("tau21",), weak=weak) == tuple(
        f"{jet}_{name}" for jet in ("j1", "j2") for name in ("tau21", "pt", "m", "nconst")
    )


def test_any_detector_of_data_alone_may_tag_first() -> None:
    for type_, settings in (("autoencoder", {}), ("latent_vae", {"members": 2, "orientation": ["jet_a"]})):
        detector = TNTSettings(features=FEATURES, weak=WeakSettings(type_, settings)).weak_detector()
        assert detector.settings.columns == ("jet_a", "jet_b", "jet_c")
    named = TNTSettings(features=FEATURES, weak=WeakSettings("autoencoder", {"features": ["jet_a", "jet_b"]}))
    assert named.weak_detector().settings.columns == ("jet_a", "jet_b")


def weak_of(*features: str) -> dict[str, Any]:
    return {"features": ["b", "c"], "weak": DISTANCE | {"settings": {"features": list(features)}}}


def test_a_weak_classifier_may_read_what_tag_n_train_does_not(sample: Sample) -> None:
    """Column a has most of the signal in it, and only the weak classifier looks at it."""
    detector = detector_from_settings("tnt", TINY | weak_of("jet_a", "jet_b"))
    assert set(detector.settings.columns) == {f"{jet}_{name}" for jet in ("j1", "j2") for name in ("a", "b", "c", "pt")}
    assert len(detector.settings.columns) == 8
    found = train(sample, **weak_of("jet_a", "jet_b"))
    other = train(sample, **weak_of("jet_b", "jet_c"))
    assert not np.array_equal(found.score(sample).event, other.score(sample).event)


def test_what_the_weak_classifier_alone_reads_is_checked(sample: Sample) -> None:
    def refused(change: Change, *features: str, message: str) -> None:
        with pytest.raises(TrainingError, match=message):
            detector_from_settings("tnt", TINY | weak_of(*features)).check({"data": change(sample)}, window=WINDOW)

    refused(lambda s: s, "jet_a", "jet_d", message="no feature 'j1_d'")
    mass = {f"{jet}_a": np.sqrt(sample.mass) for jet in ("j1", "j2")}

    def heavy(s: Sample) -> Sample:
        return dataclasses.replace(s, columns=s.columns | mass)

    refused(heavy, "jet_a", message="feature 'jet_a' is the resonance mass")
