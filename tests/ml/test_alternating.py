"""Two networks in turns: the schedule, who is frozen when, and what stops a game that cannot be won."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ml import TrainingError, child_seed
from ml.adversarial_losses import (
    STANDARD,
    adversary_loss,
    initial_statistics,
    main_loss,
    reconstruction,
    seen_statistics,
)
from ml.alternating import AlternatingTrainer
from ml.alternating_ensemble import ADVERSARY, MAIN, PROBE, AlternatingEnsemble, AlternatingShard, Side
from ml.game import Game
from ml.networks import DenseNetwork
from ml.rows import MemberRows, RowStream, whole

EVENTS, BATCH, ALPHA, CLASSES = 300, 20, 3.0, 3
NETWORK, OPPONENT = DenseNetwork(3, (4, 2, 4), 3, "sigmoid"), DenseNetwork(1, (5,), CLASSES)
OUTPUTS = reconstruction(NETWORK, "loss")
PLAIN = main_loss(OUTPUTS, OPPONENT, alpha=0.0, standardised=True)
OPPOSED = main_loss(OUTPUTS, OPPONENT, alpha=ALPHA, standardised=True)
AGAINST = adversary_loss(OUTPUTS, OPPONENT, standardised=True)
SEEDS = [child_seed(np.random.SeedSequence(2), member) for member in range(3)]
GAME = Game(
    rounds=3,
    steps_per_round=2,
    adversary_steps=3,
    batch_size=BATCH,
    warm_up_steps=4,
    block=2,
    optimizer="sgd",
    learning_rate=0.01,
)


def data() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    kind = random.integers(0, CLASSES, EVENTS)
    x = random.normal(size=(EVENTS, 3)) * (0.5 + 0.5 * kind[:, None])
    return {"x": x, "nuisance": kind, "weight": np.ones(EVENTS), "opposed_weight": random.uniform(0.5, 1.5, EVENTS)}


ADVERSARY_WEIGHT = np.where(np.arange(EVENTS) % 5 == 0, 0.0, 1.0)


def start(seeds: list[np.random.SeedSequence]) -> dict[str, list[np.ndarray]]:
    return {
        MAIN: NETWORK.initial([child_seed(s, 8) for s in seeds]),
        ADVERSARY: OPPONENT.initial([child_seed(s, 9) for s in seeds]),
        STANDARD: initial_statistics(len(seeds)),
    }


def trainer(game: Game = GAME, *, threads: int = 1, alpha: bool = True) -> AlternatingTrainer:
    losses = {MAIN: (PLAIN, OPPOSED if alpha else PLAIN), ADVERSARY: (AGAINST, AGAINST)}
    return AlternatingTrainer(game, losses, seen_statistics(OUTPUTS), threads=threads)


def sgd(rate: float) -> Callable[[], Any]:
    import keras

    return lambda: keras.optimizers.SGD(rate)


def shard(main_rate: float, adversary_rate: float, *, clip_norm: float | None = None) -> AlternatingShard:
    sides = {
        MAIN: Side(PLAIN, OPPOSED, sgd(0.1), sgd(main_rate), clip_norm),
        ADVERSARY: Side(AGAINST, AGAINST, sgd(0.1), sgd(adversary_rate)),
    }
    ensemble = AlternatingEnsemble(start(SEEDS[:1]), sides, seen_statistics(OUTPUTS))
    ensemble.reset(start(SEEDS[:1]))
    chunks = {MAIN: whole(data()), ADVERSARY: whole({**data(), "weight": ADVERSARY_WEIGHT})}
    return AlternatingShard(
        np.arange(1), ensemble, chunks, SEEDS[:1], validation_fraction=0.2, batch=BATCH, evaluation_batch=100
    )


def rows_of(kept: np.ndarray, side: int) -> RowStream:
    return RowStream([np.sort(kept)], [child_seed(SEEDS[0], 1, side)], BATCH)


def by_hand(values: dict[str, list[Any]], rate: float, side: str, loss: Any, columns: dict[str, Any]) -> None:
    """One step of plain gradient descent of one side, written out."""
    import tensorflow as tf

    arrays = [tf.constant(a) for a in values[side]]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        total = tf.reduce_sum(loss({**values, side: arrays}, columns, None)["loss"])
    values[side] = [a - rate * g for a, g in zip(arrays, tape.gradient(total, arrays), strict=True)]


def test_rounds_are_the_schedule_written_out_by_hand() -> None:
    """The main network's steps against a frozen adversary, then new statistics, then the adversary's steps."""
    import tensorflow as tf

    played = shard(0.2, 0.3)
    played.play(2, {MAIN: 2, ADVERSARY: 3}, room=4)

    chunk, columns = whole(data()), data()
    kept = MemberRows(SEEDS[:1], validation_fraction=0.2).training(chunk)[0]
    background = np.sort(kept[ADVERSARY_WEIGHT[kept] > 0])
    streams = rows_of(kept, 0), rows_of(background, 1)
    values: dict[str, list[Any]] = {name: [tf.constant(a) for a in arrays] for name, arrays in start(SEEDS[:1]).items()}

    def batch(rows: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
        found = {n: tf.constant(c[rows][None], tf.float32) for n, c in columns.items() if n != "nuisance"}
        nuisance = tf.constant(columns["nuisance"][rows][None], tf.int32)
        return found | {"nuisance": nuisance, "weight": tf.constant(weight[rows][None], tf.float32)}

    assert len(background) < PROBE
    for _ in range(2):
        for _ in range(2):
            by_hand(values, 0.2, MAIN, OPPOSED, batch(streams[0].take(1)[0], columns["weight"]))
        values |= {n: list(a) for n, a in seen_statistics(OUTPUTS)(values, batch(background, ADVERSARY_WEIGHT)).items()}
        for _ in range(3):
            by_hand(values, 0.3, ADVERSARY, AGAINST, batch(streams[1].take(1)[0], ADVERSARY_WEIGHT))
    for name, arrays in played.ensemble.values().items():
        for ours, expected, before in zip(arrays, values[name], start(SEEDS[:1])[name], strict=True):
            np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-5)
            assert not np.allclose(ours, before, atol=1e-4), name


def test_a_side_without_a_rate_stays_as_it_was() -> None:
    """What moves in the other side's turns is the other side alone."""
    for rates, still, moving in (((0.0, 0.3), MAIN, ADVERSARY), ((0.3, 0.0), ADVERSARY, MAIN)):
        played = shard(*rates)
        played.play(2, {MAIN: 2, ADVERSARY: 2}, room=2)
        after, before = played.ensemble.values(), start(SEEDS[:1])
        assert all(np.array_equal(a, b) for a, b in zip(after[still], before[still], strict=True))
        assert not any(np.array_equal(a, b) for a, b in zip(after[moving], before[moving], strict=True))


