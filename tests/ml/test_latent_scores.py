"""Which end of a latent space is anomalous: the same for all members, and refused where there is no telling."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import TrainingError
from ml.latent_scores import SCORES, Orientation, oriented_sum, scores_of
from ml.latent_settings import default_orientation

EVENTS = 400
NAMES = ("j1_m", "j1_tau21", "j1_pt")


@pytest.fixture(scope="module")
def target() -> np.ndarray:
    return np.random.default_rng(0).normal(size=EVENTS)


@pytest.fixture(scope="module")
def weight() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.5, 2.0, EVENTS)


@given(scale=st.floats(0.01, 100).flatmap(lambda s: st.sampled_from([s, -s])), shift=st.floats(-10, 10))
def test_sign_scale_and_offset_of_a_members_latent_space_do_not_matter(scale: float, shift: float) -> None:
    random = np.random.default_rng(2)
    target, weight = random.normal(size=EVENTS), random.uniform(0.5, 2.0, EVENTS)
    z = (target + random.normal(size=EVENTS))[None, :, None]
    members = np.concatenate([z, scale * z + shift])
    coordinate = Orientation.fit(members, (members**2).sum(axis=2), target, weight).apply(members)
    np.testing.assert_allclose(coordinate[1], coordinate[0], atol=1e-8)


def test_coordinates_are_standard_deviations_towards_the_target(target: np.ndarray, weight: np.ndarray) -> None:
    random = np.random.default_rng(2)
    z = np.stack([3 - 5 * target + random.normal(size=EVENTS), 0.1 * target + random.normal(size=EVENTS)])[..., None]
    u = Orientation.fit(z, (z**2).sum(axis=2), target, weight).apply(z)
    assert np.average(u, axis=1, weights=weight) == pytest.approx([0, 0], abs=1e-12)
    assert np.average(u**2, axis=1, weights=weight) == pytest.approx([1, 1])
    assert all(np.cov(one, target, aweights=weight)[0, 1] > 0 for one in u)


def test_one_dimension_is_undone_by_hand(target: np.ndarray, weight: np.ndarray) -> None:
    z = (2.0 - 0.3 * target)[None, :, None]
    orientation = Orientation.fit(z, (z**2).sum(axis=2), target, weight)
    u = orientation.apply(z)
    back = (u * orientation.width[:, None] + orientation.mean[:, None]) / orientation.direction
    np.testing.assert_allclose(back, z[..., 0])


def test_of_several_dimensions_the_one_that_follows_the_target_counts(target: np.ndarray, weight: np.ndarray) -> None:
    """Dimensions in another order, mirrored, are the same latent space."""
    random = np.random.default_rng(3)
    other = random.normal(size=EVENTS)
    z = np.stack([target, other], axis=1)
    members = np.stack([z, np.stack([-other, -target], axis=1), z @ [[0.6, 0.8], [-0.8, 0.6]]])
    orientation = Orientation.fit(members, (members**2).sum(axis=2), target, weight)
    u = orientation.apply(members)
    np.testing.assert_allclose(u[1:], np.stack([u[0], u[0]]), atol=1e-9)
    assert np.corrcoef(u[0], target)[0, 1] > 0.98
    assert orientation.direction.shape == (3, 2)


def test_later_events_are_measured_by_the_training_events(target: np.ndarray, weight: np.ndarray) -> None:
    z = target[None, :, None]
    orientation = Orientation.from_dict(
        json.loads(json.dumps(Orientation.fit(z, (z**2).sum(axis=2), target, weight).to_dict()))
    )
    u = orientation.apply(z)
    np.testing.assert_allclose(orientation.apply(z[:, 5:8]), u[:, 5:8])
    assert u[0, np.argmax(target)] == u.max()


def test_a_collapsed_member_is_unknown_and_leaves_the_others_what_they_are(
    target: np.ndarray, weight: np.ndarray
) -> None:
    z = np.stack([target, np.full(EVENTS, 0.7), -target])[..., None]
    found = Orientation.fit(z, (z**2).sum(axis=2), target, weight)
    alone = Orientation.fit(z[::2], (z[::2] ** 2).sum(axis=2), target, weight)
    text = json.dumps(found.to_dict(), allow_nan=False)
    for one in (found, Orientation.from_dict(json.loads(text))):
        assert one.known.tolist() == [True, False, True]
        assert one.counted("coordinate").tolist() == one.counted("oriented_kl").tolist() == [True, False, True]
        assert one.counted("kl").all()
        assert np.isnan(one.apply(z)[1]).all()
        np.testing.assert_allclose(one.apply(z)[::2], alone.apply(z[::2]), atol=1e-12)
        np.testing.assert_allclose(one.kl_alignment[::2], alone.kl_alignment)


def test_an_ensemble_that_collapsed_as_a_whole_is_refused(target: np.ndarray, weight: np.ndarray) -> None:
    z = np.full((2, EVENTS, 1), 0.7)
    with pytest.raises(TrainingError, match="the latent space of none of 2 members depends on the events"):
        Orientation.fit(z, (z**2).sum(axis=2), target, weight)


def test_a_feature_that_falls_counts_with_the_other_sign_and_each_in_units_of_its_width() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 3)) * [100, 0.1, 500]
    width = x.std(axis=0)
    expected = x[:, 0] / width[0] - x[:, 1] / width[1]
    for scale in ([1, 1, 1], [1, 1000, 7]):
        total = oriented_sum(x * scale, NAMES, ("j1_m", "-j1_tau21"), weight=np.ones(50))
        np.testing.assert_allclose(total, expected)
    assert default_orientation(NAMES) == ("j1_m", "-j1_tau21")
    assert default_orientation(("mass", "tau21", "j2_tau32", "j2_m")) == ("-j2_tau32", "j2_m")


def test_widths_are_those_of_the_events_that_count() -> None:
    x = np.random.default_rng(0).normal(size=(60, 1)) * 3.0
    weight = np.repeat([2.0, 1.0, 0.0], 20)
    copies = np.concatenate([x[:20], x[:40]])
    np.testing.assert_allclose(oriented_sum(x, ("j1_m",), ("j1_m",), weight=weight), x[:, 0] / copies.std())


def test_features_that_nobody_can_orient_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"none of the features \['j1_pt'\] is known to grow or fall"):
        oriented_sum(np.ones((5, 1)), ("j1_pt",), default_orientation(("j1_pt",)), weight=np.ones(5))


def test_every_score_is_made_of_the_terms(target: np.ndarray, weight: np.ndarray) -> None:
    z = np.stack([target, -target])[..., None]
    terms = {"mean": z, "log_variance": 0 * z, "kl": np.abs(z[..., 0]), "reconstruction": z[..., 0] ** 2}
    orientation = Orientation.fit(z, (z**2).sum(axis=2), target, weight)
    scores = scores_of(terms, orientation, alpha=10.0)
    assert tuple(scores) == SCORES
    assert np.array_equal(scores["kl"], terms["kl"])
    assert np.array_equal(scores["reconstruction"], terms["reconstruction"])
    np.testing.assert_allclose(scores["elbo"], 10 * z[..., 0] ** 2 + np.abs(z[..., 0]))
    assert np.array_equal(scores["coordinate"], orientation.apply(z))


def test_alignment_tells_a_coordinate_that_follows_something_else(target: np.ndarray, weight: np.ndarray) -> None:
    other = np.random.default_rng(5).normal(size=EVENTS)
    members = np.stack([-target, target + 10 * other])[:, :, None]
    alignment = Orientation.fit(members, (members**2).sum(axis=2), target, weight).alignment
    assert alignment[0] == pytest.approx(1, abs=1e-9)
    expected = np.cov(members[1, :, 0], target, aweights=weight)
    assert alignment[1] == pytest.approx(abs(expected[0, 1]) / np.sqrt(expected[0, 0] * expected[1, 1]), rel=1e-6)
    assert alignment[1] < 0.3
