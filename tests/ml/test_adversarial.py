"""Detectors whose score an adversary keeps independent of a nuisance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CrossFit, Sample, TrainingError, detector_class, detector_from_settings
from ml.adversarial import AdversarialClassifier
from ml.adversarial_detector import AdversarialDetector
from ml.kept import training_key
from tests.ml.adversarial_toys import (
    CENTRAL,
    DOWN,
    FEATURES,
    PATTERN,
    UP,
    areas,
    of_columns,
    smeared,
    stretched,
    together,
)

SEEDS = np.random.SeedSequence(11)
CLASSIFIER, AUTOENCODER = "adversarial_classifier", "adversarial_autoencoder"
DIRECTIONS = {"central": CENTRAL, "up": UP, "down": DOWN}
SHORT: dict[str, Any] = {"rounds": 3, "steps_per_round": 2, "batch_size": 50, "warm_up_steps": 5, "block": 2}
TINY: dict[str, Any] = {"features": list(FEATURES), "members": 1, "alpha": 1.0, "game": SHORT}


GAME = {"rounds": 150, "steps_per_round": 20, "warm_up_steps": 150, "batch_size": 200, "block": 50}
PLAIN = {"optimizer": "sgd", "learning_rate": 0.01}  # the paper's descent


def of_each(toy: Callable[..., Sample], events: int, *, seed: int) -> dict[str, Sample]:
    return {name: toy(events, kind, seed=seed + kind) for name, kind in DIRECTIONS.items()}


def apart(values: dict[str, float]) -> float:
    """What table 1 of the paper calls the upper-lower difference."""
    return max(values.values()) - min(values.values())


def trained(type_: str, samples: dict[str, Sample], **settings: Any) -> tuple[AdversarialDetector, Any]:
    detector = detector_from_settings(type_, TINY | settings)
    assert isinstance(detector, AdversarialDetector)
    return detector, detector.fit(samples, window=None, seeds=SEEDS)


pytestmark = pytest.mark.usefixtures("one_shard")


@pytest.fixture(scope="module")
def few() -> dict[str, Sample]:
    samples = of_each(smeared, 100, seed=1)
    return {"data": together(list(samples.values())), "signal": smeared(80, CENTRAL, seed=7, signal=True)}


@pytest.fixture(scope="module", params=[CLASSIFIER, AUTOENCODER])
def quick(request: Any, few: dict[str, Sample]) -> tuple[str, AdversarialDetector, Any]:
    return request.param, *trained(request.param, few)


def test_an_adversary_takes_the_nuisance_out_of_a_classifier() -> None:
    """Smearing shifts one of two features that signal is seen by: the other one is left."""
    events, probe = of_each(smeared, 3000, seed=1), of_each(smeared, 8000, seed=20)
    samples = {"data": together(list(events.values())), "signal": smeared(3000, CENTRAL, seed=8, signal=True)}
    signal = smeared(8000, CENTRAL, seed=30, signal=True)
    found = {}
    for opposed in (False, True):
        detector, history = trained(CLASSIFIER, samples, alpha=30.0, adversary=opposed, game=GAME | PLAIN)
        found[opposed] = areas({n: detector.score(s).event for n, s in probe.items()}, detector.score(signal).event)
    assert apart(found[False]) > 0.08
    assert apart(found[True]) < 0.3 * apart(found[False])
    # one of two equally good features is left: Φ(1.5/√2) = 0.856, beside Φ(1.5) = 0.933 for both, without smearing
    assert found[True]["central"] > 0.83
    assert history.losses["validation_adversary_accuracy"][-1, 0] == pytest.approx(history.facts["chance"], abs=0.03)


def test_an_adversary_takes_the_nuisance_out_of_an_autoencoder() -> None:
    """It codes the feature whose width is the nuisance, where the plain one leaves it to the loss."""
    events, probe = of_each(stretched, 3000, seed=1), of_each(stretched, 8000, seed=20)
    data, signal = together(list(events.values())), stretched(8000, CENTRAL, seed=30, signal=True)
    settings = {"features": list(PATTERN), "hidden": [8, 2, 8], "game": GAME | {"warm_up_steps": 400, "rounds": 200}}
    found = {}
    for opposed in (False, True):
        detector, _ = trained(AUTOENCODER, {"data": data}, alpha=30.0, adversary=opposed, **settings)
        found[opposed] = areas({n: detector.score(s).event for n, s in probe.items()}, detector.score(signal).event)
    assert apart(found[False]) > 0.12
    assert apart(found[True]) < 0.4 * apart(found[False])
    assert found[True]["central"] > 0.5 + 0.4 * (found[False]["central"] - 0.5)


def test_a_detector_becomes_independent_of_the_mass() -> None:
    """A continuous nuisance, and a classifier trained on the truth."""
    random = np.random.default_rng(5)

    def sample(events: int) -> Sample:
        truth, mass = random.integers(0, 2, events), random.uniform(1000, 3000, events)
        x = random.normal(size=(events, len(FEATURES)))
        x[:, 0] += 1.5 * truth + (mass - 2000) / 600 * (1 - truth)
        x[:, 1] += 1.5 * truth
        return of_columns(x, random=random, category=truth, mass=mass)

    training, probe = sample(9000), sample(20_000)
    assert probe.category is not None
    background, drift = probe.category == 0, {}
    for opposed in (False, True):
        detector, history = trained(
            CLASSIFIER, {"data": training}, alpha=30.0, adversary=opposed, nuisance="mass", game=GAME | PLAIN
        )
        ranks = np.argsort(np.argsort(detector.score(probe).event[background]))
        drift[opposed] = abs(np.corrcoef(ranks, probe.mass[background])[0, 1])
    assert history.facts["classes"] == 5
    assert drift[False] > 0.3
    assert drift[True] < 0.3 * drift[False]


def test_the_same_seed_gives_the_same_scores(quick: Any, few: dict[str, Sample]) -> None:
    type_, detector, history = quick
    again, other = trained(type_, few)
    assert np.array_equal(again.score(few["data"]).event, detector.score(few["data"]).event)
    assert all(np.array_equal(other.losses[name], values) for name, values in history.losses.items())


def test_saved_detectors_score_the_same(quick: Any, few: dict[str, Sample], tmp_path: Path) -> None:
    type_, detector, _ = quick
    detector.save(tmp_path)
    loaded = detector_class(type_)[0].load(tmp_path)
    assert isinstance(loaded, AdversarialDetector)
    assert loaded.settings == detector.settings
    assert np.array_equal(loaded.score(few["signal"]).event, detector.score(few["signal"]).event)
    for name, arrays in detector.parameters.items():
        assert all(np.array_equal(a, b) for a, b in zip(loaded.parameters[name], arrays, strict=True))
    assert loaded.classes is not None
    assert loaded.classes.index(np.array([CENTRAL, UP, DOWN])).tolist() == [CENTRAL, UP, DOWN]
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".keras", ".json"}


def test_scores_are_those_of_the_saved_keras_models(quick: Any, few: dict[str, Sample], tmp_path: Path) -> None:
    import keras

    type_, detector, _ = quick
    detector.save(tmp_path)
    x = detector.trained_scaler().apply(few["signal"].features(FEATURES))
    output = keras.models.load_model(tmp_path / "main" / "member-000.keras", compile=False)(x).numpy()
    expected = output[:, 0] if type_ == CLASSIFIER else np.mean((output - x) ** 2, axis=1)
    scores = detector.score(few["signal"])
    np.testing.assert_allclose(scores.event, expected, rtol=1e-4, atol=1e-6)
    assert scores.members is not None
    assert scores.members.shape == (80, 1)
    assert len(detector.score(few["signal"].select(np.zeros(0, dtype=int)))) == 0


def test_without_alpha_it_is_the_network_that_trains_alone(few: dict[str, Sample]) -> None:
    watched, history = trained(AUTOENCODER, few, alpha=0.0)
    alone, plain = trained(AUTOENCODER, few, adversary=False)
    for ours, theirs in zip(watched.parameters["main"], alone.parameters["main"], strict=True):
        assert np.array_equal(ours, theirs)
    assert "validation_adversary_accuracy" in history.losses
    assert not any("adversary" in name for name in plain.losses)
    assert set(plain.facts) == {"output_width", "collapsed", "useless"}


def test_only_what_is_read_decides_a_training(few: dict[str, Sample]) -> None:
    """A nuisance from `category` is part of the key of a training; a category that is not read is not."""
    turned = {"data": dataclasses.replace(few["data"], category=np.roll(few["data"].category, 50))}

    def keys(**settings: Any) -> list[str]:
        detector = detector_from_settings(AUTOENCODER, TINY | settings)
        return [training_key(detector, samples, None, SEEDS) for samples in ({"data": few["data"]}, turned)]

    assert len(set(keys())) == 2
    assert len(set(keys(nuisance="mass"))) == 1
    assert len(set(keys(adversary=False))) == 1


def test_classes_and_weights_of_the_adversary(few: dict[str, Sample]) -> None:
    """Classes of equal weight in its own turns, without signal; in the others' signal counts as one where told."""
    data = few["data"].select(np.arange(250))  # 50 fewer of the last category
    samples = {"data": data, "signal": few["signal"]}
    for counted in (None, CENTRAL):
        detector = detector_from_settings(CLASSIFIER, TINY | {"signal_category": counted})
        assert isinstance(detector, AdversarialClassifier)
        events = detector.events_of(samples)
        classes = detector._fit_classes(events)
        index, own, opposed = detector._adversary_weights(events, classes)
        signal = events.label == 1
        assert not own[signal].any()
        np.testing.assert_allclose(np.bincount(index, weights=own), len(own) / 3)
        np.testing.assert_allclose(np.bincount(index, weights=opposed), len(own) / 3)
        assert (opposed[signal] > 0).all() == (counted is not None)
        # signal against background: half of the weight each
        np.testing.assert_allclose(events.weight[signal].sum(), events.weight[~signal].sum())
        if counted is not None:
            assert (index[signal] == CENTRAL).all()
            # 80 signal events and 100 central ones share the weight of a class as their numbers do
            assert opposed[signal].sum() / opposed[~signal & (index == CENTRAL)].sum() == pytest.approx(0.8)