@pytest.fixture(scope="module")
def played() -> tuple[AlternatingTrainer, Any, Any]:
    made = trainer()
    return made, *made.fit(start(SEEDS), data(), seeds=SEEDS, adversary_weight=ADVERSARY_WEIGHT)


def test_the_same_seed_gives_the_same_bits(played: Any) -> None:
    again, history = played[0].fit(start(SEEDS), data(), seeds=SEEDS, adversary_weight=ADVERSARY_WEIGHT)
    for name, arrays in played[1].items():
        assert all(np.array_equal(a, b) for a, b in zip(again[name], arrays, strict=True))
    assert all(np.array_equal(history.losses[n], values) for n, values in played[2].losses.items())


def test_a_member_trains_the_same_in_any_ensemble(played: Any) -> None:
    fewer, _ = trainer().fit(start(SEEDS[1:]), data(), seeds=SEEDS[1:], adversary_weight=ADVERSARY_WEIGHT)
    for name, arrays in played[1].items():
        for ours, alone in zip(arrays, fewer[name], strict=True):
            np.testing.assert_allclose(alone, ours[1:], rtol=1e-4, atol=1e-5)
    assert not np.allclose(played[1][MAIN][0][0], played[1][MAIN][0][1])


def test_the_history_has_both_sides_block_by_block(played: Any) -> None:
    history = played[2]
    own = {"loss", "main", "opposed", "adversary", "adversary_accuracy", "adversary_spread"}
    assert set(history.losses) == own | {f"validation_{name}" for name in own}
    assert {v.shape for v in history.losses.values()} == {(2, len(SEEDS))}  # rounds 1 and 2, and round 3
    assert history.best_epoch.tolist() == [1, 1, 1]
    warm = history.parts["warm_up"].losses
    assert "opposed" not in warm, "the main network warms up alone"
    assert warm["validation_adversary_accuracy"].shape == (1, len(SEEDS))
    first = history.losses
    np.testing.assert_allclose(first["loss"], first["main"] - ALPHA * first["opposed"], rtol=1e-5)


