"""What the command line says about input that cannot be used: one paragraph, a status, no traceback."""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import distributed  # noqa: F401  (its defaults must be there before a test changes one)
import h5py
import numpy as np
import pytest
import yaml

from analysis.samples.events import Events
from analysis.samples.writers import write_events
from tests.analysis.conftest import CommandLine, dijet_events, results_in, without_seconds

HERE = ("--executor", "iterative")


def truncated(source: Path, target: Path, *, keep: float) -> Path:
    """The first part of a file."""
    content = source.read_bytes()
    target.write_bytes(content[: int(keep * len(content))])
    return target


def spoilt(path: Path, *, pt: float, n_events: int = 40, format: str = "root") -> Path:
    """A file whose seventh event has a particle of such a pT."""
    events = dijet_events(n_events, seed=9)
    events.candidates.pt[np.flatnonzero(events.candidates.event == 7)[2]] = pt
    write_events(path, [events], format=format, truth=0, metadata={"index": 0})
    return path


def single_jets(path: Path, *, only: bool) -> Path:
    """A file of events that lost one of their two jets: all of them, or every second one."""
    events = dijet_events(200, seed=9)
    candidates = events.candidates
    hardest = np.searchsorted(candidates.event, candidates.event)
    distance = np.hypot(candidates.eta - candidates.eta[hardest], np.sin(candidates.phi - candidates.phi[hardest]))
    beside = (distance < 0.5) & (np.cos(candidates.phi - candidates.phi[hardest]) > 0)
    soft = candidates.pt < 1
    lost = np.ones(200, bool) if only else np.arange(200) % 2 == 0
    keep = (beside | ~lost[candidates.event]) & ~soft
    columns = (getattr(candidates, name)[keep] for name in ("event", "pt", "eta", "phi", "code", "charge"))
    kept = type(candidates)(200, *columns)
    write_events(path, [Events(kept, events.b_hadrons, events.weight)], format="lhco", truth=0, metadata={"index": 0})
    return path


def process(darkhorse: CommandLine, *files: Path, format: str = "darkhorse") -> str:
    """Process files that cannot be; return the message, after making sure that nothing was left."""
    message = darkhorse.refused("process", "--files", *files, "--format", format, *HERE)
    assert not list(darkhorse.folder.rglob("*.parquet"))
    assert not list(darkhorse.folder.rglob(".complete.json"))
    return message


def test_a_missing_file(darkhorse: CommandLine) -> None:
    message = process(darkhorse, Path("nowhere.root"))
    assert "No file matches" in message
    assert "nowhere.root" in message


def test_a_missing_file_of_a_search(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["nowhere/*.root"])
    message = darkhorse.refused("run", search, *HERE)
    assert f"No file matches '{darkhorse.folder}/nowhere/*.root', given for the data set 'dijets'" in message


@pytest.mark.parametrize("keep", [0.3, 0.97])
def test_a_truncated_root_file(darkhorse: CommandLine, events_folder: Path, keep: float) -> None:
    broken = truncated(events_folder / "dijet-000.root", darkhorse.folder / "cut.root", keep=keep)
    message = process(darkhorse, broken)
    assert str(broken) in message
    assert "truncated" in message or "damaged" in message
    assert "leave it out" in message


@pytest.mark.parametrize("keep", [0.1, 0.9])
def test_a_truncated_hdf5_file(darkhorse: CommandLine, events_folder: Path, keep: float) -> None:
    broken = truncated(events_folder / "dijet-000.h5", darkhorse.folder / "cut.h5", keep=keep)
    message = process(darkhorse, broken, format="lhco")
    assert f"{broken} is truncated" in message


def test_an_hdf5_file_with_another_layout(darkhorse: CommandLine) -> None:
    path = darkhorse.folder / "other.h5"
    with h5py.File(path, "w") as file:
        file["jets/pt"] = np.ones(10)
    message = process(darkhorse, path, format="lhco")
    assert f"{path}: its layout is not one this program knows: it holds /jets/pt (10,)" in message
    assert "700" in message or "2100 columns" in message


