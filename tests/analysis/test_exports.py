"""What other programs read of a search: histograms, workspaces and a HEPData submission."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import awkward as ak
import hist
import numpy as np
import pyhf
import pytest
import uhi.io.json
import uproot
import yaml

from analysis.cli import main, parser
from analysis.commands import build_run
from analysis.context import SearchRun
from analysis.errors import StageError
from analysis.exports import export_results
from analysis.published import describe_search, published_selections
from analysis.stages.hunt import hunt
from analysis.stages.limit import limit
from stats.submission import validate_submission

N_BACKGROUND, N_SIGNAL = 6000, 400
SELECTION = "mixed-inclusive"


def write_events(path: Path, masses: np.ndarray, *, truth: int) -> Path:
    """Two massless particles per event, back to back at η = 0: m_jj is twice the momentum."""
    n_events = len(masses)
    pt = np.repeat(masses / 2, 2).reshape(n_events, 2).astype(np.float32)
    particles = {
        "pt": pt,
        "eta": np.zeros_like(pt),
        "phi": np.tile(np.float32([0.1, 0.1 - np.pi]), (n_events, 1)),
        "mass": np.zeros_like(pt),
        "charge": np.zeros(pt.shape, np.int32),
        "pdgId": np.full(pt.shape, 22, np.int32),
    }
    flat = {
        "run": np.ones(n_events, np.uint32),
        "luminosityBlock": np.ones(n_events, np.uint32),
        "event": np.arange(n_events, dtype=np.uint64),
        "MET_pt": np.zeros(n_events, np.float32),
        "MET_phi": np.zeros(n_events, np.float32),
        "truth": np.full(n_events, truth, np.int32),
    }
    columns = {f"PFCands_{name}": _jagged(values) for name, values in particles.items()} | flat
    types = {f"PFCands_{name}": f"var * {values.dtype}" for name, values in particles.items()}
    types |= {name: values.dtype for name, values in flat.items()}
    with uproot.recreate(path) as file:
        file.mktree("Events", types, counter_name=lambda name: "n" + name.split("_")[0]).extend(columns)
    return path


def _jagged(values: np.ndarray) -> ak.Array:
    return ak.from_regular(ak.Array(values))


@pytest.fixture(scope="module")
def search_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search without detectors in a falling spectrum with a bump at 3.5 TeV."""
    folder, rng = tmp_path_factory.mktemp("search"), np.random.default_rng(5)
    background = 2500 + rng.exponential(600, N_BACKGROUND)
    write_events(folder / "background.root", background, truth=0)
    write_events(folder / "signal.root", rng.normal(3500, 105, N_SIGNAL), truth=1)
    search = {
        "name": "small",
        "title": "A small search",
        "datasets": {name: {"files": [str(folder / f"{name}.root")]} for name in ("background", "signal")},
        "mixtures": {"mixed": {"background": "background", "signal": "signal", "fraction": 0.03}},
        "data": "mixed",
        "window": {"signal": [3300, 3700]},
        "processing": {"histograms": {"mjj": {"bins": 40, "start": 2400, "stop": 6400}}},
        "spectrum": {"start": 2600, "stop": 6000, "width": 100},
        "bump_hunt": {"masses": {"start": 3000, "stop": 4200, "step": 100}, "widths": [0.03, 0.05], "toys": 20},
        "limits": {"masses": [2700, 3500], "width": 0.1},  # too wide for a limit in the middle of the spectrum
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(search))
    return path


def options(search_file: Path) -> list[str]:
    """The options of every command: one process, everything beside the search file."""
    folder = search_file.parent
    return ["--data", str(folder / "data"), "--out", str(folder / "out"), "--executor", "iterative", "--workers", "1"]


@pytest.fixture(scope="module")
def run(search_file: Path) -> SearchRun:
    """The same search from Python."""
    return build_run(parser().parse_args(["export", "hepdata", str(search_file), *options(search_file)]))


