"""Recipes of top pairs: what is valid, what the messages say, what the key depends on, what Pythia is told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from analysis.samples import Recipe
from analysis.samples.processes import pythia_settings
from analysis.samples.top_resonance import TopResonance

TTBAR = {"process": "ttbar", "events": 100, "seed": 1}
RESONANCE = {"process": "resonance_ttbar", "events": 100, "seed": 1}


def test_defaults_are_those_of_the_paper():
    recipe = Recipe(**RESONANCE)
    assert (recipe.sqrt_s, recipe.min_leading_jet_pt, recipe.top_threshold) == (14.0, None, 500.0)
    assert recipe.top_signal == TopResonance(kind="zprime", mass=2000.0, width=89.6)
    assert Recipe(**TTBAR, sqrt_s=13).sqrt_s == 13


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (TTBAR | {"format": "lhco"}, "no room for the leptons and B hadrons"),
        (TTBAR | {"top_resonance": {}}, "`top_resonance` belongs to the process resonance_ttbar, not to ttbar"),
        (TTBAR | {"pt_hat_min": 500.0}, "`pt_hat_min` belongs to the process qcd_dijet, not to ttbar"),
        (TTBAR | {"resonance": {}}, "`resonance` belongs to the process wprime_xy, not to ttbar"),
        (RESONANCE | {"min_leading_jet_pt": 1200.0}, "processes qcd_dijet, wprime_xy, zprime_tt and scalar_hh, not"),
        (RESONANCE | {"detector": {"max_candidates": 100}}, "`detector` belongs to the processes"),
        (RESONANCE | {"jet_radius": 0.4}, "`jet_radius` belongs to the processes"),
        (TTBAR | {"process": "qcd_dijet", "min_top_pt": 500.0}, "`min_top_pt` belongs to the processes ttbar and res"),
        (TTBAR | {"settings": ["PhaseSpace:pTHatMin = 3"]}, "decided by the recipe's `min_top_pt`"),
        (TTBAR | {"min_top_pt": 7000.0}, "beyond half the collision energy"),
        (RESONANCE | {"top_resonance": {"mass": 15000}}, r"top_resonance\.mass = 15000 GeV is beyond the collision"),
        (RESONANCE | {"top_resonance": {"mass": 900}}, r"beyond half of top_resonance\.mass = 900 GeV"),
        (RESONANCE | {"top_resonance": {"width": 1500}}, "more than half the mass"),
        (RESONANCE | {"top_resonance": {"kind": "graviton"}}, "'zprime', 'scalar' or 'octet'"),
    ],
)
def test_invalid_recipes_say_why(recipe, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**recipe)


def test_key_depends_on_what_decides_the_files_and_on_no_more():
    recipe = Recipe(**RESONANCE)
    same = [
        {"events": 7, "events_per_file": 3},
        {"min_top_pt": 500.0},
        {"top_resonance": {"kind": "zprime"}},
        {"sqrt_s": 14, "min_leading_jet_pt": None},
    ]
    assert {Recipe(**RESONANCE | changes).key() for changes in same} == {recipe.key()}
    assert Recipe.model_validate(recipe.described()).key() == recipe.key()
    others = [{"seed": 2}, {"sqrt_s": 13}, {"min_top_pt": 400.0}, {"process": "ttbar"}]
    others += [{"top_resonance": change} for change in ({"kind": "octet"}, {"mass": 2500}, {"width": 10})]
    keys = {Recipe(**RESONANCE | changes).key() for changes in others}
    assert len(keys | {recipe.key()}) == len(others) + 1


def test_masses_stay_within_five_widths_and_where_tops_can_pass():
    assert TopResonance(width=10).mass_range(min_top_pt=500) == (1950, 2050)
    assert TopResonance(width=200).mass_range(min_top_pt=500) == (1000, 3000)
    assert TopResonance(width=200).mass_range(min_top_pt=700) == (1400, 3000)
    settings = pythia_settings(Recipe(**RESONANCE), seed=1)
    assert {"32:mMin = 1552", "32:mMax = 2448", "32:mWidth = 89.6", "32:doForceWidth = on"} <= set(settings)


def test_settings_of_the_recipe_come_last():
    settings = pythia_settings(Recipe(**TTBAR, min_top_pt=300, settings={"PartonLevel:MPI": True}), seed=3)
    assert "PhaseSpace:pTHatMin = 300" in settings
    assert settings[-1] == "PartonLevel:MPI = on"
