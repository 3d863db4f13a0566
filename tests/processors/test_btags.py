"""b-tags by the nearest B hadron."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.btags import tag_b_jets

Direction = tuple[float, float]
DIRECTIONS = st.lists(st.tuples(st.floats(-2, 2), st.floats(-3.14, 3.14)), max_size=6)


def tags(
    jets: Sequence[Direction], hadrons: Sequence[Direction], *, present: Sequence[bool] | None = None
) -> list[bool]:
    directions = np.array(jets, dtype=float).reshape(1, -1, 2)
    other = np.array(hadrons, dtype=float).reshape(-1, 2)
    return tag_b_jets(
        directions[..., 0],
        directions[..., 1],
        np.ones((1, len(jets)), dtype=bool) if present is None else np.array([present]),
        hadron_offsets=np.array([0, len(other)]),
        hadron_eta=other[:, 0].copy(),
        hadron_phi=other[:, 1].copy(),
        radius=0.2,
    )[0].tolist()


@pytest.mark.parametrize(
    ("jets", "hadrons", "expected"),
    [
        ([(0, 0)], [(0.1, 0.1)], [True]),
        ([(0, 0)], [(0.15, 0.15)], [False]),
        ([(0, 3.1)], [(0, -3.1)], [True]),  # 0.083 apart across ±π
        ([(0, 0), (0.25, 0)], [(0.1, 0)], [True, False]),  # the nearer one only, although both are within 0.2
        ([(0, 0), (0.25, 0)], [(0.1, 0), (0.15, 0)], [True, True]),
        ([(0, 0), (0.25, 0)], [(0.01, 0), (0.02, 0)], [True, False]),
        ([(0, 0)], [], [False]),
        ([], [(0, 0)], []),
    ],
)
def test_nearest_hadron(jets: list[Direction], hadrons: list[Direction], expected: list[bool]) -> None:
    assert tags(jets, hadrons) == expected


def test_jets_that_do_not_count_take_no_tag() -> None:
    assert tags([(0, 0), (0.15, 0), (np.nan, np.nan)], [(0.02, 0)], present=[False, True, False]) == [
        False,
        True,
        False,
    ]


@given(jets=DIRECTIONS, hadrons=DIRECTIONS, seed=st.integers(0, 100))
def test_each_hadron_tags_one_jet_at_most_in_any_order(
    jets: list[Direction], hadrons: list[Direction], seed: int
) -> None:
    found = tags(jets, hadrons)
    assert sum(found) <= len(hadrons)
    order = np.random.default_rng(seed).permutation(len(hadrons))
    assert tags(jets, [hadrons[i] for i in order]) == found


def test_events_keep_to_their_own_hadrons() -> None:
    eta = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    found = tag_b_jets(
        eta,
        np.zeros((3, 2)),
        np.ones((3, 2), dtype=bool),
        hadron_offsets=np.array([0, 1, 1, 3]),
        hadron_eta=np.array([1.0, 0.0, 1.1]),
        hadron_phi=np.zeros(3),
        radius=0.2,
    )
    assert found.tolist() == [[False, True], [False, False], [True, True]]
