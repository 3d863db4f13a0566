"""`darkhorse process` on Delphes files and on files without any event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest

from tests.analysis.conftest import CommandLine
from tests.processors.conftest import make_particles, write_delphes, write_generated

HERE = ("--executor", "iterative")
EVERYTHING = ("--set", "processing.min_leading_pt=null", "--set", "processing.max_abs_eta=null")


def columns_in(folder: Path) -> dict[str, np.ndarray]:
    """Return the columns of the only part below a folder."""
    (part,) = folder.rglob("*.parquet")
    table = parquet.ParquetFile(part).read()
    return {name: table[name].to_numpy() for name in table.column_names}


def test_jets_of_a_delphes_file(darkhorse: CommandLine) -> None:
    content = write_delphes(darkhorse.folder / "delphes.root", 20, scale=1000)
    options = ("--format", "delphes", "--set", "processing.jets=FatJet", *EVERYTHING, *HERE)
    said = darkhorse("process", "--files", "delphes.root", *options)
    assert (said.status, said.err) == (0, "")
    assert "files: 20 events, 20 selected" in said.out
    columns = columns_in(darkhorse.folder)
    momenta = ak.sort(content["FatJet/FatJet.PT"], ascending=False)
    assert columns["entry"].tolist() == list(range(20))
    np.testing.assert_array_equal(np.maximum(columns["j1_pt"], columns["j2_pt"]), momenta[:, 0])
    np.testing.assert_array_equal(np.minimum(columns["j1_pt"], columns["j2_pt"]), momenta[:, 1])
    np.testing.assert_array_equal(columns["weight"], ak.flatten(content["Event/Event.Weight"]))
    assert set(columns["truth"]) == {-1}


def test_particles_of_a_delphes_file(darkhorse: CommandLine) -> None:
    content = write_delphes(darkhorse.folder / "delphes.root", 20, scale=1000)
    options = ("--format", "delphes", "--set", "processing.radius=0.4", *EVERYTHING, *HERE)
    said = darkhorse("process", "--files", "delphes.root", *options)
    assert (said.status, said.err) == (0, "")
    assert "cutflow all: 20, two_jets: " in said.out
    columns = columns_in(darkhorse.folder)
    assert len(columns["mjj"]) > 10
    particles = sum(content[f"EFlow{kind}_size"] for kind in ("Track", "Photon", "NeutralHadron"))
    assert np.all(columns["j1_nconst"] + columns["j2_nconst"] <= particles[columns["entry"]])


def without_events_root(path: Path) -> Path:
    return write_generated(path, make_particles(0))


def without_events_lhco(path: Path) -> Path:
    pd.DataFrame(np.zeros((0, 2101))).to_hdf(path, key="df")
    return path


EMPTY = pytest.mark.parametrize(
    ("format", "suffix", "write"),
    [("darkhorse", "root", without_events_root), ("lhco", "h5", without_events_lhco)],
    ids=["ROOT", "HDF5"],
)


@EMPTY
def test_a_file_without_events(darkhorse: CommandLine, format: str, suffix: str, write: Callable[[Path], Path]) -> None:
    path = write(darkhorse.folder / f"nothing.{suffix}")
    said = darkhorse("process", "--files", path, "--format", format, *HERE)
    assert (said.status, said.err) == (0, "")
    assert "files: 0 events, 0 selected" in said.out


@EMPTY
def test_a_file_without_events_beside_one_with(
    darkhorse: CommandLine, events_folder: Path, format: str, suffix: str, write: Callable[[Path], Path]
) -> None:
    files = (write(darkhorse.folder / f"nothing.{suffix}"), events_folder / f"dijet-000.{suffix}")
    alone = darkhorse("process", "--files", files[1], "--format", format, *HERE)
    both = darkhorse("process", "--files", *files, "--format", format, *HERE)
    assert (both.status, both.err) == (0, "")
    assert "files: 1,000 events, " in both.out
    cutflows = [said.out.split("cutflow")[1] for said in (alone, both)]
    assert cutflows[0] == cutflows[1]


@EMPTY
def test_a_search_without_events(
    darkhorse: CommandLine, format: str, suffix: str, write: Callable[[Path], Path]
) -> None:
    search = darkhorse.search([write(darkhorse.folder / f"nothing.{suffix}")], format=format)
    assert "No event of 'dijets' passes the selection (all: 0" in darkhorse.refused("run", search, *HERE)
