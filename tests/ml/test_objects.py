"""Two objects of every event, and the ranks of their scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit

from ml import Sample, TrainingError
from ml.objects import CombinationName, Percentiles, event_names, jet_names, joint_score, objects_of


def events(**columns: np.ndarray) -> Sample:
    count = len(next(iter(columns.values())))
    return Sample(
        columns={name: np.asarray(column, float) for name, column in columns.items()},
        mass=np.arange(count) + 3000.0,
        weight=np.ones(count),
        fold=np.arange(count),
        event_id=np.arange(count),
    )


PAIRS = events(
    j1_m=[500.0, 400.0, 300.0, 200.0],
    j2_m=[100.0, 120.0, 300.0, 250.0],
    j1_pt=[1500.0, 1300.0, 1400.0, 1250.0],
    j2_pt=[1400.0, 1450.0, 1400.0, 1200.0],
)


@pytest.mark.parametrize(
    ("order", "first", "second"),
    [
        ("pt", [500, 120, 300, 200], [100, 400, 300, 250]),
        ("mass", [500, 400, 300, 250], [100, 120, 300, 200]),
    ],
)
def test_objects_are_ordered_event_by_event(order: str, first: list[float], second: list[float]) -> None:
    """Public code orders a whole batch by its last event."""
    for rows in (np.arange(4), np.array([3, 0, 1]), np.array([1]), np.array([0])):
        objects = objects_of(PAIRS.select(rows), ("m", "pt"), order=order)  # type: ignore[arg-type]
        assert objects[0].columns["jet_m"].tolist() == np.array(first)[rows].tolist()
        assert objects[1].columns["jet_m"].tolist() == np.array(second)[rows].tolist()


def test_an_object_keeps_its_quantities_together_and_its_event() -> None:
    objects = objects_of(PAIRS, ("m", "pt"), order="pt")
    assert [list(zip(o.columns["jet_m"], o.columns["jet_pt"], strict=True))[1] for o in objects] == [
        (120.0, 1450.0),
        (400.0, 1300.0),
    ]
    for own in objects:
        assert own.columns.keys() == {"jet_m", "jet_pt"}
        assert np.array_equal(own.mass, PAIRS.mass)
        assert np.array_equal(own.event_id, PAIRS.event_id)


def test_what_orders_must_be_there() -> None:
    with pytest.raises(TrainingError, match="ordered by pt need 'pt' of each jet"):
        objects_of(PAIRS, ("m",), order="pt")
    with pytest.raises(TrainingError, match="no feature 'j1_tau21'"):
        objects_of(PAIRS, ("pt", "tau21"), order="pt")
    assert event_names(("m", "pt")) == ("j1_m", "j1_pt", "j2_m", "j2_pt")
    assert jet_names(("m",)) == ("jet_m",)


def test_percentiles_are_shares_of_what_scores_lower() -> None:
    table = Percentiles.fit(np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(table.apply(np.array([1.0, 2.0, 4.0])), [0.125, 0.5, 0.875])
    weighted = Percentiles.fit(np.array([1.0, 2.0, 4.0, 9.0]), np.array([1.0, 2.0, 1.0, 0.0]))
    assert np.array_equal(weighted.scores, table.scores)
    assert np.array_equal(weighted.levels, table.levels)


def test_a_long_table_is_exact_in_the_tail() -> None:
    scores = np.random.default_rng(0).exponential(size=200_000).astype(np.float32)
    table = Percentiles.fit(scores, np.ones(len(scores)))
    assert len(table.scores) <= 2002
    place = table.apply(scores)
    true = (np.argsort(np.argsort(scores)) + 0.5) / len(scores)
    np.testing.assert_allclose(place, true, atol=2e-4)
    top = np.argsort(scores)[-20:]
    np.testing.assert_allclose((1 - place[top]) * len(scores), np.arange(20)[::-1] + 0.5, rtol=0.02)


@given(
    hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-100, 100, width=32)),
    st.floats(1e-3, 50),
)
def test_percentiles_rise_strictly_also_beyond_the_training(scores: np.ndarray, step: float) -> None:
    """So that events above anything in the training still have an order."""
    table = Percentiles.fit(scores, np.ones(len(scores)))
    beyond = scores.max().astype(float) + step * np.arange(1, 6)
    probe = np.concatenate([scores.min().astype(float) - step * np.arange(5, 0, -1), np.unique(scores), beyond])
    place = table.apply(probe)
    assert (np.diff(place) > 0).all()
    assert place[0] > 0
    assert place[-1] < 1
    again = Percentiles.from_dict(json.loads(json.dumps(table.to_dict())))
    assert np.array_equal(again.apply(probe), place)


def test_the_rarest_events_are_told_apart_in_single_precision() -> None:
    """The event's score is one: the top 10⁻⁴ and what lies above all of the training keep their order."""
    scores = np.random.default_rng(0).random(100_000)
    table = Percentiles.fit(scores, np.ones(100_000))
    rarest = np.sort(scores)[-100:]
    assert (np.diff(table.apply(rarest).astype(np.float32)) > 0).all()
    assert (np.diff(table.apply(np.linspace(1.0, 2.0, 8)).astype(np.float32)) > 0).all()


def test_percentiles_of_nothing_are_refused() -> None:
    with pytest.raises(TrainingError, match="positive sum"):
        Percentiles.fit(np.ones(3), np.zeros(3))
    with pytest.raises(TrainingError, match="1 scores are not finite"):
        Percentiles.fit(np.array([1.0, np.nan]), np.ones(2))


def test_both_objects_are_above_the_percentile_of_their_event() -> None:
    places = np.random.default_rng(1).uniform(size=(2, 1000))
    joint = joint_score(places, places, combination="both")
    for level in (0.5, 0.9):
        assert np.array_equal(joint > level, (places > level).all(axis=0))


def test_odds_of_perfect_classifiers_order_events_by_their_likelihood_ratio() -> None:
    """Of normal features shifted by d the logarithm of the likelihood ratio is d·x − d²/2; both objects' add up."""
    x, shifts = np.random.default_rng(2).normal(size=(2, 1000)), np.array([[1.0], [0.5]])
    ratios = shifts * x - shifts**2 / 2
    joint = joint_score(x, expit(ratios), combination="odds")
    np.testing.assert_allclose(joint, ratios.sum(axis=0), rtol=1e-6)


def test_odds_of_certain_classifiers_are_finite() -> None:
    assert joint_score([np.ones(2)] * 2, [np.array([0.0, 1.0])] * 2, combination="odds") == pytest.approx(
        [-32.2, 32.2], 0.01
    )


@pytest.mark.parametrize("combination", ["both", "odds"])
@given(places=hnp.arrays(np.float64, (2, 4), elements=st.floats(0.001, 0.999)), step=st.floats(0, 0.0005))
def test_joint_scores_never_fall_with_either_object(
    combination: CombinationName, places: np.ndarray, step: float
) -> None:
    joint = joint_score(places, places, combination=combination)
    higher = places + np.array([[step], [0]])
    assert (joint_score(higher, higher, combination=combination) >= joint).all()
    np.testing.assert_allclose(joint_score(places[::-1], places[::-1], combination=combination), joint)
