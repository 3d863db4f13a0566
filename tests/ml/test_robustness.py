"""Areas by class of the background: known answers, and uncertainties that describe the scatter."""

from __future__ import annotations

import numpy as np
import pytest

from ml import TrainingError
from ml.metrics import auc
from ml.robustness import class_areas


def shifted(random: np.random.Generator, events: int, shifts: dict[str, float]) -> dict[str, np.ndarray]:
    return {name: random.normal(shift, 1, events) for name, shift in shifts.items()}


def test_each_area_is_that_of_its_class_alone_and_the_difference_that_of_the_extremes() -> None:
    random = np.random.default_rng(1)
    signal, background = random.normal(1, 1, 500), shifted(random, 400, {"central": 0, "up": 0.5, "down": -0.5})
    found = class_areas(signal, background)
    for name, scores in background.items():
        truth = np.repeat([1, 0], [500, 400])
        alone = auc(np.concatenate([signal, scores]), truth)
        assert found.areas[name] == pytest.approx((alone.value, alone.uncertainty))
    assert found.areas["up"] < found.areas["central"] < found.areas["down"]
    assert found.difference[0] == pytest.approx(found.areas["down"][0] - found.areas["up"][0])


def test_classes_count_the_same_whatever_the_number_of_their_events() -> None:
    random = np.random.default_rng(2)
    signal, background = random.normal(1, 1, 300), shifted(random, 200, {"central": 0, "up": 0.7})
    plain = class_areas(signal, background)
    twice = class_areas(signal, {**background, "up": np.repeat(background["up"], 2)})
    assert twice.overall[0] == pytest.approx(plain.overall[0])
    assert plain.overall[0] == pytest.approx(np.mean([area for area, _ in plain.areas.values()]))


def test_weights_are_as_good_as_copies() -> None:
    random = np.random.default_rng(3)
    signal, background = random.normal(1, 1, 60), shifted(random, 50, {"central": 0, "up": 0.5})
    copies = {"signal": random.integers(1, 4, 60), **{name: random.integers(1, 4, 50) for name in background}}
    weighted = class_areas(
        signal,
        background,
        signal_weight=copies["signal"],
        background_weight={name: copies[name] for name in background},
    )
    repeated = class_areas(
        np.repeat(signal, copies["signal"]), {n: np.repeat(x, copies[n]) for n, x in background.items()}
    )
    assert weighted.overall[0] == pytest.approx(repeated.overall[0])
    assert weighted.difference[0] == pytest.approx(repeated.difference[0])


def test_the_uncertainty_of_the_difference_is_the_scatter_of_repeats() -> None:
    random = np.random.default_rng(4)
    found = [class_areas(random.normal(1, 1, 150), shifted(random, 200, {"up": 0.6, "down": -0.6})) for _ in range(300)]
    scatter = np.std([one.difference[0] for one in found])
    assert np.mean([one.difference[1] for one in found]) == pytest.approx(scatter, rel=0.12)


def test_equal_classes_differ_by_no_more_than_chance() -> None:
    random = np.random.default_rng(5)
    found = class_areas(random.normal(1, 1, 4000), shifted(random, 4000, {"central": 0, "up": 0, "down": 0}))
    assert 0 <= found.difference[0] < 4 * found.difference[1] < 0.05


@pytest.mark.parametrize(
    "background", [{"up": np.ones(3)}, {"up": np.ones(3), "down": np.ones(0)}, {"up": np.ones(3), "down": [np.nan]}]
)
def test_what_has_no_area_is_refused(background: dict[str, np.ndarray]) -> None:
    with pytest.raises(TrainingError):
        class_areas(np.ones(5), {name: np.asarray(scores, float) for name, scores in background.items()})