@pytest.fixture(scope="module")
def submission(run: SearchRun) -> tuple[dict[str, dict], list[dict]]:
    """The tables by name and all documents of submission.yaml."""
    export_results(run, "hepdata")
    documents = list(yaml.safe_load_all((run.out / "hepdata" / "submission.yaml").read_text()))
    tables = {
        one["name"]: yaml.safe_load((run.out / "hepdata" / one["data_file"]).read_text()) for one in documents[1:]
    }
    return tables, documents


def column(table: dict, index: int) -> list:
    return [entry["value"] for entry in table["dependent_variables"][index]["values"]]


def test_hepdata_holds_spectrum_p_values_and_limits(submission: tuple[dict[str, dict], list[dict]]) -> None:
    tables, _ = submission
    assert list(tables) == [f"Spectrum {SELECTION}", "Local p-values", "Upper limits"]


def test_the_command_writes_what_the_validator_accepts(
    search_file: Path, run: SearchRun, capsys: pytest.CaptureFixture[str]
) -> None:
    export_results(run, "hepdata")
    before = (run.out / "submission.tar.gz").read_bytes()
    assert main(["export", "hepdata", str(search_file), *options(search_file)]) == 0
    printed = capsys.readouterr().out.split()
    assert printed[0].endswith("hepdata/submission.yaml")
    assert printed[-1] == str(run.out / "submission.tar.gz")
    assert all(Path(path).is_file() for path in printed)
    validate_submission(run.out / "hepdata")
    assert (run.out / "submission.tar.gz").read_bytes() == before


def test_hepdata_spectrum_is_the_hunted_one(run: SearchRun, submission: tuple[dict[str, dict], list[dict]]) -> None:
    table, hunted = submission[0][f"Spectrum {SELECTION}"], hunt(run)[SELECTION]
    bins = table["independent_variables"][0]["values"]
    assert [(one["low"], one["high"]) for one in bins] == list(
        zip(hunted.spectrum.edges[:-1], hunted.spectrum.edges[1:], strict=True)
    )
    assert column(table, 0) == hunted.spectrum.counts.tolist()
    np.testing.assert_allclose(column(table, 1), hunted.fit["expected"], rtol=1e-5)
    errors = [entry["errors"][0]["symerror"] for entry in table["dependent_variables"][1]["values"]]
    np.testing.assert_allclose(errors, hunted.fit["error"], rtol=1e-5)


def test_hepdata_scan_is_the_hunted_one_at_every_width(
    run: SearchRun, submission: tuple[dict[str, dict], list[dict]]
) -> None:
    table, scan = submission[0]["Local p-values"], hunt(run)[SELECTION].summary["bump_hunt"]["scan"]
    assert [one["value"] for one in table["independent_variables"][0]["values"]] == scan["mass"]
    for row in range(len(scan["width"])):
        np.testing.assert_allclose(column(table, 2 * row), scan["local_p0"][row], rtol=1e-5)
        np.testing.assert_allclose(column(table, 2 * row + 1), scan["local_z"][row], rtol=1e-5)


def test_hepdata_limits_are_those_that_were_set_and_the_others_say_why(
    run: SearchRun, submission: tuple[dict[str, dict], list[dict]]
) -> None:
    tables, documents = submission
    table, (found, missing) = tables["Upper limits"], limit(run)
    assert missing["observed"] is None
    observed, expected = table["dependent_variables"]
    assert observed["values"][0]["value"] == pytest.approx(found["observed"], rel=1e-5)
    assert expected["values"][0]["value"] == pytest.approx(found["expected"][2], rel=1e-5)
    for error, low, high in zip(expected["values"][0]["errors"], (1, 0), (3, 4), strict=True):
        assert error["asymerror"]["minus"] == pytest.approx(found["expected"][low] - found["expected"][2], rel=1e-4)
        assert error["asymerror"]["plus"] == pytest.approx(found["expected"][high] - found["expected"][2], rel=1e-4)
    assert observed["values"][1] == expected["values"][1] == {"value": "-"}
    assert missing["reason"].rstrip(".") in documents[-1]["description"]


