"""Samples of single jets: W bosons of any mass, hadronic tops, Higgs bosons to four b quarks; recipes and jets."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from analysis.samples import Recipe, generate
from analysis.samples.boosted import HadronicTops
from analysis.samples.events import Events
from analysis.samples.generator import Generator, passes_filter
from analysis.samples.metadata import read_metadata
from analysis.samples.particles import Candidates
from analysis.samples.processes import pythia_settings
from processors.jets import Jets, cluster_jets

CATALOGUE = Path(__file__).resolve().parents[3] / "datasets.yaml"
TOPS = {"process": "zprime_tt", "events": 100, "seed": 1}
HIGGS = {"process": "scalar_hh", "events": 100, "seed": 1}
WPRIME = {"process": "wprime_xy", "events": 100, "seed": 1}


def recipe_of(name: str, **changes: Any) -> Recipe:
    """A recipe of the catalogue."""
    return Recipe(**yaml.safe_load(CATALOGUE.read_text())[name]["recipe"] | changes)


@functools.cache
def made(name: str) -> tuple[Generator, Events, Jets]:
    """A batch of events of a sample of the catalogue, and the hardest jet of each."""
    generator = Generator(recipe_of(name), seeds=np.random.SeedSequence(4))
    events = generator.next_events()
    candidates = events.candidates
    columns = {name: getattr(candidates, name) for name in ("pt", "eta", "phi")} | {"mass": 0 * candidates.pt}
    particles = ak.unflatten(ak.zip(columns), candidates.counts())
    return generator, events, cluster_jets(particles, min_pt=200, count=1)


@pytest.mark.parametrize(
    ("name", "mass", "b_hadrons"),
    [
        ("w_59", 62, 0), ("w_174", 177, 0), ("top_80", 88, 2), ("top_174", 175, 2),
        ("higgs_174_20", 170, 8), ("higgs_174_80", 167, 8),
    ],
)  # fmt: skip
def test_hardest_jet_has_the_mass_of_what_it_is_and_lies_in_the_window(name: str, mass: float, b_hadrons: int) -> None:
    generator, events, jets = made(name)
    assert events.n_events > 40
    pt, masses = jets.pt[:, 0], jets.mass[:, 0]
    assert pt.min() >= 550
    assert pt.max() < 650
    near = masses[np.abs(masses - mass) < 25]
    assert len(near) > 0.5 * len(masses)
    assert np.median(near) == pytest.approx(mass, abs=6)
    hadrons = np.bincount(events.b_hadrons.event, minlength=events.n_events)
    # gluons split to further b quarks now and then
    assert hadrons.mean() == pytest.approx(b_hadrons, abs=0.3)
    assert generator.recipe.truth == 1
    assert generator.counts()["cross_section"] > 0


def test_substructure_tells_the_samples_apart() -> None:
    tau = {}
    for name in ("w_174", "top_174", "higgs_174_80"):
        tau[name] = np.median(made(name)[2].tau[:, 0], axis=0)
    tau21 = {name: one[1] / one[0] for name, one in tau.items()}
    tau32 = {name: one[2] / one[1] for name, one in tau.items()}
    assert tau21["w_174"] < 0.7 * tau21["top_174"]
    assert tau32["top_174"] < 0.9 * tau32["w_174"]
    assert tau21["w_174"] < 0.6 * tau21["higgs_174_80"]


def test_every_file_of_the_exposure_has_a_mass_of_its_own(tmp_path: Path) -> None:
    recipe = recipe_of("w_exposure", events=6, events_per_file=2)
    assert recipe.n_files == 3
    files = generate(recipe, tmp_path, name="w")
    found = [read_metadata(file) for file in files]
    assert {one["key"] for one in found} == {recipe.key()}
    masses = [float(line.split()[-5]) for one in found for line in one["settings"] if line.startswith("9900101:new")]
    fractions = np.log(np.array(masses) / 20) / np.log(300 / 20)
    np.testing.assert_allclose(fractions, [1 / 2, 1 / 4, 3 / 4], atol=1e-4)


@pytest.mark.parametrize("files", [1, 5, 16, 100])
def test_any_number_of_masses_covers_the_range_evenly(files: int) -> None:
    recipe = recipe_of("w_exposure")
    masses = np.sort([recipe.of_file(index).signal.x.mass for index in range(files)])
    assert len(np.unique(masses)) == files
    places = np.concatenate([[0], np.log(masses / 20) / np.log(15), [1]])
    assert np.diff(places).max() <= 2 / files if files > 1 else 0.5
    assert recipe.of_file(3).signal.x_masses is None
    assert Recipe(**TOPS).of_file(3) == Recipe(**TOPS)


def test_hardest_jet_is_kept_between_its_bounds() -> None:
    pt = np.array([1000.0, 550.0, 649.9, 650.0, 549.9, 600.0])
    eta = np.array([0.0, 0, 0, 0, 0, 2.6])
    event = np.arange(6)
    candidates = Candidates(6, event, pt, eta, 0 * pt, np.full(6, 22), np.zeros(6, np.int8))
    window = recipe_of("w_80")
    assert passes_filter(candidates, window).tolist() == [False, True, True, False, False, False]
    open_ended = window.model_copy(update={"max_leading_jet_pt": None})
    assert passes_filter(candidates, open_ended).tolist() == [True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (TOPS | {"resonance": {}}, "`resonance` belongs to the process wprime_xy, not to zprime_tt"),
        (TOPS | {"higgs_pair": {}}, "`higgs_pair` belongs to the process scalar_hh"),
        (HIGGS | {"hadronic_tops": {}}, "`hadronic_tops` belongs to the process zprime_tt"),
        (TOPS | {"min_top_pt": 500.0}, "`min_top_pt` belongs to the processes ttbar and res"),
        (TOPS | {"hadronic_tops": {"top_mass": 80}}, "t cannot decay to b W"),
        (TOPS | {"hadronic_tops": {"w_mass": 5}}, "greater than or equal to 15"),
        (TOPS | {"hadronic_tops": {"zprime": {"mass": 340}}}, "above twice top_mass"),
        (TOPS | {"hadronic_tops": {"zprime": {"mass": 13000}}}, r"hadronic_tops.zprime.mass = 13000 GeV is beyond"),
        (HIGGS | {"higgs_pair": {"light": {"mass": 90}}}, "heavy.mass = 174 GeV must be above twice light.mass"),
        (HIGGS | {"higgs_pair": {"heavy": {"mass": 700}}}, "resonance.mass = 1300 GeV must be above twice heavy"),
        (HIGGS | {"higgs_pair": {"light": {"mass": 9}}}, "too small for a decay to two b quarks"),
        (HIGGS | {"higgs_pair": {"resonance": {"mass": 14000}}}, "beyond the collision energy"),
        (HIGGS | {"max_leading_jet_pt": 1200.0}, "needs a smaller min_leading_jet_pt, which is 1200 GeV"),
        (HIGGS | {"max_leading_jet_pt": 650.0, "min_leading_jet_pt": None}, "which is null"),
        (WPRIME | {"resonance": {"x_masses": [300, 20]}}, r"x_masses = \[300, 20\] must rise"),
        (WPRIME | {"resonance": {"x_masses": [20, 3450]}}, "to below wprime.mass − y.mass = 3400 GeV"),
        (WPRIME | {"resonance": {"x_masses": [1, 300]}}, "weighs 1.5 GeV, more than X"),
        (WPRIME | {"resonance": {"x_masses": [20, 300], "x": {"mass": 500, "width": 11}}}, "more than half the mass"),
    ],
)
def test_invalid_recipes_say_why(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe(**recipe)


def test_keys_depend_on_what_decides_the_files() -> None:
    for base, field, other in (
        (TOPS, "hadronic_tops", {"top_mass": 80, "w_mass": 20}),
        (HIGGS, "higgs_pair", {"light": {"mass": 20}}),
    ):
        recipe = Recipe(**base)
        assert Recipe(**base, **{field: {}}).key() == recipe.key()
        keys = {Recipe(**base | change).key() for change in ({field: other}, {"max_leading_jet_pt": 1300.0})}
        assert len(keys | {recipe.key()}) == 3
        assert Recipe.model_validate(recipe.model_dump(mode="json")).key() == recipe.key()
    spread = Recipe(**WPRIME, resonance={"x_masses": [20, 300]})
    assert spread.key() != Recipe(**WPRIME).key()
    assert Recipe.model_validate(spread.model_dump(mode="json")) == spread


def test_pythia_is_told_the_masses_and_decays() -> None:
    tops = pythia_settings(Recipe(**TOPS, hadronic_tops=HadronicTops(top_mass=80, w_mass=20)), seed=1)
    assert {"6:m0 = 80", "24:m0 = 20", "32:m0 = 1300", "32:onIfAny = 6", "24:onIfAny = 1 2 3 4 5"} <= set(tops)
    higgs = pythia_settings(Recipe(**HIGGS), seed=1)
    assert "9900104:oneChannel = 1 1 103 9900105 9900105" in higgs
    assert "9900105:oneChannel = 1 1 103 5 -5" in higgs
    assert all("PartonLevel:MPI = off" in settings for settings in (tops, higgs))


def test_the_catalogue_has_the_test_sets_of_the_paper() -> None:
    entries = yaml.safe_load(CATALOGUE.read_text())
    names = ["w_59", "w_80", "w_120", "w_174", "top_80", "top_174", "higgs_174_20", "higgs_174_80"]
    recipes = {name: recipe_of(name) for name in (*names, "w_exposure", "qcd_jets", "qcd_jets_test")}
    assert {entries[name]["role"] for name in names} == {"signal"}
    assert entries["w_exposure"]["role"] == "exposure"
    assert len({recipe.seed for recipe in recipes.values()}) == len(recipes)
    assert {recipes[name].max_leading_jet_pt for name in (*names, "qcd_jets_test")} == {650}
    assert [recipes[name].signal.x.mass for name in names[:4]] == [59, 80, 120, 174]
    assert (recipes["top_80"].tops.top_mass, recipes["top_80"].tops.w_mass) == (80, 20)
    assert recipes["top_174"].tops.top_mass == 174
    assert [recipes[name].higgses.light.mass for name in names[-2:]] == [20, 80]
