"""Strengths of a term over the epochs of a training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import TrainingError
from ml.annealing import cyclic


def test_each_cycle_rises_from_nothing_and_stays() -> None:
    np.testing.assert_allclose(cyclic(10, cycles=1), [0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(cyclic(8, cycles=2), [0, 0.5, 1, 1] * 2)
    np.testing.assert_allclose(cyclic(4, cycles=2), [0, 1, 0, 1])
    np.testing.assert_allclose(cyclic(3, cycles=0), 1)


@given(st.integers(1, 10), st.integers(0, 50))
def test_every_schedule_begins_anew_as_often_as_asked_and_ends_at_the_full_strength(cycles: int, more: int) -> None:
    strengths = cyclic(2 * cycles + more, cycles=cycles)
    assert len(strengths) == 2 * cycles + more
    assert (strengths == 0).sum() == cycles
    assert strengths[0] == 0
    assert strengths[-1] == 1
    assert ((strengths >= 0) & (strengths <= 1)).all()
    assert (np.diff(strengths) < 0).sum() == cycles - 1


def test_cycles_of_one_epoch_are_refused() -> None:
    for epochs, cycles in ((3, 2), (5, -1)):
        with pytest.raises(TrainingError, match="at least two epochs each"):
            cyclic(epochs, cycles=cycles)