def test_event_weights_count(few: dict[str, Sample]) -> None:
    """An event of weight 2 is two events, and a scale of all weights changes nothing."""
    data = few["data"]
    for kind in (CLASSIFIER, AUTOENCODER):
        detector = detector_from_settings(kind, TINY)
        assert isinstance(detector, AdversarialDetector)
        doubled = dataclasses.replace(data, weight=np.where(np.arange(len(data)) % 2, 2.0, 1.0))
        rows = np.repeat(np.arange(len(data)), np.where(np.arange(len(data)) % 2, 2, 1))
        for name in ("weight", "raw"):
            one = getattr(detector.events_of({**few, "data": doubled}), name)[: len(data)]
            two = getattr(detector.events_of({**few, "data": data.select(rows)}), name)[: len(rows)]
            scaled = dataclasses.replace(doubled, weight=doubled.weight * 1e-4)
            three = getattr(detector.events_of({**few, "data": scaled}), name)[: len(data)]
            np.testing.assert_allclose(one, three)
            np.testing.assert_allclose(one / one.sum(), np.bincount(rows, weights=two) / two.sum())


def test_cross_fitting_takes_both_roles(few: dict[str, Sample]) -> None:
    folds = CrossFit(lambda: detector_from_settings(CLASSIFIER, TINY), 2)
    folds.check(few, window=None)
    for job in folds.jobs(few, window=None, seeds=SEEDS):
        assert job.fold is not None
        training = job.training()
        assert set(training) == {"data", "signal"}
        for role, sample in training.items():
            assert len(sample) == (few[role].fold % 2 != job.fold[1]).sum()


