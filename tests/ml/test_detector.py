"""Samples, scores and histories refuse what cannot be trained on."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from ml import History, Sample, Scores, TrainingError, Window, child_seed


def test_a_column_of_another_length_is_named(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    with pytest.raises(TrainingError, match=r"'j1_m' has shape \(5,\)"):
        dataclasses.replace(sample, columns={**sample.columns, "j1_m": np.zeros(5)})


def test_nan_is_counted_and_named(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = tiny[0]
    column = sample.columns["j2_m"].copy()
    column[[7, 9]] = np.nan
    with pytest.raises(TrainingError, match=r"'j2_m' is NaN or infinite in 2 of 3060 events \(first at row 7\)"):
        dataclasses.replace(sample, columns={**sample.columns, "j2_m": column}).features(["j1_m", "j2_m"])


def test_a_missing_feature_suggests_the_nearest_name(tiny: tuple[Sample, np.ndarray]) -> None:
    with pytest.raises(TrainingError, match=r"no feature 'j1_tau12': did you mean 'j1_tau21'"):
        tiny[0].features(["j1_tau12"])


@pytest.mark.parametrize("field", ["mass", "weight"])
def test_masses_and_weights_are_checked_at_once(tiny: tuple[Sample, np.ndarray], field: str) -> None:
    with pytest.raises(TrainingError, match=f"'{field}' is NaN"):
        dataclasses.replace(tiny[0], **{field: np.full(len(tiny[0]), np.nan)})


def test_selecting_keeps_columns_rows_and_batches_together(tiny: tuple[Sample, np.ndarray]) -> None:
    sample = dataclasses.replace(tiny[0], batch=lambda rows: tiny[0].event_id[rows])
    chosen = sample.select(sample.mass > 3500)
    assert np.array_equal(chosen.columns["j1_m"], sample.columns["j1_m"][sample.mass > 3500])
    assert chosen.batch is not None
    rows = np.array([3, 0])
    assert np.array_equal(chosen.batch(rows), chosen.event_id[rows])


def test_digest_changes_with_any_value_but_labels_only_when_asked(tiny: tuple[Sample, np.ndarray]) -> None:
    sample, truth = tiny
    labelled = dataclasses.replace(sample, category=truth)
    moved = dataclasses.replace(sample, columns={**sample.columns, "j1_m": sample.columns["j1_m"] + 1e-9})
    assert sample.digest(labels=False) == labelled.digest(labels=False) != moved.digest(labels=False)
    assert sample.digest(labels=True) != labelled.digest(labels=True)


@pytest.mark.parametrize(
    ("signal", "sidebands", "message"),
    [((3.0, 2.0), ((0.0, 1.0),), "is empty"), ((1.0, 3.0), ((2.0, 4.0),), "overlap"), ((1.0, 2.0), (), "at least one")],
)
def test_impossible_windows_are_refused(signal: tuple[float, float], sidebands: tuple, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Window(signal=signal, sidebands=sidebands)


def test_bands_are_half_open(window: Window) -> None:
    mass = np.array([2899.0, 2900.0, 3300.0, 3699.9, 3700.0, 4300.0])
    assert window.in_signal(mass).tolist() == [False, False, True, True, False, False]
    assert window.sideband_index(mass).tolist() == [-1, 0, -1, -1, 1, -1]


def test_member_scores_average_and_spread() -> None:
    scores = Scores.from_members(np.array([[0.1, 0.5], [0.3, 0.5]]))
    assert scores.event == pytest.approx([0.2, 0.5])
    assert scores.spread == pytest.approx([np.std([0.1, 0.3], ddof=1), 0])
    assert scores.members is not None
    assert scores.members.shape == (2, 2)
    with pytest.raises(TrainingError, match="1 of 2 scores of member 1 are not finite"):
        Scores.from_members(np.array([[0.1, 0.5], [np.nan, 0.5]]))


def test_history_survives_json() -> None:
    part = History(losses={"loss": np.array([[1.0, np.nan]])}, best_epoch=np.array([0, 0]), seconds=1.5)
    whole = History(parts={"0": part})
    back = History.from_dict(json.loads(json.dumps(whole.to_dict(), allow_nan=False)))
    assert np.array_equal(back.parts["0"].losses["loss"], part.losses["loss"], equal_nan=True)


def test_child_seeds_depend_on_the_key_alone() -> None:
    seeds = np.random.SeedSequence(4)
    first = child_seed(seeds, 2, 1)
    seeds.spawn(3)
    assert child_seed(seeds, 2, 1).generate_state(2).tolist() == first.generate_state(2).tolist()
    assert child_seed(seeds, 1, 2).generate_state(2).tolist() != first.generate_state(2).tolist()


def test_importing_the_package_loads_no_tensorflow() -> None:
    code = "import sys, ml, ml.cwola, ml.metrics, ml.selection; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
