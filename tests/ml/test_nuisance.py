"""What a score should not depend on becomes classes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import TrainingError
from ml.nuisance import NuisanceClasses, nuisance_values
from tests.ml.adversarial_toys import UP, smeared


@given(st.integers(2, 8), st.integers(40, 400), st.integers(0, 2**32 - 1))
def test_classes_of_a_continuous_nuisance_have_equal_weights(bins: int, events: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values, weight = random.normal(size=events), random.uniform(0.5, 1.5, events)
    classes = NuisanceClasses.fit("mass", values, weight, bins=bins)
    index = classes.index(values)
    totals = np.bincount(index, weights=weight, minlength=bins)
    assert len(classes) == bins == len(totals)
    assert np.abs(totals - weight.sum() / bins).max() <= 2 * weight.max()
    assert (np.diff(index[np.argsort(values)]) >= 0).all()


def test_events_beyond_the_training_range_are_of_the_outermost_classes() -> None:
    classes = NuisanceClasses.fit("mass", np.arange(100.0), np.ones(100), bins=4)
    assert classes.index(np.array([-1e9, 24.0, 25.0, 49.0, 50.0, 75.0, 1e9])).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_each_category_is_a_class_whatever_its_number() -> None:
    classes = NuisanceClasses.fit("category", np.array([7, -2, 7, 40]), np.ones(4), bins=2)
    assert classes.index(np.array([40, -2, 7])).tolist() == [2, 0, 1]
    with pytest.raises(TrainingError, match=r"category 3 is not among those of the training events: \[-2, 7, 40\]"):
        classes.index(np.array([7, 3]))


@pytest.mark.parametrize("name", ["category", "mass"])
def test_classes_survive_json(name: str) -> None:
    values = np.random.default_rng(0).integers(0, 90, 500)
    classes = NuisanceClasses.fit(name, values, np.ones(500), bins=3)
    again = NuisanceClasses.from_dict(json.loads(json.dumps(classes.to_dict())))
    assert len(again) == len(classes)
    assert np.array_equal(again.index(values), classes.index(values))


def test_classes_that_cannot_be() -> None:
    with pytest.raises(TrainingError, match="the nuisance 'category' has the one value 4 in all 9 training events"):
        NuisanceClasses.fit("category", np.full(9, 4), np.ones(9), bins=2)
    with pytest.raises(TrainingError, match="too many values are equal; take fewer nuisance_bins"):
        NuisanceClasses.fit("n_jets", np.repeat([1.0, 2.0], [95, 5]), np.ones(100), bins=5)
    with pytest.raises(TrainingError, match="'category' has no events, or no weight: drop that category"):
        NuisanceClasses.fit("category", np.array([0, 1, 2]), np.array([1.0, 0.0, 1.0]), bins=2)


def test_a_nuisance_is_the_category_the_mass_or_a_column() -> None:
    sample = smeared(50, UP, seed=1)
    assert np.array_equal(nuisance_values(sample, "category"), np.full(50, UP))
    assert np.array_equal(nuisance_values(sample, "mass"), sample.mass)
    assert np.array_equal(nuisance_values(sample, "other"), sample.columns["other"])


def test_a_nuisance_that_is_not_there_is_named() -> None:
    sample = smeared(50, UP, seed=1)
    with pytest.raises(TrainingError, match="no column 'faitful' to be independent of: did you mean 'faithful'"):
        nuisance_values(sample, "faitful")
    with pytest.raises(TrainingError, match="the sample has no categories"):
        nuisance_values(dataclasses.replace(sample, category=None), "category")
    for values in (np.full(50, 0.5), np.full(50, np.nan), np.full(50, "up")):
        with pytest.raises(TrainingError, match="not all integers"):
            nuisance_values(dataclasses.replace(sample, category=values), "category")
    columns = sample.columns | {"other": np.where(np.arange(50) == 3, np.nan, 1.0)}  # type: ignore[operator]
    with pytest.raises(TrainingError, match="'other' is NaN or infinite in 1 of 50"):
        nuisance_values(dataclasses.replace(sample, columns=columns), "other")