def test_members_that_collapsed_do_not_count(few: dict[str, Sample], caplog: Any, tmp_path: Path) -> None:
    detector, history = trained(AUTOENCODER, few, members=3)
    everything = detector.score(few["data"])
    assert everything.members is not None
    assert history.facts["collapsed"] == [False] * 3
    x = detector.trained_scaler().apply(few["data"].features(FEATURES))
    last = detector.parameters["main"][-2]
    last[1] = 0  # all that is left of the second is the bias of its output
    assert detector._with_facts(history, x).facts["collapsed"] == [False, True, False]
    assert "members [1], 1 of 3, collapsed and do not count" in caplog.text
    detector.save(tmp_path)
    for one in (detector, detector_class(AUTOENCODER)[0].load(tmp_path)):
        np.testing.assert_allclose(one.score(few["data"]).event, everything.members[:, ::2].mean(axis=1), rtol=1e-5)
    last[:] = 0
    with pytest.raises(TrainingError, match="all 3 members collapsed"):
        detector._with_facts(history, x)


def test_an_adversary_that_guesses_where_there_is_something_to_see_is_called_blind(caplog: Any) -> None:
    data = together(list(of_each(smeared, 600, seed=1).values()))
    samples = {"data": data, "signal": smeared(600, CENTRAL, seed=7, signal=True)}
    game = GAME | {"warm_up_steps": 300, "rounds": 1}
    detector, history = trained(CLASSIFIER, samples, alpha=0.01, game=game)
    assert history.facts["class_distance"][0] > 0.3
    assert history.facts["blind"] == [False]
    assert "blind" not in caplog.text
    guesses = np.full_like(history.losses["validation_adversary_accuracy"], 1 / 3)
    guessing = dataclasses.replace(history, losses=history.losses | {"validation_adversary_accuracy": guesses})
    x = detector.trained_scaler().apply(data.features(FEATURES))
    assert detector._with_facts(guessing, x, (data.category, data.weight)).facts["blind"] == [True]
    assert "the adversaries of the members [0], 1 of 1, are blind" in caplog.text
    assert history.facts["accuracy"] == history.losses["validation_adversary_accuracy"][-1].tolist()
    without = {name: one for name, one in history.losses.items() if not name.startswith("validation")}
    unwatched = detector._with_facts(dataclasses.replace(history, losses=without), x, (data.category, data.weight))
    assert unwatched.facts["accuracy"] == history.losses["adversary_accuracy"][-1].tolist()
    assert history.facts["useless"] == [False]
    ruined = np.full_like(history.losses["validation_main"], 0.7)  # a constant has ln 2
    ruin = dataclasses.replace(history, losses=history.losses | {"validation_main": ruined})
    assert detector._with_facts(ruin, x).facts["useless"] == [True]
    assert "a constant output would have" in caplog.text


