"""Scores of jets and of their events."""

from __future__ import annotations

import numpy as np

from ml.jet_scores import SCORES, combined, mean_squared_sum, network_scores


def test_scores_are_made_of_their_terms() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 8)).astype(np.float32)
    terms = {"reconstruction": rng.uniform(0, 1, (2, 5)).astype(np.float32), "kl": rng.uniform(0, 9, (2, 5))}
    found = network_scores(terms, x, latent=3, beta=0.1)
    assert tuple(found) == SCORES
    np.testing.assert_allclose(found["kl"], terms["kl"] / 3)
    np.testing.assert_allclose(found["nll"], terms["reconstruction"] + terms["kl"] / 3)
    np.testing.assert_allclose(found["beta_nll"], terms["reconstruction"] + 0.1 * terms["kl"] / 3)
    np.testing.assert_allclose(found["mss"], np.broadcast_to((x.astype(float) ** 2).mean(axis=1), (2, 5)))


def test_the_mean_squared_sum_of_unit_gaussians_is_a_chi_squared() -> None:
    found = mean_squared_sum(np.random.default_rng(2).normal(size=(20_000, 10)))
    np.testing.assert_allclose([found.mean(), found.var()], [1, 2 / 10], rtol=0.05)


def test_events_take_the_mean_the_highest_or_the_lowest_of_their_jets() -> None:
    jets = np.array([[[1.0, 3.0], [5.0, 4.0]]])
    np.testing.assert_array_equal(combined(jets, "mean"), [[2.0, 4.5]])
    np.testing.assert_array_equal(combined(jets, "max"), [[3.0, 5.0]])
    np.testing.assert_array_equal(combined(jets, "min"), [[1.0, 4.0]])
