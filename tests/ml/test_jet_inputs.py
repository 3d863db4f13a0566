"""Constituents become rows of standardised numbers, and errors name what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml import Sample, TrainingError
from ml.jet_inputs import (
    JetInputSettings,
    blocks_of,
    check_constituents,
    fit_standardiser,
    jet_inputs,
    momenta_of,
    unscaled,
)
from tests.ml.jet_toys import COUNT, Stored, jet_sample, jets, masses

SETTINGS = JetInputSettings(("j1", "j2"), constituents=COUNT)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return jet_sample(jets(300, prongs=1, seed=1), jets(300, prongs=2, seed=2))


def test_jets_are_standardised_and_come_back(sample: Sample) -> None:
    scaler = fit_standardiser(sample, SETTINGS)
    inputs = jet_inputs(sample, SETTINGS, scaler, masses=True)
    assert inputs.x.shape == (600, 4 * COUNT)
    np.testing.assert_allclose(inputs.x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(inputs.x.std(axis=0), 1, rtol=1e-4)
    assert sample.batch is not None
    momenta = sample.batch(np.arange(300))
    back = unscaled(inputs.x, SETTINGS, scaler)
    np.testing.assert_allclose(back, momenta.reshape(600, COUNT, 4), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(inputs.mass, masses(momenta.astype(np.float64)).ravel())
    np.testing.assert_array_equal(np.concatenate(list(blocks_of(sample, SETTINGS, scaler))), inputs.x)


def test_weights_are_those_of_the_events_and_count_in_the_scaling(sample: Sample) -> None:
    weight = np.where(np.arange(300) < 100, 4.0, 0.0)
    scaler = fit_standardiser(replace(sample, weight=weight), SETTINGS)
    alone = fit_standardiser(sample.select(np.arange(100)), SETTINGS)
    np.testing.assert_allclose(scaler.mean, alone.mean)
    inputs = jet_inputs(replace(sample, weight=weight), SETTINGS, scaler, masses=False)
    np.testing.assert_allclose(inputs.weight, np.repeat(weight / weight.mean(), 2))
    assert not len(inputs.mass)


def test_many_events_come_in_blocks() -> None:
    momenta = np.zeros((10_000, 1, 2, 4), np.float32)
    momenta[:, 0, 0, 0] = np.arange(10_000)
    sample = replace(jet_sample(momenta[:, 0]), batch=Stored(momenta))
    blocks = list(momenta_of(sample, JetInputSettings(constituents=2)))
    assert [len(block) for block in blocks] == [8192, 1808]
    np.testing.assert_array_equal(np.concatenate(blocks), momenta)


def test_constituents_that_cannot_be_used_are_refused(sample: Sample) -> None:
    assert sample.batch is not None
    whole = sample.batch(np.arange(300))
    with pytest.raises(TrainingError, match=r"has no constituents.*processing: \{constituents: 200\}"):
        check_constituents(replace(sample, batch=None), SETTINGS)
    with pytest.raises(TrainingError, match=r"\(1, 1, 6, 4\) for 1 rows: expected \(1, 2, 6, 4\)"):
        check_constituents(replace(sample, batch=Stored(whole[:, :1])), SETTINGS)
    broken = whole.copy()
    broken[7, 1, 2, 0] = np.nan
    with pytest.raises(TrainingError, match=r"1 of 300 events have constituents that are NaN .* that of row 7"):
        fit_standardiser(replace(sample, batch=Stored(broken)), SETTINGS)
    padded = whole.copy()
    padded[:, :, -1] = 0
    with pytest.raises(TrainingError, match=r"E of constituent 6 is 0 in all 600 jets.*lower `constituents` \(6\)"):
        fit_standardiser(replace(sample, batch=Stored(padded)), SETTINGS)
    only, scaler = replace(sample, columns={"j1_m": sample.columns["j1_m"]}), fit_standardiser(sample, SETTINGS)
    with pytest.raises(TrainingError, match="no column 'j2_m' with the mass of a jet: did you mean 'j1_m'"):
        jet_inputs(only, SETTINGS, scaler, masses=True)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(TrainingError, match="each once"):
        JetInputSettings(("j1", "j1"))
    with pytest.raises(TrainingError, match="1 or more"):
        JetInputSettings(constituents=0)
    with pytest.raises(TrainingError, match="give one column for each jet"):
        JetInputSettings(("j1", "j2"), mass_columns=("j1_m",))
