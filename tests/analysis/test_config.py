"""Search files and catalogues: what is accepted, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.config import Search
from analysis.errors import ConfigurationError
from analysis.pipeline import check_detectors
from analysis.search_file import find_search, load_catalogue, load_search, merged, set_key
from analysis.validation import validated
from ml import TrainingError

SEARCH = """
data: mixed
mixtures:
  mixed: {background: qcd, signal: wprime, fraction: 1e-3}
window: {signal: [3300, 3700], sidebands: [[2900, 3300], [3700, 4100]]}
spectrum: {start: 2800, stop: 6000, width: 100}
scales:
  paper: {mixtures: {mixed: {fraction: 0.005}}}
"""


@pytest.fixture
def search_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SEARCH)
    return path


def test_a_search_file_is_read_with_its_name(search_file: Path) -> None:
    search, path = load_search(str(search_file))
    assert (search.name, path) == ("mine", search_file)
    assert search.mixtures["mixed"].fraction == 0.001


def test_set_and_scale_and_seed(search_file: Path) -> None:
    search, _ = load_search(
        str(search_file), overrides=["mixtures.mixed.seed=7", "efficiencies=[0.1]"], scale="paper", seed=9
    )
    assert search.mixtures["mixed"].seed == 7
    assert search.mixtures["mixed"].fraction == 0.005
    assert search.efficiencies == (0.1,)
    assert search.seed == 9


def test_null_leaves_a_detector_out_and_what_is_made_from_it_has_nothing(search_file: Path) -> None:
    detectors = ["detectors={t: {type: tnt}, a: {of: t}, c: {type: cwola}}", "detectors.t=null"]
    with pytest.raises(ConfigurationError, match=r"`a\.of`: there is no detector 't'"):
        load_search(str(search_file), overrides=detectors)
    search, _ = load_search(str(search_file), overrides=[*detectors, "detectors.a=null"])
    assert list(search.detectors) == ["c"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mixtures.mixed.fractoin=1", r"mine\.yaml.*mixtures\.mixed\.fractoin: unknown key; did you mean 'fraction'\?"),
        ("windw={}", r"windw: unknown key; did you mean 'window'\? Correct the file"),
        ("mixtures.mixed.fraction=2", r"mixtures\.mixed\.fraction: .*less than 1, got 2"),
        ("mixtures.mixed.skip_background=-1", r"mixtures\.mixed\.skip_background: .*equal to 0, got -1"),
        ("mixtures.mixed.of=windo", r"mixtures\.mixed\.of: .*'total' or 'window', got 'windo'"),
        ("spectrum.start=9000", r"spectrum: `start` must lie below `stop`"),
        ("detectors.a={type: cwola, figures: [same, same]}", r"detectors\.a\.figures: the same figure is named twice"),
        ("detectors.a={type: cwola, figures: [my-windows]}", r"ends in 'windows' is kept for .* window of their own"),
        ("detectors.b={of: tntt, settings: {iterations: 0}}", r"`b\.of`: there is no detector 'tntt'"),
        ("detectors={t: {type: tnt}, a: {of: a}}", r"`a\.of` names 'a' itself"),
        ("detectors={t: {type: tnt}, a: {of: t}, b: {of: a}}", r"`b\.of`: 'a' is itself made from 't': name that one"),
        ("detectors={t: {type: tnt}, a: {of: t, folds: 2}}", r"`detectors\.a\.folds` is not that of 't'"),
        ("detectors={t: {type: tnt}, a: {of: t, settings: {members: 2}}}", r"members: a variant of a training differs"),
        ("detectors={t: {type: tnt}, a: {of: t, settings: {iterations: 4}}}", r"4 of a training that has 3"),
        ("detectors={t: {type: cwola}, a: {of: t}}", r"a CWoLa makes nothing else from its training"),
        ("window.sidebands=[[3600, 4000]]", r"overlaps the signal window"),
        ("window.signal=[3700, 3300]", r"\[3700, 3300\] is not an interval"),
        ("bump_hunt.masses={start: 1000, stop: 2000, step: 100}", r"1000 GeV lies outside the spectrum"),
        ("efficiencies=[2]", r"2 is not an efficiency"),
        ("spectrum.family=banana", r"spectrum\.family: 'banana' is no background family; known are: .*dijet"),
        ("spectrum.parameters=9", r"the family dijet has 2, 3, 4, 5, 6 parameters, not 9"),
        ("limits.masses=[3500]", r"`limits` are set on the spectra of the `bump_hunt`"),
        ("nonsense", r"not of the form key\.sub=value"),
        ("data.x=1", r"data is not a mapping"),
    ],
)
def test_a_mistake_names_file_key_and_nearest(search_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_search(str(search_file), overrides=[override])


def test_an_unknown_scale_names_the_known_ones(search_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="no scale 'papr'; did you mean 'paper'"):
        load_search(str(search_file), scale="papr")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("- a\n", "holds a list, not a mapping"),
        ("a: [1\n", "not readable YAML.*line 2"),
        ("data: x\ndata: y\n", "'data' appears twice"),
    ],
)
def test_files_that_are_no_search(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_search(str(path))


def test_a_missing_search_names_the_nearest_ready_one() -> None:
    with pytest.raises(ConfigurationError, match="no search file dmo; did you mean 'demo'"):
        load_search("dmo")
    assert find_search("demo").name == "demo.yaml"


def test_the_projects_own_catalogue_is_valid() -> None:
    path = Path(__file__).resolve().parents[2] / "datasets.yaml"
    catalogue = load_catalogue(path)
    assert {"qcd", "qcd_simulation", "wprime", "ttbar", "zprime_90"} <= set(catalogue)
    tops = {name: entry.recipe for name, entry in catalogue.items() if entry.recipe and entry.recipe.makes_tops}
    assert len({recipe.seed for recipe in tops.values()}) == len(tops) == 8


def test_every_ready_search_is_valid_at_every_scale() -> None:
    for path in (Path(__file__).resolve().parents[2] / "analysis" / "searches").glob("*.yaml"):
        search, _ = load_search(str(path))
        for scale in search.scales:
            load_search(str(path), scale=scale)


@pytest.mark.parametrize(("scale", "distinct"), [(None, 3), ("f0p1", 3), ("none", 6), ("none_whole", 3)])
def test_seeds_of_tag_n_train_search_parts_that_share_no_event(scale: str | None, distinct: int) -> None:
    search, _ = load_search("tnt_seeds", scale=scale)
    mixtures = [search.mixtures[name] for name in search.data]
    parts = {(one.background, one.skip_background or 0, one.max_background or 0) for one in mixtures}
    assert len(parts) == distinct
    taken = [(name, event) for name, skip, most in parts for event in range(skip // 1000, (skip + most) // 1000)]
    assert len(taken) == len(set(taken)) == 600
    events = {name: search.datasets[name]["recipe"]["events"] // 1000 for name, _ in taken}
    assert all(event < events[name] for name, event in taken)
    assert len({one.seed for one in mixtures}) == len(mixtures)


def test_a_search_lays_its_data_sets_over_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "datasets.yaml"
    path.write_text("mine: {files: [a.root], description: one}\n")
    entries = load_catalogue(path, {"mine": {"files": ["b.root"]}, "new": {"files": ["c.h5"], "format": "lhco"}})
    assert entries["mine"].files == ("b.root",)
    assert entries["mine"].description == "one"
    with pytest.raises(ConfigurationError, match=r"new\.fils: unknown key; did you mean 'files'"):
        load_catalogue(path, {"new": {"fils": []}})


def test_merging_leaves_its_inputs_alone() -> None:
    base = {"a": {"b": 1}}
    assert merged(base, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    set_key(merged(base, {}), "a.b=5")
    assert base == {"a": {"b": 1}}


def test_a_search_without_data_says_so() -> None:
    with pytest.raises(ConfigurationError, match="`data` names no sample to search in"):
        validated(Search, {"name": "x"}, source="x.yaml")


def test_limits_are_set_on_selections_that_exist(search_file: Path) -> None:
    hunting = ["bump_hunt.masses={start: 3000, stop: 4000, step: 100}", "limits.masses=[3500]"]
    load_search(str(search_file), overrides=[*hunting, "limits.selections=[0.01, 1]"])
    with pytest.raises(ConfigurationError, match=r"`limits\.selections` asks for 0\.02"):
        load_search(str(search_file), overrides=[*hunting, "limits.selections=[0.02]"])


def test_signal_is_counted_around_its_own_mass_where_the_mixture_says_so() -> None:
    """Else in the window that is looked into."""
    search, _ = load_search("demo", overrides=["mixtures.injected.quoted=[4800, 5200]"])
    assert search.counted("injected") == search.counted("injected", "cwola") == (4800, 5200)
    assert search.counted("other") == search.counted("other", "cwola") == (3300, 3700)
    search, _ = load_search("latent_signals")
    for name in search.data:
        low, high = search.counted(name) or (0.0, 0.0)
        assert high - low == 400, name
        recipe = search.datasets[search.mixtures[name].signal]["recipe"]
        assert "resonance" not in recipe or recipe["resonance"]["wprime"]["mass"] == (low + high) / 2


def test_the_recipe_and_its_entry_agree_on_the_energy(tmp_path: Path) -> None:
    path = tmp_path / "datasets.yaml"
    path.write_text("x: {recipe: {process: qcd_dijet, events: 10, seed: 1, sqrt_s: 14}}\n")
    assert load_catalogue(path)["x"].sqrt_s == 14
    with pytest.raises(ConfigurationError, match=r"`sqrt_s: 13` contradicts `recipe\.sqrt_s: 14`"):
        load_catalogue(path, {"x": {"sqrt_s": 13}})
    path.write_text("x: {recipe: {process: ttbar, events: 10, seed: 1}}\n")
    assert load_catalogue(path)["x"].sqrt_s == 14


@pytest.mark.parametrize("feature", ["truth", "file_id", "weight", "mjj", "fold"])
def test_what_identifies_an_event_is_no_feature(feature: str) -> None:
    search, _ = load_search("demo", overrides=[f"detectors.cwola.settings.features=[{feature}, j1_m]"])
    with pytest.raises((ConfigurationError, TrainingError), match=feature):
        check_detectors(search)


def test_a_weak_classifier_reads_columns_that_exist() -> None:
    def check(*features: str) -> None:
        override = f"detectors.tnt.settings.weak.settings.features={[*features]}"
        check_detectors(load_search("tnt", overrides=[override])[0])

    check("jet_m", "jet_nconst")
    with pytest.raises(ConfigurationError, match=r"'tnt' asks for the feature 'j1_nconts'.*did you mean 'j1_nconst'"):
        check("jet_m", "jet_nconts")
    with pytest.raises(ConfigurationError, match=r"`detectors\.tnt`: weak.settings.*\['j1_m'\], expected \['jet_m'\]"):
        check("j1_m", "jet_nconst")


def test_overlapping_sidebands_are_refused_before_anything_runs() -> None:
    search, _ = load_search("demo", overrides=["window.sidebands=[[2900, 3300], [3200, 3300]]"])
    with pytest.raises(TrainingError, match="overlap"):
        check_detectors(search)
