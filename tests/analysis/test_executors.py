"""The same columns, histograms and results whatever runs the chunks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from distributed import LocalCluster

from processors import executors
from tests.analysis.conftest import CommandLine, search_of, without_seconds, write_search


@pytest.fixture(scope="module")
def search(events_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search over both formats: the ROOT files are what is searched, the HDF5 files its simulation."""
    content = search_of(sorted(events_folder.glob("*-00[01].root")))
    content["datasets"]["simulated"] = {
        "files": [str(path) for path in sorted(events_folder.glob("*-00[01].h5"))],
        "format": "lhco",
        "role": "simulation",
    }
    content |= {"simulation": "simulated"}
    return write_search(tmp_path_factory.mktemp("search") / "tiny.yaml", content)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a Dask scheduler with two workers."""
    settings = {"processes": False, "dashboard_address": ":0", "protocol": "tcp://"}
    with LocalCluster(n_workers=2, threads_per_worker=1, **settings) as cluster:
        yield cluster.scheduler_address


def columns(folder: Path) -> dict[str, bytes]:
    """Every part of the columns by its place, as it is on disk."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "processed").rglob("*.parquet")}


def scores(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("scores.npz")}


def histograms(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("histograms.json")}


# Dask warns where another cluster of this machine has the port that it likes best
@pytest.mark.filterwarnings(r"ignore:\s*Port 8787 is already in use")
@pytest.mark.usefixtures("without_figures")
def test_executors_agree(darkhorse: CommandLine, search: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clients: list[object] = []
    connect = executors._dask_client
    monkeypatch.setattr(executors, "_dask_client", lambda *options: clients.append(options) or connect(*options))
    choices = {
        "iterative": ("--executor", "iterative"),
        "futures": ("--executor", "futures", "--workers", 2),
        "dask": ("--executor", "dask", "--workers", 1),
        "scheduler": ("--scheduler", scheduler, "--workers", 3),
    }
    for name, options in choices.items():
        said = darkhorse("run", search, *options, "--data", f"data-{name}", "--out", f"out-{name}")
        assert said.status == 0, said.err
    assert clients == [(1, None), (3, scheduler)]  # one per run, for events and trainings
    first, *others = choices
    expected = columns(darkhorse.folder / f"data-{first}")
    assert len(expected) == 8  # two formats, two files each, two chunks each
    for name in others:
        assert columns(darkhorse.folder / f"data-{name}") == expected
        assert histograms(darkhorse.folder / f"data-{name}") == histograms(darkhorse.folder / f"data-{first}")
        results = darkhorse.results(f"out-{name}"), darkhorse.results(f"out-{first}")
        assert without_seconds(results[0]) == without_seconds(results[1])
    training = ("--training", "processes", "--workers", 2, "--data", f"data-{first}", "--out", "out-processes")
    assert darkhorse("train", search, "--executor", "iterative", *training).status == 0
    here, there = (scores(darkhorse.folder / out) for out in (f"out-{first}", "out-processes"))
    assert here == there


@pytest.mark.usefixtures("without_figures")
def test_formats_and_chunks_agree(darkhorse: CommandLine, search: Path) -> None:
    """Events are the same from ROOT and HDF5, and from chunks of any size."""
    for size in (2000, 300):
        options = ("--executor", "iterative", "--data", f"data-{size}", "--set", f"processing.chunksize={size}")
        assert darkhorse("process", search, *options).status == 0
    tables = []
    for size in (2000, 300):
        for name in ("dijets", "simulated"):
            parts = (darkhorse.folder / f"data-{size}").rglob(f"dataset={name}/**/*.parquet")
            table = [parquet.read_table(part, partitioning=None).to_pydict() for part in parts]
            tables.append({key: np.concatenate([part[key] for part in table]) for key in table[0]})
    for table in tables:
        # files of both formats differ in name, so in what is made of it
        order = np.lexsort((table["entry"], table["mjj"]))
        for key in set(tables[0]) - {"file_id", "fold"}:
            reference = tables[0][key][np.lexsort((tables[0]["entry"], tables[0]["mjj"]))]
            np.testing.assert_array_equal(table[key][order], reference, err_msg=key)
