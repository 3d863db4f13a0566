"""The latent-space autoencoder, end to end on a small search."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CrossFit, History, Sample, TrainingError, Window, child_seed, detector_class, detector_from_settings
from ml.latent_scores import SCORES, Orientation, oriented_sum
from ml.latent_settings import LatentVAESettings
from ml.latent_vae import LatentVAE, contrasted
from ml.metrics import auc
from ml.preprocessing import MaxAbs, Standardiser
from ml.settings import settings_from_mapping
from ml.stopping import EarlyStopping, PeakStopping
from ml.threads import single_thread
from ml.variational import ENCODER
from tests.ml.conftest import FEATURES

SEEDS = np.random.SeedSequence(11)
TINY: dict[str, Any] = {
    "features": list(FEATURES), "members": 2, "hidden": [8], "alpha": 300.0, "batch_size": 250, "steps": 200,
    "point": 40, "scaling": "maxabs",
}  # fmt: skip
Change = Callable[[Sample], Sample]


def train(sample: Sample, seeds: np.random.SeedSequence = SEEDS, **settings: Any) -> LatentVAE:
    detector = detector_from_settings("latent_vae", TINY | settings)
    assert isinstance(detector, LatentVAE)
    detector.fit({"data": sample}, window=None, seeds=seeds)
    return detector


@pytest.fixture(scope="module")
def sample(tiny: tuple[Sample, np.ndarray]) -> Sample:
    return tiny[0]


@pytest.fixture(scope="module")
def trained(sample: Sample) -> LatentVAE:
    return train(sample)


def test_the_same_seed_gives_the_same_scores(sample: Sample, trained: LatentVAE) -> None:
    again = train(sample).score(sample)
    assert np.array_equal(again.event, trained.score(sample).event)
    other = train(sample, np.random.SeedSequence(12)).score(sample)
    assert not np.array_equal(again.event, other.event)


def test_no_label_mass_or_window_takes_part(sample: Sample, trained: LatentVAE, window: Window) -> None:
    random = np.random.default_rng(0)
    labelled = dataclasses.replace(
        sample, category=random.integers(0, 2, len(sample)), mass=random.uniform(1000, 9000, len(sample))
    )
    detector = detector_from_settings("latent_vae", TINY)
    detector.fit({"data": labelled}, window=window, seeds=SEEDS)
    assert not detector.uses_labels
    assert not detector.windowed
    assert np.array_equal(detector.score(labelled).event, trained.score(sample).event)


def test_scores_are_means_over_the_members(sample: Sample, trained: LatentVAE) -> None:
    scores = trained.score(sample)
    assert scores.members is not None
    np.testing.assert_allclose(scores.event, scores.members.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores.spread, scores.members.std(axis=1, ddof=1), rtol=1e-4, atol=1e-6)
    assert set(scores.extras) == {f"{name}{end}" for name in SCORES for end in ("", "_spread")}
    (whole,) = trained.member_scores(sample)
    for name in SCORES:
        assert whole[name].shape == (2, len(sample))
        np.testing.assert_allclose(scores.extras[name], whole[name].mean(axis=0), rtol=1e-5, atol=1e-6)
        spread = whole[name].std(axis=0, ddof=1)
        np.testing.assert_allclose(scores.extras[f"{name}_spread"], spread, rtol=1e-4, atol=1e-6)
    assert np.array_equal(scores.event, scores.extras["coordinate"])
    assert (scores.extras["kl"] >= 0).all()
    np.testing.assert_allclose(
        scores.extras["elbo"], 300 * scores.extras["reconstruction"] + scores.extras["kl"], rtol=1e-4
    )


@pytest.mark.parametrize("score", SCORES)
def test_any_score_is_the_events_score_by_setting(
    sample: Sample, trained: LatentVAE, tmp_path: Path, score: str
) -> None:
    """The score takes no part in the training, so what was trained for one can be read for another."""
    trained.save(tmp_path)
    settings = (tmp_path / "settings.json").read_text()
    (tmp_path / "settings.json").write_text(settings.replace('"score": null', f'"score": "{score}"'))
    scores = LatentVAE.load(tmp_path).score(sample)
    assert np.array_equal(scores.event, trained.score(sample).extras[score])


def test_events_do_not_know_of_each_other(sample: Sample, trained: LatentVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained.score(sample)
    few = trained.score(sample.select(np.array([5, 3, 700])))
    np.testing.assert_allclose(few.event, whole.event[[5, 3, 700]], rtol=1e-5, atol=1e-6)
    monkeypatch.setattr("ml.latent_vae.BLOCK", 1000)
    blocks = trained.score(sample)
    np.testing.assert_allclose(blocks.event, whole.event, rtol=1e-5, atol=1e-6)
    assert len(list(trained.member_scores(sample))) == 4
    assert len(trained.score(sample.select(np.zeros(0, dtype=int)))) == 0


def test_a_member_alone_is_the_member_in_the_ensemble(sample: Sample, trained: LatentVAE) -> None:
    """Members draw from children of one seed, so more members leave the first ones what they are."""
    two, one = trained.score(sample).members, train(sample, members=1).score(sample).members
    assert two is not None
    assert one is not None
    np.testing.assert_allclose(one, two[:, :1], rtol=2e-3, atol=2e-3)
    assert not np.allclose(two[:, 0], two[:, 1], atol=2e-3)


@pytest.mark.parametrize("recipe", ["robust", "paper"])
def test_saved_detectors_score_the_same(sample: Sample, tmp_path: Path, recipe: str) -> None:
    """Both recipes train, in one or more dimensions; so few steps do not reach the peak of the KL divergence."""
    paper = {"recipe": "paper", "latent": 2, "alpha": None}
    # on one thread both members are one compilation; the other recipe was compiled before
    with single_thread() if recipe == "paper" else contextlib.nullcontext():
        detector = train(sample, **(paper if recipe == "paper" else {"scaling": "standard"}))
    assert {values.shape for values in detector.encode(sample)} == {(2, len(sample), 2 if recipe == "paper" else 1)}
    assert isinstance(detector.scaler, Standardiser if recipe == "robust" else MaxAbs)
    detector.save(tmp_path)
    loaded = detector_class("latent_vae")[0].load(tmp_path)
    before, after = detector.score(sample), loaded.score(sample)
    assert np.array_equal(before.event, after.event)
    assert np.array_equal(before.spread, after.spread)
    assert all(np.array_equal(before.extras[name], after.extras[name]) for name in SCORES)
    assert np.array_equal(before.event, before.extras["kl" if recipe == "paper" else "coordinate"])
    assert loaded.settings == detector.settings
    assert {p.suffix for p in tmp_path.rglob("*") if p.is_file()} == {".keras", ".json"}


def test_signal_lies_at_the_upper_end_of_every_members_coordinate(sample: Sample) -> None:
    """Of jets whose mass grows while their substructure falls, as they do with the number of prongs, signal is the
    extreme; members whose latent space is mirrored agree on it."""
    random = np.random.default_rng(4)
    truth = (np.arange(len(sample)) % 50 == 0).astype(int)
    prongs = random.normal(size=len(sample)) + 2.0 * truth
    noise = 0.3 * random.normal(size=(4, len(sample)))
    columns = {
        name: 10 + (-1 if "tau" in name else 1) * prongs + own for name, own in zip(FEATURES, noise, strict=True)
    }
    changed = dataclasses.replace(sample, columns=columns)
    detector = train(changed, np.random.SeedSequence(1), stopping="none")
    oriented = train(changed, np.random.SeedSequence(1), scaling="oriented", alpha=None, steps=1000)
    (mean, _) = detector.encode(changed)
    for members in (one.score(changed).members for one in (detector, oriented)):
        assert members is not None
        assert all(auc(member, truth).value > 0.85 for member in members.T)
    raw = [auc(member, truth).value for member in mean[..., 0]]
    assert min(raw) < 0.15
    assert max(raw) > 0.85


def test_the_sign_of_the_divergence_is_that_of_its_correlation_with_the_oriented_features(
    sample: Sample, trained: LatentVAE
) -> None:
    settings = trained.settings.resolved
    assert settings.orientation is not None
    target = oriented_sum(sample.features(FEATURES), FEATURES, settings.orientation, weight=sample.weight)
    (scores,) = trained.member_scores(sample)
    for member in range(2):
        correlation = np.corrcoef(scores["kl"][member], target)[0, 1]
        assert trained.orientation.kl_alignment[member] == pytest.approx(correlation, abs=1e-3)
        assert np.array_equal(scores["oriented_kl"][member], np.sign(correlation) * scores["kl"][member])


def test_scores_that_need_no_direction_do_without(
    sample: Sample, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nameless features, and members whose posterior collapsed, have a KL divergence all the same."""
    columns = {f"a{i}": sample.columns[name] for i, name in enumerate(FEATURES)}
    renamed = dataclasses.replace(sample, columns=columns)
    scores = train(renamed, features=list(columns), score="kl").score(renamed)
    with monkeypatch.context() as patch:
        patch.setattr("ml.latent_vae.Orientation.fit", refuse)
        with pytest.raises(TrainingError, match="none of 2 members depends on the events"):
            train(sample)
        collapsed = train(sample, score="kl").score(sample)
    for one in (scores, collapsed):
        assert np.isfinite(one.event).all()
        assert np.isnan(one.extras["coordinate"]).all()
        assert np.isnan(one.extras["oriented_kl"]).all()
    assert caplog.text.count("coordinate and oriented_kl are not known") == 2


