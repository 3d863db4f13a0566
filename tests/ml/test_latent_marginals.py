"""Marginal ratios and pulls of medians against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ml import TrainingError
from ml.latent_marginals import marginals, median_pulls


def test_marginals_of_a_known_grid() -> None:
    """O = (1 + u)·m: the ratio does not see the average over u; of u·m + m² with ⟨u⟩ = 1 it does."""
    u, m = np.linspace(0, 2, 5), np.array([1.0, 2.0, 3.0])
    grid = np.stack([(1 + u[:, None]) * m, u[:, None] * m + m**2], axis=-1)[None]
    ratio, average = marginals(grid, u), m + m**2
    np.testing.assert_allclose(ratio[0, :, 0], m / 2)
    np.testing.assert_allclose(ratio[0, :, 1], average / average.mean())


def test_marginals_do_not_depend_on_where_the_coordinates_lie_dense() -> None:
    """A plain average over u is one over the coordinate, not over the points that happen to stand there."""
    m = np.linspace(1.0, 2.0, 4)
    ratios = []
    for u in (np.linspace(0, 1, 400), np.linspace(0, 1, 400) ** 2):
        ratios.append(marginals((u[:, None] + m)[None, :, :, None], u)[0, :, 0])
    np.testing.assert_allclose(ratios[0], ratios[1], rtol=1e-3)


@pytest.mark.parametrize(
    ("u", "message"), [(np.linspace(0, 1, 4), "does not fit"), (np.array([0.0, 0.0, 1.0]), "ascend")]
)
def test_marginals_refuse(u: np.ndarray, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        marginals(np.ones((1, 3, 2, 1)), u)


def test_members_that_are_not_known_are_named() -> None:
    grid = np.ones((4, 3, 2, 1))
    grid[[1, 3], 0] = np.nan
    with pytest.raises(TrainingError, match=r"the grid of the members \[1, 3\] is NaN"):
        marginals(grid, np.linspace(0, 1, 3))


def test_a_feature_that_averages_to_0_has_no_marginal_ratio() -> None:
    grid = np.array([[[[-1.0], [1.0]]] * 3])
    with pytest.raises(TrainingError, match="averages to 0"):
        marginals(grid, np.linspace(0, 1, 3))


def test_median_pulls_of_known_shifts() -> None:
    x = np.random.default_rng(1).normal([5.0, -2.0], [2.0, 0.5], (2000, 2))
    shifted = np.stack([x, x + x.std(axis=0)])
    np.testing.assert_allclose(median_pulls(x, shifted), [[0, 0], [1, 1]], atol=1e-12)
    with pytest.raises(TrainingError, match="shape"):
        median_pulls(x, x)
    with pytest.raises(TrainingError, match="number 1 is constant"):
        median_pulls(x * [1, 0], shifted)
