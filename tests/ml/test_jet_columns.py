"""What an epoch trains on."""

from __future__ import annotations

import numpy as np

from ml.jet_columns import MASS_UNIT, JetColumns, Outliers, split
from ml.jet_inputs import JetInputs
from ml.jet_losses import JetLoss

SEEDS = np.random.SeedSequence(1)
ROWS = np.array([4, 0, 7])


def inputs(n: int, *, start: int = 0) -> JetInputs:
    x = np.arange(start, start + n, dtype=np.float32)[:, None]
    return JetInputs(x, np.linspace(0.5, 1.5, n), 10.0 * np.arange(n))


def test_jets_train_or_validate_and_never_both() -> None:
    training, validation = split(101, 0.2, SEEDS)
    assert len(validation) == 20
    np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(101))
    np.testing.assert_array_equal(split(101, 0.2, SEEDS)[0], training)
    assert (split(101, 0.2, np.random.SeedSequence(2))[0] != training).any()


def test_columns_are_those_of_the_rows_and_of_the_epoch() -> None:
    columns = JetColumns(inputs(9), ROWS, JetLoss(0.1, "disco", 5.0), (0.0, 0.25), None, SEEDS)
    (found,) = columns(1)
    assert set(found) == {"x", "weight", "mass", "strength"}
    np.testing.assert_array_equal(found["x"][:, 0], ROWS)
    np.testing.assert_allclose(found["mass"] * MASS_UNIT, 10 * ROWS)
    np.testing.assert_array_equal(found["strength"], 0.25)
    plain = JetColumns(inputs(9), ROWS, JetLoss(0.1), (1.0,), None, SEEDS).at(0)
    assert set(plain) == {"x", "weight"}


def test_outliers_are_drawn_anew_each_epoch_by_their_odds() -> None:
    outliers = Outliers(inputs(4, start=100), np.array([0.0, 1.0, 3.0, 0.0]))
    rows = np.arange(2000)
    columns = JetColumns(inputs(2000), rows, JetLoss(0.1, "kl_oe", 2.0), (1.0, 1.0), outliers, SEEDS)
    first, second = (columns.at(epoch)["exposed"][:, 0] for epoch in (0, 1))
    assert set(first) == {101.0, 102.0}
    np.testing.assert_allclose((first == 102).mean(), 0.75, atol=0.05)
    assert (first != second).any()
    np.testing.assert_array_equal(columns.at(0)["exposed"][:, 0], first)
