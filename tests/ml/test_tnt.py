"""Tag N' Train on a toy of two independent objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ml import History, Sample, Scores, TrainingError, detector_class, detector_from_settings
from ml.metrics import auc
from ml.objects import jet_names, objects_of
from ml.tnt import TNT
from ml.tnt_settings import TNTSettings
from tests.ml.tnt_toys import (
    AUTOENCODER,
    FEATURES,
    NETWORKS,
    SEEDS,
    TINY,
    TREES,
    WINDOW,
    distance_registered,
    toy,
    train,
)

__all__ = ["distance_registered"]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return toy(3000, 90, seed=1)[0]


@pytest.fixture(scope="module")
def trained(sample: Sample) -> TNT:
    return train(sample)


@pytest.fixture(scope="module")
def weak(sample: Sample) -> TNT:
    return train(sample, iterations=0)


class Recorded:
    """In place of a classifier: remembers what it was trained on; its score is a feature of its object."""

    def __init__(self, log: list[dict[str, Any]], what: str) -> None:
        self.log, self.what, self.sign = log, what, 1.0
        self.settings = SimpleNamespace(columns=jet_names(FEATURES))

    def fit(self, sample: Any, labels: Any = None, weights: Any = None, **_: Any) -> History:
        data = sample["data"] if isinstance(sample, dict) else sample
        self.sign = -1.0 if self.what == "tagger" else 1.0
        self.log.append({"what": self.what, "sample": data, "labels": labels, "weights": weights, "by": self})
        return History()

    def score(self, sample: Sample) -> Scores:
        return Scores(event=(self.sign * sample.columns["jet_a"]).astype(np.float32), spread=np.zeros(len(sample)))


def recorded(
    monkeypatch: pytest.MonkeyPatch, sample: Sample, *, by: type[Recorded] = Recorded, **settings: Any
) -> list[dict[str, Any]]:
    """The trainings of a detector, in order, of which none took place. The weak classifiers score a, the others −a."""
    log: list[dict[str, Any]] = []
    monkeypatch.setattr("ml.tnt_training.tagger_of", lambda _: by(log, "tagger"))
    monkeypatch.setattr(TNT, "check", lambda *_, **__: None)
    monkeypatch.setattr(TNTSettings, "weak_detector", lambda _: by(log, "weak"))
    train(sample, **settings)
    return log


def of_events(values: np.ndarray, sample: Sample, part: Sample) -> np.ndarray:
    """Values (n_events,) of `sample` for the events of a part of it."""
    return values[np.searchsorted(sample.event_id, part.event_id)]


def test_the_other_object_tags_and_the_own_one_trains(
    monkeypatch: pytest.MonkeyPatch, search: tuple[Sample, np.ndarray]
) -> None:
    """Both objects are tagged by the iteration before: top 20%, then top 10%, in the window; bottom 40% anywhere."""
    sample = search[0]
    log = recorded(monkeypatch, sample, iterations=2, scheme="disjoint", signal_fractions=[0.2, 0.1])
    assert [one["what"] for one in log] == ["weak"] * 2 + ["tagger"] * 4
    objects = objects_of(sample, (*FEATURES, "pt"), order="pt")
    stages = [np.concatenate([log[2 * i]["sample"].event_id]) for i in range(3)]
    for i, one in enumerate(log):
        iteration, own = divmod(i, 2)
        part = one["sample"]
        assert np.array_equal(part.columns["jet_b"], of_events(objects[own].columns["jet_b"], sample, part))
        if not iteration:
            continue
        score = (1 if iteration == 1 else -1) * objects[1 - own].columns["jet_a"]
        mine, rich = of_events(score, sample, part), one["labels"] == 1
        assert mine[rich].min() > mine[~rich].max()
        assert WINDOW.in_signal(part.mass[rich]).all()
        assert 0.1 < WINDOW.in_signal(part.mass[~rich]).mean() < 0.4
        assert np.count_nonzero(~rich) == pytest.approx(0.4 * len(sample) / 3, rel=0.05)
        inside = WINDOW.in_signal(sample.mass).sum()
        assert np.count_nonzero(rich) == pytest.approx({1: 0.2, 2: 0.1}[iteration] * inside / 3, rel=0.35)
        assert one["weights"][rich].sum() == pytest.approx(one["weights"][~rich].sum())
        assert one["weights"].mean() == pytest.approx(1)
    assert not any(set(a) & set(b) for n, a in enumerate(stages) for b in stages[:n])


def test_folds_waste_no_event(monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    log = recorded(monkeypatch, sample, iterations=1, scheme="folds", inner_folds=3, mass_window=False)
    assert [one["what"] for one in log] == ["weak"] * 6 + ["tagger"] * 6
    for copies in (log[:3], log[3:6]):
        counted = np.bincount(np.concatenate([one["sample"].event_id for one in copies]), minlength=len(sample))
        assert (counted == 2).all()


class Remembering(Recorded):
    """Scores an event it was trained on by 1000 times its feature, the other way around."""

    def score(self, sample: Sample) -> Scores:
        (own,) = (one["sample"].event_id for one in self.log if one["by"] is self)
        scores = super().score(sample)
        return dataclasses.replace(
            scores, event=np.where(np.isin(sample.event_id, own), -1000 * scores.event, scores.event)
        )


def test_no_copy_tags_what_trained_it(monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    """Tags follow the feature, in every iteration: a tagger that had a say on its own events would turn them around."""
    log = recorded(monkeypatch, sample, by=Remembering, iterations=2, scheme="folds", inner_folds=3, mass_window=False)
    objects = objects_of(sample, (*FEATURES, "pt"), order="pt")
    for i, one in enumerate(log[6:]):
        iteration, own = 1 + i // 6, (i // 3) % 2
        assert np.array_equal(
            one["sample"].columns["jet_b"], of_events(objects[own].columns["jet_b"], sample, one["sample"])
        )
        score = (1 if iteration == 1 else -1) * objects[1 - own].columns["jet_a"]
        mine, rich = of_events(score, sample, one["sample"]), one["labels"] == 1
        assert mine[rich].min() > mine[~rich].max()


def test_an_object_may_tag_itself(monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    log = recorded(monkeypatch, sample, scheme="disjoint", tag_with="same")
    for one in log[2:]:
        rich = one["labels"] == 1
        assert one["sample"].columns["jet_a"][rich].min() > one["sample"].columns["jet_a"][~rich].max()


def test_soft_labels_and_weights_in_pt(monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    columns = {f"{jet}_pt": sample.columns[f"{jet}_pt"] + sample.mass / 3 for jet in ("j1", "j2")}
    by_mass = dataclasses.replace(sample, columns=sample.columns | columns)
    by_mass = by_mass.select(by_mass.mass < 3700)
    options = {"scheme": "disjoint", "classifier": "mlp"}
    for one in recorded(monkeypatch, by_mass, soft_labels=True, pt_reweighting=True, **options)[2:]:
        labels, weight, pt = one["labels"], one["weights"], one["sample"].columns["jet_pt"]
        rich = labels > 0.5
        assert len(np.unique(labels)) > 100
        assert labels.min() >= 0
        assert labels.max() <= 1
        assert weight[rich].sum() == pytest.approx(weight[~rich].sum())
        plain, weighted = pt[~rich].mean(), np.average(pt[~rich], weights=weight[~rich])
        assert abs(weighted - pt[rich].mean()) < 0.25 * abs(plain - pt[rich].mean())


def test_each_weak_classifier_is_trained_on_its_own_object(sample: Sample, weak: TNT) -> None:
    """Public code trains both on the first: change the second, and the first must stay what it was."""
    assert not weak.windowed
    objects = objects_of(sample, (*FEATURES, "pt"), order="pt")
    for own in range(2):
        columns = dict(sample.columns)
        first = sample.columns["j1_pt"] >= sample.columns["j2_pt"]
        for jet, rows in (("j1", first if own == 0 else ~first), ("j2", ~first if own == 0 else first)):
            for name in FEATURES:
                columns[f"{jet}_{name}"] = np.where(
                    rows, 5 + 3 * np.roll(columns[f"{jet}_{name}"], 1), columns[f"{jet}_{name}"]
                )
        changed = train(dataclasses.replace(sample, columns=columns), iterations=0, window=None)
        for k, (before, after) in enumerate(zip(weak._done[0].copies, changed._done[0].copies, strict=True)):
            same = np.allclose(before[0].score(objects[k]).event, after[0].score(objects[k]).event, rtol=1e-4)
            assert same == (k != own)


def test_scores_are_joint_percentiles(sample: Sample, trained: TNT) -> None:
    """Above X is what has both objects above the same percentile X of the training events."""
    scores = trained.score(sample)
    assert scores.objects is not None
    assert scores.members is not None
    assert scores.members.shape == (len(sample), 2)
    for own, name in enumerate(("first", "second")):
        order = np.argsort(scores.extras[name], kind="stable")
        assert (np.diff(scores.objects[order, own]) >= 0).all()
    for cut in (0.5, 0.8, 0.9, 0.99):
        assert np.array_equal(scores.event > cut, (scores.objects[:, 0] > cut) & (scores.objects[:, 1] > cut))
        for own in range(2):
            assert (scores.objects[:, own] > cut).mean() == pytest.approx(1 - cut, abs=0.01)
    np.testing.assert_allclose(scores.spread, scores.members.std(axis=1, ddof=1), rtol=1e-3, atol=1e-6)


def test_the_combination_of_the_objects_changes_scores_and_no_training(sample: Sample, trained: TNT) -> None:
    ours, other = trained.score(sample), train(sample, combination="odds").score(sample)
    assert ours.objects is not None
    assert other.objects is not None
    assert np.array_equal(ours.objects, other.objects)
    outputs = np.stack([other.extras[name].astype(np.float64) for name in ("first", "second")])
    np.testing.assert_allclose(other.event, np.log(outputs / (1 - outputs)).sum(axis=0), rtol=1e-3, atol=1e-4)
    assert not np.array_equal(np.argsort(ours.event), np.argsort(other.event))


def test_percentiles_hold_for_events_that_trained_nothing(trained: TNT) -> None:
    """They are fitted on means over copies, of which some have trained on the event: what that spoils is small.

    A table of the scores by the copy that has not, which scatter more than the mean of several, would be off by 0.07.
    """
    scores = trained.score(toy(20_000, 0, seed=2)[0])
    assert scores.objects is not None
    for own in np.sort(scores.objects, axis=0).T:
        assert np.abs(own - (np.arange(len(own)) + 0.5) / len(own)).max() < 0.04


def test_nothing_is_refitted_on_what_is_scored(sample: Sample, trained: TNT, weak: TNT) -> None:
    """Scalers, ranks and the order of the objects are those of the event, whatever it is scored with."""
    for detector in (trained, weak):
        whole = detector.score(sample)
        rare = np.argsort(whole.event)[-50:]
        for rows in (rare, rare[:1], np.array([7])):
            part = detector.score(sample.select(rows))
            np.testing.assert_allclose(part.event, whole.event[rows], rtol=1e-5)
            np.testing.assert_allclose(part.extras["second"], whole.extras["second"][rows], rtol=1e-4)
        assert len(detector.score(sample.select(np.zeros(0, dtype=int)))) == 0


def test_jets_in_either_order_are_the_same_event(sample: Sample, trained: TNT) -> None:
    swapped = {f"j{3 - int(name[1])}{name[2:]}": column for name, column in sample.columns.items()}
    again = trained.score(dataclasses.replace(sample, columns=swapped))
    assert np.array_equal(again.event, trained.score(sample).event)


def test_labels_and_masses_of_scored_events_take_no_part(sample: Sample, trained: TNT) -> None:
    random = np.random.default_rng(0)
    labelled = dataclasses.replace(sample, category=random.integers(0, 2, len(sample)))
    assert not trained.uses_labels
    before = trained.score(sample).event
    assert np.array_equal(train(labelled).score(labelled).event, before)
    assert np.array_equal(trained.score(dataclasses.replace(sample, mass=2 * sample.mass)).event, before)


@pytest.mark.parametrize(
    "settings",
    [{}, NETWORKS, {"weak": AUTOENCODER, "iterations": 0, "scheme": "disjoint"}],
    ids=["bdt", "mlp", "weak"],
)
def test_saved_detectors_score_the_same(sample: Sample, trained: TNT, tmp_path: Path, settings: dict[str, Any]) -> None:
    detector = train(sample, **settings) if settings else trained
    detector.save(tmp_path)
    loaded = detector_class("tnt")[0].load(tmp_path)
    before, after = detector.score(sample), loaded.score(sample)
    for name in ("event", "spread", "objects", "members"):
        assert np.array_equal(getattr(before, name), getattr(after, name))
    assert all(np.array_equal(before.extras[name], after.extras[name]) for name in ("first", "second"))
    assert loaded.settings == detector.settings
    assert loaded.windowed == detector.windowed
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} <= {".keras", ".npz", ".json"}


def test_a_variant_is_what_a_training_of_its_own_would_be(sample: Sample, tmp_path: Path) -> None:
    """Earlier iterations know nothing of later ones: the same seeds give the same scores and history, also saved."""
    whole = detector_from_settings("tnt", TINY | {"iterations": 2, "combination": "odds"})
    history = whole.fit({"data": sample}, window=WINDOW, seeds=SEEDS)
    whole.save(tmp_path / "whole")
    for iterations, combination in ((2, "both"), (1, "odds"), (0, "both")):
        alone = detector_from_settings("tnt", TINY | {"iterations": iterations, "combination": combination})
        own = alone.fit({"data": sample}, window=WINDOW, seeds=SEEDS)
        for trained in (whole, TNT.load(tmp_path / "whole")):
            variant = trained.variant(alone.settings)
            np.testing.assert_array_equal(variant.score(sample).event, alone.score(sample).event)
            assert variant.windowed is (iterations > 0)
        unread = TNT.load(tmp_path / "whole").variant(alone.settings)
        again = tmp_path / f"{iterations}-{combination}"
        unread.save(again)  # as files
        np.testing.assert_array_equal(TNT.load(again).score(sample).event, alone.score(sample).event)
        kept = variant.variant_history(history)
        assert kept.parts.keys() == own.parts.keys()
        for name, rows in own.losses.items():
            np.testing.assert_array_equal(kept.losses[name], rows)


@pytest.mark.parametrize(
    ("detector", "changes", "message"),
    [
        ("tnt", {"iterations": 2}, "2 of a training that has 1"),
        ("tnt", {"members": 3}, "members: a variant .* `iterations` and `combination` alone"),
        ("supervised_objects", {"combination": "odds"}, "makes nothing else from its training"),
    ],
)
def test_what_needs_a_training_is_no_variant(detector: str, changes: dict[str, Any], message: str) -> None:
    tiny = TINY if detector == "tnt" else {"features": list(FEATURES), **TREES}
    trained = detector_from_settings(detector, tiny)
    with pytest.raises(TrainingError, match=message):
        trained.variant(detector_from_settings(detector, tiny | changes).settings)


def test_without_a_mass_window_no_window_is_needed(sample: Sample) -> None:
    scores = [train(sample, mass_window=False, window=window).score(sample).event for window in (None, WINDOW)]
    assert np.array_equal(*scores)


def test_the_history_tells_how_stable_the_scores_are(sample: Sample) -> None:
    detector = detector_from_settings("tnt", TINY | {"iterations": 2, "scheme": "disjoint"})
    told: list[float] = []
    history = detector.fit(
        {"data": sample}, window=WINDOW, seeds=SEEDS, progress=lambda fraction, _: told.append(fraction)
    )
    assert sorted(history.parts) == ["0", "1", "2"]
    assert sorted(history.parts["1"].parts) == ["first", "second"]
    assert history.losses["rank_correlation"].shape == (3, 2)
    assert np.isnan(history.losses["rank_correlation"][0]).all()
    assert (np.abs(history.losses["rank_correlation"][1:]) <= 1).all()
    assert history.losses["object_correlation"].shape == (3, 1)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    assert History.from_dict(history.to_dict()).to_dict() == history.to_dict()


@pytest.fixture(scope="module")
def search() -> tuple[Sample, np.ndarray]:
    """3% of the events are signal, 13% of those in the window."""
    return toy(10_000, 300, seed=2)


@pytest.fixture(scope="module")
def tests() -> tuple[Sample, np.ndarray]:
    """Events that trained nothing."""
    return toy(20_000, 1000, seed=3)


@pytest.fixture(scope="module")
def start(search: tuple[Sample, np.ndarray], tests: tuple[Sample, np.ndarray]) -> Scores:
    """Scores of the classifiers that tag first, with the same selection of events."""
    return train(search[0], iterations=0, scheme="disjoint").score(tests[0])


@pytest.mark.parametrize("scheme", ["disjoint", "folds"])
def test_it_beats_the_classifier_it_started_from(
    search: tuple[Sample, np.ndarray], tests: tuple[Sample, np.ndarray], start: Scores, scheme: str
) -> None:
    scores, truth = train(search[0], iterations=2, scheme=scheme).score(tests[0]), tests[1]
    assert auc(scores.event, truth).value > auc(start.event, truth).value + 0.03
    assert scores.objects is not None
    background = scores.objects[truth == 0]
    assert abs(np.corrcoef(background.T)[0, 1]) < 0.03
    both = (background > 0.9).all(axis=1).mean()
    assert both == pytest.approx((background[:, 0] > 0.9).mean() * (background[:, 1] > 0.9).mean(), rel=0.3)


def test_an_object_that_tags_itself_learns_nothing_new(
    monkeypatch: pytest.MonkeyPatch, tests: tuple[Sample, np.ndarray]
) -> None:
    """Appendix A, with its 9% of signal: tagged by its own feature a, an object's classifier finds a again, and a
    plateau where all is 1; tagged by the other object's, it finds that signal differs in b, too."""
    monkeypatch.setattr(TNT, "check", lambda *_, **__: None)
    monkeypatch.setattr(TNTSettings, "weak_detector", lambda _: Recorded([], "weak"))
    plenty, _ = toy(20_000, 2000, seed=4)
    objects, truth = objects_of(tests[0], (*FEATURES, "pt"), order="pt"), tests[1]
    start = [own.columns["jet_a"] for own in objects]
    for name in ("same", "other"):
        found = train(plenty, tag_with=name, mass_window=False, scheme="disjoint").score(tests[0]).extras
        for own, before in zip(("first", "second"), start, strict=True):
            gain = auc(found[own], truth).value - auc(before, truth).value
            alike = np.corrcoef(before, found[own])[0, 1]
            plateau = (found[own] > 0.99 * found[own].max()).mean()
            if name == "same":
                assert gain < 0.015
                assert alike > 0.8
                assert plateau > 0.1
            else:
                assert gain > 0.03
                assert alike < 0.7
                assert plateau < 0.02