def refuse(*_: np.ndarray) -> Any:
    raise TrainingError("the latent space of none of 2 members depends on the events")


def collapsed(detector: LatentVAE, sample: Sample, member: int) -> LatentVAE:
    """The same, oriented after one member's encoder has lost its last kernel: it says the same of every event."""
    changed = copy.copy(detector)
    encoder = [array.copy() for array in detector.parameters[ENCODER]]
    encoder[-2][member] = 0
    changed._parameters = {**detector.parameters, ENCODER: encoder}
    changed._orient(changed.scaled(sample), sample.features(FEATURES), np.asarray(sample.weight, np.float64))
    return changed


@pytest.mark.parametrize("member", [0, 1])
def test_a_collapsed_member_takes_no_part_in_oriented_scores(
    sample: Sample, trained: LatentVAE, member: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is left is the ensemble of the others, while scores without direction average over all."""
    detector = collapsed(trained, sample, member)
    assert f"the latent space of the members [{member}], 1 of 2," in caplog.text
    detector.save(tmp_path)
    before = trained.score(sample)
    assert before.members is not None
    for one in (detector, LatentVAE.load(tmp_path)):
        scores = one.score(sample)
        assert scores.members is not None
        assert scores.members.shape == (len(sample), 1)
        np.testing.assert_allclose(scores.event, before.members[:, 1 - member], rtol=1e-5, atol=1e-5)
        assert not scores.spread.any()
        assert np.array_equal(scores.event, scores.extras["coordinate"])
        assert not scores.extras["oriented_kl_spread"].any()
        (members,) = one.member_scores(sample)
        assert np.isnan(members["coordinate"]).all(axis=1).tolist() == [i == member for i in range(2)]
        np.testing.assert_allclose(scores.extras["kl"], members["kl"].mean(axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("alignment", "warned"), [([0.9, 0.8], 0), ([0.9, 0.1], 1)])
def test_a_member_that_hardly_follows_the_oriented_features_is_told(
    sample: Sample, trained: LatentVAE, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
    alignment: list[float], warned: int,
) -> None:  # fmt: skip
    given = dataclasses.replace(trained.orientation, alignment=np.array(alignment), kl_alignment=np.array([0.1, 0.1]))
    monkeypatch.setattr("ml.latent_vae.Orientation.fit", lambda *_: given)
    x = sample.features(FEATURES)
    copy.copy(trained)._orient(trained.scaled(sample), x, np.asarray(sample.weight, np.float64))
    assert caplog.text.count("the coordinate of 1 of 2 members hardly follows the features") == warned
    assert len(caplog.records) == warned


@pytest.mark.parametrize(("second", "warned"), [([0, 1, 2, 1, 0], 0), ([0, 1, 2, 3, 4], 1)])
def test_members_without_a_whole_peak_are_told(
    caplog: pytest.LogCaptureFixture, second: list[float], warned: int
) -> None:
    """Two points up and two down are a peak; a divergence that only rises has none."""
    settings = TINY | {"stopping": "peak", "rise": 2, "fall": 2, "point": 11}
    detector = LatentVAE(settings_from_mapping(LatentVAESettings, settings))
    losses = np.stack([[0.0, 1, 2, 1, 0], second], axis=1)
    history = History(losses={"validation_kl": losses}, best_epoch=np.array([2, 2]))
    facts = detector._with_facts(history, 3060).facts  # 11 steps are an epoch
    assert facts["peaked"] == [True, not warned]
    assert caplog.text.count("the KL divergence of 1 of 2 members did not rise and fall within 55 steps") == warned
    assert len(caplog.records) == warned


def test_a_score_that_no_member_has_is_refused(sample: Sample, trained: LatentVAE) -> None:
    detector = copy.copy(trained)
    detector._orientation = Orientation.unknown(2, 1)
    with pytest.raises(TrainingError, match=r"'coordinate' needs to know which end .* no member does"):
        detector.score(sample)


def test_what_is_not_known_is_saved_as_null(sample: Sample, trained: LatentVAE, tmp_path: Path) -> None:
    detector = copy.copy(trained)
    detector._orientation = Orientation.unknown(2, 1)
    detector.save(tmp_path)
    text = (tmp_path / "preprocessing.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["orientation"]["direction"] == [[None], [None]]
    assert not LatentVAE.load(tmp_path).orientation.known.any()


def test_the_history_knows_what_was_kept(sample: Sample) -> None:
    """19 epochs of 11 steps; the peak rule says of each member whether there was a peak."""
    last, peak = (LatentVAE(settings_from_mapping(LatentVAESettings, TINY | {"stopping": s})) for s in ("none", "peak"))
    facts = last.fit({"data": sample}, window=None, seeds=SEEDS).facts
    assert facts == {"kept_steps": [209, 209], "alpha": 300.0}
    history = peak.fit({"data": sample}, window=None, seeds=SEEDS)
    assert history.facts["peaked"] == [False, False]
    assert history.facts["kept_steps"] == [(epoch + 1) * 11 for epoch in history.best_epoch]


def test_the_losses_fall_and_are_those_of_the_bound(sample: Sample) -> None:
    detector = LatentVAE(settings_from_mapping(LatentVAESettings, TINY))
    losses = detector.fit({"data": sample}, window=None, seeds=SEEDS).losses
    assert (losses["validation_loss"][-1] < losses["validation_loss"][0]).all()
    for kind in ("", "validation_"):
        total = 300 * losses[f"{kind}reconstruction"] + losses[f"{kind}kl"]
        np.testing.assert_allclose(losses[f"{kind}loss"], total, rtol=1e-4)


@pytest.mark.parametrize("stopping", ["peak", "none"])
def test_steps_count_not_epochs(sample: Sample, stopping: str) -> None:
    """2754 training events are 11 batches of 250: 200 steps take 19 epochs."""
    detector = LatentVAE(settings_from_mapping(LatentVAESettings, TINY | {"stopping": stopping, "point": 100}))
    history = detector.fit({"data": sample}, window=None, seeds=SEEDS)
    assert len(history.losses["loss"]) == 19
    if stopping == "peak":  # points are 9 epochs apart, and two of them are no peak
        assert history.best_epoch.tolist() == [17, 17]


@pytest.mark.parametrize(
    ("stopping", "rule", "monitor", "best"),
    [
        ("peak", PeakStopping, "validation_kl", True),
        ("minimum", EarlyStopping, None, True),
        ("none", EarlyStopping, None, False),
    ],
)
def test_what_is_watched_and_which_weights_are_kept(stopping: str, rule: type, monitor: str, best: bool) -> None:
    detector = LatentVAE(settings_from_mapping(LatentVAESettings, TINY | {"stopping": stopping, "patience": 1}))
    schedule, watching = detector._schedule(3060), detector._rule(2, 3060)
    assert (schedule.monitor, schedule.restore_best, schedule.patience) == (monitor, best, None)
    assert isinstance(watching, rule)
    for epoch in range(30):  # ever worse: one point without a new minimum is 4 epochs
        watching.update(epoch, np.full(2, float(epoch)))
    assert watching.active.all() == (stopping != "minimum")


def test_weights_scale_the_share_of_an_event_and_not_the_training(sample: Sample, trained: LatentVAE) -> None:
    scaled = train(dataclasses.replace(sample, weight=np.full(len(sample), 1e-4)))
    np.testing.assert_allclose(scaled.score(sample).event, trained.score(sample).event, rtol=1e-3, atol=1e-3)


def test_the_weight_of_the_reconstruction_comes_from_the_largest_variance() -> None:
    """α > n/(2λ): λ = 4 of n = 3 features, in whatever directions they are written."""
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    x = (random.normal(size=(200_000, 3)) * [2.0, 1.0, 0.5]) @ rotation
    weight = np.ones(len(x))
    assert contrasted(x, weight, contrast=2.0) == pytest.approx(2 * 3 / (2 * 4), rel=0.05)
    assert contrasted(x / 100, weight, contrast=2.0) == pytest.approx(1e4 * contrasted(x, weight, contrast=2.0))
    doubled = np.where(np.arange(len(x)) < 100_000, 3.0, 0.0)
    assert contrasted(x, doubled, contrast=2.0) == contrasted(x[:100_000], np.ones(100_000), contrast=2.0)
    assert contrasted(x[:, :1], weight, contrast=1.5) > 0


def test_cross_fitting_with_one_fold_is_plain_training(sample: Sample, trained: LatentVAE) -> None:
    """There is no class to remember, so events may be scored by what trained on them; not so for classifiers."""
    folds = CrossFit(lambda: detector_from_settings("latent_vae", TINY), 1)
    folds.fit({"data": sample}, window=None, seeds=SEEDS)
    alone = train(sample, child_seed(SEEDS, 0))
    assert np.array_equal(folds.score(sample).event, alone.score(sample).event)
    with pytest.raises(TrainingError, match="at least 2 folds: got 1"):
        CrossFit(lambda: detector_from_settings("cwola", {}), 1)
    with pytest.raises(TrainingError, match="at least 2 folds: got 0"):
        CrossFit(lambda: detector_from_settings("latent_vae", TINY), 0)


def with_column(value: Callable[[np.ndarray], np.ndarray] | None) -> Change:
    """Another column "j2_m", or none."""

    def change(sample: Sample) -> Sample:
        columns = dict(sample.columns)
        old = columns.pop("j2_m")
        return dataclasses.replace(sample, columns=columns if value is None else columns | {"j2_m": value(old)})

    return change


def one_nan(column: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(column)) == 7, np.nan, column)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_column(None), "no feature 'j2_m': did you mean"),
        (with_column(lambda old: np.full_like(old, 4.0)), r"feature 'j2_m' is constant \(4\)"),
        (with_column(one_nan), "column 'j2_m' is NaN or infinite in 1 of 3060 events"),
        (lambda sample: sample.select(np.arange(200)), "180 training events are less than one batch of 250"),
        (lambda sample: sample.select(np.zeros(0, dtype=int)), "the sample of role 'data' has no events"),
        (lambda sample: dataclasses.replace(sample, weight=0 * sample.weight), "the event weights .* sum to 0"),
        (lambda sample: dataclasses.replace(sample, weight=-sample.weight), "3060 of 3060 event weights .* negative"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(sample: Sample, change: Change, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as error:
        train(change(sample))
    assert "\n" not in str(error.value)


def test_features_without_a_known_direction_are_refused(sample: Sample) -> None:
    renamed = dataclasses.replace(sample, columns={"a": sample.columns["j1_m"], "b": sample.columns["j2_m"]})
    detector = detector_from_settings("latent_vae", TINY | {"features": ["a", "b"]})
    with pytest.raises(TrainingError, match=r"none of the features \['a', 'b'\] is known to grow or fall"):
        detector.check({"data": renamed}, window=None)  # and not after hours of training
    assert LatentVAESettings(features=("a", "b"), orientation=("-a",)).resolved.orientation == ("-a",)


def test_what_is_not_trained_says_so(sample: Sample, trained: LatentVAE, tmp_path: Path) -> None:
    empty = LatentVAE()
    for use in (lambda: empty.score(sample), lambda: empty.encode(sample), lambda: empty.save(tmp_path)):
        with pytest.raises(TrainingError, match="not trained"):
            use()
    with pytest.raises(TrainingError, match="column 'j2_m' is NaN or infinite"):
        trained.score(with_column(one_nan)(sample))
