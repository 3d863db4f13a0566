"""Recipes: what is valid, what the messages say, what the key depends on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from analysis.samples import Recipe
from analysis.samples.processes import pythia_settings

QCD = {"process": "qcd_dijet", "events": 100, "seed": 1}
SIGNAL = {"process": "wprime_xy", "events": 100, "seed": 1}


def test_defaults_are_the_lhc_olympics_signal():
    resonance = Recipe(**SIGNAL).signal
    assert (resonance.wprime.mass, resonance.x.mass, resonance.y.mass) == (3500.0, 500.0, 100.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proces": "qcd_dijet"}, "Extra inputs"),
        ({"events": 0}, "greater than 0"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"process": "zprime"}, "qcd_dijet"),
        ({"settings": ["Random:seed = 3"]}, "decided by the recipe's `seed`"),
        ({"settings": {"PhaseSpace:pTHatMin": 3}}, "decided by the recipe's `pt_hat_min`"),
        ({"settings": ["MultipartonInteractions:alphaSvalue 0.1"]}, "expected 'Key = value'"),
        ({"resonance": {}}, "belongs to the process wprime_xy"),
        ({"pt_hat_min": 7000.0}, "beyond half the collision energy"),
        ({"detector": {"tracker": {"efficiency": 1.5}}}, "less than or equal to 1"),
    ],
)
def test_invalid_recipes_say_why(changes, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**QCD | changes)


@pytest.mark.parametrize(
    ("resonance", "message"),
    [
        ({"wprime": {"mass": 550.0}}, "W' cannot decay to X Y"),
        ({"wprime": {"mass": 14000.0}}, "beyond the collision energy"),
        ({"x": {"mass": 500.0, "decays": [[2, -2]]}}, r"x.decays: \[2, -2\] has charge \+0, but X has \+1"),
        ({"y": {"mass": 100.0, "decays": [[2, -1]]}}, r"has charge \+1, but Y has \+0"),
        ({"y": {"mass": 100.0, "decays": [[1, 99]]}}, "99 is not a PDG code"),
        ({"y": {"mass": 100.0, "decays": [[21, 22]]}}, "not a colour singlet"),
        ({"y": {"mass": 100.0, "decays": [[6, -6]]}}, "weighs 342 GeV, more than Y with 100 GeV"),
        ({"y": {"mass": 100.0, "decays": [[1, -1, 2, -2]]}}, "expected 2 or 3"),
        ({"x": {"mass": 500.0, "width": 400.0, "decays": [[2, -1]]}}, "more than half the mass"),
    ],
)
def test_impossible_resonances_say_why(resonance, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**SIGNAL, resonance=resonance)


@pytest.mark.parametrize("decay", [[2, 2, 1], [6, -5], [24, 23], [24, 25]])
def test_heavier_decays_of_the_charged_resonance(decay):
    Recipe(**SIGNAL, resonance={"x": {"mass": 600.0, "decays": [decay]}})


def test_key_ignores_how_many_events_and_only_that():
    recipe = Recipe(**QCD)
    assert Recipe(**QCD | {"events": 7, "events_per_file": 3}).key() == recipe.key()
    changes = [
        {"seed": 2},
        {"format": "lhco"},
        {"settings": ["StringZ:aLund = 0.3"]},
        {"min_leading_jet_pt": 1300.0},
        {"detector": {"tracker": {"efficiency": 0.9}}},
    ]
    keys = {Recipe(**QCD | change).key() for change in changes}
    assert len(keys | {recipe.key()}) == len(changes) + 1


def test_settings_as_a_mapping_come_last():
    settings = pythia_settings(
        Recipe(**QCD, settings={"TimeShower:alphaSvalue": 0.118, "PartonLevel:MPI": True}), seed=3
    )
    assert settings[-2:] == ["TimeShower:alphaSvalue = 0.118", "PartonLevel:MPI = on"]
    assert "Random:seed = 3" in settings


def test_files_add_up():
    recipe = Recipe(**QCD | {"events": 12, "events_per_file": 5})
    assert [recipe.events_in(index) for index in range(recipe.n_files)] == [5, 5, 2]


def test_one_number_of_a_resonance_can_be_changed_alone() -> None:
    changed = Recipe(process="wprime_xy", events=10, seed=1, resonance={"x": {"mass": 300}}).signal
    default = Recipe(process="wprime_xy", events=10, seed=1).signal
    assert changed.x.mass == 300
    assert changed.x.decays == default.x.decays
    assert changed.y == default.y
