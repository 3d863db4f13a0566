"""The rule that keeps the top of a peak, on curves made for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml import TrainingError
from ml.stopping import PeakStopping

RISE_AND_FALL = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


def run(curves: np.ndarray, *, rise: int = 5, fall: int = 5, every: int = 1) -> tuple[PeakStopping, np.ndarray]:
    """The rule after curves (epochs, members), and in how many epochs each member was trained."""
    rule = PeakStopping(curves.shape[1], rise=rise, fall=fall, every=every)
    trained = np.zeros(curves.shape[1], dtype=int)
    for epoch, losses in enumerate(curves):
        trained += rule.active
        rule.update(epoch, losses)
    return rule, trained


def alone(curve: list[float], **arguments: int) -> tuple[bool, int, int]:
    """Whether the peak was seen, the epoch kept, and the epochs trained, of one member."""
    rule, trained = run(np.array(curve)[:, None], **arguments)
    assert bool(rule.active[0]) != bool(rule.peaked[0])
    return bool(rule.peaked[0]), int(rule.best_epoch[0]), int(trained[0])


def test_five_up_and_five_down_are_a_peak_and_its_top_is_kept() -> None:
    assert alone([*RISE_AND_FALL, 9.0, 99.0]) == (True, 5, 11)  # what would come after the stop does not count


@pytest.mark.parametrize("short", [{"rise": 6}, {"fall": 6}])
def test_a_rise_or_a_fall_that_is_too_short_is_no_peak(short: dict[str, int]) -> None:
    assert not alone(RISE_AND_FALL, **short)[0]


def test_a_high_start_that_falls_before_the_rise_is_no_peak() -> None:
    start = [90.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0]
    assert alone([*start, *RISE_AND_FALL]) == (True, len(start) + 5, len(start) + len(RISE_AND_FALL))


def test_without_a_fall_the_highest_point_since_the_rise_is_kept() -> None:
    assert alone([9.0, *RISE_AND_FALL[:6], 4.5, 4.8]) == (False, 6, 9)


def test_without_a_rise_the_last_weights_are_kept() -> None:
    assert alone([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.4]) == (False, 6, 7)
    assert alone([5.0, 5.0, 5.0]) == (False, 2, 3)


def test_noise_in_the_rise_or_in_the_fall_starts_its_run_again() -> None:
    broken_rise = [0.0, 1.0, 2.0, 1.5, 2.5, 3.5, 4.5, 3.5, 2.5, 1.5, 0.5, 0.0]  # never five in a row
    assert not alone(broken_rise)[0]
    broken_fall = [*RISE_AND_FALL[:9], 2.5, 2.0, 1.5, 1.0]  # three down, one up, three down
    assert alone(broken_fall) == (False, 5, 13)
    assert alone([*broken_fall, 0.5, 0.0]) == (True, 5, 15)


def test_a_level_step_is_neither_up_nor_down() -> None:
    assert not alone([0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, *RISE_AND_FALL[6:]])[0]


def test_a_second_top_that_is_higher_replaces_the_first() -> None:
    assert alone([*RISE_AND_FALL[:8], 4.0, 5.5, 5.0, 4.0, 3.0, 2.0, 1.0]) == (True, 9, 15)


@given(
    curves=arrays(float, (30, 3), elements=st.floats(0, 10, width=16)), rise=st.integers(1, 3), fall=st.integers(1, 3)
)
def test_members_do_not_know_of_each_other(curves: np.ndarray, rise: int, fall: int) -> None:
    together, trained = run(curves, rise=rise, fall=fall)
    for member in range(3):
        single, epochs = run(curves[:, [member]], rise=rise, fall=fall)
        assert together.best_epoch[member] == single.best_epoch[0]
        assert together.peaked[member] == single.peaked[0]
        assert trained[member] == epochs[0]


@given(
    curve=arrays(float, st.integers(1, 25), elements=st.floats(0, 10, width=16)),
    rise=st.integers(1, 3),
    every=st.integers(1, 4),
)
def test_some_epoch_that_was_trained_is_always_kept(curve: np.ndarray, rise: int, every: int) -> None:
    rule = PeakStopping(1, rise=rise, fall=2, every=every)
    kept = []
    for epoch, loss in enumerate(curve):
        if rule.update(epoch, np.array([loss]))[0]:
            kept.append(epoch)
        if epoch == 0:
            assert kept == [0]
        if not rule.active.any():
            break
    assert rule.best_epoch[0] == kept[-1]  # what the engine holds is what the rule says it holds


def test_losses_between_two_points_do_not_count() -> None:
    points = np.array(RISE_AND_FALL)
    curve = np.stack([np.full(11, 77.0), np.zeros(11), points], axis=1).ravel()  # every third epoch is a point
    assert alone(curve.tolist(), every=3) == (True, 3 * 5 + 2, 33)
    assert alone([5.0, 4.0, 3.0], every=5) == (False, 2, 3)  # no point yet: the last weights


@pytest.mark.parametrize("wrong", [{"rise": 0}, {"fall": 0}, {"every": 0}])
def test_impossible_rules_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="rise, fall and every must be at least 1"):
        PeakStopping(1, **wrong)
