"""Pseudo-data hold what the mixture asks for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.config import Mixture, WindowSettings
from analysis.errors import StageError
from analysis.events import Events, count_mixture, mix

WINDOW = WindowSettings(signal=(3300.0, 3700.0))


def events(size: int, *, mass: float, truth: int, file_id: int, weight: float = 1.0) -> Events:
    rng = np.random.default_rng(file_id)
    return Events(
        {
            "mjj": rng.normal(mass, 300.0, size),
            "weight": np.full(size, weight),
            "truth": np.full(size, truth, dtype=np.int8),
            "file_id": np.full(size, file_id, dtype=np.uint32),
            "entry": np.arange(size),
            "fold": rng.integers(0, 2**32, size, dtype=np.uint32),
        }
    )


@settings(max_examples=25, deadline=None)
@given(fraction=st.floats(0.0, 0.05), seed=st.integers(0, 1000))
def test_total_fraction_is_met_to_one_event(fraction: float, seed: int) -> None:
    background, signal = events(2000, mass=3000, truth=0, file_id=1), events(200, mass=3500, truth=1, file_id=2)
    mixture = Mixture(background="b", signal="s", fraction=fraction, seed=seed)
    mixed, left = mix(mixture, background, signal, window=None, seed=seed)
    injected = int((mixed["truth"] == 1).sum())
    assert abs(injected - fraction * len(mixed)) <= 1
    assert left is not None
    assert injected + len(left) == len(signal)
    assert len(np.unique(mixed.event_id)) == len(mixed)


def test_signal_over_background_in_the_window() -> None:
    background, signal = events(20000, mass=3500, truth=0, file_id=1), events(5000, mass=3500, truth=1, file_id=2)
    mixture = Mixture(background="b", signal="s", fraction=0.02, of="window")
    mixed, _ = mix(mixture, background, signal, window=WINDOW, seed=1)
    counts = count_mixture(mixed, background="b", signal="s", window=WINDOW.signal)
    assert counts.s_over_b_window == pytest.approx(0.02, rel=0.1)
    assert counts.s_over_sqrt_b_window == pytest.approx(counts.n_signal_window / np.sqrt(counts.n_background_window))


def test_one_file_with_both_truths_serves_as_background_and_signal() -> None:
    both = Events(
        {
            name: np.concatenate([a, b])
            for (name, a), b in zip(
                events(1000, mass=3000, truth=0, file_id=1).columns.items(),
                events(100, mass=3500, truth=1, file_id=2).columns.values(),
                strict=True,
            )
        }
    )
    mixed, left = mix(Mixture(background="x", signal="x", fraction=0.01), both, both, window=None, seed=1)
    assert (mixed["truth"] == 0).sum() == 1000
    assert (mixed["truth"] == 1).sum() == 10
    assert left is not None
    assert set(left["truth"]) == {1}


def test_the_seed_chooses_the_signal_and_nothing_else_does() -> None:
    background, signal = events(2000, mass=3000, truth=0, file_id=1), events(200, mass=3500, truth=1, file_id=2)
    mixture = Mixture(background="b", signal="s", fraction=0.01, seed=4)
    first, _ = mix(mixture, background, signal, window=None, seed=1)
    again, _ = mix(mixture, background, signal, window=None, seed=1)
    other, _ = mix(mixture, background, signal, window=None, seed=2)
    assert np.array_equal(first.event_id, again.event_id)
    assert not np.array_equal(first.event_id, other.event_id)


def test_too_little_signal_says_how_much_there_is() -> None:
    background, signal = events(2000, mass=3000, truth=0, file_id=1), events(5, mass=3500, truth=1, file_id=2)
    with pytest.raises(StageError, match=r"asks for 222 events of 's'.*only 5 pass"):
        mix(Mixture(background="b", signal="s", fraction=0.1), background, signal, window=None, seed=1)


def test_weighted_events_cannot_be_mixed() -> None:
    background = events(10, mass=3000, truth=0, file_id=1)
    weighted = Events({**background.columns, "weight": np.arange(10.0)})
    with pytest.raises(StageError, match="different weights"):
        mix(Mixture(background="b"), weighted, None, window=None, seed=1)


@pytest.mark.parametrize("fraction", [0.0, 0.02])
def test_signal_left_over_counts_like_injected_signal(fraction: float) -> None:
    background = events(2000, mass=3000, truth=0, file_id=1, weight=7.0)
    signal = events(200, mass=3500, truth=1, file_id=2, weight=1e-3)
    mixture = Mixture(background="b", signal="s", fraction=fraction)
    for part in mix(mixture, background, signal, window=None, seed=1):
        assert part is not None
        assert set(part["weight"]) == {1.0}
    weighted = Events({**signal.columns, "weight": np.arange(200.0)})
    with pytest.raises(StageError, match="'s' carry different weights"):
        mix(mixture, background, weighted, window=None, seed=1)


def test_parts_of_one_background_share_no_event_and_leave_none_out() -> None:
    background = events(1000, mass=3000, truth=0, file_id=1)
    parts = [
        mix(Mixture(background="b", skip_background=skip, max_background=400, seed=skip), background, None, window=None,
            seed=1)[0].event_id
        for skip in (0, 400, 800)
    ]  # fmt: skip
    assert [len(part) for part in parts] == [400, 400, 200]
    assert sorted(np.concatenate(parts)) == sorted(background.event_id)
    rest, _ = mix(Mixture(background="b", skip_background=900), background, None, window=None, seed=1)
    assert np.array_equal(rest.event_id, background.event_id[900:])


def test_without_a_part_the_seed_chooses_the_background() -> None:
    background = events(1000, mass=3000, truth=0, file_id=1)
    one, other = (
        mix(Mixture(background="b", max_background=400, seed=seed), background, None, window=None, seed=1)[0].event_id
        for seed in (1, 2)
    )
    assert len(np.unique(one)) == len(np.unique(other)) == 400
    assert 0 < len(np.intersect1d(one, other)) < 400


def test_skipping_all_of_the_background_says_how_much_there_is() -> None:
    background = events(1000, mass=3000, truth=0, file_id=1)
    with pytest.raises(StageError, match=r"skips 1000 events of 'b', of which only 1000 pass .* Generate more"):
        mix(Mixture(background="b", skip_background=1000), background, None, window=None, seed=1)


def test_background_of_unknown_truth_stays_unknown() -> None:
    background, signal = events(1000, mass=3000, truth=-1, file_id=1), events(100, mass=3500, truth=1, file_id=2)
    mixed, _ = mix(Mixture(background="b", signal="s", fraction=0.01), background, signal, window=None, seed=1)
    assert sorted(set(mixed["truth"])) == [-1, 1]
    assert count_mixture(mixed, background="b", signal="s", window=None).n_signal == 10
