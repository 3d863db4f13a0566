"""The labelled reference on jet constituents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, detector_from_settings
from ml.dependence import distance_correlation
from ml.jet_classifier import JetClassifier, JetClassifierSettings
from ml.metrics import auc
from tests.ml.jet_toys import COUNT, jet_sample, jets

TINY = {"constituents": COUNT, "mlp": {"hidden": [24], "epochs": 8, "batch_size": 50, "learning_rate": 3e-3}}


def fitted(samples: dict[str, Sample], **changed: Any) -> JetClassifier:
    detector = detector_from_settings("jet_classifier", {**TINY, **changed})
    assert isinstance(detector, JetClassifier)
    detector.fit(samples, window=None, seeds=np.random.SeedSequence(1))
    return detector


def samples_of(n: int, seed: int) -> dict[str, Sample]:
    return {
        "data": jet_sample(jets(n, prongs=1, seed=seed)),
        "exposure": jet_sample(jets(n, prongs=2, seed=seed + 1)),
    }


@pytest.fixture(scope="module")
def training() -> dict[str, Sample]:
    return samples_of(1500, 1)


@pytest.fixture(scope="module")
def detector(training: dict[str, Sample]) -> JetClassifier:
    return fitted(training)


def test_it_tells_the_two_apart(detector: JetClassifier) -> None:
    scores = [detector.score(sample).event for sample in samples_of(1000, 11).values()]
    assert auc(np.concatenate(scores), np.repeat([0, 1], 1000)).value > 0.9
    assert np.mean(scores) == pytest.approx(0.5, abs=0.1)  # classes of equal weight, whatever their sizes
    assert ((np.array(scores) >= 0) & (np.array(scores) <= 1)).all()


def test_classes_weigh_the_same_whatever_their_sizes() -> None:
    uneven = {"data": samples_of(2700, 5)["data"], "exposure": samples_of(300, 7)["exposure"]}
    scores = [fitted(uneven).score(sample).event for sample in samples_of(1000, 11).values()]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.12)


def test_mass_reweighting_hides_a_mass_that_tells_the_classes_apart() -> None:
    """Both classes are of one prong, and differ by nothing but their masses."""
    everything = jet_sample(jets(6000, prongs=1, seed=21))
    light, other = everything.select(np.arange(2000)), everything.select(np.arange(2000, 6000))
    mass, masses = light.columns["j1_m"], other.columns["j1_m"]
    heavy = np.random.default_rng(2).choice(4000, 1000, replace=False, p=masses**2 / (masses**2).sum())
    samples = {"data": light, "exposure": other.select(heavy)}
    plain, blind = (
        distance_correlation(fitted(samples, mass_reweighting=on).score(light).event, mass) for on in (False, True)
    )
    assert plain > 0.6
    assert blind < 0.25


def test_saved_and_loaded_scores_are_identical(
    training: dict[str, Sample], detector: JetClassifier, tmp_path: Path
) -> None:
    detector.save(tmp_path)
    again = JetClassifier.load(tmp_path)
    assert again.settings == detector.settings
    np.testing.assert_array_equal(again.score(training["data"]).event, detector.score(training["data"]).event)


def test_the_jets_of_an_event_are_joined() -> None:
    pairs = {
        role: jet_sample(jets(750, prongs=p, seed=p), jets(750, prongs=p, seed=p + 5))
        for role, p in (("data", 1), ("exposure", 2))
    }
    found = fitted(pairs, jets=["j1", "j2"], combine="max").score(pairs["data"])
    assert found.objects is not None
    np.testing.assert_allclose(found.event, found.objects.max(axis=1))


def test_it_is_the_papers_and_a_reference() -> None:
    settings = JetClassifierSettings()
    assert settings.mlp.network(settings.inputs).widths == (80, 256, 128, 64, 6, 1)
    assert settings.columns == ()
    assert replace(settings, mass_reweighting=True).columns == ("j1_m",)
    assert JetClassifier.uses_labels
    assert JetClassifier().needs_constituents.count == 20


def test_what_cannot_be_trained_on_is_refused(training: dict[str, Sample]) -> None:
    with pytest.raises(TrainingError, match="needs a sample of role 'exposure'"):
        fitted({"data": training["data"]})
    bare = {role: replace(sample, columns={}) for role, sample in training.items()}
    with pytest.raises(TrainingError, match="role 'data': the sample has no column 'j1_m'"):
        fitted(bare, mass_reweighting=True)
    with pytest.raises(TrainingError, match="role 'exposure': the sample has no constituents"):
        fitted(training | {"exposure": replace(training["exposure"], batch=None)})
    with pytest.raises(TrainingError, match="mass_bins has no effect"):
        JetClassifierSettings(mass_bins=7)
    with pytest.raises(TrainingError, match="not trained"):
        JetClassifier().score(training["data"])