def test_files_of_the_other_format(darkhorse: CommandLine, events_folder: Path) -> None:
    assert "is not a file of the format it is listed with" in process(darkhorse, events_folder / "dijet-000.h5")
    message = process(darkhorse, events_folder / "dijet-000.root", format="lhco")
    assert "is not a file of the format it is listed with" in message


@pytest.mark.parametrize("format", ["root", "lhco"])
@pytest.mark.parametrize("pt", [float("nan"), -30.0])
def test_momenta_that_cannot_be(darkhorse: CommandLine, format: str, pt: float) -> None:
    path = spoilt(darkhorse.folder / "spoilt.file", pt=pt, format=format)
    message = process(darkhorse, path, format="lhco" if format == "lhco" else "darkhorse")
    assert f"PFCands of entry 7 of {path} has pt = {pt}" in message
    assert "leave it out" in message


def test_events_with_fewer_than_two_jets_are_dropped_and_counted(darkhorse: CommandLine) -> None:
    path = single_jets(darkhorse.folder / "some.h5", only=False)
    said = darkhorse("process", "--files", path, "--format", "lhco", *HERE)
    assert (said.status, said.err) == (0, "")
    assert "files: 200 events, " in said.out
    assert "all: 200, two_jets: 100, leading_pt: " in said.out


def test_a_search_without_any_event_of_two_jets(darkhorse: CommandLine) -> None:
    search = darkhorse.search([single_jets(darkhorse.folder / "none.h5", only=True)], format="lhco")
    message = darkhorse.refused("run", search, *HERE)
    assert "No event of 'dijets' passes the selection (all: 200, two_jets: 0" in message
    assert "Loosen the cuts" in message


def test_an_empty_file(darkhorse: CommandLine) -> None:
    path = darkhorse.folder / "empty.root"
    path.touch()
    assert f"{path} is empty (0 bytes)" in process(darkhorse, path)


def test_every_bad_file_is_named(darkhorse: CommandLine, events_folder: Path) -> None:
    empty = darkhorse.folder / "empty.root"
    empty.touch()
    other = darkhorse.folder / "other.root"
    other.write_text("these are not events" * 100)
    message = process(darkhorse, empty, other, events_folder / "dijet-001.root")
    assert "2 of 3 files cannot be used" in message
    assert str(empty) in message
    assert str(other) in message


@pytest.mark.usefixtures("without_figures")
def test_bad_files_can_be_skipped(darkhorse: CommandLine, events_folder: Path) -> None:
    empty = darkhorse.folder / "empty.root"
    empty.touch()
    cut = truncated(events_folder / "dijet-000.root", darkhorse.folder / "cut.root", keep=0.5)
    spoiled = spoilt(darkhorse.folder / "spoilt.root", pt=-1.0)
    search = darkhorse.search([empty, cut, *sorted(events_folder.glob("dijet-00[12].root")), spoiled], detectors={})
    said = darkhorse("run", search, "--skip-bad-files", *HERE)
    assert said.status == 0, said.err
    assert "dijets: 2,000 events" in said.out
    assert "3 files skipped" in said.out
    dataset = darkhorse.results()["datasets"]["dijets"]
    assert dataset["events"] == 2000
    assert [entry["file"] for entry in dataset["skipped_files"]] == [str(empty), str(cut), str(spoiled)]
    assert "pt = -1.0" in dataset["skipped_files"][2]["reason"]
    report = (darkhorse.folder / "out/tiny/report/index.html").read_text()
    for path in (empty, cut, spoiled):
        assert str(path) in report
        assert str(path) in said.err


