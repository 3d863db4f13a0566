"""Scores along a training: one continuous training, measured as the detector measures, blind to the truth."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest

from ml import Sample, TrainingError, child_seed
from ml.latent_scores import SCORES
from ml.latent_settings import LatentVAESettings
from ml.metrics import auc, background_rejection
from ml.training import Trainer
from ml.trajectories import LOSSES, Trajectory, trajectory
from tests.ml.conftest import FEATURES

SEEDS = np.random.SeedSequence(7)
SETTINGS = LatentVAESettings(features=FEATURES, members=2, hidden=(8,), batch_size=250, alpha=300.0, steps=40, point=20)
Found = tuple[Trajectory, list[tuple[float, str]]]


def follow(tiny: tuple[Sample, np.ndarray], **arguments: Any) -> Trajectory:
    sample, truth = tiny
    chosen: dict[str, Any] = {"seeds": SEEDS, "steps": 72, "point": 24, "probe": sample, "truth": truth} | arguments
    return trajectory(chosen.pop("settings", SETTINGS), sample, **chosen)


@pytest.fixture(scope="module")
def found(tiny: tuple[Sample, np.ndarray]) -> Found:
    calls: list[tuple[float, str]] = []
    return follow(tiny, progress=lambda fraction, text: calls.append((fraction, text))), calls


def test_every_point_has_every_figure_for_every_member(found: Found) -> None:
    """3060 events are 12 batches of 250 an epoch."""
    line, calls = found
    assert line.steps.tolist() == [24, 48, 72]
    assert line.optimizer == "adam"
    assert set(line.losses) == set(LOSSES)
    assert set(line.auc) == set(line.rejection) == set(SCORES)
    for table in (line.losses, line.auc, line.rejection):
        assert all(values.shape == (3, 2) and np.isfinite(values).all() for values in table.values())
    np.testing.assert_allclose(line.losses["loss"], 300 * line.losses["reconstruction"] + line.losses["kl"], rtol=1e-5)
    assert (line.losses["loss"][-1] < line.losses["loss"][0]).all()
    assert [fraction for fraction, _ in calls] == pytest.approx([1 / 3, 2 / 3, 1])
    assert calls[-1][1] == "72 of 72 steps"


def test_it_survives_json(found: Found) -> None:
    line = found[0]
    broken = dataclasses.replace(line, auc=line.auc | {"coordinate": np.full((3, 2), np.nan)})
    for one in (line, broken):
        back = Trajectory.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
        assert back.optimizer == one.optimizer
        assert np.array_equal(back.steps, one.steps)
        for name in ("losses", "auc", "rejection"):
            own, other = getattr(one, name), getattr(back, name)
            assert list(own) == list(other)
            assert all(np.array_equal(own[key], other[key], equal_nan=True) for key in own)


def test_truth_measures_and_does_nothing_else(tiny: tuple[Sample, np.ndarray], found: Found) -> None:
    sample, truth = tiny
    blind = follow((dataclasses.replace(sample, category=truth), truth), truth=None)
    assert blind.auc == blind.rejection == {}
    flipped = follow(tiny, truth=1 - truth)
    for name in LOSSES:
        assert np.array_equal(blind.losses[name], found[0].losses[name])
        assert np.array_equal(flipped.losses[name], found[0].losses[name])
    enriched = follow(tiny, probe=sample.select(truth == 1).select(np.arange(50)), truth=None)
    assert all(np.array_equal(enriched.losses[name], blind.losses[name]) for name in LOSSES)
    for name in SCORES:  # a score that would be turned by the truth could not follow it
        np.testing.assert_allclose(flipped.auc[name], 1 - found[0].auc[name], atol=1e-9)


def test_figures_are_those_of_the_trained_ensemble(tiny: tuple[Sample, np.ndarray], monkeypatch: Any) -> None:
    """What is written down at a point is what the parameters of that point score on the probe, its weights counted."""
    from ml import trajectories

    sample, truth = tiny
    kept: list[Any] = []
    original = trajectories._Training.train

    def train(self: Any, number: int, epochs: int) -> dict[str, np.ndarray]:
        losses = original(self, number, epochs)
        kept.append((self._parameters, self.scaler))
        return losses

    monkeypatch.setattr(trajectories._Training, "train", train)
    rows = np.arange(500, 1700)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(rows))
    probe = dataclasses.replace(sample.select(rows), weight=weight)
    line = follow(tiny, steps=48, probe=probe, truth=truth[rows])
    for number, (parameters, scaler) in enumerate(kept):
        terms = SETTINGS.network.terms(parameters, scaler.apply(probe.features(FEATURES)))
        for member in range(2):
            kl = terms["kl"][member]
            assert line.auc["kl"][number, member] == auc(kl, truth[rows], weight=weight).value
            expected = background_rejection(kl, truth[rows], 0.5, weight=weight).value
            assert line.rejection["kl"][number, member] == expected
    assert len(kept) == 2


def test_stretches_are_one_training(tiny: tuple[Sample, np.ndarray], monkeypatch: Any) -> None:
    """Each starts where the last one ended, optimiser included, and draws its own order and random numbers."""
    calls: list[dict[str, Any]] = []
    original = Trainer.fit

    def fit(self: Trainer, initial: Any, data: Any, **arguments: Any) -> Any:
        held = bool(arguments["state"].shards)
        found = original(self, initial, data, **arguments)
        calls.append({"initial": initial, "held": held, "found": found[0], **arguments})
        return found

    monkeypatch.setattr(Trainer, "fit", fit)
    follow(tiny)
    members = [child_seed(SEEDS, member) for member in range(2)]
    start = SETTINGS.network.initial([child_seed(seed, 0) for seed in members])
    assert all(
        np.array_equal(a, b) for name in start for a, b in zip(start[name], calls[0]["initial"][name], strict=True)
    )
    assert [call["held"] for call in calls] == [False, True, True]
    assert all(call["state"] is calls[0]["state"] for call in calls)
    assert all(later["initial"] is earlier["found"] for earlier, later in itertools.pairwise(calls))
    drawn = {tuple(seed.generate_state(2)) for call in calls for seed in call["seeds"]}
    assert len(drawn) == 6


def test_steps_are_rounded_to_points_and_those_to_epochs(tiny: tuple[Sample, np.ndarray]) -> None:
    assert follow(tiny, steps=41, point=2, truth=None).steps.tolist() == [12, 24, 36]


def test_a_member_that_collapsed_has_no_coordinate(tiny: tuple[Sample, np.ndarray], monkeypatch: Any) -> None:
    encode = type(SETTINGS.network).encode

    def flat(self: Any, parameters: Any, x: np.ndarray) -> Any:
        mean, log_variance = encode(self, parameters, x)
        mean = mean.copy()
        mean[1] = 0.7
        return mean, log_variance

    monkeypatch.setattr(type(SETTINGS.network), "encode", flat)
    line = follow(tiny, steps=24)
    for table in (line.auc, line.rejection):
        assert np.isnan(table["coordinate"]).tolist() == [[False, True]]
        assert np.isfinite(table["kl"]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"point": 0}, "a point must be at least 1 step and at most all of them: got 0 of 72"),
        ({"point": 73}, "got 73 of 72"),
        ({"truth": np.ones(3060, dtype=int)}, "no background"),
        ({"truth": np.arange(5) % 2}, "lengths differ"),
        ({"settings": dataclasses.replace(SETTINGS, batch_size=5000)}, "less than one batch of 5000"),
    ],
)
def test_what_could_not_be_measured_is_refused_before_the_training(
    tiny: tuple[Sample, np.ndarray], monkeypatch: Any, wrong: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("ml.trajectories.trainer_for", None)
    with pytest.raises(TrainingError, match=message):
        follow(tiny, **wrong)
    with pytest.raises(TrainingError, match="the probe sample has no events"):
        follow(tiny, probe=tiny[0].select(np.zeros(0, dtype=int)), truth=None)
