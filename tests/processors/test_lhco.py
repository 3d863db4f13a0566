"""HDF5 layouts: every known one gives the same events, any other a message that says what is there."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pytest

from processors.errors import InputError
from processors.lhco import FEATURE_COLUMNS, find_layout
from processors.lhco_events import read_events


def read_all(path: Path, *, key: str | None = None, start: int = 0, stop: int | None = None) -> ak.Array:
    with h5py.File(path) as file:
        layout = find_layout(file, key=key)
        stop = layout.n_events if stop is None else stop
        return read_events(file, layout, start, stop, metadata={"filename": str(path), "entrystart": start})


@pytest.fixture(scope="module")
def rows(rows_of, particles) -> np.ndarray:
    return rows_of(particles(9), label=np.arange(9) % 2)


@pytest.mark.parametrize("labelled", [True, False], ids=["label", "no label"])
@pytest.mark.parametrize("compressed", [True, False], ids=["blosc", "plain"])
@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_particle_layouts_that_pandas_writes(
    tmp_path: Path, rows: np.ndarray, particles, *, layout: str, compressed: bool, labelled: bool
) -> None:
    frame = pd.DataFrame(rows if labelled else rows[:, :-1])
    compression = {"complib": "blosc", "complevel": 5} if compressed else {}
    frame.to_hdf(tmp_path / "events.h5", key="some/where", format=layout, **compression)
    events = read_all(tmp_path / "events.h5", start=2, stop=7)
    expected = particles(9)[2:7]
    for name in ("pt", "eta", "phi"):
        assert ak.all(events.PFCands[name] == expected[name])
    assert ak.all(events.PFCands.mass == 0)
    assert events.truth.tolist() == ([0, 1, 0, 1, 0] if labelled else [-1] * 5)
    assert events.weight.tolist() == [1.0] * 5
    assert events.metadata["entrystart"] == 2


@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_label_of_another_type_lies_in_a_block_of_its_own(tmp_path: Path, rows: np.ndarray, *, layout: str) -> None:
    frame = pd.DataFrame(rows[:, :-1])
    frame[2100] = np.arange(9) % 2
    frame.to_hdf(tmp_path / "events.h5", key="df", format=layout)
    events = read_all(tmp_path / "events.h5")
    assert events.truth.tolist() == [0, 1] * 4 + [0]
    assert ak.num(events.PFCands.pt).tolist() == np.count_nonzero(rows[:, :-1:3], axis=1).tolist()


def test_frame_without_rows(tmp_path: Path) -> None:
    pd.DataFrame(np.zeros((0, 2101))).to_hdf(tmp_path / "events.h5", key="df")
    assert len(read_all(tmp_path / "events.h5")) == 0


def test_features(tmp_path: Path) -> None:
    columns = {name: [float(i + 1), float(i + 2)] for i, name in enumerate(FEATURE_COLUMNS)}
    columns["pxj2"] = columns["pyj2"] = columns["pzj2"] = columns["mj2"] = [1.0, 0.0]  # the second event has one jet
    frame = pd.DataFrame(columns)
    frame["label"] = [1, 0]
    frame[frame.columns[::-1]].to_hdf(tmp_path / "features.h5", key="df")
    events = read_all(tmp_path / "features.h5")
    jets = events.FatJet
    assert ak.num(jets.pt).tolist() == [2, 1]
    np.testing.assert_allclose(ak.flatten(jets.px[:, :1]), [1, 2], rtol=1e-12)
    np.testing.assert_allclose(ak.flatten(jets.py[:, :1]), [2, 3], rtol=1e-12)
    np.testing.assert_allclose(ak.flatten(jets.pz[:, :1]), [3, 4], rtol=1e-12)
    assert jets["mass"][:, 0].tolist() == [4, 5]
    assert jets["tau2"].tolist() == [[6, 13], [7]]
    assert events.truth.tolist() == [1, 0]


def features_file(path: Path, **values: float) -> Path:
    """Write five events of two jets, the third with other values in the named columns."""
    frame = pd.DataFrame({name: np.full(5, float(i + 1)) for i, name in enumerate(FEATURE_COLUMNS)})
    for column, value in values.items():
        frame.loc[2, column] = value
    frame.to_hdf(path, key="df")
    return path


@pytest.mark.parametrize(
    ("column", "value"),
    [("mj1", -50.0), ("mj2", -0.2), ("tau1j1", np.nan), ("tau3j2", np.inf), ("tau2j2", -0.1)],
)
def test_impossible_jet_is_refused_with_file_entry_and_column(tmp_path: Path, column: str, value: float) -> None:
    path = features_file(tmp_path / "features.h5", **{column: value})
    with pytest.raises(InputError) as caught:
        read_all(path, start=1, stop=4)
    assert f"{column} of entry 2 of {path} is {value:g}, where" in str(caught.value)
    assert "1 such value in this chunk" in str(caught.value)
    assert len(read_all(path, start=3)) == 2


def test_rounding_and_jets_that_are_not_there_are_no_reason_to_refuse(tmp_path: Path) -> None:
    path = features_file(
        tmp_path / "features.h5", mj1=-1e-3, tau2j1=0.0, tau3j1=0.0,
        pxj2=0.0, pyj2=0.0, pzj2=0.0, mj2=0.0, tau1j2=np.nan, tau2j2=-1.0,
    )  # fmt: skip
    jets = read_all(path).FatJet
    assert ak.num(jets.pt).tolist() == [2, 2, 1, 2, 2]
    assert jets["tau3"][2].tolist() == [0.0]


def test_real_features_file(shared_data: Path) -> None:
    events = read_all(shared_data / "lhco_rnd_features.h5", start=100, stop=200)
    frame = pd.read_hdf(shared_data / "lhco_rnd_features.h5").iloc[100:200]
    np.testing.assert_allclose(events.FatJet.px[:, 0], frame["pxj1"], rtol=1e-12)
    np.testing.assert_allclose(events.FatJet.pz[:, 1], frame["pzj2"], rtol=1e-12)
    assert events.FatJet["tau2"][:, 1].tolist() == frame["tau2j2"].tolist()
    assert events.truth.tolist() == frame["label"].tolist()
    everything = read_all(shared_data / "lhco_rnd_features.h5")
    assert ak.all(everything.FatJet["mass"] > 0)


@pytest.mark.parametrize("width", [100, 2099, 2102])
def test_another_width_is_refused(tmp_path: Path, lhco_file, *, width: int) -> None:
    path = lhco_file(tmp_path / "other.h5", np.zeros((4, width)))
    with pytest.raises(InputError, match=rf"/df/block0_values \(4, {width}\).*700|layout") as caught:
        read_all(path)
    assert f"(4, {width})" in str(caught.value)
    assert "pxj1" in str(caught.value)


def test_a_file_without_data(tmp_path: Path) -> None:
    h5py.File(tmp_path / "none.h5", "w").close()
    with pytest.raises(InputError, match="it holds no data"):
        read_all(tmp_path / "none.h5")


def test_two_frames_need_a_choice(tmp_path: Path, lhco_file, rows: np.ndarray) -> None:
    path = lhco_file(tmp_path / "two.h5", rows, key="first")
    with h5py.File(path, "a") as file:
        file.copy("first", "second")
    with pytest.raises(InputError, match=r"several frames .*/first, /second"):
        read_all(path)
    assert len(read_all(path, key="second")) == len(rows)
    with pytest.raises(InputError, match="under the key 'third'"):
        read_all(path, key="third")


def test_strange_label(tmp_path: Path, lhco_file, rows: np.ndarray) -> None:
    strange = rows.copy()
    strange[3, -1] = 7
    with pytest.raises(InputError, match=r"entry 3 of .*strange.h5 is 7.0"):
        read_all(lhco_file(tmp_path / "strange.h5", strange))