def test_skipping_leaves_no_data_set_without_files(darkhorse: CommandLine) -> None:
    empty = darkhorse.folder / "empty.root"
    empty.touch()
    message = darkhorse.refused("process", "--files", empty, "--skip-bad-files", *HERE)
    assert f"{empty} is empty (0 bytes)" in message


def test_a_file_that_was_mended_is_read_again(darkhorse: CommandLine, events_folder: Path) -> None:
    path = truncated(events_folder / "dijet-000.root", darkhorse.folder / "events.root", keep=0.5)
    process(darkhorse, path)
    shutil.copy(events_folder / "dijet-000.root", path)
    assert "files: 1,000 events" in darkhorse("process", "--files", path, *HERE).out


# names and settings


def test_an_unknown_data_set(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["x.root"], data="dijet")
    message = darkhorse.refused("run", search)
    assert "`data: dijet`: There is no mixture 'dijet'" in message
    assert "no data set 'dijet' in the catalogue; did you mean 'dijets', 'qcd_jets' (data sets)? Correct" in message
    assert "no data set 'wprim' in the catalogue; did you mean 'wprime'?" in darkhorse.refused("generate", "wprim")
    assert "did you mean 'lhco_rnd'?" in darkhorse.refused("fetch", "lhco_rd")


def test_an_unknown_mixture(darkhorse: CommandLine) -> None:
    """The nearest mixtures come before the data sets of the catalogue."""
    message = darkhorse.refused("check", "latent_lhco", "--set", "data=lhco7")
    assert "`data: lhco7`: There is no mixture 'lhco7'" in message
    mixtures, datasets = message.split("; did you mean ")[1].split(" (mixtures) or ")
    assert set(mixtures.split(", ")) <= {"'lhco10'", "'lhco1'", "'lhco0'", "'lhco0p1'"}
    assert "'lhco_rnd'" in datasets.split(" Correct ")[0]
    assert "describe 'lhco7' under `mixtures` or `datasets` of the search file" in message
    message = darkhorse.refused("check", "latent_lhco", "--set", "data=[lhco1,zzz]")
    assert "`data: zzz`" in message
    assert "known are 'lhco10', 'lhco1', 'lhco0p1', 'lhco0' (mixtures) or " in message


def test_an_unknown_search(darkhorse: CommandLine) -> None:
    assert "There is no search file dmo; did you mean 'demo'?" in darkhorse.refused("run", "dmo")
    assert "Name a search file" in darkhorse.refused("run")


def test_a_mistyped_key_in_a_search(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["x.root"], bump_hnt={"toys": 3})
    message = darkhorse.refused("run", search)
    assert f"{search} is not valid. bump_hnt: unknown key; did you mean 'bump_hunt'?" in message


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("bump_hunt.toy=3", "bump_hunt.toy: unknown key; did you mean 'toys'?"),
        ("processing.min_leading_p=3", "processing.min_leading_p: unknown key; did you mean 'min_leading_pt'?"),
        ("bump_hunt.toys=many", "bump_hunt.toys: Input should be a valid integer"),
        ("bump_hunt.toys", "--set 'bump_hunt.toys' is not of the form key.sub=value"),
        ("seed.x=1", "--set 'seed.x=1': seed is not a mapping"),
        ("detectors.cwola.settings.featurs=[j1_m]", "`detectors.cwola`: settings of detector 'cwola' has no key"),
        ("detectors.cwola_.folds=3", "the search has no detectors.cwola_; did you mean 'cwola'?"),
        ("detectors.cwola.settings.bdt.iteration=3", "has no key 'iteration'"),
        ("detectors.cwola.type=cwolla", "no detector of type 'cwolla'"),
        (
            "detectors.cwola.settings.features=[j1_m,j2_tau12]",
            "'j2_tau12', which is not a feature of the processed events",
        ),
        (
            "detectors.cwola={type: adversarial_autoencoder, settings: {features: [j1_m, j2_m, j1_pt, j2_pt]}}",
            "has the nuisance `category`",
        ),
        ("processing.histograms.mj={bins: 3, start: 0, stop: 1}", "Did you mean 'mjj'?"),
        ("bump_hunt.masses.stop=7000", "lies outside the spectrum (2600 to 5600 GeV)"),
    ],
)
def test_a_mistake_in_set(darkhorse: CommandLine, setting: str, words: str) -> None:
    message = darkhorse.refused("run", darkhorse.search(["x.root"]), "--set", setting)
    assert words in message
    assert not (darkhorse.folder / "data").exists()


