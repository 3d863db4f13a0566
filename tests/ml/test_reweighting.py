"""Weights against a known ratio of densities: in the sidebands, where they are trained, and in the window."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import Sample, TrainingError
from ml.mlp import MLPSettings
from ml.reweighting import Reweighter, ReweightingSettings, Weights, effective_sample_size
from tests.ml.reweighting_toys import FEATURES, SIGNAL_X, SIGNAL_Y, WINDOW, shift, toy, true_ratio

SEEDS = np.random.SeedSequence(1)
SETTINGS = ReweightingSettings(
    members=4,
    truncation=0.25,
    mlp=MLPSettings(hidden=(32, 32), epochs=15, batch_size=500, patience=4, learning_rate=3e-3),
)
DATA, SIMULATION = toy(30000, seed=1), toy(20000, seed=2, simulation=True)
PROBE = toy(40000, seed=3, simulation=True)
REGIONS = {
    "sidebands": WINDOW.sideband_index(PROBE.mass) >= 0,
    "validation": WINDOW.in_validation(PROBE.mass),
    "window": WINDOW.in_signal(PROBE.mass),
}


def reweighter(data: Sample = DATA, simulation: Sample = SIMULATION, **changes: Any) -> Reweighter:
    trained = Reweighter(dataclasses.replace(SETTINGS, **changes), FEATURES)
    trained.fit(data, simulation, window=WINDOW, seeds=SEEDS)
    return trained


@pytest.fixture(scope="module")
def trained() -> Reweighter:
    return reweighter()


@pytest.fixture(scope="module")
def weights(trained: Reweighter) -> Weights:
    return trained.weights(PROBE)


def in_sidebands(sample: Sample) -> Sample:
    return sample.select(WINDOW.sideband_index(sample.mass) >= 0)


def in_place(sample: Sample) -> np.ndarray:
    """(n,) bool: events that look like signal, of any mass."""
    return (abs(sample.columns["x"] - SIGNAL_X) < 0.5) & (sample.columns["y"] < 3 * SIGNAL_Y)


@pytest.mark.parametrize("region", REGIONS)
def test_the_known_ratio_is_found_where_it_is_trained_and_where_it_is_interpolated(
    weights: Weights, region: str
) -> None:
    rows, truth = REGIONS[region], true_ratio(PROBE)
    ratio = (weights.value / weights.constant / truth)[rows]
    assert np.average(ratio, weights=truth[rows]) == pytest.approx(1, abs=0.04)
    assert np.sqrt(np.average((ratio - 1) ** 2, weights=truth[rows])) < 0.15
    assert np.sqrt(np.average((1 / truth[rows] - 1) ** 2, weights=truth[rows])) > 0.4


def test_weights_follow_the_mass_inside_the_window(weights: Weights) -> None:
    """The mean of x moves with the mass in data and not in simulation: it must do so where nothing was trained."""
    for low in (3300, 3400, 3500, 3600):
        rows = (low <= PROBE.mass) & (low + 100 > PROBE.mass)
        mean = np.average(PROBE.columns["x"][rows], weights=weights.value[rows])
        error = 1 / np.sqrt(effective_sample_size(weights.value[rows]))
        assert abs(mean - shift(PROBE.mass[rows]).mean()) < 3 * error + 0.03
        assert abs(PROBE.columns["x"][rows].mean()) < 5 * error


def test_a_window_full_of_signal_does_not_bias_the_weights(weights: Weights) -> None:
    """A quarter of the window is signal, and so is one sideband event in a hundred, from its tails."""
    data = toy(30000, seed=1, signal=1850, signal_width=160.0)
    background = DATA.select(WINDOW.in_signal(DATA.mass))
    signal = data.select(np.arange(30000, len(data)))
    inside, outside = WINDOW.in_signal(signal.mass).sum(), len(in_sidebands(signal))
    assert inside / (inside + len(background)) == pytest.approx(0.25, abs=0.02)
    assert outside / len(in_sidebands(data)) == pytest.approx(0.01, abs=0.003)
    biased, truth = reweighter(data).weights(PROBE), true_ratio(PROBE)
    for region in ("sidebands", "window"):
        rows = REGIONS[region]
        ratio = (biased.value / biased.constant / truth)[rows]
        assert np.average(ratio, weights=truth[rows]) == pytest.approx(1, abs=0.025)
        assert biased.value[rows].sum() / weights.value[rows].sum() == pytest.approx(1, abs=0.04)
    # Where the signal lies f learns its tails in the sidebands, as it must, and no more than about that excess (60% of
    # so few events) is carried into the window, where the signal multiplies the data by more than thirty.
    excess = in_place(in_sidebands(data)).sum() / in_place(in_sidebands(DATA)).sum() - 1
    assert excess == pytest.approx(0.6, abs=0.1)
    for region, most in (("sidebands", excess), ("window", 1.5 * excess)):
        there = REGIONS[region] & in_place(PROBE)
        raised = biased.value[there].sum() / weights.value[there].sum() - 1
        assert 0 < raised < most, region
    inside = [in_place(s)[WINDOW.in_signal(s.mass)].sum() for s in (data, DATA)]
    assert inside[0] > 30 * inside[1]


def test_sidebands_set_the_yield_whatever_the_sizes_and_weights_of_the_samples() -> None:
    random = np.random.default_rng(0)
    weighted = dataclasses.replace(SIMULATION, weight=3 * random.uniform(0.5, 1.5, len(SIMULATION)))
    trained = reweighter(DATA, weighted)
    data, simulation = in_sidebands(DATA), in_sidebands(weighted)
    weights = trained.weights(simulation)
    assert (simulation.weight * weights.value).sum() == pytest.approx(len(data))
    assert simulation.weight @ weights.members == pytest.approx(np.full(4, len(data)))
    assert weights.constant == pytest.approx(len(data) / simulation.weight.sum())


def test_the_scale_of_event_weights_divides_out(trained: Reweighter, weights: Weights) -> None:
    scaled = reweighter(
        dataclasses.replace(DATA, weight=2.0 * DATA.weight),
        dataclasses.replace(SIMULATION, weight=SIMULATION.weight / 4),
    )
    again = scaled.weights(PROBE)
    assert again.constant == pytest.approx(8 * weights.constant)
    assert again.value == pytest.approx(8 * weights.value, rel=1e-3)


def test_the_same_seed_gives_the_same_weights_and_members_differ(weights: Weights) -> None:
    assert np.array_equal(reweighter().weights(PROBE).value, weights.value)
    assert weights.members.shape == (len(PROBE), 4)
    spread = weights.members.std(axis=1) / weights.value
    assert 0.005 < np.median(spread) < 0.2


def test_saved_weights_are_the_same(trained: Reweighter, weights: Weights, tmp_path: Path) -> None:
    trained.save(tmp_path)
    loaded = Reweighter(SETTINGS, FEATURES)
    loaded.load(tmp_path)
    again = loaded.weights(PROBE)
    for name, values in vars(weights).items():
        assert np.array_equal(getattr(again, name), values), name


def test_ratios_are_clipped_around_the_constant_and_counted(trained: Reweighter) -> None:
    tight = Reweighter(dataclasses.replace(SETTINGS, clip=1.2), FEATURES)
    tight._classifier, tight._scaler, tight._mass_scaler = trained._classifier, trained._scaler, trained._mass_scaler
    tight._normalise(in_sidebands(DATA), in_sidebands(SIMULATION))
    weights = tight.weights(PROBE)
    assert weights.value.max() / weights.value.min() == pytest.approx(1.44)
    ratio = weights.output / (1 - weights.output)
    assert np.array_equal(weights.clipped, (ratio > 1.2) | (ratio < 1 / 1.2))
    assert weights.clipped_fraction == weights.clipped.mean() > 0.3


def test_validation_bands_and_the_window_take_no_part(weights: Weights) -> None:
    outside = WINDOW.sideband_index(DATA.mass) < 0
    columns = {name: np.where(outside, 7.0 + column, column) for name, column in DATA.columns.items()}
    changed = reweighter(dataclasses.replace(DATA, columns=columns)).weights(PROBE)
    assert np.array_equal(changed.value, weights.value)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_effective_size_is_at_most_the_number_of_events_and_ignores_scale(values: list[float]) -> None:
    size = effective_sample_size(np.array(values))
    assert 1 - 1e-9 <= size <= len(values) * (1 + 1e-9)
    assert effective_sample_size(3 * np.array(values)) == pytest.approx(size)
    assert effective_sample_size(np.full(len(values), values[0])) == pytest.approx(len(values))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"clip": 1.0}, "largest ratio"), ({"truncation": 0.5}, "below 0.5"), ({"features": ("mjj",)}, "input already")],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        ReweightingSettings(**settings)


def test_nothing_is_weighted_or_saved_before_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not trained"):
        Reweighter(SETTINGS, FEATURES).weights(PROBE)
    with pytest.raises(TrainingError, match="not trained"):
        Reweighter(SETTINGS, FEATURES).save(tmp_path)


def test_events_without_an_input_are_not_weighted(trained: Reweighter) -> None:
    with pytest.raises(TrainingError, match="no feature 'x'"):
        trained.weights(dataclasses.replace(PROBE, columns={"y": PROBE.columns["y"]}))
    holed = np.where(np.arange(len(PROBE)) == 3, np.nan, PROBE.columns["x"])
    with pytest.raises(TrainingError, match="'x' is NaN"):
        trained.weights(dataclasses.replace(PROBE, columns={**PROBE.columns, "x": holed}))
