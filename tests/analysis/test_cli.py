"""The commands, as a user gives them."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import uproot
import yaml

from analysis.logs import own_lines
from tests.analysis.conftest import CommandLine, search_of, write_search


def test_a_search_runs_from_events_to_a_report(finished: Path) -> None:
    out = finished / "out"
    results = json.loads((out / "results.json").read_text())
    assert results["datasets"]["dijets"]["events"] == 3000
    assert set(results["selections"]) == {"dijets-inclusive", "dijets-cwola-0.2"}
    assert results["limits"][0]["observed"] > 0
    assert "<html" in (out / "report" / "index.html").read_text()
    with uproot.open(out / "histograms.root") as file:
        inside = file["dijets/nominal/mjj"].values(flow=True).sum()
    assert inside == results["datasets"]["dijets"]["selected"]


def test_help(darkhorse: CommandLine) -> None:
    said = darkhorse("--help")
    assert said.status == 0
    for command in ("run", "process", "train", "hunt", "limit", "figures", "report", "export", "datasets", "generate"):
        assert f"  {command} " in said.out


def test_a_command_that_does_not_exist(darkhorse: CommandLine) -> None:
    said = darkhorse("serch")
    assert said.status == 2
    assert "invalid choice: 'serch'" in said.err


def test_every_command_explains_itself(darkhorse: CommandLine) -> None:
    for command in ("run", "process", "export", "datasets", "generate", "fetch", "check"):
        said = darkhorse(command, "--help")
        assert said.status == 0
        assert f"usage: darkhorse {command}" in said.out


def test_the_catalogue_is_listed_with_what_is_on_disk(darkhorse: CommandLine, events_folder: Path) -> None:
    catalogue = darkhorse.folder / "datasets.yaml"
    entries = {
        "here": {"files": [str(events_folder / "*.root")], "description": "some events"},
        "gone": {"files": ["nowhere.h5"], "format": "lhco", "role": "simulation"},
        "built": {"recipe": {"process": "qcd_dijet", "events": 30, "seed": 1}},
    }
    catalogue.write_text(yaml.safe_dump(entries, sort_keys=False))
    said = darkhorse("datasets")
    assert said.status == 0
    here, description, gone, built = said.out.splitlines()
    assert here.split()[0] == "here"
    assert "on disk" in here
    assert description.strip() == "some events"
    assert "not on disk" in gone
    assert "simulation" in gone
    assert "recipe, 30 events" in built
    assert "not on disk" in built


def test_the_catalogue_of_the_project_is_valid(darkhorse: CommandLine) -> None:
    said = darkhorse("datasets")
    assert said.status == 0
    for name in ("qcd", "qcd_simulation", "wprime", "lhco_rnd"):
        assert f"\n{name} " in "\n" + said.out


def test_checking_a_search_runs_nothing(darkhorse: CommandLine, events_folder: Path) -> None:
    said = darkhorse("check", darkhorse.search([events_folder / "dijet-000.root"]))
    assert said.status == 0
    assert "tiny: valid" in said.out
    assert [path.name for path in darkhorse.folder.iterdir()] == ["tiny.yaml"]
    assert darkhorse("check", "demo").status == 0


def test_relative_files_of_a_search_start_at_the_search(darkhorse: CommandLine, events_folder: Path) -> None:
    (darkhorse.folder / "sub").mkdir()
    (darkhorse.folder / "sub" / "mine.root").symlink_to(events_folder / "dijet-000.root")
    search = write_search(darkhorse.folder / "sub" / "tiny.yaml", search_of(["mine.root"]))
    assert "dijets  data        darkhorse  1 file pattern(s)       on disk" in darkhorse("check", search).out


def test_files_are_processed_without_a_search(darkhorse: CommandLine, events_folder: Path) -> None:
    files = sorted(events_folder.glob("*.h5"))
    cut = "processing.min_mjj=3000"
    options = ("--format", "lhco", "--executor", "iterative", "--set", cut)
    said = darkhorse("process", "--files", *files[:2], *options)
    assert (said.status, said.err) == (0, "")
    assert "files: 2,000 events, " in said.out
    parts = list(darkhorse.folder.rglob("*.parquet"))
    tables = [parquet.read_table(part, partitioning=None) for part in parts]
    masses = np.concatenate([table["mjj"].to_numpy() for table in tables])
    assert f"{len(masses):,} selected" in said.out
    assert masses.min() >= 3000


def test_a_name_with_brackets_is_a_file_not_a_pattern(darkhorse: CommandLine, events_folder: Path) -> None:
    path = darkhorse.folder / "run[1].root"
    path.symlink_to(events_folder / "dijet-000.root")
    assert "1,000 events" in darkhorse("process", "--files", path, "--executor", "iterative").out


@pytest.mark.parametrize("what", ["histograms", "workspaces"])
def test_results_are_exported(darkhorse: CommandLine, finished: Path, what: str) -> None:
    shutil.copytree(finished, darkhorse.folder, dirs_exist_ok=True)
    said = darkhorse("export", what, "tiny.yaml", "--out", "out", "--executor", "iterative")
    assert (said.status, said.err) == (0, "")
    paths = [darkhorse.folder / line for line in said.out.splitlines()]
    assert paths
    assert all(path.is_file() for path in paths)
    if what == "workspaces":
        assert "channels" in json.loads(paths[0].read_text())


def test_a_resonance_of_the_users_own_is_generated(darkhorse: CommandLine) -> None:
    settings = (
        "resonance.wprime.mass=3000",
        "recipe.resonance.x={mass: 300, decays: [[2, -1]]}",
        "min_leading_jet_pt=null",
    )
    options = ("--as", "lighter", "--events", 20, "--workers", 1, *(f"--set={setting}" for setting in settings))
    said = darkhorse("generate", "wprime", *options)
    assert (said.status, said.err) == (0, ""), said
    assert "lighter: 1 files in data/lighter" in said.out
    files = list((darkhorse.folder / "data" / "lighter").glob("*.root"))
    with uproot.open(files[0]) as file:
        assert file["Events"].num_entries == 20
    before = files[0].stat().st_mtime_ns
    assert darkhorse("generate", "wprime", *options).status == 0
    assert files[0].stat().st_mtime_ns == before


def test_samples_are_generated_in_the_layout_of_the_lhc_olympics(darkhorse: CommandLine) -> None:
    settings = ("--set", "format=lhco", "--set", "min_leading_jet_pt=null")
    said = darkhorse("generate", "wprime", "--as", "x", "--events", 20, "--workers", 1, *settings)
    assert (said.status, said.err) == (0, ""), said
    (path,) = (darkhorse.folder / "data" / "x").glob("*.h5")
    said = darkhorse("process", "--files", path, "--format", "lhco", "--executor", "iterative")
    assert "files: 20 events, " in said.out


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("resonance.wprime.mas=3000", "resonance.wprime.mas: unknown key; did you mean 'mass'?"),
        ("detector.trakcer.efficiency=1", "detector.trakcer: unknown key; did you mean 'tracker'?"),
        ("evnts=3", "wprime.recipe.evnts: unknown key; did you mean 'events'?"),
        ("resonance.wprime.mass=30000", "beyond the collision energy"),
    ],
)
def test_a_mistake_in_a_recipe(darkhorse: CommandLine, setting: str, words: str) -> None:
    assert words in darkhorse.refused("generate", "wprime", "--set", setting)
    assert not (darkhorse.folder / "data").exists()


def test_only_recipes_are_generated_and_only_remote_files_fetched(darkhorse: CommandLine) -> None:
    assert "'lhco_rnd' has no recipe" in darkhorse.refused("generate", "lhco_rnd")
    assert "'qcd' has nothing to download" in darkhorse.refused("fetch", "qcd")


@pytest.fixture
def server(events_folder: Path) -> Iterator[str]:
    """Address of a server that gives the small sample."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(events_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_data_sets_are_fetched_and_processed(darkhorse: CommandLine, server: str, events_folder: Path) -> None:
    content = (events_folder / "dijet-000.root").read_bytes()
    entry = {
        "files": [f"{server}/dijet-000.root"],
        "checksum": {"dijet-000.root": f"md5:{hashlib.md5(content).hexdigest()}"},
    }
    (darkhorse.folder / "datasets.yaml").write_text(yaml.safe_dump({"remote": entry}))
    search = darkhorse.search([], data="remote", datasets={}, detectors={})
    said = darkhorse("fetch", "remote")
    assert (said.status, said.err) == (0, "")
    assert "remote: 1 files in data/remote" in said.out
    assert (darkhorse.folder / "data/remote/dijet-000.root").read_bytes() == content
    assert "on disk" in darkhorse("datasets").out
    assert "remote: 1,000 events" in darkhorse("process", search, "--executor", "iterative").out


def test_a_search_fetches_what_it_needs(darkhorse: CommandLine, server: str) -> None:
    search = darkhorse.search([f"{server}/dijet-000.root"], detectors={})
    assert "dijets: 1,000 events" in darkhorse("process", search, "--executor", "iterative").out
    search = darkhorse.search([f"{server}/dijet-009.root"], detectors={})
    message = darkhorse.refused("process", search, "--executor", "iterative")
    assert "dijet-009.root" in message
    assert "404" in message


def test_native_libraries_write_to_the_log(
    program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    code = """
    import os, sys, warnings
    from pathlib import Path
    from analysis.logs import logged

    with logged(Path("log.txt")):
        os.write(2, b"I0000 from C++\\n")
        print("a warning", file=sys.stderr)
    os.write(2, b"after\\n")
    """
    said = program(code)
    assert said.stderr == "a warning\nafter\n"
    assert (tmp_path / "log.txt").read_text() == "I0000 from C++\n"
    assert own_lines("I0000 from C++\n2026-01-01 INFO x: y") == "2026-01-01 INFO x: y"