def test_a_mistyped_key_in_the_catalogue(darkhorse: CommandLine) -> None:
    catalogue = darkhorse.folder / "datasets.yaml"
    catalogue.write_text(yaml.safe_dump({"mine": {"files": ["x.root"], "rol": "data"}}))
    assert "datasets.yaml is not valid. mine.rol: unknown key; did you mean 'role'?" in darkhorse.refused("datasets")


def test_a_mistake_in_the_data_sets_of_a_search_is_found_there(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["x.root"], datasets={"dijets": {"file": ["x.root"]}})
    message = darkhorse.refused("check", search)
    assert f"{search} is not valid." in message
    assert "datasets.dijets.file: unknown key; did you mean 'files'?" in message
    message = darkhorse.refused("process", "--files", "x.root", "--format", "roo")
    assert "the command line is not valid. datasets.files.format: Input should be 'darkhorse'" in message


def test_broken_yaml(darkhorse: CommandLine) -> None:
    path = darkhorse.folder / "broken.yaml"
    path.write_text("data: [x\nseed: 1\n")
    message = darkhorse.refused("run", path)
    assert f"{path} is not readable YAML" in message
    assert "line 2" in message
    path.write_text("seed: 1\nseed: 2\n")
    assert "the key 'seed' appears twice" in darkhorse.refused("run", path)


def test_no_workers(darkhorse: CommandLine) -> None:
    for command in (["run", darkhorse.search(["x.root"])], ["generate", "qcd"]):
        assert "--workers 0 is not a number of workers: give 1 or more" in darkhorse.refused(*command, "--workers", 0)


def test_options_that_contradict_each_other(darkhorse: CommandLine) -> None:
    search = darkhorse.search(["x.root"])
    message = darkhorse.refused("run", search, "--scheduler", "tcp://127.0.0.1:1", "--executor", "futures")
    assert "--scheduler names a Dask scheduler, which --executor futures would not use" in message
    message = darkhorse.refused("process", search, "--files", "x.root")
    assert "either the search" in message
    assert "--as mine names one data set" in darkhorse.refused("generate", "qcd", "wprime", "--as", "mine")


def test_a_scheduler_that_does_not_answer(darkhorse: CommandLine, events_folder: Path) -> None:
    path = events_folder / "dijet-000.root"
    with dask.config.set({"distributed.comm.timeouts.connect": "0.3s"}):
        message = darkhorse.refused("process", "--files", path, "--scheduler", "tcp://127.0.0.1:1")
    assert "The Dask scheduler 'tcp://127.0.0.1:1' cannot be reached: Timed out" in message
    assert "Start it with `dask scheduler`" in message
    message = darkhorse.refused("process", "--files", path, "--scheduler", "somewhere")
    assert "The Dask scheduler 'somewhere' cannot be reached: missing port" in message


# what a search cannot do


def test_an_empty_selection(darkhorse: CommandLine, events_folder: Path) -> None:
    search = darkhorse.search([events_folder / "dijet-000.root"], detectors={})
    far = "spectrum={start: 11000, stop: 12000, width: 100}"
    masses = "bump_hunt.masses={start: 11500, stop: 11600, step: 50}"
    message = darkhorse.refused(
        "hunt", search, *HERE, "--set", far, "--set", masses, "--set", "limits=null", "--set", "window=null"
    )
    assert "The selection dijets-inclusive is empty: no event in 11000 to 12000 GeV" in message