def test_blocks_are_only_a_matter_of_bookkeeping(played: Any) -> None:
    calls: list[tuple[float, str]] = []
    whole_game = Game(**{**vars(GAME), "block": 50})
    other, history = trainer(whole_game).fit(
        start(SEEDS), data(), seeds=SEEDS, adversary_weight=ADVERSARY_WEIGHT, progress=lambda f, t: calls.append((f, t))
    )
    for name, arrays in played[1].items():
        for ours, theirs in zip(arrays, other[name], strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    mean = (2 * played[2].losses["main"][0] + played[2].losses["main"][1]) / 3
    np.testing.assert_allclose(history.losses["main"][0], mean, rtol=1e-5)
    assert calls == [(1.0, "round 3 of at most 3, at most 0 s left")]


def test_without_a_say_of_the_adversary_it_is_the_plain_network(played: Any) -> None:
    """Bit by bit: neither an adversary that only watches nor its own events and draws reach the main network."""
    watched, _ = trainer(alpha=False).fit(start(SEEDS), data(), seeds=SEEDS, adversary_weight=ADVERSARY_WEIGHT)
    alone = AlternatingTrainer(GAME, {MAIN: (PLAIN, PLAIN)}, threads=1)
    plain, history = alone.fit({MAIN: start(SEEDS)[MAIN]}, data(), seeds=SEEDS)
    assert all(np.array_equal(a, b) for a, b in zip(watched[MAIN], plain[MAIN], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(played[1][MAIN][::2], plain[MAIN][::2], strict=True))
    assert set(history.losses) == {"loss", "main", "validation_loss", "validation_main"}


def test_a_game_that_diverges_names_member_and_rounds() -> None:
    wild = Game(**{**vars(GAME), "learning_rate": 1e9, "adversary_learning_rate": 0.01})
    with pytest.raises(TrainingError, match=r"of member \d.* round 1 to 2: the two networks d.*game.clip_norm"):
        trainer(wild).fit(start(SEEDS), data(), seeds=SEEDS)


def test_clipped_steps_stay_within_the_norm() -> None:
    clipped = shard(1.0, 0.1, clip_norm=1e-3)
    clipped.play(2, {MAIN: 2, ADVERSARY: 2}, room=2)
    moved = [a - b for a, b in zip(clipped.ensemble.values()[MAIN], start(SEEDS[:1])[MAIN], strict=True)]
    assert 0 < np.sqrt(sum(np.sum(m**2) for m in moved)) <= 4 * 1e-3 * 1.01


def test_the_learning_rate_falls_with_the_rounds() -> None:
    """0.75 every 100 rounds, of steps of either side: what section 3 says in epochs."""
    sides = Game(steps_per_round=7, adversary_steps=11, optimizer="sgd", learning_rate=0.01).sides(
        {MAIN: (PLAIN, OPPOSED), ADVERSARY: (AGAINST, AGAINST)}
    )
    for name, steps in ((MAIN, 7), (ADVERSARY, 11)):
        rate = sides[name].optimizer()._learning_rate
        found = [float(rate(r * steps)) for r in (0, 99, 100, 199, 200)]
        assert found == pytest.approx([0.01, 0.01, 0.0075, 0.0075, 0.005625])
    assert float(sides[MAIN].warm_up().learning_rate) == pytest.approx(0.01)
    assert type(sides[MAIN].warm_up()).__name__ == "Adam"
    assert type(sides[ADVERSARY].warm_up()).__name__ == "SGD"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "game.rounds must be at least 1: got 0"),
        ({"adversary_steps": 0}, "adversary_steps must be at least 1, or null"),
        ({"validation_fraction": 1.0}, r"validation_fraction must be in \[0, 1\)"),
        ({"decay": 0.0}, "decay must be above 0"),
        ({"clip_norm": 0.0}, "clip_norm must be above 0"),
        ({"optimizer": "lamb"}, "'lamb' cannot train ensembles"),
        ({"adversary_learning_rate": -1.0}, "learning_rate must be above 0"),
    ],
)
def test_schedules_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Game(**settings)


def test_a_stream_passes_over_its_rows_again_and_again() -> None:
    pools = [np.arange(10, 33), np.arange(5, 26)]
    stream = RowStream(pools, SEEDS[:2], 5)
    taken = np.concatenate([stream.take(steps) for steps in (1, 6, 1)], axis=1)
    assert taken.shape == (2, 40)
    assert taken.dtype == np.int32
    for rows, pool in zip(taken, pools, strict=True):
        first, second = rows[:20], rows[20:]
        assert len(set(first)) == len(set(second)) == 20, "no row twice in a pass"
        assert set(rows) <= set(pool)
        assert not np.array_equal(first, second)
    again = RowStream(pools[1:], SEEDS[1:2], 5).take(8)
    assert np.array_equal(again[0], taken[1])


def test_fewer_events_than_a_batch_are_refused() -> None:
    with pytest.raises(TrainingError, match="4 training events are less than one batch of 5"):
        RowStream([np.arange(9), np.arange(4)], SEEDS[:2], 5)