@pytest.mark.parametrize(
    ("type_", "settings", "message"),
    [
        (AUTOENCODER, {"hidden": [10, 4]}, "narrower than the 4 features"),
        (AUTOENCODER, {"adversary_input": "logit"}, "adversary_input is 'logit'"),
        (CLASSIFIER, {"adversary_input": "loss"}, "adversary_input is 'loss'"),
        (CLASSIFIER, {"alpha": -1}, "alpha must be at least 0"),
        (CLASSIFIER, {"members": 0}, "members must be at least 1"),
        (CLASSIFIER, {"nuisance_bins": 1}, "nuisance_bins must be at least 2"),
        (CLASSIFIER, {"adversary_hidden": [0]}, "at least one unit"),
        (CLASSIFIER, {"features": ["mjj", "other"]}, "'mjj' cannot be a feature"),
        (CLASSIFIER, {"nuisance": "mass", "signal_category": 0}, "signal_category names one of the categories"),
        (CLASSIFIER, {"game": {"steps": 3}}, "game has no key 'steps': did you mean"),
    ],
)
def test_settings_that_cannot_be(type_: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        detector_from_settings(type_, TINY | settings)


def test_samples_that_cannot_be_trained_on_are_refused_before_the_training(few: dict[str, Sample]) -> None:
    data = few["data"]
    alone = dataclasses.replace(data, category=np.zeros(len(data), int))
    broken = {**data.columns, "other": np.where(np.arange(len(data)) == 7, np.nan, data.columns["other"])}
    cases: list[tuple[str, dict[str, Sample], dict[str, Any], str]] = [
        (AUTOENCODER, {"data": dataclasses.replace(data, category=None)}, {}, "the sample has no categories"),
        (AUTOENCODER, {"data": alone}, {}, "has the one value 0 in all 300 training events"),
        (AUTOENCODER, {"data": dataclasses.replace(data, columns=broken)}, {}, "'other' is NaN or infinite in 1 of"),
        (AUTOENCODER, few, {"nuisance": "othr"}, "no feature 'othr'"),
        (AUTOENCODER, {"data": dataclasses.replace(data, mass=data.columns["spare"])}, {}, "'spare' is the resonance"),
        (CLASSIFIER, {"data": data}, {}, "give a sample of role 'signal', or name another `nuisance`"),
        (CLASSIFIER, {"data": alone}, {"nuisance": "mass"}, "no signal events of positive weight among the 300"),
        (CLASSIFIER, {"data": dataclasses.replace(data, category=None)}, {"nuisance": "mass"}, "1 signal, 0 back"),
        (CLASSIFIER, few | {"signal": few["signal"].select(np.zeros(0, int))}, {}, "'signal' has no events"),
        (CLASSIFIER, few, {"signal_category": 9}, "category 9 is not among those"),
    ]
    for type_, samples, settings, message in cases:
        with pytest.raises(TrainingError, match=message):
            detector_from_settings(type_, TINY | settings).check(samples, window=None)
    with pytest.raises(TrainingError, match="less than one batch of 5000"):
        trained(AUTOENCODER, few, game={"batch_size": 5000})
    for call in (lambda d: d.score(data), lambda d: d.save(Path("unused"))):
        with pytest.raises(TrainingError, match="not trained"):
            call(detector_from_settings(AUTOENCODER, TINY))
