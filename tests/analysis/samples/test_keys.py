"""Keys of samples that are on disk somewhere: they must not change, or those are made again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from analysis.samples import Recipe

CATALOGUE = Path(__file__).resolve().parents[3] / "datasets.yaml"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("qcd", "43a322b0f61db096"),
        ("qcd_second", "919e375558c79dc1"),
        ("qcd_simulation", "2bf1693f6c6c9d11"),
        ("wprime", "19e3bf938e7a2a6d"),
    ],
)
def test_keys_of_the_catalogue_stay(name, key):
    recipe = Recipe(**yaml.safe_load(CATALOGUE.read_text())[name]["recipe"])
    assert recipe.key() == key
    assert Recipe.model_validate(recipe.model_dump(mode="json")).key() == key  # as summaries keep it