def test_hepdata_says_what_was_searched(run: SearchRun, submission: tuple[dict[str, dict], list[dict]]) -> None:
    tables, documents = submission
    counts = run.memory["searched mixed"].counts
    description = documents[1]["description"]
    assert "All events are simulated. Injected signal (signal)" in description
    assert f"{counts.n_signal} of {counts.n_signal + counts.n_background} events" in description
    assert "S/B" in description
    assert "S/sqrt(B)" in description
    assert documents[0]["comment"] == describe_search(run)
    assert "A small search" in documents[0]["comment"]
    assert "mixed: All events are simulated." in documents[0]["comment"]
    qualifiers = {
        one["name"]: one["value"] for one in tables[f"Spectrum {SELECTION}"]["dependent_variables"][0]["qualifiers"]
    }
    assert qualifiers == {
        "SQRT(S)": 13000.0,
        "Events": "simulated",
        "Sample": "mixed",
        "Selection": SELECTION,
        "Detector": "none (inclusive)",
        "Efficiency": 1.0,
    }


def test_hepdata_of_a_search_without_limits_has_no_limits_table(run: SearchRun, tmp_path: Path) -> None:
    memory = {name: value for name, value in run.memory.items() if not name.startswith("limits")}
    search = run.search.model_copy(update={"limits": None})
    unlimited = replace(run, search=search, options=replace(run.options, out=tmp_path), memory=memory)
    paths = export_results(unlimited, "hepdata")
    assert [path.name for path in paths[1:]] == [
        f"spectrum_{SELECTION}.yaml",
        "local_p-values.yaml",
        "submission.tar.gz",
    ]
    assert published_selections(unlimited)[0].limits == ()


def test_hepdata_needs_a_hunt(run: SearchRun, tmp_path: Path) -> None:
    search = run.search.model_copy(update={"limits": None, "bump_hunt": None})
    with pytest.raises(StageError, match="`bump_hunt`"):
        export_results(replace(run, search=search, options=replace(run.options, out=tmp_path), memory={}), "hepdata")


def test_histograms_in_root_and_in_json_are_the_results(run: SearchRun) -> None:
    as_root, as_json = export_results(run, "histograms")
    hunted = hunt(run)[SELECTION]
    content = json.loads(as_json.read_text(), object_hook=uhi.io.json.object_hook)
    in_json = {name: hist.Hist(one) for name, one in content.items()}
    with uproot.open(as_root) as file:
        observed, fitted = (file[f"{name}/{SELECTION}"].to_hist() for name in ("spectrum", "background"))
        for one in (observed, in_json[f"spectrum/{SELECTION}"]):
            np.testing.assert_array_equal(one.axes[0].edges, hunted.spectrum.edges)
            np.testing.assert_array_equal(one.values(), hunted.spectrum.counts)
        for one in (fitted, in_json[f"background/{SELECTION}"]):
            np.testing.assert_array_equal(one.values(), hunted.fit["expected"])
            np.testing.assert_allclose(np.sqrt(one.variances()), hunted.fit["error"], rtol=1e-12)
        for dataset, n_events in (("background", N_BACKGROUND), ("signal", N_SIGNAL)):
            one = in_json["mjj"][dataset, "nominal", :]
            assert one.values(flow=True).sum() == pytest.approx(run.memory[f"processed {dataset}"].n_selected)
            assert one.values(flow=True).sum() <= n_events
            np.testing.assert_array_equal(file[f"{dataset}/nominal/mjj"].values(flow=True), one.values(flow=True))


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")  # pyhf's validator uses it
def test_pyhf_reads_every_workspace(run: SearchRun) -> None:
    paths = export_results(run, "workspaces")
    assert [path.name for path in paths] == [f"{SELECTION}-2700.json"]
    for path in paths:
        workspace = pyhf.Workspace(json.loads(path.read_text()))
        model = workspace.model()
        assert model.config.poi_name == "mu"
        assert np.isfinite(model.logpdf(model.config.suggested_init(), workspace.data(model)))
