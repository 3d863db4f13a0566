"""Cross-fitting: nobody is scored by a model that saw them; nothing is trained twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CrossFit, Detector, History, Progress, Sample, Scores, TrainingError, Window


@dataclass(frozen=True)
class RecorderSettings:
    power: float = 1.0


class Recorder(Detector):
    """Remembers whom it saw; scores are what it saw and its seed, so that any difference shows."""

    fitted = 0

    def __init__(self, settings: RecorderSettings | None = None) -> None:
        self.settings = settings or RecorderSettings()
        self.seen: list[int] = []
        self.draw = 0.0

    def fit(
        self,
        samples: Mapping[str, Sample],
        *,
        window: Window | None,
        seeds: np.random.SeedSequence,
        progress: Progress | None = None,
    ) -> History:
        sample = self.role(samples, "data")
        if not np.isfinite(sample.columns["j1_m"]).all():
            raise TrainingError("column 'j1_m' is NaN")
        Recorder.fitted += 1
        self.seen = sample.event_id.tolist()
        self.draw = float(np.random.default_rng(seeds).random())
        if progress is not None:
            progress(1.0, "seen")
        return History(losses={"loss": np.array([[self.draw]])}, best_epoch=np.array([0]))

    def score(self, sample: Sample) -> Scores:
        seen = np.isin(sample.event_id, self.seen).astype(np.float32)
        event = (sample.columns["j1_m"] * self.draw).astype(np.float32)
        return Scores(event=event, spread=seen, objects=np.stack([event, seen], 1), extras={"seen": seen})

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "recorder.json").write_text(json.dumps([self.seen, self.draw]))

    @classmethod
    def load(cls, directory: Path) -> Recorder:
        loaded = cls()
        loaded.seen, loaded.draw = json.loads((directory / "recorder.json").read_text())
        return loaded


def fit(sample: Sample, directory: Path | None = None, *, seed: int = 3, **settings: Any) -> tuple[CrossFit, History]:
    folds = CrossFit(lambda: Recorder(RecorderSettings(**settings)), 4, directory=directory)
    return folds, folds.fit({"data": sample}, window=None, seeds=np.random.SeedSequence(seed))


def test_no_event_is_scored_by_a_detector_that_saw_it(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    folds, history = fit(sample)
    scores = folds.score(sample)
    assert not scores.extras["seen"].any()
    for i, detector in enumerate(folds.detectors):
        assert set(detector.seen) == set(sample.event_id[sample.fold % 4 != i])  # type: ignore[attr-defined]
    assert sorted(history.parts) == ["0", "1", "2", "3"]


def test_scores_keep_the_order_of_the_events(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    folds, _ = fit(sample)
    draws = np.array([d.draw for d in folds.detectors])  # type: ignore[attr-defined]
    expected = (sample.columns["j1_m"] * draws[sample.fold % 4]).astype(np.float32)
    scores = folds.score(sample)
    assert np.array_equal(scores.event, expected)
    assert scores.objects is not None
    assert np.array_equal(scores.objects[:, 0], expected)
    few = sample.select(np.flatnonzero(sample.fold % 4 == 2)[:3])
    assert np.array_equal(folds.score(few).event, (few.columns["j1_m"] * draws[2]).astype(np.float32))


def test_events_never_trained_on_go_by_their_hash_too(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    folds, _ = fit(sample.select(np.arange(1000)))
    rest = sample.select(np.arange(1000, len(sample)))
    draws = np.array([d.draw for d in folds.detectors])  # type: ignore[attr-defined]
    assert np.array_equal(folds.score(rest).event, (rest.columns["j1_m"] * draws[rest.fold % 4]).astype(np.float32))


def test_an_interrupted_training_continues_with_the_same_result(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path
) -> None:
    sample = tiny[0]
    whole, _ = fit(sample, tmp_path)
    expected = whole.score(sample).event
    # as a kill would leave it: one fold missing, one half written under its temporary name
    (tmp_path / "fold-2" / "fold.json").unlink()
    half = tmp_path / ".fold-3-abc"
    (tmp_path / "fold-3").rename(half)
    Recorder.fitted = 0
    resumed, history = fit(sample, tmp_path)
    assert Recorder.fitted == 2
    assert np.array_equal(resumed.score(sample).event, expected)
    assert history.parts["0"].losses["loss"].shape == (1, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"fold-{i}" for i in range(4)]


@pytest.mark.parametrize("change", ["seed", "settings", "data", "weights"])
def test_finished_folds_count_only_for_the_same_training(
    tiny: tuple[Sample, np.ndarray], tmp_path: Path, change: str
) -> None:
    sample = tiny[0]
    fit(sample, tmp_path)
    Recorder.fitted = 0
    if change == "seed":
        fit(sample, tmp_path, seed=4)
    elif change == "settings":
        fit(sample, tmp_path, power=2.0)
    elif change == "data":
        fit(dataclasses.replace(sample, mass=sample.mass + 1), tmp_path)
    else:
        fit(dataclasses.replace(sample, weight=sample.weight * 2), tmp_path)
    assert Recorder.fitted == 4
    fit(sample, tmp_path)
    assert Recorder.fitted == 8


def test_saved_folds_score_the_same(tiny: tuple[Sample, np.ndarray], tmp_path: Path) -> None:
    folds, _ = fit(tiny[0])
    folds.save(tmp_path)
    loaded = CrossFit.load(tmp_path, Recorder)
    assert np.array_equal(loaded.score(tiny[0]).event, folds.score(tiny[0]).event)
    (tmp_path / "fold-1").rename(tmp_path / "fold-9")
    with pytest.raises(TrainingError, match="not hold a whole set of folds"):
        CrossFit.load(tmp_path, Recorder)


def test_progress_runs_from_zero_to_one_over_all_folds(tiny: tuple[Sample, np.ndarray]) -> None:
    reports: list[tuple[float, str]] = []
    folds = CrossFit(Recorder, 4)
    folds.fit(
        {"data": tiny[0]}, window=None, seeds=np.random.SeedSequence(1), progress=lambda f, t: reports.append((f, t))
    )
    fractions = [f for f, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert reports[0][1] == "fold 1 of 4: seen"


def test_errors_name_the_fold(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    column = np.where(sample.fold % 4 == 0, np.nan, sample.columns["j1_m"])
    with pytest.raises(TrainingError, match="training fold 1: column 'j1_m' is NaN"):
        fit(dataclasses.replace(sample, columns={**sample.columns, "j1_m": column}))


def test_whatever_a_detector_says_is_asked_out_of_fold(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    folds, _ = fit(sample)

    def say(detector: Detector, part: Sample) -> dict[str, np.ndarray]:
        scores = detector.score(part)
        return {"seen": scores.extras["seen"], "pair": scores.objects, "id": part.event_id}  # type: ignore[dict-item]

    said = folds.map(sample, say)
    scores = folds.score(sample)
    assert np.array_equal(said["id"], sample.event_id)
    assert np.array_equal(said["pair"], scores.objects)  # type: ignore[arg-type]
    assert not said["seen"].any()
    # simulation, which trained nothing here, goes by its hash; a fold without events is not asked
    few = sample.select(np.flatnonzero(sample.fold % 4 == 2)[:3])
    assert np.array_equal(folds.map(few, say)["id"], few.event_id)


def test_folds_that_count_unequal_numbers_of_members_have_none_in_common(
    tiny: tuple[Sample, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, _ = tiny
    folds, _ = fit(sample)
    for first, common in ((2, True), (1, False)):

        def score(self: Recorder, part: Sample, first: int = first) -> Scores:
            return Scores.from_members(np.ones((first if self is folds.detectors[0] else 2, len(part))))

        monkeypatch.setattr(Recorder, "score", score)
        members = folds.score(sample).members
        assert (members is not None) == common


def test_maps_that_do_not_fit_together_are_refused(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    folds, _ = fit(sample)
    with pytest.raises(TrainingError, match=r"'x' has 1 entries for the .* events of a fold"):
        folds.map(sample, lambda detector, part: {"x": np.zeros(1)})
    names = iter("abcd")
    with pytest.raises(TrainingError, match=r"different arrays: \['a'\] and \['b'\]"):
        folds.map(sample, lambda detector, part: {next(names): part.mass})
    with pytest.raises(TrainingError, match="no events"):
        folds.map(sample.select(np.zeros(0, int)), lambda detector, part: {"x": part.mass})
    with pytest.raises(TrainingError, match="not trained"):
        CrossFit(Recorder, 2).map(sample, lambda detector, part: {"x": part.mass})


def test_folds_train_in_workers_only_where_they_are_kept(tiny: tuple[Sample, np.ndarray]) -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(TrainingError, match="give a directory"):
        CrossFit(Recorder, 2).fit({"data": tiny[0]}, window=None, seeds=np.random.SeedSequence(1), executor=pool)


def test_one_fold_is_no_cross_fit_and_untrained_folds_do_not_score(tiny: tuple[Sample, np.ndarray]) -> None:
    with pytest.raises(TrainingError, match="at least 2 folds"):
        CrossFit(Recorder, 1)
    with pytest.raises(TrainingError, match="not trained"):
        CrossFit(Recorder, 2).score(tiny[0])