def test_a_window_without_events(darkhorse: CommandLine, events_folder: Path) -> None:
    search = darkhorse.search([events_folder / "dijet-000.root"])
    window = "window={signal: [9000, 9500], sidebands: [[8500, 9000], [9500, 9900]]}"
    message = darkhorse.refused("train", search, *HERE, "--set", window, "--set", "spectrum.stop=10000")
    assert "holds no event of dijets" in message
    assert "lies outside the spectrum" in darkhorse.refused("check", search, "--set", window)


# where the results go


def test_an_output_folder_that_cannot_be_made(darkhorse: CommandLine, events_folder: Path) -> None:
    """Below a file: also the superuser cannot write there."""
    (darkhorse.folder / "file").touch()
    path = events_folder / "dijet-000.root"
    message = darkhorse.refused("process", "--files", path, *HERE, "--out", "file/out")
    expected = "file is a file, not a folder: name a folder, existing or new, with --out or --data"
    assert expected in message
    message = darkhorse.refused("process", "--files", path, *HERE, "--data", "file/data")
    assert expected in message


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: writing stops as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_folder_for_columns(darkhorse: CommandLine, events_folder: Path) -> None:
    path = events_folder / "dijet-000.root"
    with room_for(20_000):
        message = process(darkhorse, path)
    assert "the columns cannot be written to" in message
    assert "File too large. Free space there" in message
    assert darkhorse("process", "--files", path, *HERE).status == 0


@pytest.mark.parametrize(
    ("lost", "room"),
    [
        (["models", "results.json"], 1_000),
        (["stages/hunt", "results.json"], 2_000),
        (["stages/limit", "results.json"], 3_000),
        (["histograms.root", "histograms.json", "results.json"], 10_000),
        (["results.json"], 6_000),
        (["report", "results.json"], 400_000),
    ],
    ids=["training", "hunt", "limit", "histograms", "results", "report"],
)
def test_a_full_folder_for_results(darkhorse: CommandLine, finished: Path, lost: list[str], room: int) -> None:
    """Nothing half-written is left that looks whole, and with more room the same search ends well."""
    shutil.copytree(finished, darkhorse.folder, dirs_exist_ok=True)
    out = darkhorse.folder / "out"
    for name in lost:
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
    arguments = ("run", "tiny.yaml", "--out", "out", *HERE)
    whole = {".complete.json", "index.html"}
    with room_for(room):
        message = darkhorse.refused(*arguments)
    assert "File too large" in message
    assert "Nothing half-written was left: free space, or choose another folder with --out or --data" in message
    assert not [path for name in lost for path in (out / name).rglob("*") if path.name in whole]
    assert not (out / lost[-1]).exists() or lost[0] == "report"
    assert not [path for path in out.rglob("*") if path.name.endswith((".part", ".tmp"))]
    assert darkhorse(*arguments).status == 0
    assert without_seconds(darkhorse.results("out")) == without_seconds(results_in(finished))


def test_a_full_folder_for_figures(darkhorse: CommandLine, finished: Path) -> None:
    shutil.copytree(finished, darkhorse.folder, dirs_exist_ok=True)
    figures = darkhorse.folder / "out" / "figures"
    whole = {path.name: path.read_bytes() for path in figures.iterdir()}
    shutil.rmtree(figures)
    with room_for(20_000):
        assert "File too large" in darkhorse.refused("figures", "tiny.yaml", "--out", "out", *HERE)
    for path in figures.iterdir():
        assert path.read_bytes() == whole[path.name]
    assert not (figures / "index.json").exists()


def test_unexpected_errors_ask_for_a_report(darkhorse: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("analysis.commands.build_run", fail)
    said = darkhorse("run", "demo")
    assert said.status == 1
    assert "unexpected ZeroDivisionError: division by zero" in said.err
    assert "--debug" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in darkhorse("run", "demo", "--debug").err
